"""Check the arguments of constructors, with errors that name the argument and say what it can be."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["check_methods", "check_seconds", "check_text", "check_whole_number", "kind_of"]


def check_text(name: str, value: Any) -> None:
    """Raise a ValueError for what is no string. The message shows the type only: the value may be a secret."""
    if not isinstance(value, str):
        raise ValueError(f"{name} is a string, not {type(value).__name__}")


def check_seconds(name: str, value: Any, *, may_be_zero: bool = False) -> None:
    """Raise a ValueError for what is no finite number of seconds above 0 (or from 0 on)."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or value < 0 or (value == 0 and not may_be_zero):
        raise ValueError(f"{name} is a number of seconds {'from 0 on' if may_be_zero else 'above 0'}, not {value!r}")


def check_whole_number(name: str, value: Any, least: int) -> None:
    """Raise a ValueError for what is no whole number from `least` on."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is a whole number of {least} or more, not {value!r}")


def check_methods(name: str, value: Any, wanted: str, *methods: str) -> None:
    """Raise a ValueError for what has not these methods; `wanted` says what is expected, with its article."""
    if isinstance(value, type) or not all(callable(getattr(value, method, None)) for method in methods):
        raise ValueError(f"{name} is {wanted}, not {value!r}")


def kind_of(value: object) -> str:
    """Return the name of a value's type with its article: ``a tuple``, ``an object``."""
    name = type(value).__name__
    return f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"
