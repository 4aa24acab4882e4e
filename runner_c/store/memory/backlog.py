"""What waits in memory, and who of it is next.

Each key has a line of those that wait for it; an update is next when it is the first of all its lines. Lines are
visited in turn, so that a long one hides no other.

**Guarantees**

- Order: what came back, then what is urgent, then by age as long as the claimer takes successors of what it has, then
  one of each line in turn. Never past an earlier one of the same key.
- If nothing is given out, the oldest that waits can be.
- A call costs what it gives out, what came back, and `VISITS` lines.

**Assumes** that its owner guards it by a lock, and that what comes back is earlier than all of its keys that waits and
never was given out.
"""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict, deque
from collections.abc import Iterable

from runner_c.store.claims import Claims
from runner_c.store.memory.entry import Entry

__all__ = ["Backlog", "Grant"]

VISITS = 64
"""How many lines a call looks at for one whose first is free."""


class Grant:
    """What one call gives out.

    Args:
        claims: where it is noted at once, so that the next one of the same key finds the key held.
        limit: the most to give out.
        chain: how many of them may have keys that are held.
        lapse_at: when the claims become void, by the clock of the store; None is never.
    """

    def __init__(self, claims: Claims, limit: int, chain: int, lapse_at: float | None = None) -> None:
        self.token = claims.next_token()
        self.entries: list[Entry] = []
        self.chain = chain
        self._claims = claims
        self._limit = limit
        self._lapse_at = lapse_at

    @property
    def is_full(self) -> bool:
        """Tell whether it is as much as was asked for."""
        return len(self.entries) >= self._limit

    def offer(self, entry: Entry) -> bool:
        """Give an update out, if the room and its keys allow it. No earlier one of its keys may wait."""
        if self.is_full:
            return False
        if entry.keys and not self._claims.is_free(entry.keys):
            if self.chain <= 0:
                return False
            self.chain -= 1
        self.give(entry)
        return True

    def give(self, entry: Entry) -> None:
        """Give an update out whatever its keys are."""
        self._claims.add(entry.seq, self.token, entry.keys, self._lapse_at)
        self.entries.append(entry)


class Backlog:
    """The updates of one store that are not given out."""

    def __init__(self) -> None:
        self._returned: list[Entry] = []
        self._urgent: deque[Entry] = deque()
        self._fresh: OrderedDict[int, Entry] = OrderedDict()
        # By key, and by None for those without one; the order is that of the visits.
        self._lines: OrderedDict[str | None, deque[Entry]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._returned) + len(self._urgent) + len(self._fresh)

    def waits_for(self, keys: Iterable[str]) -> bool:
        """Tell whether somebody waits who shares one of these keys."""
        return any(key in self._lines for key in keys)

    def add(self, entry: Entry) -> None:
        """Let an update wait that is later than all others."""
        if entry.is_urgent:
            self._urgent.append(entry)
            return
        self._fresh[entry.seq] = entry
        for key in entry.keys or (None,):
            self._line(key).append(entry)

    def put_back(self, entries: Iterable[Entry]) -> None:
        """Let updates wait again that were given out."""
        for entry in sorted(entries, key=_seq, reverse=True):
            insort(self._returned, entry, key=_seq)
            for key in entry.keys:
                line = self._line(key)
                if line and line[0].seq < entry.seq:
                    insort(line, entry, key=_seq)
                else:
                    line.appendleft(entry)

    def take(self, grant: Grant, due_at: float | None) -> None:
        """Move into a grant what is next, as long as it has room.

        Args:
            grant: what is given out.
            due_at: what is to be tried again later than this stays; None takes it all the same.
        """
        self._take_returned(grant, due_at)
        while self._urgent and grant.offer(self._urgent[0]):
            self._urgent.popleft()
        while self._fresh and grant.chain > 0 and self._take_if_next(grant, self._oldest()):
            pass
        self._take_in_turn(grant)

    def _take_returned(self, grant: Grant, due_at: float | None) -> None:
        kept: list[Entry] = []
        for index, entry in enumerate(self._returned):
            if grant.is_full:
                kept += self._returned[index:]
                break
            is_due = due_at is None or entry.retry_at <= due_at
            if is_due and self._is_first(entry, entry.keys) and grant.offer(entry):
                self._leave(entry, entry.keys)
            else:
                kept.append(entry)
        self._returned = kept

    def _take_in_turn(self, grant: Grant) -> None:
        for _ in range(min(len(self._lines), VISITS)):
            if grant.is_full or not self._lines:
                return
            key = next(iter(self._lines))
            self._lines.move_to_end(key)
            self._take_if_next(grant, self._lines[key][0])
        while None in self._lines and self._take_if_next(grant, self._lines[None][0]):
            pass
        # The lines of this turn may all wait for one that is elsewhere; the oldest of all waits for no other.
        if self._fresh:
            self._take_if_next(grant, self._oldest())

    def _take_if_next(self, grant: Grant, entry: Entry) -> bool:
        keys = entry.keys or (None,)
        if entry.seq not in self._fresh or not self._is_first(entry, keys) or not grant.offer(entry):
            return False
        del self._fresh[entry.seq]
        self._leave(entry, keys)
        return True

    def _oldest(self) -> Entry:
        return next(iter(self._fresh.values()))

    def _line(self, key: str | None) -> deque[Entry]:
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = deque()
        return line

    def _is_first(self, entry: Entry, keys: Iterable[str | None]) -> bool:
        return all(self._lines[key][0] is entry for key in keys)

    def _leave(self, entry: Entry, keys: Iterable[str | None]) -> None:
        for key in keys:
            line = self._lines[key]
            line.popleft()
            if not line:
                del self._lines[key]


def _seq(entry: Entry) -> int:
    return entry.seq
