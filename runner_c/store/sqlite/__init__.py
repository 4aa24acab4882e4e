"""The store in one SQLite file.

`store` is the port; `connection` opens the file and names its errors; `schema` has the tables and the migrations;
`owner` is the lock of the one runner and the marks of its workers; `shelf` is what waits, in the file only; `trial`
counts attempts; `letter` are the dead letters, also for another process.
"""

from runner_c.store.sqlite.letter import SqliteDeadLetters
from runner_c.store.sqlite.store import SqliteStore

__all__ = ["SqliteDeadLetters", "SqliteStore"]
