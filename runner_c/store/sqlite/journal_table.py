"""The journal in the file: what is given out, in sheets.

A sheet is one row with all updates that were given out together, so that a batch of a hundred costs one row and one
step of SQLite. Which of a sheet have ended stands in the narrow table ``done``; a sheet of which all have ended is
deleted.

**Guarantees** that memory and file say the same: `end` plans, and `ended` takes over what was committed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from runner_c.protocols import Update
from runner_c.store.sqlite.connection import ROWS, insert, rows
from runner_c.store.sqlite.row import sheet_of

__all__ = ["Entry", "JournalTable"]


class Entry(NamedTuple):
    """An update in the journal."""

    keys: tuple[str, ...]
    is_urgent: bool
    update: Update


class JournalTable:
    """The tables ``journal`` and ``done``. Its owner guards it by a lock."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._last_sheet: int
        (self._last_sheet,) = connection.execute("SELECT coalesce(max(sheet), 0) FROM journal").fetchone()
        self._sheet_of: dict[int, int] = {}
        self._left: dict[int, int] = {}

    def recover(self, connection: sqlite3.Connection) -> dict[int, tuple[str, ...]]:
        """Return the keys of what has not ended, by number; in the transaction that begins a life."""
        done = {seq for (seq,) in connection.execute("SELECT seq FROM done").fetchall()}
        found: dict[int, tuple[str, ...]] = {}
        for sheet, body in connection.execute("SELECT sheet, body FROM journal ORDER BY sheet").fetchall():
            for seq, keys, _, _ in sheet_of(body):
                if seq not in done:
                    found[seq] = keys
                    self._sheet_of[seq] = sheet
                    self._left[sheet] = self._left.get(sheet, 0) + 1
            if sheet not in self._left:
                self._delete(connection, [sheet])
        return dict(sorted(found.items()))

    def add(self, connection: sqlite3.Connection, body: bytes) -> int:
        """Write a sheet, in a transaction; return its number, for `added`."""
        connection.execute("INSERT INTO journal (sheet, body) VALUES (?, ?)", (self._last_sheet + 1, body))
        return self._last_sheet + 1

    def add_alone(
        self, connection: sqlite3.Connection, body: bytes, offset: int | None, last_seq: int, ids: tuple[int, int, int]
    ) -> int:
        """Write a sheet and all that a usual batch changes besides, in one statement that is its own transaction."""
        values = (self._last_sheet + 1, offset, last_seq, *ids, body)
        connection.execute("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        return self._last_sheet + 1

    def added(self, sheet: int, seqs: Sequence[int]) -> None:
        """The sheet has been committed."""
        self._last_sheet = sheet
        self._left[sheet] = len(seqs)
        self._sheet_of.update(dict.fromkeys(seqs, sheet))

    def entries(self, connection: sqlite3.Connection, seqs: Iterable[int]) -> dict[int, Entry]:
        """Return updates by number."""
        wanted = set(seqs)
        found: dict[int, Entry] = {}
        for sheet in sorted({self._sheet_of[seq] for seq in wanted}):
            ((body,),) = connection.execute("SELECT body FROM journal WHERE sheet = ?", (sheet,)).fetchall()
            for seq, keys, is_urgent, update in sheet_of(body):
                if seq in wanted:
                    found[seq] = Entry(keys, is_urgent, update)
        return found

    def end(self, connection: sqlite3.Connection, seqs: Sequence[int]) -> None:
        """Mark updates as ended, in a transaction; `ended` has to follow when it has been committed."""
        sheet_of = self._sheet_of
        ends: dict[int, list[int]] = {}
        for seq in seqs:
            sheet = sheet_of[seq]
            if sheet in ends:
                ends[sheet].append(seq)
            else:
                ends[sheet] = [seq]
        over: list[int] = []
        marks: list[object] = []
        for sheet, theirs in ends.items():
            if len(theirs) == self._left[sheet]:
                over.append(sheet)
            else:
                for seq in theirs:
                    marks += (sheet, seq)
        self._delete(connection, over)
        insert(connection, "done", marks, 2)

    def ended(self, seqs: Sequence[int]) -> None:
        """The marks have been committed."""
        take = self._sheet_of.pop
        left = self._left
        for seq in seqs:
            sheet = take(seq)
            if left[sheet] == 1:
                del left[sheet]
            else:
                left[sheet] -= 1

    @staticmethod
    def _delete(connection: sqlite3.Connection, sheets: Sequence[int]) -> None:
        for place in range(0, len(sheets), ROWS):
            part = sheets[place : place + ROWS]
            among = f"sheet IN {rows(1, len(part))}"
            connection.execute(f"DELETE FROM journal WHERE {among}", part)
            connection.execute(f"DELETE FROM done WHERE {among}", part)
