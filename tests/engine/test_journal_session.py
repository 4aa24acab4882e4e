"""Sessions of a store in memory: what is read is what was put last, and nothing is dropped before the store has it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner_c.journal import session
from runner_c.journal.session import StoredSessions
from runner_c.store import Arrival, Settlement, Store, Verdict, Write, open_store


@pytest.fixture(name="file")
def make_file(tmp_path: Path) -> Iterator[Store]:
    """A store in a file."""
    opened = open_store(f"sqlite:{tmp_path / 'bot.db'}")
    yield opened
    opened.close()


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_put_deleted_and_written_late_a_read_gives_the_last_value(
    file: Store, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "KEPT_SESSIONS", 2)
    chance = random.Random(seed)
    sessions = StoredSessions(file)
    expected: dict[str, bytes | None] = {}
    waiting: list[list[Write]] = []
    number = 0
    for _ in range(400):
        key = chance.choice("abcde")
        step = chance.random()
        if step < 0.4:
            # Few values, so that a key often has the version and the value that it had before.
            value = chance.choice([None, b"1", b"2"])
            expected[key] = value
            waiting.append(sessions.put([(key, value)]))
        elif step < 0.6 and waiting:
            count = chance.randint(1, len(waiting))
            number += 1
            arrivals = [Arrival({"update_id": 1000 * number + place}) for place in range(count)]
            token, places = file.push(arrivals, limit=count, chain=count)
            ends = [Settlement(place, token, writes) for place, writes in zip(places, waiting[:count], strict=True)]
            assert file.settle(ends) == [Verdict.OK] * count
            for writes in waiting[:count]:
                sessions.written(writes)
            del waiting[:count]
        assert sessions.read(key) == expected.get(key)


def test_a_storage_of_a_store_cannot_be_written_past_the_end_of_an_update(file: Store) -> None:
    sessions = StoredSessions(file)
    with pytest.raises(TypeError, match="by a handler"):
        sessions.write("a", b"1")
    with pytest.raises(TypeError, match="by a handler"):
        sessions.delete("a")
