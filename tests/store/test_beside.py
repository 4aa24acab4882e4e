"""A store in a file beside others who look at it: what they do must cost nothing."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from runner_c import StoreDamaged, StoreInUse
from runner_c.store import Arrival, open_dead_letters, open_store

OWNER = """
import sys
from runner_c.store import Arrival, open_store
store = open_store(sys.argv[1])
for line in sys.stdin:
    store.push([Arrival({"update_id": int(line)})], offset=int(line) + 1, limit=1, chain=1)
    print("has", line.strip(), flush=True)
"""


def look(path: Path) -> None:
    """Do what a person does who is curious about a store, in another process."""
    program = (
        "import sqlite3, sys\n"
        "from runner_c.store import open_dead_letters\n"
        "letters = open_dead_letters('sqlite:' + sys.argv[1])\n"
        "letters.list()\n"
        "letters.retry([1])\n"
        "letters.close()\n"
        "connection = sqlite3.connect(sys.argv[1])\n"
        "connection.execute('SELECT count(*) FROM journal').fetchall()\n"
        "connection.close()\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=60)


def test_nothing_is_lost_when_others_have_looked_and_then_the_owner_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, f"sqlite:{path}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdin is not None
    assert owner.stdout is not None
    with owner:
        for number in range(1, 7):
            owner.stdin.write(f"{number}\n")
            owner.stdin.flush()
            assert owner.stdout.readline() == f"has {number}\n"
            before = os.stat(f"{path}-wal").st_ino
            look(path)
            assert os.stat(f"{path}-wal").st_ino == before, "the log was taken away from under its owner"
        owner.send_signal(signal.SIGKILL)
    store = open_store(f"sqlite:{path}")
    assert [claim.update["update_id"] for claim in store.claim(10)] == [1, 2, 3, 4, 5, 6]
    assert store.offset == 7
    store.close()


def test_a_second_try_to_open_it_costs_the_first_one_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    store = open_store(f"sqlite:{path}")
    store.push([Arrival({"update_id": 1})])
    with pytest.raises(StoreInUse):
        open_store(f"sqlite:{path}")
    open_dead_letters(f"sqlite:{path}").close()
    before = os.stat(f"{path}-wal").st_ino
    look(path)
    assert os.stat(f"{path}-wal").st_ino == before
    store.close()


def test_a_link_leads_to_the_same_store(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    real, link = tmp_path / "data" / "real.db", tmp_path / "bot.db"
    open_store(f"sqlite:{real}").close()
    link.symlink_to(real)
    store = open_store(f"sqlite:{link}")
    with pytest.raises(StoreInUse):
        open_store(f"sqlite:{real}")
    store.push([Arrival({"update_id": 1})])
    store.close()
    again = open_store(f"sqlite:{real}")
    assert again.counts().waiting == 1
    again.close()


def test_what_cannot_be_read_any_more_is_told_as_damage_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    store = open_store(f"sqlite:{path}")
    store.push([Arrival({"update_id": 1})], limit=1, chain=1)
    store.close()
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE journal SET body = ?", (b"[[1],[[]],[false],[{\xff",))
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreDamaged, match="cannot be read"):
        open_store(f"sqlite:{path}")
    assert path.read_bytes() == before
