"""Check the values of options, with errors that name the option and what it can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner_c.errors import ConfigError

__all__ = ["AGE_LIMITS_S", "age_limits_of", "seconds", "timeout_policy", "whole_number"]

AGE_LIMITS_S: Mapping[str, float] = {
    "inline_query": 30.0,
    "callback_query": 150.0,
    "shipping_query": 150.0,
    "pre_checkout_query": 150.0,
}
"""After how many seconds Telegram no longer takes an answer, by kind of update."""


def whole_number(name: str, value: Any, least: int, most: int = 2**31 - 1) -> int:
    """Return an option that is a whole number in a range.

    Raises:
        ConfigError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        limits = f"of {least} or more" if most >= 2**31 - 1 else f"from {least} to {most}"
        raise ConfigError(f"{name} is a whole number {limits}, not {value!r}")
    return value


def seconds(name: str, value: Any, *, is_optional: bool = False) -> float | None:
    """Return an option that is a number of seconds above 0, or None where it may be left out.

    Raises:
        ConfigError: it is not.
    """
    if value is None and is_optional:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < 1e9:
        raise ConfigError(f"{name} is a number of seconds above 0{' or None' if is_optional else ''}, not {value!r}")
    return float(value)


def timeout_policy(value: Any) -> Any:
    """Return a valid `on_timeout`.

    Raises:
        ConfigError: it is none of the policies and not callable.
    """
    if not callable(value) and value not in ("report", "interrupt", "abandon"):
        raise ConfigError(f'on_timeout is "report", "interrupt", "abandon" or a function, not {value!r}')
    return value


def age_limits_of(value: Any) -> dict[str, float] | None:
    """Return the limits in seconds by kind of update: None for none, True for Telegram's own, or the given ones.

    Raises:
        ConfigError: it is something else.
    """
    if value is None or value is False:
        return None
    if value is True:
        return dict(AGE_LIMITS_S)
    if not isinstance(value, Mapping):
        raise ConfigError(f"age_limits is None, True, or a dict of seconds by kind of update, not {value!r}")
    return {str(kind): float(seconds(f"age_limits[{kind!r}]", limit_s) or 0.0) for kind, limit_s in value.items()}
