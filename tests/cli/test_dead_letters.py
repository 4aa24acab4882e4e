"""The command that looks after dead letters, as a process of its own, with the store in use and without."""

import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import runner_c
from runner_c.store import Arrival, Failure, Store

if TYPE_CHECKING:
    from tests.conftest import Program

    Ask = Callable[..., tuple[int, str, str]]

TOKEN = "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"
URL = "sqlite:shop.db"
TRACE = 'Traceback (most recent call last):\n  File "shop.py", line 9, in answer\n    1 / 0\n'

COMMAND = [sys.executable, "-P", "-m", "runner_c", "dead-letters"]
SCRIPT = f"import os, pty, signal, subprocess, sys; command = {COMMAND!r} + sys.argv[1:]"

ON_A_TERMINAL = """
answer = command.pop()
signal.signal(signal.SIGINT, signal.SIG_DFL)
ours, theirs = pty.openpty()
process = subprocess.Popen(command, stdin=theirs, stderr=subprocess.PIPE)
asked = b""
while not asked.endswith(b"[y/N] ") and (more := process.stderr.read(1)):
    asked += more
if answer == "ctrl-c":
    process.send_signal(signal.SIGINT)
else:
    os.write(ours, answer.encode() + b"\\n")
sys.stderr.buffer.write(asked + process.stderr.read())
sys.exit(process.wait())
"""

INTO_A_PIPE_THAT_CLOSES = """
process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
sys.stdout.buffer.write(process.stdout.readline())
process.stdout.close()
sys.stderr.buffer.write(process.stderr.read())
sys.exit(process.wait())
"""

INTO_A_FULL_DISK = "; sys.exit(subprocess.call(command, stdout=open('/dev/full', 'w')))"
WITHOUT_A_TERMINAL = "; sys.exit(subprocess.call(command, stdin=subprocess.DEVNULL))"


def kill(store: Store, *updates: dict[str, Any], keys: tuple[str, ...] = (), error: str = "boom") -> list[int]:
    """Make dead letters of updates, and return their numbers."""
    numbers: list[int] = []
    for update in updates:
        token, (place,) = store.push([Arrival(update, keys)], limit=1, chain=1)
        store.fail([Failure(place, token, error, None)])
        numbers.append(place)
    return numbers


def message(update_id: int, text: str = "hello") -> dict[str, Any]:
    return {"update_id": update_id, "message": {"chat": {"id": 42}, "text": text}}


