"""End a run as the command line does: told once, with the right exit code, or by a new run in its place."""

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from runner_c.command import exit_code
from runner_c.command.logs import Scrubber, flush, log
from runner_c.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from runner_c import RunnerHandle

__all__ = ["Ending", "restart", "tell", "told_once"]


class Ending(logging.Filter):
    """Leave out what the engine logs of a failure that ends the run, since the last line of the command line says it.

    It stays as long as updates are in flight, for then that last line comes only after they are settled. The report
    of the stop is left out too if the run failed before it had begun, as with a refused token.

    Thread-safety: any thread may log.
    """

    def __init__(self) -> None:
        super().__init__()
        self.handle: RunnerHandle | None = None
        self.has_begun = False
        self._has_failed = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is to be written."""
        action = getattr(record, "action", None)
        if action == "runner.failed":
            self._has_failed = True
            return self.handle is not None and bool(self.handle.snapshot())
        return action != "runner.stopped" or self.has_begun or not self._has_failed


@contextmanager
def told_once() -> Iterator[Ending]:
    """Put an `Ending` on all handlers of the log."""
    ending = Ending()
    handlers = logging.getLogger().handlers[:]
    for handler in handlers:
        handler.addFilter(ending)
    try:
        yield ending
    finally:
        for handler in handlers:
            handler.removeFilter(ending)


def tell(error: BaseException, scrubber: Scrubber) -> int:
    """Tell what kept the command from running, in one line, and return the exit code."""
    if isinstance(error, KeyboardInterrupt):
        print("runner_c: interrupted", file=sys.stderr)
        return exit_code.OK
    if isinstance(error, StoreError):
        print(f"runner_c: {scrubber.clean(str(error))}", file=sys.stderr)
        return exit_code.of_store(error)
    if not isinstance(error, ConfigError):
        log.critical("crashed", exc_info=error, extra={"action": "runner.crashed"})
        return exit_code.CRASHED
    if error.__cause__ is not None:
        log.debug("traceback of the error below", exc_info=error.__cause__)
    print(f"runner_c: {scrubber.clean(str(error))}", file=sys.stderr)
    return exit_code.USAGE


def restart(environment: Mapping[str, str], folder: Path) -> NoReturn:
    """Replace this process by a new run of the same command, in the environment and the folder of the start."""
    log.info("restarting", extra={"action": "runner.restarting"})
    try:
        os.chdir(folder)
    except OSError as error:
        log.error("cannot go back to %s: %s", folder, error.strerror, extra={"action": "runner.restarting"})
    flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], dict(environment))
