"""Let the end of a run be told once: by the command line, which knows what to do about it."""

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner_c import RunnerHandle

__all__ = ["Ending"]


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
