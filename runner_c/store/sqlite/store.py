"""The store port on SQLite: how updates come in, are given out, and end.

Two connections write, as was measured: appends with ``synchronous=FULL``, whose commit waits for the disk, and marks
with ``NORMAL``, whose commit does not. Both write one log, so that the next append, or `sync`, makes the marks before
it durable too, and a later mark never survives without an earlier one. A third connection reads sessions, so that a
handler waits for no writer; a fourth copies the log into the file.

**Guarantees** those of `base`. A mark that a power cut took away is an update that is given out once more.

**Assumes** a file system on which fsync means what it says, and no other program that writes into the file.

A little over 400 lines, because the methods of the port share one lock and one state; what can stand alone does.

Locks: `_lock` guards all state and the two writing connections, `_read_lock` the reading one.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from runner_c.errors import StoreError, StoreUnavailable
from runner_c.store.base import (
    Arrival,
    Claim,
    Counts,
    Failure,
    Pushed,
    Settlement,
    Store,
    Value,
    Verdict,
)
from runner_c.store.claims import Claims
from runner_c.store.sqlite.accepted_table import AcceptedTable
from runner_c.store.sqlite.batch import Batch
from runner_c.store.sqlite.connection import ROWS, connect, inspect, told, transaction
from runner_c.store.sqlite.journal_table import Entry, JournalTable
from runner_c.store.sqlite.letter import SqliteDeadLetters, bury, retried, revive
from runner_c.store.sqlite.owner import Owner
from runner_c.store.sqlite.recovery import Recovered, recover
from runner_c.store.sqlite.row import body_of, joined_sheet
from runner_c.store.sqlite.schema import migrate
from runner_c.store.sqlite.session_table import SessionChanges, load
from runner_c.store.sqlite.shelf import Shelf, Waiting
from runner_c.store.sqlite.trial import Trials
from runner_c.store.sqlite.upkeep import Upkeep

__all__ = ["SqliteStore"]

COPY_BUSY_S = 0.1
"""How long copying the log waits for a reader of another process; it is tried again."""

LONGEST_RETRY_S = 24 * 3600.0
"""No retry is further away, whatever the clock says."""


class SqliteStore(Store):
    """A store in the file at `path`; made if it is not there.

    Args:
        path: the file. Beside it stand ``PATH-wal``, ``PATH-shm`` and ``PATH-runner``.
        clock: the time in seconds since 1970.

    Raises:
        StoreInUse: another runner has it.
        StoreDamaged: it is damaged, or something else; nothing was written.
        StoreError: it cannot be opened.
    """

    def __init__(self, path: str, *, clock: Callable[[], float] = time.time) -> None:
        self.url = f"sqlite:{path}"
        # A handler may go to another folder, and the log lies beside the file itself.
        self._path = path = os.path.realpath(path)
        self._clock = clock
        self._lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._is_closed = False
        self._connections: list[sqlite3.Connection] = []
        inspect(path)
        self._owner = Owner(path)
        try:
            self._open()
        except BaseException:
            self._drop()
            raise

    def _open(self) -> None:
        path = self._path
        with told(path):
            self._appends = self._connect("FULL")
            migrate(self._appends, path)
            self._marks = self._connect("NORMAL")
            self._reads = self._connect("NORMAL")
            self._trials = Trials(self._appends)
            (self._life,) = self._appends.execute("SELECT life + 1 FROM state").fetchone()
            with self._trials.changing(self._appends, path):
                self._appends.execute("UPDATE state SET life = ?", (self._life,))
                self._journal = JournalTable(self._appends)
                self._recovered: Recovered = recover(
                    self._appends, self._journal, self._trials, self._owner, self._life, self._clock()
                )
            self._owner.begin(self._life)
            statement = 'SELECT "offset", last_seq, waiting, owner FROM state'
            self._offset: int | None
            self._offset, self._last_seq, self._waiting, self._owner_name = self._appends.execute(statement).fetchone()
            self._accepted = AcceptedTable(self._appends, self._clock())
            self._claims = Claims(self._life << 32)
            self._shelf = Shelf(self._marks)
            self._upkeep = Upkeep(path, self._connect("NORMAL", busy_s=COPY_BUSY_S))
            self._log = os.open(path + "-wal", os.O_RDONLY | os.O_CLOEXEC)
        self.dead = SqliteDeadLetters(path)
        self.marks = self._owner

    def _connect(self, synchronous: str, **options: float) -> sqlite3.Connection:
        connection = connect(self._path, synchronous=synchronous, **options)
        self._connections.append(connection)
        return connection

    # -- in ----------------------------------------------------------------------------------------------------------

    @property
    def offset(self) -> int | None:
        """The offset of the last push that had one."""
        with self._lock:
            self._check_open()
            return self._offset

    def bind(self, owner: str) -> None:
        """Say whose updates these are."""
        with self._lock:
            self._check_open()
            if self._owner_name is None:
                with transaction(self._appends, self._path):
                    self._appends.execute("UPDATE state SET owner = ?", (owner,))
                self._owner_name = owner
            elif self._owner_name != owner:
                raise StoreError(
                    f"the store {self._path} holds the updates of {self._owner_name}, and this is {owner}; "
                    "name another file, as in --store sqlite:other.db"
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
        """Take updates in by one commit that waits for the disk."""
        with self._lock:
            self._check_open()
            now = self._clock()
            if self._claims.has_leases:
                chain = 0
            batch = Batch(arrivals, self._last_seq, self._accepted.ids, now)
            try:
                with told(self._path):
                    if not self._waiting and not self._recovered and len(arrivals) <= min(limit, chain):
                        self._claims.stop_counting()
                        batch.give_all(json)
                    else:
                        batch.give_some(limit, chain, self._claims.is_free, self._is_key_closed)
                self._take_in(batch, self._offset if offset is None else offset, now)
            except BaseException:
                batch.take_back()
                raise
            self._last_seq = batch.last_seq
            self._waiting += batch.kept
            self._offset = self._offset if offset is None else offset
            token = self._claims.next_token()
            self._claims.add_all(batch.given, token, batch.keys)
            return Pushed(token, batch.places)

    def _take_in(self, batch: Batch, offset: int | None, now: float) -> None:
        """Write a batch, and wait for the disk."""
        ids = self._accepted.rows(batch.fresh, now)
        if not ids and offset == self._offset:
            return
        if not batch.kept and len(ids) == 1:
            with told(self._path):
                sheet = self._journal.add_alone(self._appends, batch.sheet, offset, batch.last_seq, ids[0])
        else:
            with transaction(self._appends, self._path) as connection:
                sheet = batch.write(connection, self._journal)
                self._accepted.write(connection, ids)
                connection.execute(
                    'UPDATE state SET "offset" = ?, last_seq = ?, waiting = waiting + ?',
                    (offset, batch.last_seq, batch.kept),
                )
        self._accepted.written(ids)
        if sheet:
            self._journal.added(sheet, batch.given)

    def _is_key_closed(self, key: str) -> bool:
        return self._recovered.holds(key) or (self._waiting > 0 and self._shelf.has(key))

    # -- out ---------------------------------------------------------------------------------------------------------

    def claim(self, limit: int, *, chain: int = 0, lease_s: float | None = None) -> list[Claim]:
        """Give out updates, each moved into the journal; the commit waits for the disk, so that an attempt counts."""
        with self._lock:
            self._check_open()
            now = self._clock()
            self._void_lapsed(now)
            if limit <= 0 or not (self._waiting or self._recovered):
                return []
            token = self._claims.next_token()
            lapse_at = None
            if lease_s is not None:
                lapse_at, chain = now + lease_s, 0
            if self._claims.has_leases:
                chain = 0
            is_free = self._claims.is_free
            # Who has a lease does not want to hold what cannot be tried yet.
            is_due = (lambda seq: True) if lease_s is None else (lambda seq: self._trials.of(seq).retry_at <= now)
            again, chain = self._recovered.choose(limit, chain, is_free, is_due)
            taken = {key for _, keys in again for key in keys}

            def is_free_still(keys: Iterable[str]) -> bool:
                return taken.isdisjoint(keys) and is_free(keys)

            with told(self._path):
                entries = self._journal.entries(self._marks, [seq for seq, _ in again])
                fresh = []
                if self._waiting and len(again) < limit:
                    is_closed = self._recovered.holds_others(again)
                    fresh = self._shelf.choose(limit - len(again), chain, is_free_still, is_closed)
            for seq, keys, is_urgent, body in fresh:
                entries[seq] = Entry(keys, is_urgent, body_of(body))
            self._give_out(again, fresh)
            claims = []
            for seq in [*(seq for seq, _ in again), *(entry.seq for entry in fresh)]:
                keys, is_urgent, update = entries[seq]
                self._claims.add(seq, token, keys, lapse_at)
                attempt, failures, _, retry_at, is_suspect = self._trials.of(seq)
                retry_in_s = min(max(0.0, retry_at - now), LONGEST_RETRY_S)
                claims.append(Claim(seq, token, update, keys, is_urgent, attempt, failures, retry_in_s, is_suspect))
            return claims

    def _give_out(self, again: Sequence[tuple[int, tuple[str, ...]]], fresh: Sequence[Waiting]) -> None:
        """Note what is given out again, and move what waited into the journal as one sheet."""
        tried = [seq for seq, _ in again] + [entry.seq for entry in fresh if entry.seq in self._trials]
        if not fresh and not tried:
            return
        seqs = [entry.seq for entry in fresh]
        sheet = 0
        with self._trials.changing(self._appends, self._path) as connection:
            for seq in tried:
                self._trials.note(seq, attempts=self._trials.of(seq).attempts + 1)
            if fresh:
                _, keys, urgents, bodies = zip(*fresh, strict=True)
                sheet = self._journal.add(
                    connection, joined_sheet(seqs, keys, urgents, b"[" + b",".join(bodies) + b"]")
                )
                self._shelf.take_off(connection, fresh)
                connection.execute("UPDATE state SET waiting = waiting - ?", (len(fresh),))
        if sheet:
            self._journal.added(sheet, seqs)
        self._waiting -= len(fresh)
        self._recovered.take(seq for seq, _ in again)

    def extend(self, claims: Iterable[tuple[int, int]], lease_s: float) -> list[bool]:
        """Prolong leases."""
        with self._lock:
            self._check_open()
            now = self._clock()
            self._void_lapsed(now)
            verdicts = []
            for seq, token in claims:
                is_valid = self._claims.has(seq, token)
                if is_valid:
                    self._claims.extend(seq, now + lease_s)
                verdicts.append(is_valid)
            return verdicts

    def release(self, claims: Iterable[tuple[int, int]], *, has_begun: bool = False) -> None:
        """Give claims back; what was not begun is noted in the file, so that the next start knows it too."""
        with self._lock:
            self._check_open()
            mine = {seq for seq, token in claims if self._claims.has(seq, token)}
            if not mine:
                return
            if not has_begun:
                with self._trials.changing(self._marks, self._path):
                    for seq in mine:
                        self._trials.note(seq, attempts=self._trials.of(seq).attempts - 1)
            for seq in mine:
                self._recovered.add(seq, self._claims.keys_of(seq))
                self._claims.take(seq)

    def _void_lapsed(self, now: float) -> None:
        for seq in self._claims.lapsed(now):
            self._recovered.add(seq, self._claims.keys_of(seq))
            self._claims.take(seq)

    # -- ends --------------------------------------------------------------------------------------------------------

    def settle(self, settlements: Sequence[Settlement]) -> list[Verdict]:
        """End updates with their sessions in one commit, which does not wait for the disk."""
        with self._lock:
            self._check_open()
            self._void_lapsed(self._clock())
            verdicts = [Verdict.OK] * len(settlements)
            ended: list[int] = []
            with self._trials.changing(self._marks, self._path) as connection:
                tokens = self._claims.tokens(settlements) if self._is_mine(connection) else {}
                keys = {write.key for _, _, writes in settlements for write in writes}
                sessions = SessionChanges(connection, keys)
                for index, (seq, token, writes) in enumerate(settlements):
                    if seq not in tokens or tokens[seq] != token:
                        verdicts[index] = Verdict.STALE
                    elif writes and not sessions.take(writes):
                        verdicts[index] = Verdict.CONFLICT
                    else:
                        del tokens[seq]  # a second one of the same call is stale
                        ended.append(seq)
                sessions.write()
                self._end(connection, ended)
            self._after_end(ended)
            return verdicts

    def fail(self, failures: Sequence[Failure]) -> list[Verdict]:
        """Note failures in one commit, which does not wait for the disk."""
        with self._lock:
            self._check_open()
            now = self._clock()
            self._void_lapsed(now)
            verdicts: list[Verdict] = []
            ended: list[int] = []
            with self._trials.changing(self._marks, self._path) as connection:
                is_mine = self._is_mine(connection)
                for seq, token, error, retry_in_s in failures:
                    if not is_mine or not self._claims.has(seq, token) or seq in ended:
                        verdicts.append(Verdict.STALE)
                        continue
                    trial = self._trials.of(seq)
                    if retry_in_s is not None:
                        self._trials.note(
                            seq,
                            attempts=trial.attempts + 1,
                            failures=trial.failures + 1,
                            retry_at=now + retry_in_s,
                            is_suspect=False,
                        )
                    else:
                        bury(connection, self._journal, seq, error, trial.attempts, now)
                        ended.append(seq)
                    verdicts.append(Verdict.OK)
                self._end(connection, ended)
            self._after_end(ended)
            return verdicts

    def _is_mine(self, connection: sqlite3.Connection) -> bool:
        """The fence: False when the file has been opened by somebody else meanwhile."""
        return bool(connection.execute("SELECT life FROM state").fetchone()[0] == self._life)

    def _end(self, connection: sqlite3.Connection, seqs: list[int]) -> None:
        self._trials.forget(seqs)
        self._journal.end(connection, seqs)

    def _after_end(self, seqs: list[int]) -> None:
        self._journal.ended(seqs)
        self._claims.take_all(seqs)

    # -- the rest ----------------------------------------------------------------------------------------------------

    def load(self, keys: Iterable[str]) -> Mapping[str, Value]:
        """Return sessions; waits for no writer."""
        with self._read_lock:
            self._check_open()
            with told(self._path):
                return load(self._reads, keys)

    def sync(self) -> None:
        """Wait until the disk has all commits."""
        with self._lock:
            self._check_open()
            try:
                os.fdatasync(self._log)
            except OSError as error:
                # After any other error nobody knows what the disk has.
                kind = StoreUnavailable if error.errno in (errno.ENOSPC, errno.EDQUOT) else StoreError
                raise kind(f"the store {self._path} cannot be written to its disk: {error.strerror}") from None

    def tend(self) -> bool:
        """Take up retried dead letters; now and then forget old ids, give pages back, copy the log into the file."""
        with self._lock:
            self._check_open()
            is_more = self._take_up_letters()
            now = self._clock()
            with transaction(self._marks, self._path) as connection:
                self._accepted.tend(connection, now)
            is_more |= self._upkeep.give_pages_back(self._marks)
        self._upkeep.copy_log(self._lock)
        return is_more

    def _take_up_letters(self) -> bool:
        with told(self._path):
            letters = retried(self._marks)
        if not letters:
            return False
        with self._trials.changing(self._appends, self._path) as connection:
            revive(connection, letters, self._last_seq, self._trials)
        self._last_seq += len(letters)
        self._waiting += len(letters)
        return len(letters) == ROWS

    def counts(self) -> Counts:
        """Return how much there is."""
        with self._lock:
            self._check_open()
            return Counts(self._waiting + len(self._recovered), len(self._claims), self.dead.count())

    def close(self) -> None:
        """Copy the log into the file and let go of it."""
        with self._lock, self._read_lock:
            if self._is_closed:
                return
            self._is_closed = True
            os.close(self._log)
            self._drop()

    def _drop(self) -> None:
        if hasattr(self, "dead"):
            self.dead.close()
        for connection in self._connections:
            connection.close()
        self._owner.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise StoreError(f"the store {self._path} is closed")
