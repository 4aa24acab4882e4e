"""Adapters: how bots of other frameworks become something that `run` accepts.

An adapter is a function that takes any object and returns a `RunnableBot` that drives it, or None when the object is
none of its own. Installed packages name theirs in the entry-point group ``runner_c.adapters``; so the engine knows no
framework, and a framework need not know the engine. They are loaded when an object comes that `run` does not know.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from runner_c.errors import ConfigError
from runner_c.secret import describe_error

__all__ = ["GROUP", "adapted"]

GROUP = "runner_c.adapters"


def adapted(thing: Any, needed: tuple[str, ...]) -> Any:
    """Return `thing` if it has the `needed` methods, else what an adapter makes of it, else `thing` itself.

    Raises:
        ConfigError: an adapter refuses the object, with its reason, or cannot be loaded.
    """
    if all(callable(getattr(thing, name, None)) for name in needed):
        return thing
    for entry in entry_points(group=GROUP):
        try:
            adapt = entry.load()
        except Exception as error:
            raise ConfigError(
                f"the adapter {entry.name} ({entry.value}) cannot be loaded: {describe_error(error)}"
            ) from (error)
        found = adapt(thing)
        if found is not None:
            return found
    return thing
