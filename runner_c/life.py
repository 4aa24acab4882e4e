"""One life of a runner, from a start to the end of a stop.

**Guarantees**

- A stop wakes everything that waits at once, runs what was admitted until its deadline, then interrupts, confirms
  what was handled and ends its threads.
- Whatever goes wrong, the future of the life gets a result or an error, once.

**Threads** NAME-poller runs the polling loop; NAME-runner waits for the end and carries it out; NAME-monitor watches
deadlines if there are any; NAME-journal tells the store what has ended, if there is one; NAME-worker-N run handlers.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from runner_c import _journal, _stop, _watch, exit_hook
from runner_c._poller import Poller
from runner_c._seen import Seen
from runner_c.deadline import Monitor, stack_of
from runner_c.errors import Stopped
from runner_c.journal import Journal, JournalPlan
from runner_c.secret import describe_error
from runner_c.sink import SinkPlan
from runner_c.source import Source
from runner_c.stats import Stats, StopReport

__all__ = ["Life"]

SOURCE_WAIT_S = 0.05
"""How long a source that cannot be interrupted and confirms nothing has to return, when the run stops."""
STORE_LOOK_S = 0.02
"""How often a run whose source has ended looks whether something still waits in the store."""
INTERRUPT_EVERY_S = 0.02
INTERRUPT_LEAST_S = 0.5
"""How long a poll is interrupted again and again at the least, even if the deadline of the stop has passed."""
INTERRUPT_WAIT_S = 0.05
"""How long handlers have to end, at the deadline of a stop and once more after they were interrupted."""
LAST_WAIT_S = 0.02
"""How long the threads that are left have to end when handlers were given up."""
LAST_JOIN_S = 1.0
"""How long a stop waits for the runner's own thread after the report is there."""
FAILURE_GRACE_S = 25.0
"""How long handlers may go on when an error has ended the run."""
CONFIRM_WAIT_S = 5.0
"""How long the last confirmation may take before it is cut."""

logger = logging.getLogger("runner_c")


