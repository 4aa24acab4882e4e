"""Attributes that every context has besides its own: the kinds of updates, and sessions by name.

They are descriptors and not ``__getattr__``: a class that has that is slow at every attribute. None of them has a
``__set__``, so what a handler assigns to such a name hides it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyruntime.view import wrap

if TYPE_CHECKING:
    from pyruntime.context import Context

__all__ = ["KindAttribute", "SessionAttribute"]


class KindAttribute:
    """``ctx.callback_query`` and the like: the payload of that kind, or None if the update is of another."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __get__(self, ctx: Context | None, owner: type[Context]) -> Any:
        if ctx is None:
            return self
        return wrap(ctx.update[self._kind]) if self._kind in ctx.update else None


class SessionAttribute:
    """``ctx.<name>``: the session of that name, where there is one."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, ctx: Context | None, owner: type[Context]) -> Any:
        if ctx is None:
            return self
        sessions = ctx._sessions
        if sessions is not None and self._name in sessions:
            return sessions[self._name].get()
        raise AttributeError(f"this context ({ctx.kind}) has no attribute {self._name!r}", name=self._name, obj=ctx)
