"""The JSON form of a session: everything comes back as it was put in, or is refused."""

from __future__ import annotations

import math
from typing import Any, Final

import ujson

from pyruntime.argument import kind_of
from pyruntime.failure import SessionError
from pyruntime.view import View, ViewList

__all__ = ["check_value", "decode", "encode", "is_text"]

_LEAVES: Final = frozenset({str, int, float, bool, type(None)})
_DEEPEST: Final = 1000
_ADVICE: Final[dict[type, str]] = {
    tuple: "JSON has no tuples: store a list",
    set: "JSON has no sets: store a list",
    frozenset: "JSON has no sets: store a list",
    bytes: "JSON has no bytes: store text, for example base64",
    bytearray: "JSON has no bytes: store text, for example base64",
    View: "store its .raw, or the few fields you need",
    ViewList: "store its .raw, or the few fields you need",
}


def encode(value: Any, name: str) -> bytes:
    """Return a session as JSON.

    Two values that JSON cannot tell apart, such as a list and a tuple, give the same bytes; `check_value` does tell.

    Raises:
        SessionError: it cannot be encoded at all.
    """
    try:
        text: str = ujson.dumps(value, ensure_ascii=False, escape_forward_slashes=False, allow_nan=False)
        return text.encode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise SessionError(_fault_in(value, name) or f"ctx.{name} cannot be written as JSON: {error}") from error


def decode(data: bytes, name: str) -> Any:
    """Return what `encode` encoded.

    Raises:
        SessionError: the storage gave something else.
    """
    try:
        return ujson.loads(data)
    except (TypeError, ValueError) as error:
        raise SessionError(f"ctx.{name}: the storage holds no JSON ({error})") from error


def check_value(value: Any, name: str) -> None:
    """Check that JSON gives back exactly this value, which `encode` has encoded.

    Exactly: dicts with string keys, lists, strings, ints, finite floats, booleans and None. Subclasses of them are
    refused too, since a plain one would come back (a defaultdict loses its default, an enum its identity).

    Raises:
        SessionError: it does not; the message names the place.
    """
    parts = [value]
    while parts:
        part = parts.pop()
        kind = type(part)
        if kind in _LEAVES:
            continue
        if kind is list:
            parts += part
        elif kind is dict and all(type(key) is str for key in part):
            parts += part.values()
        else:
            raise SessionError(_fault_in(value, name) or f"ctx.{name} cannot be written as JSON")


def _fault_in(value: Any, name: str) -> str | None:
    """Say what in a value is no JSON, and where; None if nothing is found."""
    parts: list[tuple[Any, str, int]] = [(value, f"ctx.{name}", 0)]
    while parts:
        part, path, depth = parts.pop()
        kind = type(part)
        if depth > _DEEPEST:
            return f"ctx.{name} is nested more than {_DEEPEST} deep, or contains itself"
        if kind is dict:
            for key in part:
                if type(key) is not str:
                    return f"{path} has the key {key!r}; keys in JSON are strings"
            parts += [(item, f"{path}[{key!r}]", depth + 1) for key, item in part.items()]
        elif kind is list:
            parts += [(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(part)]
        elif kind not in _LEAVES:
            return f"{path} is {kind_of(part)}; {_advice(part)}"
        elif kind is float and not math.isfinite(part):
            return f"{path} is {part}; JSON has only finite numbers"
        elif kind is str and not is_text(part):
            return f"{path} holds half of a surrogate pair, which is no text"
    return None


def _advice(part: Any) -> str:
    known = _ADVICE.get(type(part))
    if known is not None:
        return known
    for base in (dict, list, str, int, float):
        if isinstance(part, base):
            return f"a plain {base.__name__} would come back: store that"
    return "JSON has no such thing"


def is_text(value: str) -> bool:
    """Tell whether a string can be written as UTF-8: half of a surrogate pair cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
