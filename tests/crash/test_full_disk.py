"""A disk that is full for a while: the bot says so, confirms nothing meanwhile, and goes on when there is room.

The disk is filled by `full_disk.c`, which a C compiler makes into a library that is preloaded into the bot.
"""

import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyruntime.testing import FakeBotApi

CHATS = 10
SOURCE = Path(__file__).parent / "full_disk.c"
MODES = ["growth", "all writes"]
RETRYING = ["--max-attempts", "3"]


class Disk:
    """The disk under the store, in the eyes of the bot.

    Attributes: `variables`, the environment of a bot that is to see it.
    """

    def __init__(self, library: Path, folder: Path, flag: Path) -> None:
        self._flag = flag
        self.variables = {
            "LD_PRELOAD": str(library),
            "FULL_DISK_FOLDER": str(folder),
            "FULL_DISK_FLAG": str(flag),
        }

    def fill(self, mode: str) -> None:
        """Let the disk be full: for growing files, or for all writes."""
        made = self._flag.with_suffix(".new")
        made.write_text(mode)
        made.rename(self._flag)

    def make_room(self) -> None:
        """Let the disk have room again."""
        self._flag.unlink()


@pytest.fixture
def disk(world: Any, tmp_path: Path) -> Disk:
    """Return the disk of the store, with room on it."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not sys.platform.startswith("linux") or compiler is None:
        pytest.skip("needs Linux and a C compiler")
    library = tmp_path / "full_disk.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return Disk(library, world.folder, tmp_path / "full")


def fill_until_noticed(world: Any, disk: Disk, mode: str) -> list[int]:
    """Fill the disk, wait until the bot says so, and return the numbers of messages that are written afterwards."""
    program = world.program
    disk.fill(mode)
    program.wait_for(f"{world.folder / 'bot.db'} cannot be used now")
    return list(world.people.write(range(1, CHATS + 1)))


def pending(api: FakeBotApi) -> set[int]:
    """Return the numbers of the messages that the bot has not confirmed."""
    return {int(update["message"]["text"].split()[0]) for update in api.pending()}


@pytest.mark.parametrize("mode", MODES)
def test_while_the_disk_is_full_nothing_is_confirmed_and_afterwards_everything_is_handled_once(
    api: FakeBotApi, world: Any, people: Any, disk: Disk, rng: random.Random, pace: Callable[[float], None], mode: str
) -> None:
    world.start(HANDLER_S="0:0.02", **disk.variables)
    for _ in range(2):
        with people.writing(rng, CHATS):
            api.wait_for("sendMessage", len(api.calls) + 20)
            numbers = fill_until_noticed(world, disk, mode)
            pace(0.5)
            assert pending(api) >= set(numbers)
            disk.make_room()
            api.wait_until_confirmed(api.next_update_id, timeout_s=60)
    assert all(line.attempt == 1 for line in world.ledger().lines)
    people.write_last()
    people.wait_for_last()
    assert world.program.stop() == 0
    world.bury("stopped")
    print(world.figures())
    assert not world.dead_letters()
    world.assert_all_done()


@pytest.mark.parametrize(
    ("end", "mode", "options"),
    [
        pytest.param("KILL", "growth", [], id="KILL, growth"),
        pytest.param("KILL", "all writes", RETRYING, id="KILL, all writes, failing"),
        pytest.param("TERM", "all writes", [], id="TERM, all writes"),
        pytest.param("KILL", "all writes", [], id="KILL, all writes", marks=pytest.mark.slow),
        pytest.param("KILL", "growth", RETRYING, id="KILL, growth, failing", marks=pytest.mark.slow),
        pytest.param("TERM", "growth", [], id="TERM, growth", marks=pytest.mark.slow),
        pytest.param("TERM", "growth", RETRYING, id="TERM, growth, failing", marks=pytest.mark.slow),
        pytest.param("TERM", "all writes", RETRYING, id="TERM, all writes, failing", marks=pytest.mark.slow),
    ],
)
def test_a_bot_that_ends_while_the_disk_is_full_goes_on_when_there_is_room(
    api: FakeBotApi,
    world: Any,
    people: Any,
    disk: Disk,
    rng: random.Random,
    pace: Callable[[float], None],
    end: str,
    mode: str,
    options: list[str],
) -> None:
    variables = {"HANDLER_S": "0:0.02", "FAIL_SHARE": "0.3" if options else "0"}
    with people.writing(rng, CHATS):
        for _ in range(2 if end == "KILL" else 1):
            program = world.start("--grace", "1", *options, **variables, **disk.variables)
            api.wait_for("sendMessage", len(api.calls) + 20)
            numbers = fill_until_noticed(world, disk, mode)
            pace(rng.uniform(0.0, 0.5))
            assert pending(api) >= set(numbers)
            program.send(signal.Signals[f"SIG{end}"])
            world.bury(f"{end} while full")
            start_while_full(world, disk, pace)
            assert pending(api) >= set(numbers)
            disk.make_room()
    world.finish(*options, **variables)
    print(world.figures())
    letters = world.dead_letters()
    failures = world.ledger().failures()
    early = [letter for letter in letters if failures[letter.number] < 3]
    assert not early, f"given up too early: {[(letter, world.ledger().story(letter.number)) for letter in early]}"
    world.assert_all_done(dead=[letter.number for letter in letters], is_retrying=bool(options))


def start_while_full(world: Any, disk: Disk, pace: Callable[[float], None]) -> None:
    """Start the bot while the disk is full: it says why it ends, or runs, in which case it is killed."""
    program = world.start(waits=False, **disk.variables)
    pace(0.5)
    program.send(signal.SIGKILL)
    has_run = program.wait() == -signal.SIGKILL
    world.bury("ran on a full disk" if has_run else "did not start on a full disk")
    assert has_run or str(world.folder / "bot.db") in world.errors[-1], world.errors[-1]


def test_a_start_on_a_full_disk_ends_with_a_code_that_lets_a_supervisor_try_again(
    api: FakeBotApi, world: Any, people: Any, disk: Disk
) -> None:
    people.write([1])
    world.live_and_die(0.1)
    disk.fill("growth")
    program = world.start(waits=False, **disk.variables)
    code = world.bury("did not start on a full disk")
    assert code not in (0, 2, 3), program.err


def test_a_stop_on_a_full_disk_does_not_say_by_its_code_that_all_is_settled(
    api: FakeBotApi, world: Any, people: Any, disk: Disk
) -> None:
    program = world.start(HANDLER_S="0.5", **disk.variables)
    people.write([1])
    api.wait_until_confirmed(timeout_s=30)
    disk.fill("growth")
    program.stop()
    assert world.bury("TERM while full") != 0, program.err
