"""The sink: admission, what is in flight, the end of each update, counters."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from runner_c._delivery import Delivery
from runner_c._seen import Seen
from runner_c.protocols import Keyer, Update

def current() -> Delivery | None:
    """Return the delivery that the calling thread is handling; None outside of a runner's worker.

    Thread-safety: any thread; each gets its own.
    """

class Sink:
    """Hold everything between a source and the handlers of one run.

    Args:
        consume: runs the handlers of an update.
        on_error: gets the error and the update when that raised.
        keyer: gives the keys of an update; None: no order.
        seen: the ids that were accepted before; shared by the runs of one runner.
        concurrency: the most handlers at the same time.
        backlog: the most updates held.
        handler_timeout_s: the time-out of a handler in seconds; None: none.
        age_limits: seconds by kind of update, after which it is skipped instead of begun.
        is_batchwise: take a new batch only when the last one has ended.
        name: the beginning of the names of its threads.
        idle_timeout_s: after how many seconds an idle worker goes; one stays.
    """

    def __init__(
        self,
        consume: Callable[[Update], object],
        on_error: Callable[[BaseException, Update], object],
        *,
        keyer: Keyer | None = None,
        seen: Seen | None = None,
        concurrency: int = 500,
        backlog: int = 10_000,
        handler_timeout_s: float | None = None,
        age_limits: Mapping[str, float] | None = None,
        is_batchwise: bool = False,
        name: str = "runner_c",
        idle_timeout_s: float = 15.0,
    ) -> None: ...
    @property
    def name(self) -> str:
        """The beginning of the names of its threads."""
    @property
    def stopping(self) -> threading.Event:
        """Set when the run begins to stop."""
    @property
    def on_starved(self) -> Callable[[BaseException], object] | None:
        """Called with the error when the system gives no thread and no worker is left."""
    @on_starved.setter
    def on_starved(self, callback: Callable[[BaseException], object] | None) -> None: ...
    def start(self) -> None:
        """Start the first worker.

        Raises:
            RuntimeError: the system gives no thread.
        """
    def offer(self, update: Update) -> bool:
        """Admit one update; False when the backlog is full or the run stops. Any thread; does not block.

        Raises:
            TypeError: it is no update.
        """
    def admit(self, updates: list[Any]) -> int:
        """Admit the head of a batch as far as there is room; return how many updates of it were taken."""
    def has_seen(self, update_id: int) -> bool:
        """Tell whether an id was accepted before."""
    def wait_for_room(self) -> int:
        """Return how many updates there is room for, 0 when the run stops.

        *Blocks* while the backlog is full, and then until it has come down to three quarters.
        """
    def wait_for_progress(self, oldest_id: int | None, timeout_s: float) -> None:
        """Wait until another update than `oldest_id` is the oldest unfinished one, or for `timeout_s` seconds."""
    def oldest_unfinished(self) -> int | None:
        """Return the id of the oldest polled update that has not been handled."""
    def first_not_begun(self) -> int | None:
        """Return the id of the oldest polled update such that neither it nor any later one has been begun."""
