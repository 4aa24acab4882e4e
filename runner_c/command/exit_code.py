"""Name the exit codes of the command line.

They are part of the contract: a supervisor may act on them (restart after 1, never after 2 or 3).
"""

from typing import Final

from runner_c.errors import ConfigError, StoreError, StoreInUse, StoreUnavailable

__all__ = ["CONFLICT", "CRASHED", "NOT_DRAINED", "OK", "UNAUTHORIZED", "USAGE", "of_error", "of_store"]

OK: Final = 0
"""Stopped as asked, everything that was admitted is settled; also the end of --check, --version and the like."""

CRASHED: Final = 1
"""The runner ended with an error that has no code of its own; or its store cannot write now (a full disk)."""

USAGE: Final = 2
"""A wrong option, setting or target, a module that cannot be imported, no token, or a store that cannot be opened.
Nothing was polled."""

UNAUTHORIZED: Final = 3
"""The Bot API refused the token (401 or 404)."""

CONFLICT: Final = 4
"""Another process kept polling the same bot, a webhook is set (409 for a minute), or another runner has the store."""

NOT_DRAINED: Final = 5
"""Stopped before all handlers had ended: --grace passed, or a second signal came. What was left is in the log."""


def of_store(error: StoreError) -> int:
    """Return the exit code for a store that could not be opened."""
    if isinstance(error, StoreUnavailable):
        return CRASHED  # a full disk passes: it is worth another start
    return CONFLICT if isinstance(error, StoreInUse) else USAGE


def of_error(error: BaseException) -> int:
    """Return the exit code for the error that ended a runner, by its class or its attribute `error_code`."""
    if isinstance(error, ConfigError):
        return USAGE
    code = getattr(error, "error_code", None)
    if code in (401, 404):
        return UNAUTHORIZED
    if code == 409:
        return CONFLICT
    return CRASHED
