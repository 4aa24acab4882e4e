"""Check the values of options, with errors that name the option and what it can be."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from runner_c.errors import ConfigError
from runner_c.store.base import Store
from runner_c.store.url import check_url, open_store

__all__ = [
    "AGE_LIMITS_S",
    "age_limits_of",
    "attempts",
    "checked_store",
    "confirmation",
    "function_of_one",
    "kinds_of",
    "name_of",
    "plain_function",
    "seconds",
    "share",
    "timeout_policy",
    "truth",
    "whole_number",
]

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


def seconds(name: str, value: Any, *, least: float = 0.0, is_optional: bool = False) -> float | None:
    """Return an option that is a number of seconds above `least` (0 where that is below 0), or None where it may be.

    Raises:
        ConfigError: it is not.
    """
    if value is None and is_optional:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value < 1e9 or value <= least:
        what = "0 or more" if least < 0 else f"above {least:g}"
        raise ConfigError(f"{name} is a number of seconds {what}{' or None' if is_optional else ''}, not {value!r}")
    return float(value)


def share(name: str, value: Any) -> float:
    """Return an option from 0.0 to 1.0.

    Raises:
        ConfigError: it is not.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0.0 <= value <= 1.0:
        raise ConfigError(f"{name} is a number from 0.0 to 1.0, not {value!r}")
    return float(value)


def truth(name: str, value: Any) -> bool:
    """Return an option that is True or False.

    Raises:
        ConfigError: it is something else, such as the word "no", which would count as true.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name} is True or False, not {value!r}")
    return value


def name_of(value: Any) -> str:
    """Return a name for threads.

    Raises:
        ConfigError: it is no text.
    """
    if not isinstance(value, str) or not value:
        raise ConfigError(f"name is a text, not {value!r}")
    return value


def confirmation(value: Any, *, has_store: bool) -> str:
    """Return a valid `ack`; None is "journal" with a store and "fetch" without one.

    Raises:
        ConfigError: it is none, or goes ill with a store or without one.
    """
    if value is None:
        return "journal" if has_store else "fetch"
    if value not in ("fetch", "done", "journal"):
        raise ConfigError(f'ack is "journal", "fetch" or "done", not {value!r}')
    if value == "journal" and not has_store:
        raise ConfigError(
            'ack="journal" needs a store to keep the updates in: store="sqlite:bot.db", or --store sqlite:bot.db'
        )
    if value != "journal" and has_store:
        raise ConfigError(
            f"ack={value!r} goes without a store: with one, an update is confirmed when the store has it. Leave ack "
            "out, or the store"
        )
    return str(value)


def attempts(value: Any) -> int:
    """Return a valid `max_attempts`.

    Raises:
        ConfigError: it is none.
    """
    return whole_number("max_attempts", value, 1, 1000)


def checked_store(value: Any) -> str | Store:
    """Return a store, or the URL of one. A store in memory is made here, so that it outlives a stop of its runner.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(value, Store):
        return value
    url = check_url(value)
    return open_store(url) if url == "memory:" else url


def kinds_of(value: Any) -> list[str]:
    """Return kinds of updates as a list.

    Raises:
        ConfigError: it is not a list of texts; one text alone would be taken letter by letter.
    """
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__iter__"):
        raise ConfigError(f'allowed_updates is a list such as ["message", "callback_query"], not {value!r}')
    kinds = list(value)
    for kind in kinds:
        if not isinstance(kind, str):
            raise ConfigError(f"allowed_updates holds texts such as 'message', not {kind!r}")
    return kinds


def plain_function(name: str, value: Any) -> Any:
    """Return something callable that runs when it is called.

    Raises:
        ConfigError: it is async or a generator function, whose body a plain call would never run.
    """
    for call in (value, type(value).__call__):
        if inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call):
            raise ConfigError(f"{name} is an async function: write it with plain def, the engine is synchronous")
        if inspect.isgeneratorfunction(call):
            raise ConfigError(f"{name} is a generator function: a call of it runs nothing; leave the yield out")
    return value


def function_of_one(name: str, value: Any) -> Any:
    """Return a plain function that can be called with one argument.

    Raises:
        ConfigError: it is not callable, async, or takes another number of arguments.
    """
    if not callable(value):
        raise ConfigError(f"{name} is a function of one argument, not {value!r}")
    plain_function(name, value)
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return value  # a builtin that does not tell
    try:
        signature.bind(None)
    except TypeError:
        raise ConfigError(f"{name} is called with one argument, but it is {value!r} with {signature}") from None
    return value


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
