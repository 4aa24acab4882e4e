"""What a store does now and then, in small steps beside its work.

**Guarantees**

- A step inside the lock of the store takes a few milliseconds.
- The log is copied into the file beside the work. Only when it has grown far beyond its usual size, because work never
  paused, does the work wait for that.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import suppress

from runner_c.store.sqlite.connection import told

__all__ = ["Upkeep"]

LOG_BYTES = 4 * 2**20
"""Up to this size the log is left alone."""

LONGEST_LOG_BYTES = 128 * 2**20
"""From this size on the work waits while the log is copied."""

FREE_PAGES = 256
"""So many free pages stay in the file, for what comes next."""

PAGES_A_STEP = 256


class Upkeep:
    """The housekeeping of one store.

    Args:
        connection: of its own, for copying the log.
    """

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._copy_lock = threading.Lock()  # guards the connection; before the lock of the store, if both are taken

    def give_pages_back(self, connection: sqlite3.Connection) -> bool:
        """Give some free pages back to the disk; return whether there are more. Outside of a transaction."""
        with told(self._path):
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            if free <= FREE_PAGES:
                return False
            # Not execute(): this pragma has a step for each page, and that would do the first one only.
            connection.executescript(f"PRAGMA incremental_vacuum({min(PAGES_A_STEP, free - FREE_PAGES)})")
        return bool(free - PAGES_A_STEP > FREE_PAGES)

    def copy_log(self, lock: threading.Lock) -> None:
        """Copy the log into the file if it has grown."""
        size = _size_of(self._path + "-wal")
        if size <= LOG_BYTES:
            return
        with self._copy_lock, told(self._path):
            if size > LONGEST_LOG_BYTES:
                with lock, suppress(sqlite3.OperationalError):  # a reader of another process is in the way
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            else:
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _size_of(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
