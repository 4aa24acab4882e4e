"""Tell handlers ``(ctx)`` from middleware ``(ctx, next)``, and refuse what a thread cannot run."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

from runner_c import ConfigError

__all__ = ["check_one_argument", "declares_keys", "describe", "plain_truth", "refuse_coroutine", "takes_next"]

_NEXT_NAMES = frozenset({"next", "next_", "_next", "nxt", "call_next"})
_FACTORIES = {
    ("runner_c.sequentialize", "sequentialize"): "sequentialize(by_chat)",
    ("pyruntime.session", "session"): "session(dict)",
}
"""Functions that make middleware, by module and name, and how they are called."""

_PLAIN = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.MethodWrapperType)


def describe(function: Any) -> str:
    """Return a name for a callable that a reader of an error message can find."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else f"{type(function).__qualname__} object"


def declares_keys(function: Any) -> bool:
    """Tell whether a middleware can say before it runs which keys it needs, as `sequentialize` and `session` can."""
    return callable(getattr(type(function), "keys", None))


def takes_next(function: Any, where: str) -> bool:
    """Tell whether a callable is middleware ``(ctx, next)`` or a handler ``(ctx)``.

    It is called with the context alone if that is possible, unless its second parameter is called ``next``; so
    ``*args`` and further parameters with defaults make a handler. What shows no signature (some built-ins) is a
    handler; objects with a ``keys`` method (`sequentialize`, `session`) are middleware.

    Raises:
        ConfigError: not callable, asynchronous, a generator, a class, a wrong number of parameters, or a function that
            makes middleware (`session`) in place of what it makes.
    """
    _refuse_unrunnable(function, where, "a handler is a function of ctx")
    made_by = _FACTORIES.get((getattr(function, "__module__", ""), getattr(function, "__qualname__", "")))
    if made_by is not None:
        raise ConfigError(f"{where}: {describe(function)} is to be called first, as in {where}({made_by})")
    if declares_keys(function):
        return True
    positional = _positional(function, where)
    if positional is None:
        return False
    required, optional = positional
    if len(required) == 2:
        return True
    if len(required) > 2 or not (required or optional):
        count = len(required)
        raise ConfigError(
            f"{where}: {describe(function)} takes {count or 'no'} arguments; "
            "a handler takes (ctx), a middleware (ctx, next)"
        )
    names = required + optional
    return len(names) > 1 and names[1] in _NEXT_NAMES


def check_one_argument(function: Any, where: str, argument: str = "ctx") -> None:
    """Check that a callable can be called with one argument.

    Raises:
        ConfigError: it cannot, or it is nothing that a thread can run.
    """
    _refuse_unrunnable(function, where, f"pass a function of {argument}")
    positional = _positional(function, where)
    if positional is not None:
        required, optional = positional
        if len(required) > 1 or not (required or optional):
            raise ConfigError(f"{where}: {describe(function)} takes {len(required)} arguments; it gets ({argument})")


def refuse_coroutine(result: Any, function: Any) -> None:
    """Raise a TypeError when a plain function handed back a coroutine, which nobody would ever await."""
    if isinstance(result, types.CoroutineType):
        result.close()
        raise TypeError(f"{describe(function)} returned a coroutine; {_HINT}")


def plain_truth(predicate: Callable[[Any], object]) -> Callable[[Any], bool]:
    """Return a predicate that answers with a bool; an answer that is a coroutine, which is always true, is an error."""

    def holds(ctx: Any) -> bool:
        answer = predicate(ctx)
        if answer is True or answer is False:
            return answer
        refuse_coroutine(answer, predicate)
        return bool(answer)

    return holds


_HINT = "handlers are plain functions, run in threads: write `def`, with asyncio.run(...) where a coroutine is needed"


def _refuse_unrunnable(function: Any, where: str, wanted: str) -> None:
    if not callable(function):
        raise ConfigError(f"{where}: {function!r} is not callable; {wanted}")
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    if isinstance(inner, type):
        raise ConfigError(f"{where}: {describe(inner)} is a class; pass an instance of it")
    faces = [inner]
    if isinstance(inner, staticmethod):
        faces.append(inner.__func__)
    elif not isinstance(inner, _PLAIN):
        faces.append(type(inner).__call__)
    for face in faces:
        if inspect.iscoroutinefunction(face) or inspect.isasyncgenfunction(face):
            raise ConfigError(f"{where}: {describe(function)} is async; {_HINT}")
        if inspect.isgeneratorfunction(face):
            raise ConfigError(f"{where}: {describe(function)} is a generator: calling it would run nothing of it")


def _positional(function: Callable[..., Any], where: str) -> tuple[list[str], list[str]] | None:
    """Return the names of the required and of the optional positional parameters; None if they cannot be known.

    A ``*args`` counts as one optional parameter.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return None
    required: list[str] = []
    optional: list[str] = []
    for parameter in parameters:
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            (required if parameter.default is parameter.empty else optional).append(parameter.name)
        elif parameter.kind is parameter.VAR_POSITIONAL:
            optional.append("*" + parameter.name)
        elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            raise ConfigError(
                f"{where}: {describe(function)} needs the keyword argument {parameter.name}, which nobody passes"
            )
    return required, optional
