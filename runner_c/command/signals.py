"""Wait for the end of a runner or for a signal, and act on it.

**Guarantees**

- TERM and INT stop the runner within the grace period; a second one ends the process at once. HUP stops it and asks
  for a restart. USR1 prints all stacks and the updates in flight and disturbs nothing.
- A handler that hangs, and even a stop that hangs, cannot keep the process from ending.
- No signal is lost, and none ends the process before it can be acted on. Python runs its signal handlers in the main
  thread between two of its instructions: a signal that comes when that thread is just about to wait would be seen only
  after the wait. So the interpreter's C handler writes the number into a pipe, and a thread of its own reads it there.

**Assumes** that an `Inbox` is entered in the main thread, where alone signal handlers can be set. `supervise` may run
in another one, beside a script that has the main thread.
"""

import enum
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from runner_c.command import exit_code
from runner_c.command.logs import flush
from runner_c.command.stacks import print_stacks
from runner_c.secret import describe_error

if TYPE_CHECKING:
    from runner_c import RunnerHandle, StopReport

__all__ = ["Held", "Inbox", "Outcome", "leave", "supervise"]

SPARE_S = 5.0
"""How much longer than the grace period a stop may take before the process ends without it."""

LISTED = 20
"""How many unfinished updates a log line names."""

WORKER_NAME = "runner_c-worker"
"""How the names of the engine's worker threads begin."""

log = logging.getLogger("runner_c.cli")


class Event(enum.Enum):
    """Name what the main thread is woken for."""

    STOP = enum.auto()
    END = enum.auto()  # the program itself wants to stop, which it may say more than once
    RESTART = enum.auto()
    PRINT_STACKS = enum.auto()
    ENDED = enum.auto()
    STOPPED = enum.auto()


SIGNALS = {
    signal.SIGTERM: Event.STOP,
    signal.SIGINT: Event.STOP,
    signal.SIGHUP: Event.RESTART,
    signal.SIGUSR1: Event.PRINT_STACKS,
}


HELD = {signal.SIGHUP, signal.SIGUSR1}
"""What waits until somebody is there to act on it."""


@dataclass(frozen=True)
class Outcome:
    """Say how the run ended: the exit code, whether to start anew, whether handlers still hang in threads."""

    code: int
    is_restart: bool = False
    is_hung: bool = False


class Held:
    """Hold HUP and USR1 back in the main thread while nobody is there to act on them.

    By default they end a process, and they may come while the target is imported or between a restart's two halves. The
    kernel keeps them, through exec too, until an `Inbox` lets them in; what is left at the end is dropped.
    """

    def __enter__(self) -> "Held":
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        for number in HELD:
            before = signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
            signal.signal(number, before)


