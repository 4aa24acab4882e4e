"""The shim records what a program does, and the model of the disk loses what a disk may lose and nothing else."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

SECTOR = 512

PROGRAM = """
import ctypes, os, sys, threading
folder = sys.argv[1]
note = ctypes.CDLL(None).record_note
note.argtypes = (ctypes.c_char_p, ctypes.c_uint64)
a = os.open(folder + "/a", os.O_RDWR | os.O_CREAT)
os.write(a, b"one")
os.pwrite(a, b"two", 10)
note(b'"noted"', 7)
os.ftruncate(a, 5)
os.fsync(a)
os.fdatasync(a)
os.close(os.open(folder + "/a", os.O_RDWR | os.O_CREAT))
os.rename(folder + "/a", folder + "/b")
os.write(a, b"three")
os.close(os.open(folder + "/b", os.O_RDWR | os.O_TRUNC))
place = os.open(folder, os.O_RDONLY)
os.fsync(place)
os.unlink(folder + "/b")
os.write(a, b"nowhere")
with open(folder + "-beside", "wb") as file:
    file.write(b"not recorded")
"""

EIGHT_THREADS = """
import os, sys, threading
file = os.open(sys.argv[1] + "/file", os.O_RDWR | os.O_CREAT)
begin = threading.Barrier(8)
def write(number):
    begin.wait()
    for place in range(number, 4000, 8):
        os.pwrite(file, bytes([number]) * 100, place * 100)
threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


class Script:
    """A record that is made by hand; each method adds an operation."""

    def __init__(self, replay: Any) -> None:
        self._replay = replay
        self.operations: list[Any] = []
        self._syncs = 0

    def add(self, kind: str, name: str, offset: int = 0, data: bytes = b"", number: int = 0) -> "Script":
        """Add any operation."""
        self.operations.append(self._replay.Operation(kind, name, number, offset, data))
        return self

    def create(self, name: str, data: bytes = b"") -> "Script":
        """Make a file."""
        return self.add("create", name).write(name, data)

    def write(self, name: str, data: bytes, offset: int = 0) -> "Script":
        """Write to a file."""
        return self.add("write", name, offset, data)

    def sync(self, name: str) -> "Script":
        """Sync a file, or the folder."""
        self._syncs += 1
        return self.add("sync begins", name, number=self._syncs).add("sync ended", name, number=self._syncs)

    def outcomes(self, pattern: str = "random", times: int = 300) -> list[dict[str, bytes]]:
        """Cut after the last operation, many times."""
        return [
            self._replay.Disk(self, len(self.operations)).after_the_cut(pattern, random.Random(seed), SECTOR)
            for seed in range(times)
        ]


@pytest.fixture
def script(replay: Any) -> Script:
    """Return an empty record."""
    return Script(replay)


