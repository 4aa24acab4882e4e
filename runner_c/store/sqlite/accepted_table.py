"""The ids of accepted updates in the file: intervals by hour, beside the set in memory.

**Guarantees** that consecutive ids cost one row, which grows, and that the rows of an hour that has passed are as few
as will do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from runner_c.store.accepted import HOUR_S, Accepted
from runner_c.store.base import RETENTION_S
from runner_c.store.sqlite.connection import insert

__all__ = ["AcceptedTable"]

Row = tuple[int, int, int]
"""Hour, first id, last id."""


class AcceptedTable:
    """The table ``accepted``. Its owner guards it by a lock.

    Attributes:
        ids: the set in memory.
    """

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        self.ids = Accepted(RETENTION_S)
        for hour, first, last in connection.execute("SELECT hour, first, last FROM accepted").fetchall():
            self.ids.load(hour, [(first, last)])
        self.ids.expire(now)
        # The row that grows.
        self._row: Row | None = None
        self._hour = -1

    def rows(self, fresh: Sequence[int], now: float) -> list[Row]:
        """Return the rows that new ids make; consecutive ones prolong the last row."""
        row = self._row
        hour = int(now // HOUR_S)
        if fresh and fresh[-1] - fresh[0] == len(fresh) - 1 and list(fresh) == list(range(fresh[0], fresh[-1] + 1)):
            runs = [(fresh[0], fresh[-1])]
        else:
            runs = [(number, number) for number in fresh]
        found: list[Row] = []
        for first, last in runs:
            if row is not None and row[0] == hour and row[2] + 1 == first:
                row = (hour, row[1], last)
                if found:
                    found.pop()
            else:
                row = (hour, first, last)
            found.append(row)
        return found

    def write(self, connection: sqlite3.Connection, found: Sequence[Row]) -> None:
        """Write such rows, in a transaction; `written` has to follow when it has been committed."""
        insert(connection, "accepted", [value for row in found for value in row], 3, "INSERT OR REPLACE")

    def written(self, found: Sequence[Row]) -> None:
        """These rows have been committed."""
        if found:
            self._row = found[-1]

    def tend(self, connection: sqlite3.Connection, now: float) -> None:
        """Once an hour forget what is too old, and merge the rows of the hour before; in a transaction."""
        hour = int(now // HOUR_S)
        if hour == self._hour:
            return
        self._hour = hour
        for old in self.ids.expire(now):
            connection.execute("DELETE FROM accepted WHERE hour = ?", (old,))
        connection.execute("DELETE FROM accepted WHERE hour < ?", (int((now - RETENTION_S) // HOUR_S),))
        before = hour - 1
        (count,) = connection.execute("SELECT count(*) FROM accepted WHERE hour = ?", (before,)).fetchone()
        merged = self.ids.intervals(before)
        if count > len(merged):
            connection.execute("DELETE FROM accepted WHERE hour = ?", (before,))
            insert(connection, "accepted", [value for pair in merged for value in (before, *pair)], 3)
