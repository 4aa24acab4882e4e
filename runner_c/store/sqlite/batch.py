"""A batch of arrivals on its way into the file: who is given out at once, and the rows of all.

**Guarantees** those of `Store.push` about order, chain and limit; and that nothing outlives a batch that was not
committed but what `take_back` takes back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence

from runner_c.protocols import Update
from runner_c.store.accepted import Accepted
from runner_c.store.base import KEPT, SEEN, Arrival
from runner_c.store.encoding import dump_update
from runner_c.store.sqlite.connection import insert
from runner_c.store.sqlite.journal_table import JournalTable
from runner_c.store.sqlite.row import joined_sheet, stored_keys, stored_sheet

__all__ = ["Batch"]

IsClosed = Callable[[str], bool]
IsFree = Callable[[Iterable[str]], bool]


class Batch:
    """The rows of one push. Raises TypeError for what is no update.

    Args:
        arrivals: in their order.
        last_seq: the number before the first new one.
        accepted: the set of ids, to which those of the batch are added.
    """

    def __init__(self, arrivals: Sequence[Arrival], last_seq: int, accepted: Accepted, now: float) -> None:
        self._arrivals = arrivals
        self._accepted = accepted
        self.last_seq = last_seq
        self.places: list[int] = []
        self.given: list[int] = []
        self.keys: list[tuple[str, ...]] = []
        """Of those that are given out."""
        self._urgents: list[bool] = []
        self._updates: list[Update] = []
        self._json: bytes | None = None
        self._waiting: list[object] = []
        self._waiting_keys: list[object] = []
        ids = [arrival.update["update_id"] for arrival in arrivals]
        self.fresh = accepted.add_all(ids, now)

    @property
    def kept(self) -> int:
        """How many of them wait in the store."""
        return len(self._waiting) // 4

    def give_all(self, json: bytes | None = None) -> None:
        """Give out all that are new: nothing waits, and there is room for every one.

        Args:
            json: all arrivals as a JSON array, where it is known.
        """
        arrivals = self._arrivals
        if len(self.fresh) < len(arrivals):
            arrivals, json = self._note_seen(), None
        self._json = json
        first, self.last_seq = self.last_seq + 1, self.last_seq + len(arrivals)
        self.given = list(range(first, self.last_seq + 1))
        self.keys = [arrival.keys for arrival in arrivals]
        self._urgents = [arrival.is_urgent for arrival in arrivals]
        self._updates = [arrival.update for arrival in arrivals]
        numbers = iter(self.given)
        self.places = [next(numbers) if place else SEEN for place in self.places] if self.places else self.given

    def give_some(self, limit: int, chain: int, is_free: IsFree, is_closed: IsClosed) -> None:
        """Give out those that may be.

        Args:
            limit: the most.
            chain: how many of these may have keys that are held.
            is_free: tells whether nobody holds one of these keys.
            is_closed: tells whether something that waits comes first for a key.
        """
        closed: set[str] = set()
        held: set[str] = set()
        self._note_seen()
        for index, (update, keys, is_urgent) in enumerate(self._arrivals):
            if not self.places[index]:
                self.places[index] = SEEN
                continue
            self.last_seq += 1
            is_given = limit > 0 and not any(key in closed or is_closed(key) for key in keys)
            if is_given and not (held.isdisjoint(keys) and is_free(keys)):
                is_given = chain > 0
                chain -= is_given
            if is_given:
                limit -= 1
                held.update(keys)
                self.given.append(self.last_seq)
                self.keys.append(keys)
                self._urgents.append(is_urgent)
                self._updates.append(update)
                self.places[index] = self.last_seq
            else:
                closed.update(keys)
                self._waiting += (self.last_seq, stored_keys(keys), is_urgent, dump_update(update))
                for key in keys:
                    self._waiting_keys += (key, self.last_seq)
                self.places[index] = KEPT

    def _note_seen(self) -> list[Arrival]:
        """Put 1 in the places of those that are new, 0 in the others', and return the former."""
        left = set(self.fresh)
        new = []
        for arrival in self._arrivals:
            is_new = arrival.update["update_id"] in left
            left.discard(arrival.update["update_id"])
            self.places.append(int(is_new))
            if is_new:
                new.append(arrival)
        return new

    @property
    def sheet(self) -> bytes:
        """Those that are given out as one body.

        Raises:
            TypeError, ValueError: one of them is no JSON.
        """
        if self._json is not None:
            return joined_sheet(self.given, self.keys, self._urgents, self._json)
        return stored_sheet(self.given, self.keys, self._urgents, self._updates)

    def write(self, connection: sqlite3.Connection, journal: JournalTable) -> int:
        """Write the rows, in a transaction; return the number of the sheet, 0 without one. Raises like `sheet`."""
        insert(connection, "waiting", self._waiting, 4)
        insert(connection, "waiting_key", self._waiting_keys, 2)
        return journal.add(connection, self.sheet) if self.given else 0

    def take_back(self) -> None:
        """The batch was not committed: its ids are as new as before."""
        for update_id in self.fresh:
            self._accepted.forget(update_id)
