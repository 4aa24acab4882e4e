"""Run a script that polls for itself, in such a way that the engine polls instead.

The script has the main thread, as always. Where it begins to poll, in whatever thread, `ScriptRun.poll` runs the bot
and blocks until that has ended, as the script expects it.

**Guarantees**

- A signal acts whatever the main thread does: on the run while there is one, as KeyboardInterrupt in the script before.
- When a signal has ended the run, the call that polls returns, so that what the script does behind it is done; a main
  thread that did not poll gets a KeyboardInterrupt.
- The process ends, with the code of the run: a second after somebody polls again, after the script's last line, or
  after that KeyboardInterrupt; and `BEHIND_S` after a call in the main thread has returned. One more signal interrupts
  what the script does there.
- A run that the bot itself has ended (`stop_polling`) is none of that: the script goes on, and may poll again.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import thread as pool_threads
from functools import partial
from types import ModuleType
from typing import Any, NoReturn

from runner_c.command import exit_code
from runner_c.command.script import Script
from runner_c.command.settings import UsageError
from runner_c.command.signals import Event, Inbox, Outcome
from runner_c.command.target import run_code

__all__ = ["ScriptRun"]

BEHIND_S = 5.0
"""How long the script may go on behind a call that polled in the main thread, in seconds; no longer than a stop may."""

END_S = 1.0
"""How long the process may go on, in seconds, when there is nothing left for the script to do."""

LOOK_S = 0.2
"""How often threads of the script are looked after, in seconds."""

log = logging.getLogger("runner_c.cli")


class ScriptRun:
    """One run of a script.

    Args:
        script: what to run.
        inbox: where signals come in.
        grace_s: the grace period of a stop, in seconds.
        leave: ends the process after a run or an error, whatever its threads do.

    Thread-safety: `run` in the main thread, `poll` and `stop` in any.
    """

    def __init__(
        self, script: Script, inbox: Inbox, grace_s: float, leave: Callable[[Outcome | BaseException], NoReturn]
    ) -> None:
        self._script = script
        self._inbox = inbox
        self._grace_s = grace_s
        self._leave = leave
        # Guards all below. Taken as it is and not by way of the condition: what a signal raises in the main thread
        # could otherwise come between the taking and the block that gives it back.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)  # told of each change
        self._bot: Any = None
        self._poller: threading.Thread | None = None
        self._has_polled = False
        self._is_stopped_by_bot = False
        self._result: Outcome | BaseException | None = None
        self._latest = float("inf")
        self._is_executing = True
        self._is_over = False

    def run(self) -> tuple[Outcome | None, ModuleType | None]:
        """Run the script, and what it has polled, to the end. *Blocks* until then.

        Returns: how it ended, None if it never polled; and the module, if the script came to its end.

        Raises:
            UsageError: the script failed before it polled.
            KeyboardInterrupt: a signal came before it polled.
            BaseException: what kept a run from starting.
        """
        module: ModuleType | None = None
        failure: BaseException | None = None
        try:
            self._inbox.is_main_interrupted = True
            try:
                module = self._execute()
            except BaseException as error:
                failure = error
            with self._lock:
                self._is_executing = False
            is_alone = self._wait_for_threads(isinstance(failure, KeyboardInterrupt))
            self._inbox.is_main_interrupted = False
        except KeyboardInterrupt as error:
            self._inbox.is_main_interrupted = False
            failure = failure or error
            is_alone = self._wait_for_threads(True)
        with self._lock:
            self._is_over = True
            self._changed.notify_all()
            result = self._result
            has_polled = self._has_polled
        end = result if isinstance(result, BaseException) else None if has_polled else failure
        if end is not None:
            if not is_alone:
                self._leave(end)
            raise end
        if not has_polled:
            return None, module
        if isinstance(failure, SystemExit) and isinstance(failure.code, str):
            log.error("%s", failure.code, extra={"action": "script.failed"})
        outcome = result if isinstance(result, Outcome) else Outcome(exit_code.OK)
        code = outcome.code or _code_of(failure)
        return Outcome(code, outcome.is_restart, outcome.is_hung or not is_alone), module

    def poll(self, bot: Any, start: Callable[[], Outcome], *, is_last: bool = False) -> None:
        """Run the bot in this thread, in place of the polling that the script asks for. *Blocks* until it has ended.

        Args: start, runs it; is_last, end the script then as if a signal had come.

        Raises:
            SystemExit: there is nothing more to poll: a run was ended by a signal, or could not begin, or a signal
                handler of the script's own has raised it.
        """
        with self._lock:
            if self._bot is not None and self._result is None:
                self._refuse(bot)
            if self._result is not None:
                self._hurry()
                raise SystemExit(_code_of_result(self._result))
            self._bot = bot
            self._poller = None if _is_main() else threading.current_thread()
            self._has_polled = True
            self._is_stopped_by_bot = False
        self._inbox.is_main_interrupted = is_last
        result: Outcome | BaseException
        try:
            result = start()
        except KeyboardInterrupt:
            result = Outcome(exit_code.OK)
        except BaseException as error:
            result = error
        with self._lock:
            self._bot = None
            if isinstance(result, Outcome) and self._is_stopped_by_bot and result == Outcome(exit_code.OK):
                self._inbox.is_main_interrupted = not self._is_over
                self._changed.notify_all()
                return
            if self._result is None:
                self._result = result
            self._begin_end()
        if isinstance(result, SystemExit):
            raise result
        if is_last or isinstance(result, BaseException):
            raise SystemExit(_code_of_result(result))

    def stop(self, bot: Any) -> None:
        """End the run of a bot because the script says so; nothing if it is not run. Returns at once."""
        with self._lock:
            if self._bot is not None and self._bot is bot and not self._is_stopped_by_bot:
                self._is_stopped_by_bot = True
                self._inbox.put(Event.END)

    # -- the script ---------------------------------------------------------------------------------------------------

    def _execute(self) -> ModuleType:
        try:
            return self._script.execute()
        except Exception as error:
            if not self._goes_on():
                run_code(partial(_raise, error), self._script.name)
            log.critical("the script failed", exc_info=error, extra={"action": "script.failed"})
            raise
        except SystemExit as error:
            if not self._goes_on():
                raise UsageError(f"{self._script.name}: the script ended by sys.exit({error.code!r})") from error
            raise

    def _goes_on(self) -> bool:
        """Tell whether there is more to this run than a script that has just failed."""
        with self._lock:
            return self._has_polled or bool(_threads_to_wait_for())

    def _wait_for_threads(self, is_interrupted: bool) -> bool:
        """Wait as Python does when a script has ended: for threads that are no daemons. A run in a daemon is stopped.

        Returns: whether all have ended. After the end of a run, and after a signal before one, they get `END_S`.
        """
        latest = float("inf")
        while True:
            with self._lock:
                is_running = self._bot is not None
                if not is_running and (is_interrupted or self._result is not None):
                    latest = min(latest, time.monotonic() + END_S)
                poller = None if self._result is None else self._poller
            others = _threads_to_wait_for()
            if poller is not None and poller.is_alive():
                others.insert(0, poller)  # a daemon too may have something to do behind its call
            if not others and not is_running:
                return True
            if time.monotonic() >= latest:
                return False
            if is_running and (is_interrupted or not others):
                # Python would end the process here, and with it the thread that polls.
                self.stop(self._bot)
            if others:
                others[0].join(LOOK_S)
            else:
                with self._lock:
                    self._changed.wait(LOOK_S)

    # -- the end ------------------------------------------------------------------------------------------------------

    def _refuse(self, bot: Any) -> NoReturn:
        """End everything, because the script polls twice at the same time. Called with the lock."""
        what = "the same bot twice" if bot is self._bot else "two bots"
        self._result = UsageError(
            f"{self._script.name} polls {what}; one process runs one bot, so give each its own script"
        )
        self._hurry()
        self._inbox.put(Event.END)
        raise SystemExit(exit_code.USAGE)

    def _begin_end(self) -> None:
        """See to it that the process ends. Called with the lock, in the thread that polled."""
        is_main = _is_main()
        patience_s = max(END_S, min(BEHIND_S, self._grace_s)) if is_main else END_S
        self._latest = min(self._latest, time.monotonic() + patience_s)
        self._changed.notify_all()
        self._inbox.is_main_interrupted = self._is_executing
        if not is_main and self._is_executing:
            self._inbox.interrupt_main()
        threading.Thread(target=self._end, name="runner-c-end", daemon=True).start()

    def _hurry(self) -> None:
        """Give the script `END_S` from now on. Called with the lock."""
        latest = time.monotonic() + END_S
        if latest < self._latest:
            self._latest = latest
            self._changed.notify_all()

    def _end(self) -> None:
        with self._lock:
            while not self._is_over:
                left_s = self._latest - time.monotonic()
                if left_s <= 0:
                    break
                self._changed.wait(left_s)
            if self._is_over:
                return
            result = self._result
        assert result is not None
        log.info("the script goes on after the end of the run; ending it", extra={"action": "script.cut"})
        self._leave(result)


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _threads_to_wait_for() -> list[threading.Thread]:
    # Threads of an executor end by themselves when the process does: Python tells them to.
    pooled: Any = getattr(pool_threads, "_threads_queues", {})
    main = threading.main_thread()
    return [each for each in threading.enumerate() if not each.daemon and each is not main and each not in pooled]


def _raise(error: BaseException) -> NoReturn:
    raise error


def _code_of(failure: BaseException | None) -> int:
    """Return the exit code of a script that ended in this way, after a run that ended well."""
    if isinstance(failure, SystemExit):
        if failure.code is None or isinstance(failure.code, int):
            return failure.code or exit_code.OK
        return exit_code.CRASHED
    return exit_code.OK if failure is None or isinstance(failure, KeyboardInterrupt) else exit_code.CRASHED


def _code_of_result(result: Outcome | BaseException) -> int:
    return result.code if isinstance(result, Outcome) else exit_code.USAGE
