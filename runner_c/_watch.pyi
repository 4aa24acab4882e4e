"""What is done to updates from outside of their workers: looked at, found overdue, interrupted, abandoned."""

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