def test_the_shim_records_each_operation_below_its_folder_in_order(run_recorded: Any, tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    record = run_recorded("-c", PROGRAM, str(folder), folder=folder, log=tmp_path / "log")
    assert [(entry.kind, entry.name, entry.offset, entry.data) for entry in record.operations] == [
        ("create", "a", 0, b""),
        ("write", "a", 0, b"one"),
        ("write", "a", 10, b"two"),
        ("note", "", 0, b'"noted"'),
        ("truncate", "a", 5, b""),
        *[("sync begins", "a", 0, b""), ("sync ended", "a", 0, b"")] * 2,
        ("rename", "a", 0, b"b"),
        ("write", "b", 3, b"three"),
        ("truncate", "b", 0, b""),
        ("sync begins", "", 0, b""),
        ("sync ended", "", 0, b""),
        ("unlink", "b", 0, b""),
    ]
    assert record.notes(4) == [json.loads('"noted"')]


def test_the_shim_loses_no_write_of_many_threads(run_recorded: Any, replay: Any, rng: Any, tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    record = run_recorded("-c", EIGHT_THREADS, str(folder), folder=folder, log=tmp_path / "log")
    assert record.count("write", "file") == 4000
    contents = replay.Disk(record, len(record.operations)).after_the_cut("all", rng)
    assert contents == {"file": (folder / "file").read_bytes()}


@pytest.mark.parametrize("pattern", ["none", "all", "prefix", "random"])
def test_what_was_synced_is_there_whatever_happens(script: Script, pattern: str) -> None:
    script.create("file", b"a" * 2000).sync("file")
    assert script.outcomes(pattern) == [{"file": b"a" * 2000}] * 300


def test_each_unsynced_sector_is_old_or_new_by_itself(script: Script) -> None:
    script.create("file", b"a" * 3 * SECTOR).sync("file").write("file", b"b" * 3 * SECTOR)
    found = {bytes(outcome["file"][place * SECTOR] for place in range(3)) for outcome in script.outcomes()}
    assert found == {b"aaa", b"aab", b"aba", b"abb", b"baa", b"bab", b"bba", b"bbb"}
    assert all(len(set(outcome["file"][:SECTOR])) == 1 for outcome in script.outcomes()), "a sector is torn"


def test_a_sector_that_was_written_twice_may_have_any_of_its_states(script: Script) -> None:
    script.create("file", b"aa").sync("file").write("file", b"b").write("file", b"c", 1)
    assert {outcome["file"] for outcome in script.outcomes()} == {b"aa", b"ba", b"bc"}


def test_a_file_may_have_grown_without_its_contents(script: Script) -> None:
    script.create("file", b"a").sync("file").write("file", b"b" * SECTOR, SECTOR)
    found = {outcome["file"] for outcome in script.outcomes()}
    hole = b"a" + bytes(SECTOR - 1)
    assert found == {b"a", hole + bytes(SECTOR), hole + b"b" * SECTOR}


def test_what_was_cut_off_never_comes_back_behind_the_cut(script: Script) -> None:
    script.create("file", b"a" * 3 * SECTOR).sync("file").add("truncate", "file", SECTOR)
    script.write("file", b"b" * SECTOR, 2 * SECTOR)
    for outcome in script.outcomes():
        content = outcome["file"]
        assert content[:SECTOR] == b"a" * SECTOR
        second, third = content[SECTOR : 2 * SECTOR], content[2 * SECTOR :]
        if second == b"a" * SECTOR:
            assert third == second, "it was not cut, so nothing was written behind the cut either, and it is as long"
        else:
            assert second in (b"", bytes(SECTOR))
            assert third in (b"", bytes(SECTOR), b"b" * SECTOR)


def test_a_sync_does_not_promise_what_was_written_while_it_ran(script: Script) -> None:
    script.create("file", b"a").sync("file").add("sync begins", "file", number=9).write("file", b"b")
    script.add("sync ended", "file", number=9)
    assert {outcome["file"] for outcome in script.outcomes()} == {b"a", b"b"}


def test_a_sync_that_has_not_ended_promises_nothing(script: Script) -> None:
    script.create("file", b"a").sync("file").write("file", b"b").add("sync begins", "file", number=9)
    assert {outcome["file"] for outcome in script.outcomes("none")} == {b"a"}


def test_a_new_file_may_be_missing_until_it_or_its_folder_is_synced(script: Script) -> None:
    script.create("first", b"a").create("second", b"b").sync("first")
    assert {frozenset(outcome) for outcome in script.outcomes()} == {
        frozenset({"first", "second"}),
        frozenset({"first"}),
    }
    script.sync("")
    assert {frozenset(outcome) for outcome in script.outcomes()} == {frozenset({"first", "second"})}


def test_a_file_that_was_removed_may_come_back_until_its_folder_is_synced(script: Script) -> None:
    script.create("file", b"a").sync("file").add("unlink", "file")
    assert {frozenset(outcome) for outcome in script.outcomes()} == {frozenset({"file"}), frozenset()}
    script.sync("")
    assert script.outcomes() == [{}] * 300


def test_a_new_file_of_an_old_name_that_was_synced_is_not_removed_by_what_was_before(script: Script) -> None:
    script.create("file", b"a").sync("file").add("unlink", "file").create("file", b"b").sync("file")
    for pattern in ("none", "all", "prefix", "random"):
        assert script.outcomes(pattern) == [{"file": b"b"}] * 300


def test_a_file_that_was_renamed_has_one_of_its_names(script: Script) -> None:
    script.create("old", b"a").sync("old").add("rename", "old", data=b"new")
    found = {tuple(outcome.items()) for outcome in script.outcomes()}
    assert found == {(("old", b"a"),), (("new", b"a"),)}


def test_a_write_in_whose_midst_the_power_goes_is_there_up_to_a_byte_at_most(script: Script, replay: Any) -> None:
    script.create("file", b"a" * 8).sync("file").write("file", b"b" * 8)
    disk = replay.Disk(script, len(script.operations) - 1, torn=5)
    assert disk.after_the_cut("all", random.Random(1)) == {"file": b"bbbbbaaa"}
