"""The store in memory.

**Guarantees** what `runner_c.store.base` says, as long as the process lives. What is stored is a copy: whoever gets an
update may change it.

**Assumes** the clock: what lapses, expires and becomes due does so by the one that is passed in.

Updates are encoded before the lock is taken; one that is no JSON is refused before anything of its batch is taken.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from runner_c.errors import StoreError
from runner_c.store.accepted import Accepted
from runner_c.store.base import (
    KEPT,
    RETENTION_S,
    SEEN,
    Arrival,
    Claim,
    Counts,
    Failure,
    Pushed,
    Settlement,
    Store,
    Value,
    Verdict,
    Write,
)
from runner_c.store.claims import Claims
from runner_c.store.encoding import dump_update, load
from runner_c.store.memory.backlog import Backlog, Grant
from runner_c.store.memory.entry import Entry, checked_id
from runner_c.store.memory.letter import MemoryDeadLetters

__all__ = ["MemoryStore"]

STEP = 100
"""How many retried letters one `tend` takes up."""


class MemoryStore(Store):
    """Journal, accepted ids, sessions, dead letters and offset of one bot, lost at the end of the process.

    Args:
        clock: seconds since 1970.

    *Thread-safety*: any thread. *Blocks*: for its own lock only.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.url = "memory:"
        self._clock = clock
        self._lock = threading.Lock()  # guards all below, and the dead letters; a leaf
        self._is_closed = False
        self._owner: str | None = None
        self._offset: int | None = None
        self._seq = 0
        self._accepted = Accepted(RETENTION_S)
        self._backlog = Backlog()
        self._claims = Claims()
        self._given: dict[int, Entry] = {}
        self._sessions: dict[str, Value] = {}
        self._letters = MemoryDeadLetters(self._opened)
        self.dead = self._letters

    @property
    def offset(self) -> int | None:
        """The offset of the last push that had one."""
        with self._opened():
            return self._offset

    def bind(self, owner: str) -> None:
        """Say whose updates these are; the first one stays."""
        with self._opened():
            if self._owner is None:
                self._owner = owner
            elif self._owner != owner:
                raise StoreError(
                    f"the store {self.url} holds the updates of {self._owner}, not of {owner}; "
                    "give each bot a store of its own"
                )

    def push(
        self,
        arrivals: Sequence[Arrival],
        *,
        offset: int | None = None,
        limit: int = 0,
        chain: int = 0,
        json: bytes | None = None,
    ) -> Pushed:
        """Take updates in.

        Raises:
            TypeError, ValueError: one of them is no JSON, or has no id; nothing was taken.
        """
        checked = [(checked_id(arrival.update), dump_update(arrival.update)) for arrival in arrivals]
        places: list[int] = []
        with self._opened():
            now = self._clock()
            grant = self._grant(limit, chain)
            # Each of so few may have keys that are held, so nobody has to know which are.
            is_easy = not self._backlog and len(arrivals) <= min(limit, grant.chain)
            if is_easy and arrivals:
                self._claims.stop_counting()
            for arrival, (update_id, body) in zip(arrivals, checked, strict=True):
                if not self._accepted.add(update_id, now):
                    places.append(SEEN)
                    continue
                entry = self._enter(update_id, body, arrival.keys, arrival.is_urgent)
                if is_easy:
                    grant.give(entry)
                elif self._backlog.waits_for(entry.keys) or not grant.offer(entry):
                    self._backlog.add(entry)
                    places.append(KEPT)
                    continue
                self._given[entry.seq] = entry
                places.append(entry.seq)
            if offset is not None:
                self._offset = offset
            return Pushed(grant.token, places)

    def claim(self, limit: int, *, chain: int = 0, lease_s: float | None = None) -> list[Claim]:
        """Give out updates that wait."""
        with self._opened():
            now = self._clock()
            self._void_lapsed(now)
            if lease_s is None:
                grant = self._grant(limit, chain)
                self._backlog.take(grant, None)
            else:
                grant = self._grant(limit, 0, now + lease_s)
                self._backlog.take(grant, now)
            self._given.update((entry.seq, entry) for entry in grant.entries)
            return [_claimed(entry, grant.token, now) for entry in grant.entries]

    def settle(self, settlements: Sequence[Settlement]) -> list[Verdict]:
        """End updates, each with its sessions."""
        verdicts: list[Verdict] = []
        with self._opened():
            self._void_lapsed(self._clock())
            for seq, token, writes in settlements:
                if not self._claims.has(seq, token):
                    verdicts.append(Verdict.STALE)
                elif not self._write(writes):
                    verdicts.append(Verdict.CONFLICT)
                else:
                    self._take_back(seq)
                    verdicts.append(Verdict.OK)
        return verdicts

    def fail(self, failures: Sequence[Failure]) -> list[Verdict]:
        """Note failures."""
        verdicts: list[Verdict] = []
        with self._opened():
            now = self._clock()
            self._void_lapsed(now)
            for seq, token, error, retry_in_s in failures:
                if not self._claims.has(seq, token):
                    verdicts.append(Verdict.STALE)
                    continue
                if retry_in_s is None:
                    self._letters.bury(self._take_back(seq), error, now)
                else:
                    entry = self._given[seq]
                    entry.failures += 1
                    entry.attempt += 1
                    entry.retry_at = now + retry_in_s
                verdicts.append(Verdict.OK)
        return verdicts

    def extend(self, claims: Iterable[tuple[int, int]], lease_s: float) -> list[bool]:
        """Prolong the leases of claims."""
        found: list[bool] = []
        with self._opened():
            now = self._clock()
            self._void_lapsed(now)
            for seq, token in claims:
                found.append(self._claims.has(seq, token))
                if found[-1]:
                    self._claims.extend(seq, now + lease_s)
        return found

    def release(self, claims: Iterable[tuple[int, int]], *, has_begun: bool = False) -> None:
        """Give claims back."""
        pairs = [(seq, token) for seq, token in claims]  # nothing may go wrong halfway
        with self._opened():
            self._void_lapsed(self._clock())
            returned = [self._take_back(seq) for seq, token in pairs if self._claims.has(seq, token)]
            for entry in returned:
                entry.attempt += has_begun
            self._backlog.put_back(returned)

    def load(self, keys: Iterable[str]) -> Mapping[str, Value]:
        """Return the sessions of keys that have one."""
        with self._opened():
            return {key: self._sessions[key] for key in keys if key in self._sessions}

    def sync(self) -> None:
        """Do nothing: memory is as durable as it gets."""
        with self._opened():
            pass

    def tend(self) -> bool:
        """Take up retried dead letters and forget old ids."""
        with self._opened():
            self._accepted.expire(self._clock())
            retried, has_more = self._letters.take_up(STEP)
            for letter in retried:
                entry = self._enter(letter.update_id, letter.body, letter.keys, letter.is_urgent, letter.attempt + 1)
                self._backlog.add(entry)
            return has_more

    def counts(self) -> Counts:
        """Return how much there is."""
        with self._opened():
            return Counts(len(self._backlog), len(self._given), len(self._letters))

    def close(self) -> None:
        """Let go of everything. A second time does nothing."""
        with self._lock:
            self._is_closed = True
            self._given.clear()
            self._sessions.clear()
            self._backlog = Backlog()
            self._claims = Claims()
            self._accepted = Accepted(RETENTION_S)

    @contextmanager
    def _opened(self) -> Iterator[None]:
        with self._lock:
            if self._is_closed:
                raise StoreError(f"the store {self.url} is closed")
            yield

    def _grant(self, limit: int, chain: int, lapse_at: float | None = None) -> Grant:
        # Whoever has a lease is another claimer than who asks: the order of its keys is not for this one to keep.
        return Grant(self._claims, limit, 0 if self._claims.has_leases else chain, lapse_at)

    def _enter(self, update_id: int, body: bytes, keys: tuple[str, ...], is_urgent: bool, attempt: int = 1) -> Entry:
        self._seq += 1
        return Entry(self._seq, update_id, body, keys, is_urgent, attempt)

    def _take_back(self, seq: int) -> Entry:
        self._claims.take(seq)
        return self._given.pop(seq)

    def _void_lapsed(self, now: float) -> None:
        lapsed = [self._take_back(seq) for seq in self._claims.lapsed(now)]
        for entry in lapsed:
            entry.attempt += 1
        self._backlog.put_back(lapsed)

    def _write(self, writes: Sequence[Write]) -> bool:
        """Write sessions, all or none of them; tell whether their versions were right."""
        staged: dict[str, Value | None] = {}
        for key, version, value in writes:
            stored = staged[key] if key in staged else self._sessions.get(key)
            if version != (0 if stored is None else stored.version):
                return False
            staged[key] = None if value is None else Value(version + 1, value)
        for key, new in staged.items():
            if new is None:
                self._sessions.pop(key, None)
            else:
                self._sessions[key] = new
        return True


def _claimed(entry: Entry, token: int, now: float) -> Claim:
    return Claim(
        entry.seq,
        token,
        load(entry.body),
        entry.keys,
        entry.is_urgent,
        entry.attempt,
        entry.failures,
        max(0.0, entry.retry_at - now),
    )
