"""Errors of the bot layer itself; those of API calls stand in `pyruntime.errors`.

::

    Exception
    ├── BotError                 what `@bot.catch` and error boundaries get: an error and the context it happened in
    └── runner_c.RunnerError
        ├── runner_c.ConfigError a handler, filter or token that cannot work, found when it is registered
        ├── ContextError         the update has not what a method of the context needs
        └── SessionError         a session that cannot be read or written as asked
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runner_c import RunnerError

if TYPE_CHECKING:
    from pyruntime.context import Context

__all__ = ["BotError", "ContextError", "SessionError"]


class BotError(Exception):
    """An error together with the context of the update it happened in.

    Attributes:
        error: what the handler raised.
        ctx: the context the handler had (None in one that came out of a pickle).
    """

    error: BaseException
    ctx: Context

    def __init__(self, error: BaseException, ctx: Context) -> None:
        super().__init__(error)
        self.error = error
        self.ctx = ctx
        self.__cause__ = error

    def __str__(self) -> str:
        try:
            said = " ".join(str(self.error).split())
        except Exception:  # the error's own __str__ fails; which update it was must be told all the same
            said = "<str() failed>"
        name = type(self.error).__name__
        where = "" if self.ctx is None else f" (update {self.ctx.update_id}, {self.ctx.kind})"
        return f"{name}: {said}{where}" if said else f"{name}{where}"

    def __reduce__(self) -> tuple[Any, ...]:
        return BotError, (self.error, None)


class ContextError(RunnerError):
    """The update has not what the method of the context needs, such as a chat to reply to."""


class SessionError(RunnerError):
    """A session was used where there is none, or holds something that JSON cannot keep."""
