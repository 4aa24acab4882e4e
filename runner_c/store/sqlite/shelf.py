"""What waits in the file: none of it is in memory, however much there is.

**Guarantees**

- `choose` gives an update out only if nothing that waits before it shares a key with it.
- It is fair: oldest first as long as updates may queue in memory (`chain`), and beyond that one for each key that is
  free, key by key in turn, so that one key with a million updates hides no other.

**Assumes** that its owner guards it by a lock, and that what it chooses is taken off (`take_off`) before it is asked
again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from runner_c.store.sqlite.connection import rows
from runner_c.store.sqlite.row import keys_of

__all__ = ["Shelf", "Waiting"]

LINES_IN_TURN = 64
"""How many keys are looked at in one call for one that is free."""

_COLUMNS = "seq, keys, is_urgent, body"


class Waiting(NamedTuple):
    """An update that waits."""

    seq: int
    keys: tuple[str, ...]
    is_urgent: bool
    body: bytes


class Shelf:
    """The tables ``waiting`` and ``waiting_key``.

    Args:
        connection: for reading; the same that writes, or one that sees its writes.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cursor: str | None = None
        self._is_keyless_turn = False

    def has(self, key: str) -> bool:
        """Tell whether an update of a key waits."""
        found = self._connection.execute("SELECT 1 FROM waiting_key WHERE key = ? LIMIT 1", (key,)).fetchall()
        return bool(found)

    def choose(
        self, limit: int, chain: int, is_free: Callable[[Iterable[str]], bool], is_closed: Callable[[str], bool]
    ) -> list[Waiting]:
        """Return what can be given out.

        Args:
            limit: the most.
            chain: how many of them may have keys that are not free.
            is_free: tells whether nobody to whom something was given out holds one of these keys.
            is_closed: tells whether something older than all that waits here comes first for a key.
        """
        chosen = self._select("WHERE is_urgent ORDER BY seq LIMIT ?", limit)
        taken: set[str] = set()
        numbers = {entry.seq for entry in chosen}

        def choose(entry: Waiting) -> None:
            chosen.append(entry)
            numbers.add(entry.seq)
            taken.update(entry.keys)

        if chain > 0:
            blocked: set[str] = set()
            for entry in self._select("WHERE NOT is_urgent ORDER BY seq LIMIT ?", limit - len(chosen)):
                if any(is_closed(key) or key in blocked for key in entry.keys):
                    blocked.update(entry.keys)
                    continue
                if not (taken.isdisjoint(entry.keys) and is_free(entry.keys)):
                    if chain == 0:
                        break
                    chain -= 1
                choose(entry)

        def choose_if_next(entry: Waiting | None) -> bool:
            if entry is None or entry.seq in numbers or not (taken.isdisjoint(entry.keys) and is_free(entry.keys)):
                return False
            if any(is_closed(key) or self._seq_of_first(key, numbers) != entry.seq for key in entry.keys):
                return False
            choose(entry)
            return True

        # Those without a key in every other call first: they hold up nobody, and no number of keys may hold them up.
        self._is_keyless_turn = not self._is_keyless_turn
        if self._is_keyless_turn:
            for entry in self._without_key(min(1, limit - len(chosen)), numbers):
                choose(entry)
        for _ in range(LINES_IN_TURN):
            if len(chosen) >= limit:
                break
            choose_if_next(self._first_of_next_line(numbers))
        for entry in self._without_key(limit - len(chosen), numbers):
            choose(entry)
        if len(chosen) < limit:
            # All of this turn may wait for one that is elsewhere; the oldest of all waits for no other.
            choose_if_next(next(iter(self._select("WHERE NOT is_urgent ORDER BY seq LIMIT ?", 1)), None))
        return chosen

    def take_off(self, connection: sqlite3.Connection, entries: Sequence[Waiting]) -> None:
        """Delete updates that go into the journal, in the transaction of a connection."""
        for place in range(0, len(entries), 100):
            part = entries[place : place + 100]
            numbers = [entry.seq for entry in part]
            among = f"seq IN {rows(1, len(numbers))}"
            connection.execute(f"DELETE FROM waiting WHERE {among}", numbers)
            pairs = [(key, entry.seq) for entry in part for key in entry.keys]
            connection.executemany("DELETE FROM waiting_key WHERE key = ? AND seq = ?", pairs)

    def _select(self, condition: str, number: int) -> list[Waiting]:
        found = self._connection.execute(f"SELECT {_COLUMNS} FROM waiting {condition}", (number,)).fetchall()
        return [Waiting(seq, keys_of(keys), bool(is_urgent), body) for seq, keys, is_urgent, body in found]

    def _without_key(self, limit: int, known: set[int]) -> list[Waiting]:
        if limit <= 0:
            return []
        found = self._select("WHERE keys IS NULL AND NOT is_urgent ORDER BY seq LIMIT ?", limit + len(known))
        return [entry for entry in found if entry.seq not in known][:limit]

    def _first_of_next_line(self, known: set[int]) -> Waiting | None:
        """Return the first of the next key in turn; those without a key count as one."""
        if self._cursor is None:
            found = self._connection.execute("SELECT key FROM waiting_key ORDER BY key LIMIT 1").fetchall()
        else:
            statement = "SELECT key FROM waiting_key WHERE key > ? ORDER BY key LIMIT 1"
            found = self._connection.execute(statement, (self._cursor,)).fetchall()
        self._cursor = found[0][0] if found else None
        if self._cursor is None:
            return next(iter(self._without_key(1, known)), None)
        seq = self._seq_of_first(self._cursor, known)
        return None if seq is None else next(iter(self._select("WHERE seq = ?", seq)), None)

    def _seq_of_first(self, key: str, known: set[int]) -> int | None:
        """Return the oldest update of a key that has not been chosen."""
        statement = "SELECT seq FROM waiting_key WHERE key = ? ORDER BY seq LIMIT ?"
        for (seq,) in self._connection.execute(statement, (key, len(known) + 1)).fetchall():
            if seq not in known:
                return int(seq)
        return None
