"""The intake: admission, room, dedupe, and the table of what is in flight, by age."""

from typing import Any

from runner_c._seen import Seen
from runner_c.protocols import Keyer, Update

def is_update(update: object) -> bool:
    """Tell whether something is a dict with an integer ``update_id`` of 64 bits."""

class Intake:
    """The entrance of a run: what may come in, and the table of what has. `Sink` completes it."""

    def __init__(
        self,
        *,
        keyer: Keyer | None,
        seen: Seen | None,
        concurrency: int,
        backlog: int,
        is_batchwise: bool,
        name: str,
        idle_timeout_s: float,
    ) -> None: ...
    @property
    def name(self) -> str:
        """The beginning of the names of its threads."""
    def offer(self, update: Update) -> bool:
        """Admit one update; False when the backlog is full or the run stops. Any thread; does not block.

        Raises:
            TypeError: it is no update.
        """
    def admit(self, updates: list[Any]) -> int:
        """Admit the head of a batch as far as there is room; return how many updates of it were taken."""
    @property
    def is_last_known(self) -> bool:
        """True when the last update that `admit` took had been seen before. For the source's thread."""
    def wait_for_room(self) -> int:
        """Return how many updates there is room for, 0 when the run stops.

        *Blocks* while the backlog is full, and then until it has come down to three quarters.
        """
    def wait_for_fewer(self, count: int, timeout_s: float) -> None:
        """Wait while more than `count` updates are held, for `timeout_s` seconds at most."""
    def wait_for_demand(self, plenty: int, timeout_s: float) -> None:
        """Wait while more than `plenty` updates are ready that no worker has taken, for `timeout_s` seconds at most."""
    def wait_for_progress(self, oldest_id: int | None, timeout_s: float) -> None:
        """Wait until another update than `oldest_id` is the oldest unfinished one, or for `timeout_s` seconds."""
    def oldest_unfinished(self) -> int | None:
        """Return the id of the oldest polled update that has not been handled."""
    def first_not_begun(self) -> int | None:
        """Return the id of the oldest polled update such that neither it nor any later one has been begun."""
