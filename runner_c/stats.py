"""What a runner tells of itself: counters while it runs, a report when it has stopped."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner_c.protocols import Update

__all__ = ["InFlight", "Stats", "StopReport"]


@dataclass(frozen=True, slots=True)
class Stats:
    """Counters of a run since its start, and gauges of this moment.

    ``admitted`` is always the sum of ``succeeded``, ``failed``, ``skipped``, ``abandoned`` and ``in_flight``.
    """

    admitted: int = 0
    """Updates taken in."""
    succeeded: int = 0
    """Updates whose handlers returned."""
    failed: int = 0
    """Updates whose handlers (or key functions, or session writes) raised; the error handler had them."""
    skipped: int = 0
    """Updates that were too old to answer when their turn came (`age_limits`)."""
    abandoned: int = 0
    """Updates that were ended by `on_timeout="abandon"`."""
    overdue: int = 0
    """Handlers that passed `handler_timeout_s`, whatever came of them."""
    duplicates: int = 0
    """Updates dropped because their id was seen before."""
    refused: int = 0
    """Updates not taken: malformed, or offered while the backlog was full."""
    in_flight: int = 0
    """Updates held now: waiting, ready or running."""
    waiting: int = 0
    """Of these, how many wait behind another update of a key."""
    ready: int = 0
    """Of these, how many wait for a worker."""
    running: int = 0
    """Handlers that run now; never more than `concurrency`."""
    blocked: int = 0
    """Handlers that wait for a key deeper in the stack, and hold no slot."""
    retried: int = 0
    """Attempts that failed and are followed by another one."""
    retrying: int = 0
    """Of those held, how many wait for their next attempt."""
    stored: int = 0
    """Updates that wait in the store only, because there is no room for them in memory; about a second old."""
    keys: int = 0
    """Keys with an unfinished update."""
    workers: int = 0
    """Worker threads, without those written off."""
    idle_workers: int = 0
    """Of these, how many sleep."""
    polls: int = 0
    """Polls begun."""
    poll_failures: int = 0
    """Polls that failed."""
    confirmed_offset: int | None = None
    """The last offset that reached the server."""
    uptime_s: float = 0.0
    """Seconds since the start."""

    @property
    def handled(self) -> int:
        """Updates that have been ended."""
        return self.succeeded + self.failed + self.skipped + self.abandoned


@dataclass(frozen=True, slots=True)
class InFlight:
    """One update that is held."""

    update: Update
    state: str
    """"running", "ready" (waits for a worker) or "waiting" (behind another update of a key)."""
    age_s: float
    """Seconds since its handler began, or, before that, since it was admitted."""
    thread: int | None = None
    """The identifier of the thread that runs it."""


@dataclass(frozen=True, slots=True)
class StopReport:
    """What came of a run."""

    handled: int = 0
    """Updates that were ended in this run."""
    unfinished: list[Update] = field(default_factory=list)
    """Updates that were admitted and not handled, oldest first."""
    confirmed_offset: int | None = None
    """The last offset that reached the server: updates before it will not be sent again."""
    drained: bool = True
    """True when everything that was admitted has been handled, and the store, if there is one, knows it."""
    duration_s: float = 0.0
    """How long the stop took, in seconds."""
