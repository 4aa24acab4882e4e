"""The checks of `ledger.py` themselves: a sound ledger passes, and each kind of fault is found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Event, life, chat, number, attempt, count seen, last number seen. The second message of chat 1 is cut off by a kill
# together with the first of chat 2, and both are done again in the next life, alone.
SOUND = """\
begin 1 1 0 1 0 -1
end 1 1 0 1 0 -1
begin 1 1 1 1 1 0
begin 1 2 2 1 0 -1
begin 2 1 1 2 1 0
end 2 1 1 2 1 0
begin 2 2 2 2 0 -1
end 2 2 2 2 0 -1
begin 2 1 3 1 2 1
begin 2 2 4 1 1 2
end 2 2 4 1 1 2
end 2 1 3 1 2 1
"""
WRITTEN = {1: [0, 1, 3], 2: [2, 4]}


@pytest.fixture
def read(tmp_path: Path, read_ledger: Callable[[Path], Any]) -> Callable[[str], Any]:
    """Return a function that makes a ledger of a text."""

    def make(text: str) -> Any:
        path = tmp_path / "ledger"
        path.write_text(text)
        return read_ledger(path)

    return make


def test_a_sound_ledger_passes(read: Callable[[str], Any]) -> None:
    ledger = read(SOUND)
    ledger.check_chats(WRITTEN)
    ledger.check_suspects({2: 2})
    assert ledger.cut_off() == {1: 1, 2: 1}
    assert ledger.figures() == "7 handlings in 2 lives, 2 repeats, 2 marked as redelivered"


@pytest.mark.parametrize(
    ("fault", "old", "new"),
    [
        ("lost", "end 2 1 3 1 2 1\n", ""),
        ("should have seen", "begin 2 1 1 2 1 0", "begin 2 1 1 2 2 1"),
        ("should have seen", "begin 2 1 3 1 2 1", "begin 2 1 3 1 3 1"),
        ("should have seen", "begin 2 1 1 2 1 0", "begin 2 1 1 2 0 -1"),
        ("not marked", "begin 2 2 2 2 0 -1\nend 2 2 2 2", "begin 2 2 2 1 0 -1\nend 2 2 2 1"),
        ("two at once", "begin 2 2 4 1 1 2\n", "begin 2 2 4 1 1 2\nbegin 2 2 4 2 1 2\n"),
        ("out of order", "end 2 2 4 1 1 2\n", "end 2 2 4 1 1 2\nbegin 2 2 4 2 1 2\n"),
        ("out of order", "end 2 2 4 1 1 2\n", "end 2 2 4 1 1 2\nbegin 2 2 2 3 0 -1\n"),
    ],
)
def test_a_fault_in_a_chat_is_found(read: Callable[[str], Any], fault: str, old: str, new: str) -> None:
    assert old in SOUND
    with pytest.raises(AssertionError, match=fault):
        read(SOUND.replace(old, new)).check_chats(WRITTEN)


@pytest.mark.parametrize(
    ("fault", "old", "new"),
    [
        ("before the suspects", "begin 2 1 1 2 1 0\n", "begin 2 3 9 1 0 -1\nbegin 2 1 1 2 1 0\n"),
        ("beside a suspect", "end 2 1 1 2 1 0\nbegin 2 2 2 2 0 -1\n", "begin 2 2 2 2 0 -1\nend 2 1 1 2 1 0\n"),
        ("beside a suspect", "end 2 2 2 2 0 -1\nbegin 2 1 3 1 2 1\n", "begin 2 1 3 1 2 1\nend 2 2 2 2 0 -1\n"),
    ],
)
def test_a_suspect_that_is_not_first_and_alone_is_found(
    read: Callable[[str], Any], fault: str, old: str, new: str
) -> None:
    assert old in SOUND
    with pytest.raises(AssertionError, match=fault):
        read(SOUND.replace(old, new)).check_suspects({2: 2})


def test_a_retry_in_the_same_life_is_sound_only_where_there_are_retries(read: Callable[[str], Any]) -> None:
    ledger = read("begin 1 1 0 1 0 -1\nfail 1 1 0 1 0 -1\nbegin 1 1 0 2 0 -1\nend 1 1 0 2 0 -1\n")
    ledger.check_chats({1: [0]}, is_retrying=True)
    with pytest.raises(AssertionError, match="out of order"):
        ledger.check_chats({1: [0]})


def test_a_dead_letter_leaves_no_trace_in_the_session(read: Callable[[str], Any]) -> None:
    ledger = read("begin 1 1 0 1 0 -1\nfail 1 1 0 1 0 -1\nbegin 1 1 1 1 0 -1\nend 1 1 1 1 0 -1\n")
    ledger.check_chats({1: [0, 1]}, dead=[0])
    with pytest.raises(AssertionError, match="lost"):
        ledger.check_chats({1: [0, 1]})
