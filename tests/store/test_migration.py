"""The version of a store's file: older ones are brought up to date, newer ones are left alone."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runner_c import StoreError, open_store
from runner_c.store import Arrival
from runner_c.store.sqlite import schema
from runner_c.store.sqlite.connection import connect


def version_of(path: Path) -> int:
    """Return the version that a file says it has."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def add_column(connection: sqlite3.Connection) -> None:
    """Stand for a step that a later version brings."""
    connection.execute("ALTER TABLE dead ADD COLUMN note TEXT")


def break_half_way(connection: sqlite3.Connection) -> None:
    """Stand for a step that fails after it has changed something."""
    connection.execute("ALTER TABLE dead ADD COLUMN other TEXT")
    raise sqlite3.OperationalError("no room")


def test_an_older_file_gets_all_missing_steps_and_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    store = open_store(f"sqlite:{path}")
    store.push([Arrival({"update_id": 1})], offset=2)
    store.close()
    assert version_of(path) == len(schema.MIGRATIONS)
    steps = (*schema.MIGRATIONS, add_column)
    with closing(connect(str(path), synchronous="FULL")) as connection:
        schema.migrate(connection, str(path), steps)
        schema.migrate(connection, str(path), steps)
        assert "note" in [row[1] for row in connection.execute("PRAGMA table_info(dead)")]
        assert connection.execute("SELECT count(*) FROM waiting").fetchone() == (1,)
    assert version_of(path) == len(steps)


def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    open_store(f"sqlite:{path}").close()
    with closing(connect(str(path), synchronous="FULL")) as connection:
        with pytest.raises(StoreError, match="no room"):
            schema.migrate(connection, str(path), (*schema.MIGRATIONS, add_column, break_half_way))
        columns = [row[1] for row in connection.execute("PRAGMA table_info(dead)")]
        assert not {"note", "other"} & set(columns)
    assert version_of(path) == len(schema.MIGRATIONS)
    open_store(f"sqlite:{path}").close()


def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    open_store(f"sqlite:{path}").close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer version"):
        open_store(f"sqlite:{path}")
    assert path.read_bytes() == before
