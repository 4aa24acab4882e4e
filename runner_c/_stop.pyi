"""The end of a run: admit nothing more, drain, and at the deadline cut off."""

from collections.abc import Callable

from runner_c._sink import Sink
from runner_c.protocols import Update

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

def is_worker_of(sink: Sink) -> bool:
    """Tell whether the calling thread is a worker of this run."""
