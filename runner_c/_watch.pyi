"""What is done to updates from outside of their workers: looked at, found overdue, ended by a deadline or a stop."""

from collections.abc import Callable

from runner_c._sink import Sink
from runner_c.protocols import Update

def snapshot(sink: Sink) -> list[Update]:
    """Return the updates that are held, oldest first."""

def in_flight(sink: Sink) -> list[tuple[Update, str, float, int | None]]:
    """Return (update, "running" | "ready" | "waiting", seconds in that state, thread identifier) of what is held."""

def size(sink: Sink) -> int:
    """Return how many updates are held."""

def counts(sink: Sink) -> dict[str, int]:
    """Return the counters of a run."""

def overdue(sink: Sink) -> list[tuple[int, Update, float, int]]:
    """Return (sequence, update, age in s, thread identifier) of each handler past its deadline, each once."""

def next_deadline_s(sink: Sink) -> float:
    """Return in how many seconds the next handler can be overdue."""

def is_running(sink: Sink, sequence: int) -> bool:
    """Tell whether the handler of an update still runs."""

def interrupt(sink: Sink, sequence: int, exception: type[BaseException]) -> bool:
    """Raise an exception in the thread that runs an update; False when it has ended meanwhile."""

def abandon(sink: Sink, sequence: int) -> bool:
    """End an update whose handler hangs: free its slot and keys, write its worker off. False: it has ended."""

def stop_admitting(sink: Sink) -> None:
    """Take nothing more in, and wake whoever waits in the engine."""

def wake_drain(sink: Sink) -> None:
    """Have `drain` look at its deadline again."""

def drain(sink: Sink, deadline: Callable[[], int]) -> bool:
    """Wait until everything has been handled (True), nothing can go on, or the deadline is over (False).

    Args:
        deadline: returns the latest time in ns of the monotonic clock, negative for none.
    """

def cut_off(
    sink: Sink, exception: type[BaseException], wait: Callable[[], object]
) -> tuple[list[Update], list[tuple[Update, float, int]]]:
    """End the run: start nothing more, interrupt what runs, wait, and take back what has not ended by then.

    Returns:
        The updates that were not handled, oldest first, and (update, age in s, thread identifier) of each handler
        that still runs.
    """

def close(sink: Sink, timeout_s: float) -> int:
    """Send the workers home and wait for up to `timeout_s` seconds; return how many hang."""

def pause(sink: Sink, is_paused: bool) -> None:
    """Let no further update begin, or go on."""
