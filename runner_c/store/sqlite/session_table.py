"""Sessions in the file.

**Guarantees** that a session is written only over the version that was read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from runner_c.store.base import Value, Write
from runner_c.store.sqlite.connection import ROWS, insert, rows

__all__ = ["SessionChanges", "load"]


def load(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, Value]:
    """Return the sessions of keys that have one."""
    found: dict[str, Value] = {}
    wanted = list(keys)
    for place in range(0, len(wanted), ROWS):
        part = wanted[place : place + ROWS]
        statement = f"SELECT key, version, value FROM session WHERE key IN {rows(1, len(part))}"
        for key, version, value in connection.execute(statement, part).fetchall():
            found[key] = Value(version, value)
    return found


class SessionChanges:
    """What one transaction changes in the table ``session``.

    Args:
        keys: all that may be changed.
    """

    def __init__(self, connection: sqlite3.Connection, keys: set[str]) -> None:
        self._connection = connection
        self._versions = dict.fromkeys(keys, 0)
        self._changed: dict[str, tuple[int, bytes | None]] = {}
        wanted = list(keys)
        for place in range(0, len(wanted), ROWS):
            part = wanted[place : place + ROWS]
            statement = f"SELECT key, version FROM session WHERE key IN {rows(1, len(part))}"
            self._versions.update(connection.execute(statement, part).fetchall())

    def take(self, writes: Sequence[Write]) -> bool:
        """Take the writes of an update; False, and none of them, when one was made from another version."""
        versions = self._versions
        if any(versions[write.key] != write.version for write in writes):
            return False
        for key, version, value in writes:
            versions[key] = 0 if value is None else version + 1
            self._changed[key] = (versions[key], value)
        return True

    def write(self) -> None:
        """Write the last value of each key."""
        kept: list[object] = []
        for key, (version, value) in self._changed.items():
            if value is None:
                self._connection.execute("DELETE FROM session WHERE key = ?", (key,))
            else:
                kept += (key, version, value)
        insert(self._connection, "session", kept, 3, "INSERT OR REPLACE")
