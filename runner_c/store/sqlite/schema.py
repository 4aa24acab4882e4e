"""The tables of a store, and how an older file becomes a present one.

===========  ==========================================================================================
state        one row: offset, last ``seq``, how many wait, whose updates these are, number of the life
journal      what is given out, or was when its owner died; a row, a sheet, is what was given out together
done         what of a sheet is settled; narrow, so that a mark does not rewrite the wide row
waiting      what is not given out
waiting_key  the same by key, for the gate
trial        what is not the first attempt
accepted     the ids of the last 48 hours, as intervals by hour
session      the sessions, with versions
dead         dead letters
===========  ==========================================================================================

``keys`` is NULL without keys, the key itself if there is one, and a JSON list otherwise or if the key begins with "[".
A usual batch is one statement: what else it changes stands in columns of its sheet, and a trigger puts it where it
belongs. Each statement lets the GIL go and has to wait for it again, behind all workers.

For one key all that is in ``journal`` is older than all of ``waiting``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from runner_c.errors import StoreError
from runner_c.store.sqlite.connection import APPLICATION_ID, transaction

__all__ = ["MIGRATIONS", "migrate", "newer"]

Migration = Callable[[sqlite3.Connection], object]


def _create(connection: sqlite3.Connection) -> None:
    for statement in _TABLES.split(";\n\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


_TABLES = """
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1), "offset" INTEGER, last_seq INTEGER NOT NULL, waiting INTEGER NOT NULL,
    owner TEXT, life INTEGER NOT NULL
);

INSERT INTO state VALUES (1, NULL, 0, 0, NULL, 0);

CREATE TABLE journal (
    sheet INTEGER PRIMARY KEY, "offset" INTEGER, last_seq INTEGER, hour INTEGER, first INTEGER, last INTEGER,
    body BLOB NOT NULL
);

CREATE TRIGGER journal_taken AFTER INSERT ON journal WHEN NEW.last_seq IS NOT NULL BEGIN
    UPDATE state SET "offset" = NEW."offset", last_seq = NEW.last_seq;
    INSERT OR REPLACE INTO accepted VALUES (NEW.hour, NEW.first, NEW.last);
END;

CREATE TABLE done (sheet INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (sheet, seq)) WITHOUT ROWID;

CREATE TABLE waiting (seq INTEGER PRIMARY KEY, keys TEXT, is_urgent INTEGER NOT NULL, body BLOB NOT NULL);

CREATE INDEX waiting_urgent ON waiting (seq) WHERE is_urgent;

CREATE INDEX waiting_without_key ON waiting (seq) WHERE keys IS NULL AND NOT is_urgent;

CREATE TABLE waiting_key (key TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (key, seq)) WITHOUT ROWID;

CREATE TABLE trial (
    seq INTEGER PRIMARY KEY, attempts INTEGER NOT NULL, failures INTEGER NOT NULL, crashes INTEGER NOT NULL,
    retry_at REAL NOT NULL, is_suspect INTEGER NOT NULL
);

CREATE TABLE accepted (
    hour INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (hour, first)
) WITHOUT ROWID;

CREATE TABLE session (key TEXT PRIMARY KEY, version INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE dead (
    seq INTEGER PRIMARY KEY, update_id INTEGER NOT NULL, keys TEXT, is_urgent INTEGER NOT NULL, body BLOB NOT NULL,
    error TEXT NOT NULL, attempts INTEGER NOT NULL, died_at REAL NOT NULL, is_retried INTEGER NOT NULL
);

CREATE INDEX dead_retried ON dead (is_retried)
"""

MIGRATIONS: tuple[Migration, ...] = (_create,)
"""The step at place n makes version n + 1 of a file of version n. A step that was released never changes."""


def newer(path: str, version: int, known: int = len(MIGRATIONS)) -> StoreError:
    """Return the error for a file that a newer version of this program wrote."""
    return StoreError(
        f"the store {path} was written by a newer version of runner_c (its schema is {version}, this one knows "
        f"{known}); install that version, or name another file"
    )


def migrate(connection: sqlite3.Connection, path: str, steps: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring a file to the present version: all missing steps in one transaction, or none.

    Raises:
        StoreError: a newer version of this program wrote it, or it cannot be written.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(steps):
        raise newer(path, version, len(steps))
    if version == len(steps):
        return
    with transaction(connection, path):
        # Once more, under the lock: another process may have been faster.
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for step in steps[version:]:
            step(connection)
        connection.execute(f"PRAGMA user_version = {len(steps)}")
