"""Connections to the file of a store, and what their errors mean.

**Guarantees**

- A file that is damaged, or that is no store, is told by an error before anything is written to it.
- Errors of SQLite leave as errors of the store: `StoreUnavailable` for what may pass (a full or read-only disk, a lock
  that another process holds), `StoreDamaged`, or `StoreError`. A failed transaction has changed nothing.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

from runner_c.errors import StoreDamaged, StoreError, StoreUnavailable

__all__ = ["APPLICATION_ID", "ROWS", "connect", "insert", "inspect", "rows", "told", "transaction"]

APPLICATION_ID = 0x52435F31
"""Marks a SQLite file as one of ours."""

BUSY_S = 10.0
"""How long a connection waits for a lock that another process holds, in seconds."""

ROWS = 100
"""Rows of one statement, at most."""

PAGE_BYTES = 4096
QUICK_CHECK_BYTES = 32 * 2**20
"""A file up to this size is checked as a whole when it is opened; that takes a tenth of a second at most."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_PASSING = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
)


@cache
def rows(count: int, width: int) -> str:
    """Return the text of so many rows of parameters, for VALUES: one statement takes them all in one step."""
    return ",".join(["(" + ",".join("?" * width) + ")"] * count)


def insert(
    connection: sqlite3.Connection, table: str, values: Sequence[object], width: int, verb: str = "INSERT"
) -> None:
    """Insert rows that stand one after the other in `values`; many of them are one step, with the GIL let go once."""
    for place in range(0, len(values), ROWS * width):
        part = values[place : place + ROWS * width]
        connection.execute(f"{verb} INTO {table} VALUES {rows(len(part) // width, width)}", part)


def connect(path: str, *, synchronous: str, busy_s: float = BUSY_S) -> sqlite3.Connection:
    """Open a connection that may be used from any thread, one at a time.

    Raises:
        sqlite3.Error: as `told` explains.
    """
    connection = sqlite3.connect(
        path, timeout=busy_s, isolation_level=None, check_same_thread=False, cached_statements=600
    )
    try:
        if connection.execute("PRAGMA page_count").fetchone()[0] == 0:
            # Before the first table: the size of a page, and that pages can be given back one by one.
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        # The store itself says when: no commit of an update waits for a checkpoint.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def told(path: str) -> Iterator[None]:
    """Raise errors of SQLite as errors of the store."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED:
            raise StoreDamaged(
                f"the store {path} is damaged, or is no SQLite file ({error}); nothing was written to it. Put it aside "
                "with its -wal file to have it examined, and start with a copy that is whole, or with a new file"
            ) from error
        if code in _PASSING:
            raise StoreUnavailable(f"the store {path} cannot be used now: {error}{_advice(code)}") from error
        raise StoreError(f"the store {path} failed: {error}") from error


def _advice(code: int) -> str:
    if code == sqlite3.SQLITE_FULL:
        return "; make room on its disk"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return "; its file and its folder must be writable"
    return ""


@contextmanager
def transaction(connection: sqlite3.Connection, path: str) -> Iterator[sqlite3.Connection]:
    """Do what stands in the block in one transaction, or nothing of it. Raises like `told`."""
    with told(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def inspect(path: str) -> int:
    """Look at a file, without writing to it, and return the version of its schema; 0 for none and for an empty file.

    Raises:
        StoreDamaged: it is damaged, or no store.
        StoreError: it cannot be read.
    """
    file = Path(path)
    if not file.exists():
        return 0
    if not file.is_file():
        raise StoreError(f"the store {path} is no file; name a file, such as sqlite:bot.db")
    # Not by opening it: to close a file takes back the locks that SQLite has on it in this process, and another process
    # would then take itself for the last one and delete the log.
    if not os.access(path, os.R_OK):
        raise StoreError(f"the store {path} cannot be read: permission denied")
    size = file.stat().st_size
    if size == 0:
        return 0
    # Without a log nobody has it open, and to look at it must leave no log behind. With a rollback journal it was cut
    # off while it was being made: whoever looks has to finish that.
    real = os.path.realpath(path)
    mode = "mode=ro" if os.path.exists(real + "-wal") else "immutable=1"
    if os.path.exists(real + "-journal"):
        mode = "mode=rw"
    with told(path), closing(sqlite3.connect(f"{file.absolute().as_uri()}?{mode}", uri=True)) as connection:
        (number,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and number != APPLICATION_ID:
            raise StoreDamaged(f"{path} is a SQLite file of another program; nothing was written to it. Name another")
        if size <= QUICK_CHECK_BYTES:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise damage(verdict)
    return int(version)


def damage(verdict: str) -> sqlite3.DatabaseError:
    """Return the error that SQLite itself would raise for what its check found."""
    error = sqlite3.DatabaseError(" ".join(verdict.split()))
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error
