"""Attempts: what is known of an update beyond its first one.

A row exists only for updates that failed, were redelivered, or come back from the dead letters; nearly none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from runner_c.store.sqlite.connection import transaction

__all__ = ["Trial", "Trials"]


class Trial(NamedTuple):
    """What happened to an update so far."""

    attempts: int = 1
    """Attempts that may have begun, the present one among them if it is given out."""
    failures: int = 0
    """How often its handler failed."""
    crashes: int = 0
    """How often the process died while it ran alone."""
    retry_at: float = 0.0
    """Not to be tried before, in seconds since 1970."""
    is_suspect: bool = False
    """It ran when its last owner died."""


FIRST = Trial()


class Trials:
    """The table ``trial``, with a copy in memory. Its owner guards it by a lock.

    What `note` and `forget` change is in memory at once; `changing` writes it in its transaction, or takes it back.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        found = connection.execute(
            "SELECT seq, attempts, failures, crashes, retry_at, is_suspect FROM trial"
        ).fetchall()
        self._known = {seq: Trial(a, f, c, at, bool(suspect)) for seq, a, f, c, at, suspect in found}
        self._before: dict[int, Trial | None] = {}

    def __contains__(self, seq: int) -> bool:
        return seq in self._known

    def of(self, seq: int) -> Trial:
        """Return what is known of an update."""
        return self._known.get(seq, FIRST)

    def note(self, seq: int, **changes: Any) -> Trial:
        """Change what is known of an update, and return it."""
        self._before.setdefault(seq, self._known.get(seq))
        trial = self._known[seq] = self.of(seq)._replace(**changes)
        return trial

    def forget(self, seqs: Iterable[int]) -> None:
        """Drop what is known of updates that are done with."""
        if self._known:
            for seq in seqs:
                if seq in self._known:
                    self._before.setdefault(seq, self._known[seq])
                    del self._known[seq]

    def suspects(self) -> set[int]:
        """Return the updates that ran when their owner died."""
        return {seq for seq, trial in self._known.items() if trial.is_suspect}

    @contextmanager
    def changing(self, connection: sqlite3.Connection, path: str) -> Iterator[sqlite3.Connection]:
        """Do what stands in the block in one transaction together with the changes of this table; see `transaction`."""
        try:
            with transaction(connection, path):
                yield connection
                self._write(connection)
        except BaseException:
            for seq, trial in self._before.items():
                if trial is None:
                    self._known.pop(seq, None)
                else:
                    self._known[seq] = trial
            raise
        finally:
            self._before.clear()

    def _write(self, connection: sqlite3.Connection) -> None:
        for seq in self._before:
            trial = self._known.get(seq)
            if trial is None:
                connection.execute("DELETE FROM trial WHERE seq = ?", (seq,))
            else:
                connection.execute(
                    "INSERT OR REPLACE INTO trial VALUES (?, ?, ?, ?, ?, ?)",
                    (seq, trial.attempts, trial.failures, trial.crashes, trial.retry_at, trial.is_suspect),
                )
