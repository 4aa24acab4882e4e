"""What the last owner of a store left unsettled.

**Guarantees**

- It is given out before all that waits, by age, and an older one never after a younger one that shares a key with it.
- Updates that ran when their owner died come first, together with those that have to go before them.
- One that was running alone when the process died, for the third time, is a dead letter; nobody else is.
"""

from __future__ import annotations

import sqlite3
from bisect import insort
from collections.abc import Callable, Iterable

from runner_c.store.sqlite.journal_table import JournalTable
from runner_c.store.sqlite.letter import bury
from runner_c.store.sqlite.owner import Owner
from runner_c.store.sqlite.trial import Trials

__all__ = ["LONE_CRASHES", "Recovered", "recover"]

LONE_CRASHES = 3
"""An update that was alone when the process died so many times becomes a dead letter."""

CONDEMNED = "the process died {count} times while this update ran alone"


class Recovered:
    """Updates in the journal that nobody has. Its owner guards it by a lock."""

    def __init__(self) -> None:
        # In the order in which they are given out: (0 for what goes first, seq).
        self._order: list[tuple[int, int]] = []
        self._keys: dict[int, tuple[str, ...]] = {}
        self._held: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._order)

    def add(self, seq: int, keys: tuple[str, ...], *, is_first: bool = False) -> None:
        """Add an update."""
        insort(self._order, (0 if is_first else 1, seq))
        self._keys[seq] = keys
        for key in keys:
            self._held[key] = self._held.get(key, 0) + 1

    def holds(self, key: str) -> bool:
        """Tell whether one of them has a key."""
        return key in self._held

    def holds_others(self, chosen: Iterable[tuple[int, tuple[str, ...]]]) -> Callable[[str], bool]:
        """Return `holds` as it will be without some of them."""
        less: dict[str, int] = {}
        for _, keys in chosen:
            for key in keys:
                less[key] = less.get(key, 0) + 1
        return lambda key: self._held.get(key, 0) > less.get(key, 0)

    def choose(
        self, limit: int, chain: int, is_free: Callable[[Iterable[str]], bool], is_due: Callable[[int], bool]
    ) -> tuple[list[tuple[int, tuple[str, ...]]], int]:
        """Return what can be given out, and what is left of `chain`; see `Shelf.choose`."""
        chosen: list[tuple[int, tuple[str, ...]]] = []
        taken: set[str] = set()
        blocked: set[str] = set()
        for _, seq in self._order:
            if len(chosen) == limit:
                break
            keys = self._keys[seq]
            is_possible = is_due(seq) and blocked.isdisjoint(keys)
            if is_possible and not (taken.isdisjoint(keys) and is_free(keys)):
                is_possible = chain > 0
                chain -= is_possible
            if is_possible:
                chosen.append((seq, keys))
                taken.update(keys)
            else:
                blocked.update(keys)
        return chosen, chain

    def take(self, seqs: Iterable[int]) -> None:
        """Remove updates that were given out."""
        gone = set(seqs)
        if not gone:
            return
        self._order = [entry for entry in self._order if entry[1] not in gone]
        for seq in gone:
            for key in self._keys.pop(seq):
                self._held[key] -= 1
                if not self._held[key]:
                    del self._held[key]


def recover(
    connection: sqlite3.Connection, journal: JournalTable, trials: Trials, owner: Owner, life: int, now: float
) -> Recovered:
    """Find what is unsettled and who is suspected; in the transaction that begins a life."""
    found = journal.recover(connection)
    marked = set(owner.marked) & found.keys()
    if owner.last_life != life - 1:
        # The marks are of an older life: this one or the last was cut off before it began, or the marks are lost.
        marked = trials.suspects() & found.keys()
    elif owner.was_alone and len(owner.marked) == 1:
        for seq in list(marked):
            if trials.note(seq, crashes=trials.of(seq).crashes + 1).crashes >= LONE_CRASHES:
                condemn(connection, journal, trials, seq, now)
                marked.remove(seq)
                del found[seq]
    for seq in trials.suspects() - marked:
        trials.note(seq, is_suspect=False)
    for seq in marked:
        trials.note(seq, is_suspect=True)
    recovered = Recovered()
    first = _with_predecessors(marked, found)
    for seq, keys in found.items():
        recovered.add(seq, keys, is_first=seq in first)
    return recovered


def condemn(connection: sqlite3.Connection, journal: JournalTable, trials: Trials, seq: int, now: float) -> None:
    """Make a dead letter of an update that has killed its process too often; in a transaction."""
    error = CONDEMNED.format(count=trials.of(seq).crashes)
    bury(connection, journal, seq, error, trials.of(seq).attempts, now)
    journal.end(connection, [seq])
    journal.ended([seq])
    trials.forget([seq])


def _with_predecessors(marked: set[int], found: dict[int, tuple[str, ...]]) -> set[int]:
    """Add what has to go before: settled already, but the mark did not survive."""
    first: set[int] = set()
    keys: set[str] = set()
    for seq in sorted(found, reverse=True):
        if seq in marked or (first and not keys.isdisjoint(found[seq])):
            first.add(seq)
            keys.update(found[seq])
    return first