def updates_of(store: Store) -> list[int]:
    """Return the ids of what a runner with this store is given next."""
    while store.tend():
        pass
    return [claim.update["update_id"] for claim in store.claim(100, chain=100)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Have a store open, as a runner has it; the program under test names it `URL`."""
    store = runner_c.open_store(f"sqlite:{tmp_path / 'shop.db'}")
    yield store
    store.close()


@pytest.fixture
def ask(launch: "Callable[..., Program]") -> "Ask":
    """Return a function that runs the command, or a script that does; it returns code, stdout and stderr."""

    def run(*words: str, script: str | None = None, **variables: str) -> tuple[int, str, str]:
        program = launch(*(["-c", SCRIPT + script] if script else COMMAND[2:]), *words, **variables)
        return program.wait(), program.out, program.err

    return run


def complaint_of(answer: tuple[int, str, str]) -> str:
    """Return the one line of a call that was refused."""
    code, out, err = answer
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("runner_c: ")
    return err


@pytest.mark.parametrize("is_open", [True, False])
def test_the_list_has_a_line_for_each_letter(store: Store, ask: "Ask", is_open: bool) -> None:
    first, second = kill(
        store, message(70001), {"update_id": 70002, "callback_query": {}}, error=TRACE + "Bad: no red\n"
    )
    (third,) = kill(store, {"update_id": 70003}, keys=("42", "user:7"))
    if not is_open:
        store.close()
    before = datetime.now().isoformat(sep=" ")[:10]
    assert ask("retry", str(second), "--store", URL)[0] == 0
    code, out, err = ask("list", "--store", URL)
    assert (code, err) == (0, "3 dead letters\n")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == [str(first), str(second), str(third)]
    for word in ("70001", "message", "1 attempt", before, "Bad: no red"):
        assert word in lines[0]
    assert "callback_query" in lines[1]
    assert [("retry asked for" in line) for line in lines] == [False, True, False]
    for word in ("70003", "empty", "42, user:7", "boom"):
        assert word in lines[2]


def test_the_list_comes_in_pages(store: Store, ask: "Ask") -> None:
    numbers = kill(store, *(message(update_id) for update_id in range(1, 6)))
    shown: list[str] = []
    words = ["list", "--limit", "2", "--store", URL]
    for _ in range(2):
        code, out, err = ask(*words)
        assert (code, len(out.splitlines())) == (0, 2)
        assert err.startswith("2 of 5 dead letters; the next page: python -m runner_c dead-letters list --after ")
        shown += out.splitlines()
        words = err.split(" dead-letters ")[1].split()
    code, out, err = ask(*words)
    assert (code, err) == (0, f"1 after number {numbers[3]}; 5 dead letters in all\n")
    shown += out.splitlines()
    assert [int(line.split()[0]) for line in shown] == numbers


def test_an_empty_store_has_no_dead_letters(store: Store, ask: "Ask") -> None:
    assert ask("list", "--store", URL) == (0, "", "no dead letters\n")
    assert ask("retry", "--all", "--store", URL) == (0, "no dead letters\n", "")
    assert ask("drop", "--all", "--yes", "--store", URL) == (0, "no dead letters\n", "")


def test_as_json_a_letter_is_complete(store: Store, ask: "Ask") -> None:
    text = "é\x1b[2J\u202e\x7f " + "long " * 100
    numbers = kill(store, message(1, text), message(2), keys=("42", "[7]"), error=TRACE + "Bad")
    code, out, _ = ask("list", "--json", "--store", URL)
    assert code == 0
    assert out.isascii()
    assert out.replace("\n", "").isprintable()
    letters = [json.loads(line) for line in out.splitlines()]
    assert [letter["number"] for letter in letters] == numbers
    expected = store.dead.list()[0]._asdict()
    assert letters[0] == {**expected, "keys": list(expected["keys"])}
    assert letters[0]["update"] == message(1, text)
    assert json.loads(ask("show", str(numbers[0]), "--json", "--store", URL)[1]) == letters[0]


def test_show_tells_all_of_a_letter(store: Store, ask: "Ask") -> None:
    (number,) = kill(store, message(70001, "привет"), keys=("42",), error=TRACE + "ZeroDivisionError: no")
    code, out, err = ask("show", str(number), "--store", URL)
    assert (code, err) == (0, "")
    head, rest = out.split("error\n")
    error, update = rest.split("update\n")
    for word in (f"dead letter {number}", "70001, message", "42", "attempts  1", "not asked for"):
        assert word in head
    died = head.split("died")[1].split()[0]
    assert datetime.fromisoformat(died).timestamp() == int(store.dead.list()[0].died_at)
    assert error == "".join(f"  {line}\n" for line in (TRACE + "ZeroDivisionError: no").split("\n"))
    assert '\n    "message": {' in update
    assert "привет" in update
    assert json.loads(update) == message(70001, "привет")


def test_no_text_of_a_letter_can_play_with_the_terminal(store: Store, ask: "Ask") -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\r\x9b2J\u202e\u2028\x00"
    update = {"update_id": 1, evil: evil, "message": {"text": evil + "\ud800"}}
    (number,) = kill(store, update, keys=(evil,), error=f"before\nupdate\n{evil}")
    for words in (["list"], ["show", str(number)]):
        code, out, _ = ask(*words, "--store", URL)
        assert code == 0
        assert out.replace("\n", "").isprintable()
        assert "\\u001b" in out
    assert out.count("\nupdate\n") == 1
    assert json.loads(out.split("\nupdate\n")[1]) == update
    assert complaint_of(ask("list", "--store", f"sqlite:{evil[:-1]}\n.db"))[:-1].isprintable()


def test_a_line_of_the_list_stays_short(store: Store, ask: "Ask") -> None:
    kill(store, {"update_id": 10**12, "k" * 99: 1}, keys=("日本" * 99,), error="é" * 999 + "\n" + "日" * 999)
    _, out, _ = ask("list", "--store", URL)
    assert len(out) - 1 + out.count("日") + out.count("本") <= 160
    assert out.endswith("日...\n")


def test_what_a_terminal_cannot_show_is_escaped(store: Store, ask: "Ask") -> None:
    (number,) = kill(store, message(1, "привет"), error="привет")
    for words in (["list"], ["show", str(number)]):
        assert "\\u043f\\u0440" in ask(*words, "--store", URL, PYTHONIOENCODING="ascii")[1]


def test_no_token_is_printed(store: Store, ask: "Ask") -> None:
    (number,) = kill(store, message(1, f"\u0131{TOKEN} short-one"), keys=(TOKEN,), error=f"at /bot{TOKEN}/ short-one")
    for words in (["list"], ["show", str(number)], ["list", "--json"], ["show", str(number), "--json"]):
        code, out, err = ask(*words, "--store", URL, BOT_TOKEN="short-one")
        assert code == 0
        assert TOKEN not in out + err
        assert "short-one" not in out + err
        assert "/bot<token>/" in out
    assert json.loads(out)["update"] == message(1, "\u0131<token> <token>")


@pytest.mark.parametrize("words", [["--all"], ["{0}", "{2}", "{0}"]])
def test_retried_letters_are_given_out_again_by_the_runner_that_has_the_store(
    store: Store, ask: "Ask", words: list[str]
) -> None:
    numbers = kill(store, message(1), message(2), message(3))
    expected = [1, 2, 3] if words == ["--all"] else [1, 3]
    code, out, err = ask("retry", *[word.format(*numbers) for word in words], "--store", URL)
    assert (code, err) == (0, "")
    assert out.startswith(f"{len(expected)} dead letters to be tried again: taken up within a second if a runner has")
    assert store.dead.count() == 3
    assert updates_of(store) == expected
    assert store.dead.count() == 3 - len(expected)


def test_retried_letters_wait_for_the_next_start_of_the_runner(store: Store, ask: "Ask", tmp_path: Path) -> None:
    numbers = kill(store, message(1), message(2))
    store.close()
    assert ask("retry", str(numbers[1]), "--store", URL)[1].startswith("1 dead letter to be tried again: ")
    assert "asked for: taken up within a second" in ask("show", str(numbers[1]), "--store", URL)[1]
    again = runner_c.open_store(f"sqlite:{tmp_path / 'shop.db'}")
    try:
        assert updates_of(again) == [2]
    finally:
        again.close()


@pytest.mark.parametrize("is_open", [True, False])
def test_dropped_letters_are_gone(store: Store, ask: "Ask", is_open: bool, tmp_path: Path) -> None:
    numbers = kill(store, message(1), message(2), message(3))
    if not is_open:
        store.close()
    assert ask("drop", str(numbers[0]), str(numbers[2]), "--store", URL) == (0, "2 dead letters dropped for good\n", "")
    if not is_open:
        store = runner_c.open_store(f"sqlite:{tmp_path / 'shop.db'}")
    assert [letter.number for letter in store.dead.list()] == [numbers[1]]
    assert updates_of(store) == []
    assert store.push([Arrival(message(1))], limit=1).places == [-1]
    store.close()


@pytest.mark.parametrize("action", ["retry", "drop"])
def test_if_a_number_does_not_exist_nothing_is_changed(store: Store, ask: "Ask", action: str) -> None:
    (number,) = kill(store, message(1))
    line = complaint_of(ask(action, str(number), "7777", "--store", URL, "--store", URL))
    assert "there is no dead letter 7777; nothing was changed" in line
    assert [letter.is_retried for letter in store.dead.list()] == [False]
    assert "no dead letter 7777" in complaint_of(ask("show", "7777", "--store", URL))


def test_to_drop_all_it_takes_yes_where_nobody_can_be_asked(store: Store, ask: "Ask") -> None:
    kill(store, message(1), message(2))
    assert "add --yes" in complaint_of(ask("drop", "--all", "--store", URL, script=WITHOUT_A_TERMINAL))
    assert store.dead.count() == 2
    answer = ask("drop", "--all", "--yes", "--store", URL, script=WITHOUT_A_TERMINAL)
    assert answer == (0, "2 dead letters dropped for good\n", "")
    assert store.dead.count() == 0


@pytest.mark.parametrize(("answer", "left"), [("y", 0), ("YES", 0), ("n", 2), ("", 2), ("ctrl-c", 2)])
def test_to_drop_all_is_asked_for_on_a_terminal(store: Store, ask: "Ask", answer: str, left: int) -> None:
    kill(store, message(1), message(2))
    code, out, err = ask("drop", "--all", "--store", URL, answer, script=ON_A_TERMINAL)
    assert code == 0
    assert err.startswith(f"forget 2 dead letters of {URL} for good? [y/N] ")
    assert "Traceback" not in err
    assert ("interrupted" in err) is (answer == "ctrl-c")
    assert ("nothing was changed" in err) is (answer in ("n", ""))
    assert ("dropped" in out) is (left == 0)
    assert store.dead.count() == left


def test_the_store_comes_from_the_option_or_the_environment_or_the_file(
    store: Store, ask: "Ask", write: Callable[[str, str], Path]
) -> None:
    kill(store, message(1))
    assert "`store` in runner_c.toml" in complaint_of(ask("list"))
    write("runner_c.toml", f'store = "{URL}"\n')
    assert ask("list")[2] == "1 dead letter\n"
    assert "there is no store other.db" in complaint_of(ask("list", RUNNER_STORE="sqlite:other.db"))
    assert ask("list", "--store", URL, RUNNER_STORE="sqlite:other.db")[2] == "1 dead letter\n"
    assert ask("--store", URL, "list", RUNNER_STORE="sqlite:other.db")[2] == "1 dead letter\n"
    assert "RUNNER_STORE says that there is no store" in complaint_of(ask("list", RUNNER_STORE="none"))
    write("runner_c.toml", 'target = "shop.py"\n')
    assert "there is no store shop.runner.db" in complaint_of(ask("list"))
    assert "RUNNER_STOR is not read; did you mean RUNNER_STORE?" in ask("list", RUNNER_STOR=URL)[2]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:none.db", "there is no store none.db"),
        ("shop.db", "can be memory:, sqlite:PATH"),
        ("none", "can be memory:, sqlite:PATH"),
        ("postgresql://me:secret@host/bots", "PostgreSQL"),
        ("memory:", "in the process of their runner only"),
        ("sqlite:.", "there is no store"),
        (f"sqlite:{'n' * 999}", "File name too long"),
        ("sqlite:text.db", "damaged, or is no SQLite file"),
        ("sqlite:empty.db", "is empty"),
        ("sqlite:other.db", "of another program"),
        ("sqlite:torn.db", "damaged"),
    ],
)
def test_a_store_that_cannot_be_used_is_left_as_it_is(
    store: Store, ask: "Ask", tmp_path: Path, url: str, reason: str
) -> None:
    kill(store, *(message(update_id) for update_id in range(100)))
    store.close()
    (tmp_path / "text.db").write_text("a diary, " * 999)
    (tmp_path / "empty.db").touch()
    torn = bytearray((tmp_path / "shop.db").read_bytes())
    torn[4096:] = b"\xa5" * len(torn[4096:])
    (tmp_path / "torn.db").write_bytes(torn)
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE dead (seq)")
    other.close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for words in (["list"], ["show", "1"], ["retry", "--all"], ["drop", "--all", "--yes"]):
        line = complaint_of(ask(*words, "--store", url))
        assert reason in line
        assert "secret" not in line
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {name: after[name] for name in before} == before
    # SQLite itself puts these beside a file in WAL mode that it reads.
    assert set(after) - set(before) <= {"torn.db-shm", "torn.db-wal"}


def test_a_letter_that_is_damaged_is_told_of_in_one_line(store: Store, ask: "Ask", tmp_path: Path) -> None:
    (number,) = kill(store, message(1))
    store.close()
    connection = sqlite3.connect(tmp_path / "shop.db")
    with connection:
        connection.execute("UPDATE dead SET body = ?", (b"{",))
    connection.close()
    assert "is damaged and cannot be read" in complaint_of(ask("list", "--store", URL))
    assert "is damaged and cannot be read" in complaint_of(ask("show", str(number), "--store", URL))


def test_a_reader_that_goes_away_is_no_error(store: Store, ask: "Ask") -> None:
    kill(store, *(message(update_id) for update_id in range(1500)), error="x" * 200)
    code, out, err = ask("list", "--limit", "1500", "--store", URL, script=INTO_A_PIPE_THAT_CLOSES)
    assert (code, err) == (0, "")
    assert out.count("\n") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_output_that_cannot_be_written_is_told_of(store: Store, ask: "Ask") -> None:
    kill(store, message(1))
    code, _, err = ask("list", "--store", URL, script=INTO_A_FULL_DISK)
    assert (code, err) == (1, "runner_c: the output cannot be written: No space left on device\n")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["lst"], "invalid choice: 'lst'"),
        (["list", "--limit", "0"], "--limit: '0' is no whole number from 1 on"),
        (["list", "--after", "x"], "--after: 'x' is no whole number from 0 on"),
        (["show"], "NUMBER"),
        (["show", "9" * 19], "no whole number from 1 on"),
        (["show", "-1"], "-1"),
        (["retry"], "say which"),
        (["retry", "1", "--all"], "not both"),
        (["drop", "--yes"], "say which"),
        (["drop", "1", "--force"], "--force"),
    ],
)
def test_a_wrong_call_is_answered_in_one_line(ask: "Ask", words: list[str], reason: str) -> None:
    assert reason in complaint_of(ask(*words, "--store", URL))


def test_without_an_action_the_usage_is_printed(ask: "Ask") -> None:
    code, out, err = ask()
    assert (code, out) == (2, "")
    assert err.startswith("usage: python -m runner_c dead-letters ")
    assert "list, show, retry or drop" in err


@pytest.mark.parametrize("action", ["", "list", "show", "retry", "drop"])
def test_the_help_tells_what_happens(ask: "Ask", action: str) -> None:
    code, out, _ = ask(*action.split(), "--help")
    assert (code, "RUNNER_STORE" in out) == (0, True)
    assert {"retry": "within a second", "drop": "gone for good"}.get(action, "--store") in " ".join(out.split())