class Inbox:
    """Collect signals while it is entered; a signal that was ignored before stays ignored.

    With `is_main_interrupted` a signal that stops also raises KeyboardInterrupt in the main thread: for the time in
    which that runs somebody's script and nobody supervises a run.
    """

    def __init__(self) -> None:
        self.is_main_interrupted = False
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._before: dict[signal.Signals, Any] = {}
        self._out, self._in = os.pipe()
        os.set_blocking(self._in, False)
        self._reader = threading.Thread(target=self._read, name="runner-c-signals", daemon=True)
        self._wakeup_before = -1
        self._mask_before: set[int | signal.Signals] = set()

    def __enter__(self) -> "Inbox":
        self._reader.start()
        self._wakeup_before = signal.set_wakeup_fd(self._in, warn_on_full_buffer=False)
        for number in SIGNALS:
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._on_signal)
        self._mask_before = signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask_before)
        for number, before in self._before.items():
            signal.signal(number, before)
        signal.set_wakeup_fd(self._wakeup_before)
        os.write(self._in, b"\0")
        self._reader.join()
        os.close(self._in)
        os.close(self._out)

    def put(self, event: Event) -> None:
        """Wake the main thread. Thread-safety: any thread."""
        self._events.put(event)

    def get(self, timeout_s: float | None) -> Event | None:
        """Return the next event, or None after `timeout_s`. Blocks: until an event comes."""
        try:
            return self._events.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def interrupt_main(self) -> None:
        """Raise KeyboardInterrupt in the main thread, as Ctrl-C does; it ends a wait. Thread-safety: any thread."""
        self.is_main_interrupted = True
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Be there, so that the signal does not do what it does by default; the pipe tells what has to be done."""
        if self.is_main_interrupted and SIGNALS[signal.Signals(number)] is Event.STOP:
            raise KeyboardInterrupt

    def _read(self) -> None:
        while True:
            for number in os.read(self._out, 64):
                if number == 0:
                    return
                # A handler that the program has set since acts in place of ours.
                if number in self._before and signal.getsignal(number) == self._on_signal:
                    self.put(SIGNALS[signal.Signals(number)])


class _Stop:
    """Stop a runner from a thread of its own, so that the main thread stays free for signals."""

    def __init__(self, handle: "RunnerHandle", grace_s: float, inbox: Inbox) -> None:
        self.report: StopReport | None = None
        self.error: BaseException | None = None
        self._handle = handle
        self._grace_s = grace_s
        self._inbox = inbox
        self._latest = time.monotonic() + grace_s + SPARE_S
        threading.Thread(target=self._run, name="runner-c-stop", daemon=True).start()

    def left_s(self) -> float:
        """Return the seconds until the main thread gives up on this stop."""
        return max(0.0, self._latest - time.monotonic())

    def _run(self) -> None:
        try:
            self.report = self._handle.stop(self._grace_s)
        except BaseException as error:
            self.error = error
        self._inbox.put(Event.STOPPED)


def supervise(handle: "RunnerHandle", grace_s: float, inbox: Inbox, clean: Callable[[str], str]) -> Outcome:
    """Wait until the runner has ended or was stopped by a signal, and say how.

    Args: grace_s, seconds that a stop waits for handlers; clean, takes tokens out of what USR1 prints.
    Blocks: as long as the bot runs. A second signal ends the process from in here.
    Raises: what a signal handler of the program's own raises while this waits in the main thread; after the stop.
    """
    handle.task().add_done_callback(lambda _: inbox.put(Event.ENDED))
    stop: _Stop | None = None
    is_restart = False
    raised: BaseException | None = None
    while True:
        try:
            event = inbox.get(stop.left_s() if stop else None)
        except BaseException as error:
            raised = error
            event = Event.END
        if event is Event.ENDED and not handle.task().done():
            continue  # that was the run before this one
        if event is Event.PRINT_STACKS:
            print_stacks(handle, sys.stderr, clean)
        elif event is Event.STOP and stop and not is_restart:
            _hurry(handle)
        elif event is Event.STOP and stop:
            is_restart = False
            log.info("stopping for good instead of restarting", extra={"action": "runner.stopping"})
        elif event in (Event.STOP, Event.END, Event.RESTART, Event.ENDED) and stop is None:
            is_restart = event is Event.RESTART
            if event is not Event.ENDED:
                reason = "restarting" if is_restart else "stopping"
                log.info("%s: waiting up to %g s for handlers", reason, grace_s, extra={"action": f"runner.{reason}"})
            stop = _Stop(handle, grace_s, inbox)
        elif stop and (event is Event.STOPPED or event is None):
            outcome = _outcome(handle, stop, is_restart)
            if raised is not None:
                raise raised
            return outcome


def leave(code: int) -> NoReturn:
    """End the process now, with the log written, whatever its threads do. Does not return."""
    flush()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(code)


def _outcome(handle: "RunnerHandle", stop: _Stop, is_restart: bool) -> Outcome:
    error = stop.error
    task = handle.task()
    if error is None and task.done() and not task.cancelled():
        error = task.exception()
    if error is not None:
        code = exit_code.of_error(error)
        trace = error if code == exit_code.CRASHED else None
        log.critical("%s", _explain(error, code), exc_info=trace, extra={"action": "runner.crashed"})
    report = stop.report
    if report is None or not report.drained:
        left = report.unfinished if report else handle.snapshot()
        _log_left("the grace period passed", left)
        return Outcome(exit_code.NOT_DRAINED if error is None else code, is_restart and error is None, is_hung=True)
    if error is not None:
        return Outcome(code, is_hung=_is_worker_alive())
    return Outcome(exit_code.OK, is_restart, is_hung=_is_worker_alive())


def _hurry(handle: "RunnerHandle") -> None:
    left = handle.snapshot()
    _log_left("stopped at once by a second signal", left)
    leave(exit_code.NOT_DRAINED if left else exit_code.OK)


def _log_left(reason: str, updates: Iterable[dict[str, Any]]) -> None:
    ids = [str(update.get("update_id")) for update in updates]
    if not ids:
        log.warning("%s; no update was left unfinished", reason, extra={"action": "runner.unfinished"})
        return
    more = f" and {len(ids) - LISTED} more" if len(ids) > LISTED else ""
    shown = ", ".join(ids[:LISTED])
    log.error("%s; unfinished: %s%s (%d)", reason, shown, more, len(ids), extra={"action": "runner.unfinished"})


def _explain(error: BaseException, code: int) -> str:
    said = describe_error(error)
    if code == exit_code.UNAUTHORIZED:
        return f"the Bot API refused the token ({said}): check BOT_TOKEN"
    if code == exit_code.CONFLICT:
        return f"another process polls this bot, or a webhook is set ({said}): stop it, or use --remove-webhook"
    return f"the runner ended with {said}"


def _is_worker_alive() -> bool:
    """Tell whether a handler hangs in a thread that was written off."""
    return any(thread.name.startswith(WORKER_NAME) for thread in threading.enumerate())
