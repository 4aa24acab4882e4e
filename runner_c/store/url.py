"""Open a store by its URL."""

from __future__ import annotations

import re

from runner_c.errors import ConfigError
from runner_c.store.base import DeadLetters, Store

__all__ = ["check_url", "open_dead_letters", "open_store"]

_FORMS = "memory:, sqlite:PATH"


def check_url(url: object) -> str:
    """Return a URL that `open_store` takes.

    Raises:
        ConfigError: it does not.
    """
    if not isinstance(url, str) or not (url == "memory:" or (url.startswith("sqlite:") and url != "sqlite:")):
        if isinstance(url, str) and url.startswith(("postgresql:", "postgres:")):
            raise ConfigError("store: PostgreSQL is not part of this version; use sqlite:PATH")
        shown = re.sub(r"//[^/@]*@", "//<user>@", repr(url))
        raise ConfigError(f"store: {shown} is none; it can be {_FORMS}")
    return url


def open_store(url: str) -> Store:
    """Open a store, and make it if there is none.

    Args:
        url: ``memory:`` (lost at the end of the process) or ``sqlite:PATH``, a file.

    *Blocks* for a moment.

    Raises:
        ConfigError: it is no such URL.
        StoreInUse: another runner has it.
        StoreDamaged: the file is damaged, or holds something else; it was left as it is.
        StoreError: it cannot be opened for another reason, which the message tells.
    """
    path = check_url(url).partition(":")[2]
    if url == "memory:":
        from runner_c.store.memory import MemoryStore

        return MemoryStore()
    from runner_c.store.sqlite import SqliteStore

    return SqliteStore(path)


def open_dead_letters(url: str) -> DeadLetters:
    """Open only the dead letters of a store, which may be in use by a runner; call ``close()`` in the end.

    Raises:
        ConfigError: it is no such URL, or the store is not kept in a file.
        StoreError: there is no such store, or it cannot be read.
    """
    path = check_url(url).partition(":")[2]
    if url == "memory:":
        raise ConfigError("store: the dead letters of memory: are in the process of their runner only")
    from runner_c.store.sqlite import SqliteDeadLetters

    return SqliteDeadLetters(path)