class Life:
    """Everything that exists between a start and the end of a stop.

    Thread-safety: any thread.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        plan: SinkPlan,
        seen: Seen,
        make_poller: Callable[[Source, object, Journal | None], Poller],
        journal: JournalPlan | None,
    ) -> None:
        self.pid = os.getpid()
        self.future: Future[StopReport] = Future()
        self.report: StopReport | None = None
        self.sink = plan.open(name, seen)
        self.supplier = source.supplier
        self._source = source
        self._born_ns = time.monotonic_ns()
        self._lock = threading.Lock()  # guards _deadline_ns, _error; a leaf
        self._pause_lock = threading.Lock()  # makes a pause and the end of one exclude each other; before all others
        self._deadline_ns = -1
        self._stop_asked_ns = 0
        self._error: BaseException | None = None
        self._is_ending = threading.Event()
        self.sink.on_starved = self._fail
        self._monitor = Monitor(self.sink, plan.on_timeout, self._fail) if plan.handler_timeout_s is not None else None
        self._poller_thread = threading.Thread(target=self._poll, name=f"{name}-poller", daemon=True)
        self._thread = threading.Thread(target=self._live, name=f"{name}-runner", daemon=True)
        # Last: from here on there is a store to be closed.
        self.journal: Journal | None = None
        if journal is not None:
            self.journal = journal.open(self.sink, concurrency=plan.concurrency, name=name, fail=self._fail)
        try:
            self.poller = make_poller(source, self.sink, self.journal)
        except BaseException:
            if self.journal is not None:
                self.journal.close()
            raise

    def start(self) -> None:
        """Start the threads.

        Raises:
            RuntimeError: the system gives no threads; nothing of the life is left then.
            StoreError: the store cannot be used; likewise.
        """
        try:
            exit_hook.add(self)
        except BaseException:
            if self.journal is not None:
                self.journal.close()
            raise
        self.future.set_running_or_notify_cancel()
        try:
            self.sink.start()
            if self.journal is not None:
                self.journal.start()
            if self._monitor is not None:
                self._monitor.start()
            self._thread.start()
        except BaseException:
            exit_hook.remove(self)
            self._is_ending.set()
            _stop.stop_admitting(self.sink)
            if self._monitor is not None:
                self._monitor.stop()
            _stop.close(self.sink, 1.0)
            if self.journal is not None:
                self.journal.stop()
                self.journal.close()
            raise

    def ask_to_stop(self, timeout_s: float | None) -> None:
        """Begin the stop; of several deadlines the earliest counts. Does not block."""
        now_ns = time.monotonic_ns()
        with self._lock:
            if not self._is_ending.is_set():
                self._stop_asked_ns = now_ns
            if timeout_s is not None:
                deadline_ns = now_ns + int(max(0.0, timeout_s) * 1e9)
                if self._deadline_ns < 0 or deadline_ns < self._deadline_ns:
                    self._deadline_ns = deadline_ns
        self._is_ending.set()
        _stop.wake_drain(self.sink)

    def is_over(self) -> bool:
        """Tell whether the life has ended."""
        return self.future.done()

    def join(self) -> None:
        """Wait until the runner's own thread is gone too, a second at most: callbacks of its future run in it."""
        self._thread.join(LAST_JOIN_S)

    def is_own_thread(self) -> bool:
        """Tell whether the calling thread belongs to this life, so that it cannot wait for its end."""
        threads = [self._poller_thread, self._thread]
        if self._monitor is not None:
            threads.append(self._monitor.thread)
        if self.journal is not None:
            threads.append(self.journal.thread)
        return threading.current_thread() in threads or _stop.is_worker_of(self.sink)

    def pause(self) -> None:
        """Begin no poll and no handler until `resume`; nothing when the stop has begun."""
        with self._pause_lock:
            if not self._is_ending.is_set():
                self.poller.resumed.clear()
                _stop.pause(self.sink, True)

    def resume(self) -> None:
        """Go on after `pause`."""
        with self._pause_lock:
            _stop.pause(self.sink, False)
            self.poller.resumed.set()

    def stats(self) -> Stats:
        """Return the counters of this life."""
        count = _watch.counts(self.sink)
        return Stats(
            admitted=count["admitted"],
            succeeded=count["succeeded"],
            failed=count["failed"],
            skipped=count["skipped"],
            abandoned=count["abandoned"],
            overdue=count["overdue"],
            duplicates=count["duplicates"],
            refused=count["refused"],
            in_flight=count["held"],
            waiting=max(0, count["held"] - count["ready"] - count["running"] - count["blocked"]),
            ready=count["ready"],
            running=count["running"],
            blocked=count["blocked"],
            keys=count["keys"],
            retried=count["retried"],
            retrying=_journal.delayed(self.sink),
            stored=0 if self.journal is None else self.journal.stored(),
            workers=count["workers"],
            idle_workers=count["idle"],
            polls=self.poller.polls,
            poll_failures=self.poller.failures,
            confirmed_offset=self.poller.confirmed_offset,
            uptime_s=(time.monotonic_ns() - self._born_ns) / 1e9,
        )

    # -- the runner's thread ------------------------------------------------------------------------------------

    def _live(self) -> None:
        try:
            self._poller_thread.start()
            self._is_ending.wait()
        except BaseException as error:
            self._fail(error)
        try:
            self.report = self._end()
        except BaseException as error:
            # Whatever a filter of the log may raise here: who waits for the end must hear of it.
            with contextlib.suppress(BaseException):
                logger.exception("the stop failed", extra={"action": "stop.failed"})
            with contextlib.suppress(BaseException):
                self._fail(error)
        exit_hook.remove(self)
        with self._lock:
            error_of_life = self._error
        if error_of_life is not None:
            self.future.set_exception(error_of_life)
        else:
            self.future.set_result(self.report or StopReport(drained=False))

    def _end(self) -> StopReport:
        begun_ns = self._stop_asked_ns or time.monotonic_ns()
        _stop.stop_admitting(self.sink)
        if self.journal is not None:
            self.journal.begin_stop()
        self.resume()
        self._end_polling()
        is_drained = _stop.drain(self.sink, self._deadline)
        unfinished: list[dict[str, object]] = []
        if not is_drained:
            unfinished = self._cut_off()
        untold = 0 if self.journal is None else self._end_journal(self.journal)
        self._confirm()
        if self._monitor is not None:
            self._monitor.stop()
        hanging = _stop.close(self.sink, LAST_WAIT_S if unfinished else 5.0)
        self._guarded("close", self._source.close)
        if self.journal is not None:
            self.journal.close()
        report = StopReport(
            handled=self.stats().handled,
            unfinished=unfinished,
            confirmed_offset=self.poller.confirmed_offset,
            drained=not unfinished and not untold,
            duration_s=(time.monotonic_ns() - begun_ns) / 1e9,
        )
        logger.info(
            "stopped after %.2f s: %d updates handled, %d unfinished, %d threads hang",
            report.duration_s,
            report.handled,
            len(unfinished),
            hanging,
            extra={"action": "runner.stopped"},
        )
        return report

    def _deadline(self) -> int:
        with self._lock:
            return self._deadline_ns

    def _end_polling(self) -> None:
        """Abort the pending poll and wait for its thread; without a way to abort it, until the deadline."""
        if self._poller_thread.ident is None:
            return
        if not self._source.is_interruptible and not self._source.has_offset:
            # Such as a generator that waits for who knows what: what it still gives is given back, or told of.
            self._poller_thread.join(SOURCE_WAIT_S)
            return
        # At the least so long, whatever the deadline: an interrupt that comes just before the poll hits nothing.
        least_ns = time.monotonic_ns() + int(INTERRUPT_LEAST_S * 1e9) * self._source.is_interruptible
        while self._poller_thread.is_alive():
            if self._source.is_interruptible:
                self._guarded("interrupt", self._source.interrupt)
            self._poller_thread.join(INTERRUPT_EVERY_S)
            if 0 <= self._deadline() <= time.monotonic_ns() >= least_ns:
                return

    def _cut_off(self) -> list[dict[str, object]]:
        def wait() -> None:
            _stop.close(self.sink, INTERRUPT_WAIT_S)

        unfinished, hanging = _stop.cut_off(self.sink, Stopped, wait)
        for update, age_s, thread in hanging:
            logger.error(
                "update %s still runs after %.1f s, and the stop does not wait any longer\n%r\n%s",
                update.get("update_id"),
                age_s,
                update,
                stack_of(thread).rstrip(),
                extra={"action": "stop.hanging"},
            )
        if self.journal is not None:
            if unfinished:
                logger.info(
                    "%d updates were not finished; they stay in the store and run first at the next start",
                    len(unfinished),
                    extra={"action": "stop.unfinished"},
                )
            return unfinished
        running = {id(update) for update, _, _ in hanging}
        for update in unfinished:
            if id(update) not in running:
                logger.warning(
                    "update %s was not handled: %r",
                    update.get("update_id"),
                    update,
                    extra={"action": "stop.unfinished"},
                )
        return unfinished

    def _end_journal(self, journal: Journal) -> int:
        """End the journal; return how many updates the store could not be told of."""
        untold = journal.stop()
        if untold:
            logger.error(
                "the store could not be told of %d updates that were handled last; they will be given out again",
                untold,
                extra={"action": "journal.untold"},
            )
        return untold

    def _confirm(self) -> None:
        """Confirm what was handled, in a thread of its own so that a dead network cannot hold up the stop."""
        if not self._source.has_offset:
            return
        if self._poller_thread.is_alive():
            logger.warning(
                "the source is still being polled, so what was handled last could not be confirmed: "
                "give the bot an interrupt() method",
                extra={"action": "stop.not_confirmed"},
            )
            return
        if self._poller_thread.ident is None:
            return

        def confirm() -> None:
            try:
                self.poller.confirm()
            except BaseException as error:
                logger.warning(
                    "what was handled last could not be confirmed and will come again: %s",
                    describe_error(error),
                    extra={"action": "stop.not_confirmed"},
                )

        thread = threading.Thread(target=confirm, name=f"{self.sink.name}-confirm", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            confirm()
            return
        thread.join(CONFIRM_WAIT_S)
        if thread.is_alive() and self._source.is_interruptible:
            self._guarded("interrupt", self._source.interrupt)
            thread.join(INTERRUPT_WAIT_S)

    def _guarded(self, name: str, call: Callable[[], None]) -> None:
        """Call a method of the user's source; what it raises is told and changes nothing."""
        try:
            call()
        except BaseException:
            logger.exception("%s() of the source failed", name, extra={"action": f"stop.{name}_failed"})

    # -- the poller's thread ------------------------------------------------------------------------------------

    def _poll(self) -> None:
        error = self.poller.run()
        if error is not None:
            self._fail(error)
        else:
            self._outlast_the_store()
            if not self._is_ending.is_set():
                self.ask_to_stop(None)

    def _outlast_the_store(self) -> None:
        """The source has no more: go on until all has ended, in the store and out of it, or the run is stopped."""
        journal = self.journal
        if journal is None:
            return
        # In the order in which updates go: out of the store, through the handlers, and maybe to another attempt.
        while journal.admission.has_stored or _watch.size(self.sink) or _journal.delayed(self.sink):
            if self._is_ending.wait(STORE_LOOK_S):
                return

    def _fail(self, error: BaseException) -> None:
        """End the life with an error; what was admitted is still handled, within `FAILURE_GRACE_S`."""
        with self._lock:
            self._error = self._error or error
        try:
            logger.critical("the runner ends: %s", describe_error(error), extra={"action": "runner.failed"})
        finally:
            self.ask_to_stop(FAILURE_GRACE_S)
