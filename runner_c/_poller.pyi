"""The polling loop: offset, room, pace, back-off, confirmation."""

import threading
from collections.abc import Callable

from runner_c._sink import Sink
from runner_c.journal import Journal
from runner_c.retry import Backoff
from runner_c.source import Source

class Poller:
    """Move updates from a source to a sink; see the module in the source for what it guarantees."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        backoff: Backoff,
        *,
        describe: Callable[[BaseException], str] = ...,
        limit: int = 100,
        ack: str = "fetch",
        drop_pending: bool = False,
        conflict_limit_s: float = 60.0,
        journal: Journal | None = None,
    ) -> None: ...
    @property
    def resumed(self) -> threading.Event:
        """Cleared while polling is paused."""
    @property
    def confirmed_offset(self) -> int | None:
        """The last offset that reached the server."""
    @property
    def polls(self) -> int:
        """How many polls were begun."""
    @property
    def failures(self) -> int:
        """How many polls failed."""
    def run(self) -> BaseException | None:
        """Poll until the run stops (None) or polling has failed for good (the error). *Blocks* until then."""
    def confirm(self) -> None:
        """Confirm at the server what has been handled; to be called when `run` has returned.

        Raises:
            Exception: what the source raises.
        """
