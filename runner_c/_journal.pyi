"""What a run and its store hand each other: updates one way, ends the other."""

from collections.abc import Callable
from typing import Any

from runner_c._sink import Sink
from runner_c.journal.session import StoredSessions
from runner_c.store.base import Claim, Failure, Settlement, Store

def attach(
    sink: Sink,
    sessions: StoredSessions,
    marks: memoryview | None,
    max_attempts: int,
    retry_delay_s: Callable[[int, BaseException], float],
) -> None:
    """Tell a sink, before it starts, that there is a store."""

def room(sink: Sink) -> tuple[int, int]:
    """Return how many updates there is room for, and how many of them may wait for others in memory.

    The second half of the backlog is for updates that can run at once: one busy chat does not fill it.
    """

def append(sink: Sink, store: Store, updates: list[Any], offset: int | None, json: bytes | None = None) -> int | None:
    """Take a batch into the store, and as much of it into the run as there is room for.

    Returns:
        How many of it wait in the store; None when the run stops and nothing was taken.

    Raises:
        what `Store.push` raises; then nothing was taken.
    """

def admit(sink: Sink, claims: list[Claim]) -> list[tuple[int, int]]:
    """Take in what the store gives out. Return pairs of number and token of those that came too late for the run."""

def wait(sink: Sink, mark: int, deadline_ns: int) -> None:
    """Wait until `mark` ends are there for the store, somebody calls `wake`, or a time of the monotonic clock in ns.

    Retries that become due and the end of the last suspect wake too.
    """

def wake(sink: Sink) -> None:
    """Wake whoever is in `wait`."""

def take_ends(sink: Sink, most: int) -> list[Settlement | Failure]:
    """Return up to `most` ends, oldest first; `written` says when they are safe."""

def written(sink: Sink, count: int) -> None:
    """Say that so many ends are in the store."""

def unwritten(sink: Sink) -> int:
    """Return how many ends are not in the store yet."""

def begin_due(sink: Sink) -> None:
    """Push those that have waited long enough for their next attempt."""

def end_retries(sink: Sink) -> None:
    """The run stops: nothing waits for another attempt any more; it is unfinished."""

def set_alone(sink: Sink, is_alone: bool, concurrency: int) -> None:
    """Let one handler run at a time, or as many as usual."""

def suspects(sink: Sink) -> int:
    """Return how many updates have to run alone and have not ended."""

def delayed(sink: Sink) -> int:
    """Return how many updates wait for their next attempt."""

def unfinished(sink: Sink) -> list[tuple[int, int, bool]]:
    """Return (number, token, whether a handler had begun it) of the updates that are held, after a stop."""
