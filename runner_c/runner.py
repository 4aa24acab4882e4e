"""The runner: a source and a sink, put to work."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent import futures
from types import TracebackType
from typing import Any

from runner_c import _watch
from runner_c._intake import is_update
from runner_c._poller import Poller
from runner_c._seen import Seen
from runner_c.errors import ConfigError, ForkedProcess, RunnerError
from runner_c.journal import Journal, JournalPlan
from runner_c.life import Life
from runner_c.option_check import attempts, checked_store, confirmation, name_of, seconds, truth, whole_number
from runner_c.protocols import Update
from runner_c.retry import Backoff
from runner_c.secret import describe_error
from runner_c.sink import SinkPlan
from runner_c.source import Source
from runner_c.stats import InFlight, Stats, StopReport
from runner_c.store.base import Store

__all__ = ["RunnerHandle", "create_runner"]

SIGNAL_CHECK_S = 1.0
"""How long `wait` may be blind to a signal that came at the wrong moment, in seconds."""


class RunnerHandle:
    """Controls a runner; what `run` and `create_runner` return. Leaving it as a context manager stops the runner.

    Thread-safety: any thread, handlers among them.
    """

    def __init__(
        self,
        source: Source,
        plan: SinkPlan,
        make_poller: Callable[[Source, Any, Journal | None], Poller],
        name: str,
        journal: JournalPlan | None = None,
    ) -> None:
        self._source = source
        self._plan = plan
        self._make_poller = make_poller
        self._name = name
        self._journal = journal
        self._seen = Seen()
        self._lock = threading.Lock()  # guards _life; a leaf
        self._life: Life | None = None

    def __repr__(self) -> str:
        state = "running" if self._life is not None and not self._life.is_over() else "not running"
        return f"<RunnerHandle {self._name!r}, {state}>"

    def __enter__(self) -> RunnerHandle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the runner; again after a stop, too. Returns at once.

        Raises:
            RunnerError: it is running.
            RuntimeError: the system gives no threads.
            StoreError: the store cannot be opened: it is damaged, in use, another bot's, or not writable.
        """
        with self._lock:
            if self._life is not None and self._life.pid == os.getpid() and not self._life.is_over():
                raise RunnerError("this runner is running already; stop() it first")
            if self._life is not None and self._life.pid != os.getpid():
                # A lock in there may be held by a thread of the parent.
                self._seen = Seen()
            before = self._life
            # In place before anything runs: a handler of the first update may use this handle.
            self._life = Life(self._name, self._source, self._plan, self._seen, self._make_poller, self._journal)
            try:
                self._life.start()
            except BaseException:
                self._life = before
                raise

    def stop(self, timeout_s: float | None = None) -> StopReport:
        """Stop: poll no more, handle what was admitted, confirm it, end the threads.

        Called again, or after the runner has ended by itself, it returns the same report. An error that ended the
        runner is not raised here but by `wait`.

        Args:
            timeout_s: after so many seconds (0 or more) what still runs is interrupted and what has not begun stays
                unfinished; None (default) waits for every handler.

        Returns:
            The report. Called in a handler, which it could never outwait, it begins the stop and returns at once with
            a report of that moment (``drained`` is False).

        *Blocks* until the runner has ended.

        Raises:
            RunnerError: it was never started.
            ForkedProcess: it was started in another process.
            ConfigError: the time is not a number of seconds.
        """
        seconds("timeout_s", timeout_s, least=-1.0, is_optional=True)
        life = self._own_life()
        life.ask_to_stop(timeout_s)
        if life.is_own_thread():
            return StopReport(life.stats().handled, self.snapshot(), life.poller.confirmed_offset, False)
        try:
            return life.future.result()
        except BaseException as error:
            if not life.is_over():
                raise
            if life.report is None:
                raise RunnerError(f"the stop failed: {describe_error(error)}") from error
            return life.report
        finally:
            if life.is_over():
                life.join()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the runner has ended.

        Returns:
            True when it has, False when `timeout_s` seconds went by before.

        *Blocks*; signals are handled meanwhile.

        Raises:
            Exception: the error that ended the runner: what `get_updates` raised (unauthorized, conflict), or a
                `RunnerError`.
        """
        seconds("timeout_s", timeout_s, least=-1.0, is_optional=True)
        life = self._own_life()
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            # In slices: a signal that comes when the main thread is just about to wait is seen after the wait only.
            left_s = SIGNAL_CHECK_S if deadline_s is None else deadline_s - time.monotonic()
            done, _ = futures.wait([life.future], min(SIGNAL_CHECK_S, max(0.0, left_s)))
            if done:
                life.future.result()
                return True
            if deadline_s is not None and left_s <= 0:
                return False

    def task(self) -> futures.Future[StopReport]:
        """Return a future that ends when the runner ends, with its report or with the error that ended it."""
        return self._own_life().future

    def is_running(self) -> bool:
        """Tell whether the runner has been started and has not ended."""
        life = self._life
        return life is not None and life.pid == os.getpid() and not life.is_over()

    def size(self) -> int:
        """Return how many updates are held: waiting, ready or running."""
        return _watch.size(self._own_life().sink)

    def snapshot(self) -> list[Update]:
        """Return the updates that are held, oldest first."""
        return _watch.snapshot(self._own_life().sink)

    def in_flight(self) -> list[InFlight]:
        """Return what is held, oldest first, each with its state and its age."""
        return [InFlight(*row) for row in _watch.in_flight(self._own_life().sink)]

    def stats(self) -> Stats:
        """Return the counters of the present run, or of the last one."""
        return self._own_life().stats()

    def offer(self, update: Update) -> bool:
        """Hand in an update from elsewhere: a webhook, a queue.

        *Blocks* until it is durable if there is a store (callers from several threads share one commit); else not.

        Returns:
            True: it was admitted (or seen before). False: the backlog is full, the store cannot write now, or the
            runner is stopping; try later.

        Raises:
            TypeError: it is not a dict with an integer ``update_id``; or, with a store, no JSON (also ValueError).
            StoreError: the store is broken.
        """
        life = self._own_life()
        if life.journal is None:
            return life.sink.offer(update)
        if not is_update(update):
            raise TypeError("an update is a dict with an integer update_id")
        return life.journal.admission.append([update])

    def pause(self) -> None:
        """Begin no poll and no handler until `resume`; running handlers go on. A stop ends the pause."""
        self._own_life().pause()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._own_life().resume()

    def _own_life(self) -> Life:
        life = self._life
        if life is None:
            raise RunnerError("this runner was not started; call start()")
        if life.pid != os.getpid():
            raise ForkedProcess(
                f"this runner was started in process {life.pid} and its threads are there; a fork does not carry them "
                "over. Start a runner in the child, after the fork"
            )
        return life


def create_runner(
    source: Source,
    sink: SinkPlan,
    *,
    poll_limit: int = 100,
    ack: str | None = None,
    drop_pending: bool = False,
    retry: str | float = "exponential",
    retry_cap_s: float = 30.0,
    max_retry_time_s: float = 54_000.0,
    store: str | Store | None = None,
    max_attempts: int = 1,
    owner: str | None = None,
    name: str = "runner_c",
) -> RunnerHandle:
    """Put a source and a sink together; `start()` of the result sets them to work.

    Args:
        source: from `create_source`.
        sink: from one of the three `create_…_sink`.
        poll_limit: the most updates of one fetch, 1 to 100 (default 100).
        ack, drop_pending, retry, retry_cap_s, max_retry_time_s, store, max_attempts, name: as for `run`.
        owner: whose updates these are, to be told apart from those of another bot in the same store; None: not known.

    Raises:
        ConfigError: an argument is not what it has to be.
    """
    if not isinstance(source, Source):
        raise ConfigError("the source of a runner is made by create_source()")
    if not isinstance(sink, SinkPlan):
        raise ConfigError(
            "the sink of a runner is made by create_concurrent_sink(), _batch_sink() or _sequential_sink()"
        )
    limit = whole_number("poll_limit", poll_limit, 1, 100)
    cap_s = float(seconds("retry_cap_s", retry_cap_s) or 0.0)
    give_up_s = float(seconds("max_retry_time_s", max_retry_time_s) or 0.0)
    Backoff(retry, cap_s, give_up_s)  # raises for a bad policy now rather than in the poller
    mode = confirmation(ack, has_store=store is not None)
    truth("drop_pending", drop_pending)
    journal = None
    if store is not None:
        journal = JournalPlan(checked_store(store), attempts(max_attempts), owner)
    elif attempts(max_attempts) > 1:
        raise ConfigError(
            'max_attempts above 1 needs a store to keep what failed: store="sqlite:bot.db", or --store sqlite:bot.db'
        )

    def make_poller(source: Source, opened: Any, journal: Journal | None) -> Poller:
        return Poller(
            source,
            opened,
            Backoff(retry, cap_s, give_up_s),
            describe=describe_error,
            limit=limit,
            ack=mode,
            drop_pending=drop_pending,
            journal=journal,
        )

    return RunnerHandle(source, sink, make_poller, name_of(name), journal)
