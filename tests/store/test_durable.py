"""What outlives its process: all of it, whether the store was closed or its process killed."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner_c.errors import ConfigError, StoreError
from runner_c.store import Value, Verdict, Write, open_dead_letters
from runner_c.store.base import KEPT, RETENTION_S, SEEN


def test_what_waits_waits_again_and_keeps_its_order(durable: Any) -> None:
    durable.push(durable.arrival(1, "a", text="\ud83d"), durable.arrival(2, "a", "b"), durable.arrival(3))
    durable.push(durable.arrival(4, is_urgent=True))
    durable.reopen()
    assert durable.store.counts() == (4, 0, 0)
    assert durable.push(durable.arrival(5, "b"), limit=9, chain=9).places == [KEPT]
    claims = durable.store.claim(9, chain=9)
    assert durable.ids(claims) == [4, 1, 2, 3, 5]
    assert claims[1].update == {"update_id": 1, "text": "\ud83d"}
    assert [claim.keys for claim in claims] == [(), ("a",), ("a", "b"), (), ("b",)]
    assert [claim.is_urgent for claim in claims] == [True, False, False, False, False]
    assert {claim.attempt for claim in claims} == {1}


def test_what_was_given_out_is_given_again_first_by_age_as_the_next_attempt(durable: Any) -> None:
    durable.keep([1], "a")
    durable.claim_one(lease_s=1000.5)
    claims = durable.give(durable.arrival(2, "b"), durable.arrival(3), durable.arrival(4, is_urgent=True))
    durable.push(durable.arrival(5, is_urgent=True), durable.arrival(6, "b"))
    assert durable.settle(claims[1]) is Verdict.OK
    for attempt in (2, 3, 4):
        durable.reopen()
        assert durable.store.counts() == (5, 0, 0)
        again = durable.store.claim(3, chain=3)
        assert durable.ids(again) == [1, 2, 4]
        assert {claim.attempt for claim in again} == {attempt}
        assert {claim.is_suspect for claim in again} == {False}
    assert durable.ids(durable.store.claim(9, chain=9)) == [5, 6]


def test_what_was_given_out_late_but_is_older_is_given_again_first(durable: Any) -> None:
    (holder,) = durable.give(durable.arrival(1, "a"))
    durable.keep([2], "a")
    durable.give(durable.arrival(3, "b"))
    durable.settle(holder)
    assert durable.claim_ids() == [2]
    durable.reopen()
    assert durable.claim_ids() == [2, 3]


def test_nobody_of_a_key_passes_one_that_was_given_out_before(durable: Any) -> None:
    durable.give(durable.arrival(1, "a"), durable.arrival(2, "a", "b"))
    durable.keep([3], "b")
    durable.reopen()
    assert durable.push(durable.arrival(4, "b"), limit=9, chain=9).places == [KEPT]
    rounds = []
    while claims := durable.store.claim(9):
        rounds.append(durable.ids(claims))
        for claim in claims:
            durable.settle(claim)
    assert rounds == [[1], [2], [3], [4]]


def test_old_tokens_are_void_even_if_their_update_was_given_again(durable: Any) -> None:
    (old,) = durable.give(durable.arrival(1, "a"))
    durable.reopen()
    for _ in range(2):
        assert durable.settle(old, Write("s", 0, b"old")) is Verdict.STALE
        assert durable.fail(old) is Verdict.STALE
        assert durable.store.extend([old], 5.5) == [False]
        durable.store.release([old])
        claims = durable.store.claim(9)
    assert claims == []
    assert durable.store.load(["s"]) == {}
    assert durable.store.counts() == (0, 1, 0)


def test_what_was_released_or_settled_before_the_end_has_no_new_attempt(durable: Any) -> None:
    first, second = durable.give(durable.arrival(1, "a"), durable.arrival(2, "b"))
    durable.store.release([first])
    durable.settle(second)
    durable.reopen()
    claim = durable.claim_one()
    assert (claim.update["update_id"], claim.attempt) == (1, 1)


def test_failures_and_the_time_of_the_next_try_last(durable: Any) -> None:
    (claim,) = durable.give(durable.arrival(1, "a"))
    assert durable.fail(claim, 100.5) is Verdict.OK
    durable.clock.advance(40)
    durable.reopen()
    assert durable.claim_ids(lease_s=5.5) == []
    again = durable.claim_one()
    assert (again.failures, again.attempt, again.retry_in_s) == (1, 3, pytest.approx(60.5))


def test_accepted_ids_last_for_48_hours(durable: Any) -> None:
    for update_id in (5, 6, 7, 100, 3, 2**63 - 1, -(2**63)):
        durable.keep([update_id])
        durable.clock.advance(1000)
    durable.reopen()
    ids = (5, 6, 7, 100, 3, 2**63 - 1, -(2**63), 4, 8)
    places = durable.push(*[durable.arrival(update_id) for update_id in ids]).places
    assert places == [SEEN] * 7 + [KEPT] * 2
    durable.clock.advance(RETENTION_S - 8000)
    durable.reopen()
    assert durable.push(durable.arrival(5), durable.arrival(3)).places == [SEEN, SEEN]
    durable.clock.advance(4 * 3600)
    durable.reopen()
    while durable.store.tend():
        pass
    assert durable.push(durable.arrival(5), durable.arrival(4)).places == [KEPT, KEPT]


def test_sessions_and_their_versions_last(durable: Any) -> None:
    claims = durable.give(*[durable.arrival(number) for number in range(4)])
    durable.settle(claims[0], Write("a", 0, b"1"), Write("b", 0, b"2"), Write("c", 0, b"3"))
    durable.settle(claims[1], Write("a", 1, b"4"), Write("b", 1, None))
    durable.settle(claims[2], Write("c", 7, b"wrong"))
    durable.reopen()
    assert durable.store.load("abc") == {"a": Value(2, b"4"), "c": Value(1, b"3")}
    again = durable.store.claim(9)[0]
    assert durable.settle(again, Write("a", 1, b"5")) is Verdict.CONFLICT
    assert durable.settle(again, Write("a", 2, b"5")) is Verdict.OK


def test_the_offset_lasts(durable: Any) -> None:
    durable.reopen()
    assert durable.store.offset is None
    durable.push(durable.arrival(1), offset=2)
    durable.push(durable.arrival(3))
    durable.reopen()
    assert durable.store.offset == 2
    durable.push(offset=7)
    durable.reopen()
    assert durable.store.offset == 7


def test_the_owner_lasts(durable: Any) -> None:
    durable.store.bind("bot 111")
    durable.reopen()
    with pytest.raises(StoreError, match=r"bot 111.*bot 222|bot 222.*bot 111"):
        durable.store.bind("bot 222")
    durable.store.bind("bot 111")


def test_dead_letters_and_what_was_asked_of_them_last(durable: Any) -> None:
    numbers = [durable.kill(number, "a", text="hi") for number in range(3)]
    durable.store.dead.retry(numbers[:1])
    durable.store.dead.drop(numbers[1:2])
    before = durable.store.dead.list()
    durable.reopen()
    assert durable.store.dead.list() == before
    assert [letter.is_retried for letter in before] == [True, False]
    durable.store.tend()
    durable.reopen()
    claim = durable.claim_one()
    assert (claim.update, claim.attempt) == ({"update_id": 0, "text": "hi"}, 2)
    assert durable.store.dead.count() == 1


def test_numbers_go_on_and_are_never_given_twice(durable: Any) -> None:
    last = 0
    for update_id in range(5):
        (claim,) = durable.give(durable.arrival(update_id))
        assert claim[0] > last
        last = claim[0]
        durable.settle(claim)
        durable.reopen()


def test_dead_letters_can_be_handled_from_outside_while_the_store_is_open(durable: Any) -> None:
    numbers = [durable.kill(number, "a") for number in range(3)]
    outside = open_dead_letters(durable.store.url)
    try:
        assert outside.list() == durable.store.dead.list()
        assert outside.retry(numbers[:1]) == 1
        assert outside.drop(numbers[1:2]) == 1
        durable.store.tend()
        assert durable.claim_one().attempt == 2
        assert outside.count() == durable.store.dead.count() == 1
    finally:
        outside.close()  # type: ignore[attr-defined]


def test_there_are_no_dead_letters_of_a_store_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        open_dead_letters(f"sqlite:{tmp_path}/none.db")
    with pytest.raises(ConfigError, match="memory"):
        open_dead_letters("memory:")


WORKER = """
import sys
from runner_c.store import Arrival, Settlement, Value, Verdict, Write
from runner_c.store.sqlite import SqliteStore

