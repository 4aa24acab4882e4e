"""The journal of one run: it tells the store what has ended.

**Guarantees**

- What ended is told to the store within a few ms, in the order in which keys were opened, by a thread of its own: no
  handler waits for a disk.
- A store that cannot write (a full disk) stops intake, loudly, and nothing else; when it can again, all goes on.
- Updates that ran when the last process died run alone before all others.

**Threads** NAME-journal does all of it, and begins the next attempts that are due.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from runner_c import _journal
from runner_c._fault import fault_point
from runner_c._sink import Sink
from runner_c.errors import StoreError, StoreInUse, StoreUnavailable
from runner_c.journal.admission import Admission
from runner_c.journal.outage import Outage
from runner_c.journal.session import StoredSessions
from runner_c.retry import handler_delay_s
from runner_c.secret import describe_error
from runner_c.store.base import Failure, Settlement, Store, Verdict

__all__ = ["Journal"]

GATHER_S = 0.005
"""How long ends are gathered for one commit."""
GATHER_MOST = 512
"""With so many ends the commit begins at once."""
FEED_MOST = 1024
"""How many updates come into memory before what has ended is looked at again."""
MORE_THAN_EVER = 2**62
SYNC_S = 0.05
"""So long after an end was told it is durable at the latest."""
TEND_S = 1.0
"""How often housekeeping is done."""
ALONE_S = 30.0
"""How long suspects may keep all others waiting; four times as long at each of the next three attempts."""
LAST_TRY_S = 5.0
"""How long the end of a run tries to write what has ended."""

logger = logging.getLogger("runner_c")

# Guards _in_use; a leaf. An open store that was passed in can serve one run at a time, as a file can.
_lock = threading.Lock()
_in_use: weakref.WeakSet[Store] = weakref.WeakSet()


class Journal:
    """The journal of one run.

    Args:
        store: open.
        sink: not started yet.
        concurrency: how many handlers run at the same time, usually.
        max_attempts: how often an update is tried before it is a dead letter; 1: an update that failed is done with.
        fail: called with an error that ends the run.
        is_store_ours: `close` closes it.

    Raises:
        StoreInUse: another run of this process has it.
    """

    def __init__(
        self,
        store: Store,
        sink: Sink,
        *,
        concurrency: int,
        max_attempts: int,
        name: str,
        fail: Callable[[BaseException], object],
        is_store_ours: bool = False,
    ) -> None:
        with _lock:
            if store in _in_use:
                raise StoreInUse(
                    f"the store {store.url} is in use by another runner of this process; stop that one first"
                )
            _in_use.add(store)
        self.store = store
        self._is_store_ours = is_store_ours
        self._sink = sink
        self._concurrency = concurrency
        self._fail = fail
        self._sessions = StoredSessions(store)
        self._outage = Outage(store.url)
        self.admission = Admission(store, sink, self._outage)
        self._ends: list[Settlement | Failure] = []
        self._is_over = threading.Event()
        self._is_broken = False
        self._is_untended = False
        self._alone_until_ns = 0
        self._stored = 0
        _journal.attach(
            sink, self._sessions, store.marks.slots if store.marks is not None else None, max_attempts, handler_delay_s
        )
        self.thread = threading.Thread(target=self._run, name=f"{name}-journal", daemon=True)

    def start(self) -> None:
        """Let in what the last run left, suspects first and alone, and begin; after the sink has been started.

        Raises:
            StoreError: the store cannot be used.
            RuntimeError: the system gives no thread.
        """
        if self.store.marks is not None:
            # Before the first handler begins; it ends below when nobody is suspected.
            self._alone_until_ns = time.monotonic_ns()
            self.store.marks.set_alone(True)
            _journal.set_alone(self._sink, True, self._concurrency)
        attempts = self.admission.feed(_journal.room(self._sink)[0])
        if attempts:
            self._alone_until_ns += int(ALONE_S * 4.0 ** min(3, max(0, max(attempts) - 2)) * 1e9)
            logger.warning(
                "%d updates ran when the last process died; they run first, one by one",
                len(attempts),
                extra={"action": "journal.suspects"},
            )
        self._end_alone()
        self.thread.start()

    def stored(self) -> int:
        """Return how many updates wait in the store only, as of the last look."""
        return self._stored

    # -- the end of the run -------------------------------------------------------------------------------------------

    def begin_stop(self) -> None:
        """The run stops: nothing comes in any more, and what waits for another attempt stays in the store."""
        self.admission.close()
        _journal.end_retries(self._sink)
        _journal.wake(self._sink)

    def stop(self) -> int:
        """Write what has ended, give back what was not begun, and end the thread.

        Returns:
            How many ended updates the store could not be told of; they will be given out again.
        """
        self._is_over.set()
        _journal.wake(self._sink)
        if self.thread.ident is not None:
            self.thread.join()
        deadline_s = time.monotonic() + LAST_TRY_S
        while not self._is_broken:
            self._outage.try_now()
            self._write()
            if not _journal.unwritten(self._sink) or time.monotonic() >= deadline_s:
                break
            time.sleep(0.05)
        untold = _journal.unwritten(self._sink)
        try:
            self._give_back()
            self.store.sync()
        except StoreError as error:
            logger.error("%s", describe_error(error), extra={"action": "journal.stuck"})
        if self.store.marks is not None:
            # Who still runs now does so because the stop did not wait; nobody is to be blamed for the end.
            self.store.marks.set_alone(False)
            self.store.marks.clear()
        return untold

    def _give_back(self) -> None:
        """Give back what this run has and did not finish, or could not tell of: the store may be used again."""
        ended = [*self._ends, *_journal.take_ends(self._sink, MORE_THAN_EVER)]
        held = _journal.unfinished(self._sink)
        begun = [(seq, token) for seq, token, has_begun in held if has_begun]
        unbegun = [(seq, token) for seq, token, has_begun in held if not has_begun]
        self.store.release([(end.seq, end.token) for end in ended] + begun, has_begun=True)
        try:
            self.store.release(unbegun)
        except StoreUnavailable:
            self.store.release(unbegun, has_begun=True)  # which needs nothing to be written
            raise

    def close(self) -> None:
        """Let go of the store, and close it if it was opened for this run."""
        with _lock:
            _in_use.discard(self.store)
        if self._is_store_ours:
            try:
                self.store.close()
            except StoreError as error:
                logger.error("%s", describe_error(error), extra={"action": "journal.stuck"})

    # -- the journal's thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        tend_at_ns = time.monotonic_ns() + int(TEND_S * 1e9)
        sync_at_ns = -1
        try:
            while not self._is_over.is_set():
                deadline_ns = tend_at_ns if sync_at_ns < 0 else min(sync_at_ns, tend_at_ns)
                if self._outage.is_waiting():
                    deadline_ns = self._outage.next_try_ns
                if self._ends:
                    # These could not be written: more of them change nothing.
                    _journal.wait(self._sink, MORE_THAN_EVER, deadline_ns)
                else:
                    _journal.wait(self._sink, 1, deadline_ns)
                    _journal.wait(self._sink, GATHER_MOST, time.monotonic_ns() + int(GATHER_S * 1e9))
                _journal.begin_due(self._sink)
                is_written = self._write()
                if is_written and sync_at_ns < 0:
                    sync_at_ns = time.monotonic_ns() + int(SYNC_S * 1e9)
                self._end_alone()
                now_ns = time.monotonic_ns()
                if self._outage.is_waiting():
                    continue
                try:
                    self.admission.feed(FEED_MOST)
                    if 0 <= sync_at_ns <= now_ns:
                        self.store.sync()
                        sync_at_ns = -1
                    if now_ns >= tend_at_ns:
                        is_more = self._tend()
                        tend_at_ns = now_ns + int((0.0 if is_more else TEND_S) * 1e9)
                except StoreUnavailable as error:
                    tend_at_ns = max(tend_at_ns, now_ns + int(TEND_S * 1e9))
                    sync_at_ns = -1 if sync_at_ns < 0 else tend_at_ns
                    self._outage.begin(error)
        except BaseException as error:
            self._is_broken = True
            self._fail(error)

    def _write(self) -> bool:
        """Tell the store what has ended; True when it was told something. What it cannot take now is kept."""
        if self._ends and self._outage.is_waiting():
            return False
        is_written = False
        try:
            is_more = True
            while is_more:
                if not self._ends:
                    self._ends = _journal.take_ends(self._sink, GATHER_MOST)
                # A small group means that there are no more: what comes now is gathered again.
                is_more = len(self._ends) >= GATHER_MOST
                is_written |= self._tell()
            return is_written
        except StoreUnavailable as error:
            self._outage.begin(error)
            return is_written
        except BaseException as error:
            if self._is_over.is_set():
                logger.error("%s", describe_error(error), extra={"action": "journal.broken"})
                self._is_broken = True
                return is_written
            raise

    def _tell(self) -> bool:
        """Tell the store of the ends in hand, in their order; True when there were some."""
        if not self._ends:
            return False
        fault_point("settle.begun")
        while self._ends:
            is_failure = type(self._ends[0]) is Failure
            # Nearly always all of them: failures are rare.
            count = next(
                (n for n, end in enumerate(self._ends) if (type(end) is Failure) != is_failure), len(self._ends)
            )
            ends: list[Any] = self._ends[:count]
            self._check(self.store.fail(ends) if is_failure else self.store.settle(ends))
            del self._ends[:count]
            _journal.written(self._sink, count)
            if not is_failure:
                for _, _, writes in ends:
                    if writes:
                        self._sessions.written(writes)
        fault_point("settle.durable")
        self._outage.end()
        return True

    def _check(self, verdicts: list[Verdict]) -> None:
        if verdicts.count(Verdict.OK) < len(verdicts):
            raise StoreError(
                f"the store {self.store.url} was changed by somebody else while this runner had it; "
                "stop whoever else writes into it, and start again"
            )

    def _tend(self) -> bool:
        try:
            is_more = self.store.tend()
            self._is_untended = False
        except StoreUnavailable as error:
            # Housekeeping can wait, also while all else works.
            if not self._is_untended:
                logger.warning("housekeeping: %s", describe_error(error), extra={"action": "journal.untended"})
            self._is_untended = True
            is_more = False
        counts = self.store.counts()
        self._stored = counts.waiting
        if counts.waiting:
            self.admission.has_stored = True
        return is_more

    def _end_alone(self) -> None:
        if not self._alone_until_ns:
            return
        left = _journal.suspects(self._sink)
        if left and time.monotonic_ns() < self._alone_until_ns:
            return
        self._alone_until_ns = 0
        if self.store.marks is not None:
            self.store.marks.set_alone(False)
        _journal.set_alone(self._sink, False, self._concurrency)
        if left:
            logger.warning(
                "%d suspects have kept all others waiting for long enough and go on beside them",
                left,
                extra={"action": "journal.suspects"},
            )


def _forget_the_parent() -> None:
    """In a forked child: the runs are its parent's, the lock may be held by a thread that is not there."""
    global _lock
    _lock = threading.Lock()
    _in_use.clear()


os.register_at_fork(after_in_child=_forget_the_parent)
