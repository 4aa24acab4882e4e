"""Answer getUpdates: long poll, pacing of unchanged offsets, and the conflict between two pollers.

Guarantees: at most one request waits; confirmation happens when a request arrives.
Assumes: everything runs in the loop's thread with the server's lock held.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from pyruntime.testing.loop import Loop, Timer
from pyruntime.testing.update_queue import QueuedUpdate, UpdateQueue

MAX_LIMIT: Final = 100
MAX_TIMEOUT_S: Final = 50
WAIT_AFTER_UPDATE_S: Final = 0.001
MAX_WAIT_AFTER_FIRST_S: Final = 0.002
SAME_OFFSET_LIMIT_WINDOW_S: Final = 0.5
SAME_OFFSET_TIMEOUT_S: Final = 3
CONFLICT_PAUSE_S: Final = 3.0

CONFLICT_POLLER: Final = (
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
)
CONFLICT_SET_WEBHOOK: Final = "Conflict: terminated by setWebhook request"
CONFLICT_WEBHOOK: Final = (
    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
)


class WaitingPoll:
    """Hold a getUpdates request until it is answered."""

    __slots__ = ("first_update_at_s", "give_up", "limit", "offset", "on_conflict", "on_updates", "wake")

    def __init__(
        self,
        offset: int,
        limit: int,
        on_updates: Callable[[list[QueuedUpdate]], None],
        on_conflict: Callable[[str], None],
    ) -> None:
        """Remember what was asked for, and whom to tell."""
        self.offset = offset
        self.limit = limit
        self.on_updates = on_updates
        self.on_conflict = on_conflict
        self.give_up: Timer | None = None
        self.wake: Timer | None = None
        self.first_update_at_s = 0.0


class Polling:
    """Serve the one line of getUpdates requests of a bot."""

    def __init__(self, queue: UpdateQueue, clock: Callable[[], float], lock: threading.RLock) -> None:
        """Serve from `queue`; `clock` gives its times; timers take `lock`, the server's."""
        self._loop: Loop | None = None
        self._queue = queue
        self._clock = clock
        self._lock = lock
        self._waiting: WaitingPoll | None = None
        self._previous_offset: int | None = None
        self._previous_start_s = float("-inf")
        self._previous_finish_s = float("-inf")
        self._next_conflict_at_s = float("-inf")
        self._never_waits = False
        self.conflicts = 0

    @property
    def is_waiting(self) -> bool:
        """Tell whether a long poll is waiting right now."""
        return self._waiting is not None

    def attach(self, loop: Loop | None) -> None:
        """Run timers in `loop` from now on; who waited in another loop waits no more."""
        self._loop = loop
        self._waiting = None
        self._never_waits = False

    def answer_at_once(self) -> None:
        """Answer the waiting request, and let no other wait until the server is started again."""
        self._never_waits = True
        if self._waiting is not None:
            self._answer(self._waiting)

    def arrive(
        self,
        offset: int,
        limit: int,
        timeout_s: int,
        on_updates: Callable[[list[QueuedUpdate]], None],
        on_conflict: Callable[[str], None],
    ) -> WaitingPoll | None:
        """Take a request: confirm, then answer at once or wait; returns the waiting request, if it waits."""
        limit = min(max(limit, 1), MAX_LIMIT)
        timeout_s = min(max(timeout_s, 0), MAX_TIMEOUT_S)
        now = time.monotonic()
        if offset == self._previous_offset:
            if timeout_s < SAME_OFFSET_TIMEOUT_S and now < self._previous_start_s + SAME_OFFSET_TIMEOUT_S:
                timeout_s = SAME_OFFSET_TIMEOUT_S
            if now < self._previous_finish_s + SAME_OFFSET_LIMIT_WINDOW_S:
                limit = 1
        self._previous_offset = offset
        self._previous_start_s = now
        self.abort(CONFLICT_POLLER)
        start = self._queue.confirm(offset, self._clock())
        updates = self._queue.read(start, limit, self._clock())
        if updates or not timeout_s or self._never_waits:
            self._finish(on_updates, updates)
            return None
        poll = WaitingPoll(max(offset, 0), limit, on_updates, on_conflict)
        poll.give_up = self._call_later(timeout_s, lambda: self._answer(poll))
        self._waiting = poll
        return poll

    def abort(self, description: str) -> None:
        """End the waiting request, if there is one, with a conflict."""
        poll = self._waiting
        if poll is not None:
            self.forget(poll)
            self.refuse(poll.on_conflict, description)

    def refuse(self, on_conflict: Callable[[str], None], description: str) -> None:
        """Report a conflict: the first at once, those within 3 s after it when the 3 s are over."""
        self.conflicts += 1
        now = time.monotonic()
        if now >= self._next_conflict_at_s:
            self._next_conflict_at_s = now + CONFLICT_PAUSE_S
            on_conflict(description)
            return

        def report() -> None:
            with self._lock:
                on_conflict(description)

        self._call_later(self._next_conflict_at_s - now, report)

    def forget(self, poll: WaitingPoll) -> None:
        """Let go of a request that needs no answer any more."""
        if self._waiting is poll:
            self._waiting = None
        for timer in (poll.give_up, poll.wake):
            if timer is not None:
                timer.cancel()

    def on_pushed(self) -> None:
        """Wake the waiting request: 1 ms after the last new update, 2 ms after the first one at the latest."""
        poll = self._waiting
        if poll is None or not len(self._queue):
            return
        now = time.monotonic()
        if not poll.first_update_at_s:
            poll.first_update_at_s = now
        if poll.wake is not None:
            poll.wake.cancel()
        at = min(now + WAIT_AFTER_UPDATE_S, poll.first_update_at_s + MAX_WAIT_AFTER_FIRST_S)
        poll.wake = self._call_later(at - now, lambda: self._answer(poll))

    def _call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        assert self._loop is not None, "the server is not running"
        return self._loop.call_later(delay_s, callback)

    def _answer(self, poll: WaitingPoll) -> None:
        with self._lock:
            if self._waiting is not poll:
                return
            self.forget(poll)
            start = self._queue.confirm(poll.offset, self._clock())
            self._finish(poll.on_updates, self._queue.read(start, poll.limit, self._clock()))

    def _finish(self, on_updates: Callable[[list[QueuedUpdate]], None], updates: list[QueuedUpdate]) -> None:
        self._previous_finish_s = time.monotonic()
        on_updates(updates)
