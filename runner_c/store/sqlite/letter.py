"""Dead letters in the file of a store, for its runner and for other processes."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from runner_c.errors import StoreDamaged, StoreError
from runner_c.store.base import DeadLetter, DeadLetters
from runner_c.store.encoding import dump_update
from runner_c.store.sqlite.connection import ROWS, connect, inspect, told, transaction
from runner_c.store.sqlite.journal_table import JournalTable
from runner_c.store.sqlite.row import body_of, keys_of, stored_keys
from runner_c.store.sqlite.schema import MIGRATIONS, newer
from runner_c.store.sqlite.trial import Trials

__all__ = ["SqliteDeadLetters", "bury", "retried", "revive"]

_COLUMNS = "seq, update_id, keys, body, error, attempts, died_at, is_retried"


class SqliteDeadLetters(DeadLetters):
    """The dead letters of the store at a path, over a connection of their own.

    Opened beside a runner they take no lock but for the moment of a change.

    Raises:
        StoreError: there is no store, or it cannot be read.
    """

    def __init__(self, path: str) -> None:
        if not Path(path).is_file():
            raise StoreError(f"there is no store {path}; name the file that the runner has, as in sqlite:bot.db")
        version = inspect(path)
        if version == 0:
            raise StoreDamaged(f"{path} is no store of runner_c; nothing was written to it")
        if version > len(MIGRATIONS):
            raise newer(path, version)
        self._path = path
        self._is_closed = False
        self._lock = threading.Lock()  # guards the connection; a leaf
        with told(path):
            self._connection = connect(path, synchronous="FULL")

    def list(self, *, after: int = 0, limit: int = 100) -> list[DeadLetter]:
        """Return letters by number."""
        return [*self._select("WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))]

    def show(self, number: int) -> DeadLetter | None:
        """Return one letter."""
        return next(iter(self._select("WHERE seq = ?", (number,))), None)

    def retry(self, numbers: Iterable[int]) -> int:
        """Ask for a new try; a runner takes it up within about a second, or at its next start."""
        return self._change("UPDATE dead SET is_retried = 1 WHERE seq = ?", numbers)

    def drop(self, numbers: Iterable[int]) -> int:
        """Forget letters."""
        return self._change("DELETE FROM dead WHERE seq = ?", numbers)

    def count(self) -> int:
        """Return how many there are."""
        with self._lock, told(self._path):
            self._check_open()
            return int(self._connection.execute("SELECT count(*) FROM dead").fetchone()[0])

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._is_closed = True
            self._connection.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise StoreError(f"the store {self._path} is closed")

    def _select(self, condition: str, values: tuple[int, ...]) -> Sequence[DeadLetter]:
        with self._lock, told(self._path):
            self._check_open()
            found = self._connection.execute(f"SELECT {_COLUMNS} FROM dead {condition}", values).fetchall()
        try:
            return [self._letter(*row) for row in found]
        except StoreDamaged as error:
            raise StoreDamaged(
                f"a dead letter of the store {self._path} is damaged and cannot be read ({error})"
            ) from error

    @staticmethod
    def _letter(seq: int, update_id: int, keys: str | None, body: bytes, *rest: Any) -> DeadLetter:
        error, attempts, died_at, is_retried = rest
        return DeadLetter(seq, update_id, body_of(body), keys_of(keys), error, attempts, died_at, bool(is_retried))

    def _change(self, statement: str, numbers: Iterable[int]) -> int:
        changed = 0
        with self._lock:
            self._check_open()
        with self._lock, transaction(self._connection, self._path):
            for number in dict.fromkeys(numbers):
                changed += self._connection.execute(statement, (number,)).rowcount
        return changed


def bury(
    connection: sqlite3.Connection, journal: JournalTable, seq: int, error: str, attempts: int, now: float
) -> None:
    """Write the dead letter of an update that is in the journal; in a transaction."""
    keys, is_urgent, update = journal.entries(connection, [seq])[seq]
    error = error.encode("utf-8", "backslashreplace").decode()
    values = (seq, update["update_id"], stored_keys(keys), is_urgent, dump_update(update), error, attempts, now)
    connection.execute("INSERT OR REPLACE INTO dead VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)", values)


Retried = tuple[int, str | None, int, bytes, int]


def retried(connection: sqlite3.Connection) -> Sequence[Retried]:
    """Return some letters whose retry was asked for."""
    return connection.execute(
        "SELECT seq, keys, is_urgent, body, attempts FROM dead WHERE is_retried = 1 ORDER BY seq LIMIT ?", (ROWS,)
    ).fetchall()


def revive(connection: sqlite3.Connection, letters: Sequence[Retried], last_seq: int, trials: Trials) -> None:
    """Let letters wait as if they had just arrived, numbered from `last_seq` on; in a transaction."""
    for seq, (number, keys, is_urgent, body, attempts) in enumerate(letters, last_seq + 1):
        connection.execute("INSERT INTO waiting VALUES (?, ?, ?, ?)", (seq, keys, is_urgent, body))
        connection.executemany("INSERT INTO waiting_key VALUES (?, ?)", [(key, seq) for key in keys_of(keys)])
        connection.execute("DELETE FROM dead WHERE seq = ?", (number,))
        trials.note(seq, attempts=attempts)
    connection.execute("UPDATE state SET last_seq = ?, waiting = waiting + ?", (last_seq + len(letters), len(letters)))