path, now, first, is_synced = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "synced"
store = SqliteStore(path, clock=lambda: now)
for claim in store.claim(1000, chain=1000):
    version = store.load(["s"]).get("s", Value(0, b"")).version
    assert claim.update["update_id"] == version, (claim, version)
    assert store.settle([Settlement(claim.seq, claim.token, [Write("s", version, b"")])]) == [Verdict.OK]
for start in range(first, first + 1000000, 5):
    ids = range(start, start + 5)
    token, places = store.push([Arrival({"update_id": n}, ("a",)) for n in ids], offset=start + 5, limit=5, chain=5)
    print("pushed", start + 4, flush=True)
    for n, seq in zip(ids, places):
        assert store.settle([Settlement(seq, token, [Write("s", n, b"")])]) == [Verdict.OK]
        if is_synced:
            store.sync()
            print("settled", n, flush=True)
"""


@pytest.mark.parametrize("mode", ["synced", "unsynced"])
def test_a_process_that_is_killed_loses_no_update_and_handles_none_twice(
    durable: Any, tmp_path: Path, mode: str
) -> None:
    durable.store.close()
    choice = random.Random(mode)
    first = 0
    for _ in range(4):
        command = [sys.executable, "-c", WORKER, str(tmp_path / "bot.db"), str(durable.clock.now), str(first), mode]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
            lines = [worker.stdout.readline() for _ in range(choice.randint(1, 60))]
            worker.kill()
            lines += worker.stdout.readlines()
        told = dict(line.split() for line in lines if line.endswith("\n") and len(line.split()) == 2)
        assert "pushed" in told, lines
        durable.reopen()
        # Update n wrote version n + 1 of the session: what is settled is told by it.
        settled = sum(value.version for value in durable.store.load(["s"]).values())
        assert settled > int(told.get("settled", -1))
        left = durable.store.claim(1000, chain=1000)
        assert durable.ids(left) == list(range(settled, settled + len(left)))
        first = settled + len(left)
        assert first > int(told["pushed"])
        assert durable.store.offset == first
        assert durable.push(*[durable.arrival(number) for number in range(first)]).places == [SEEN] * first
        assert all(claim.attempt >= 2 for claim in left)
        durable.store.close()
