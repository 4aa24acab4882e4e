"""The sink: the way of an update through a worker, and its end."""

from collections.abc import Callable, Mapping

from runner_c._delivery import Delivery
from runner_c._ends import Ends
from runner_c._event import StopEvent
from runner_c._seen import Seen
from runner_c.protocols import Keyer, Update

def current() -> Delivery | None:
    """Return the delivery that the calling thread is handling; None outside of a runner's worker.

    Thread-safety: any thread; each gets its own.
    """

class Sink(Ends):
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
    def stopping(self) -> StopEvent:
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
