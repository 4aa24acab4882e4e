"""The end of an update: settled with its sessions in one step, or failed."""

from __future__ import annotations

from typing import Any

import pytest

from runner_c.store import Failure, Settlement, Value, Verdict, Write


def test_a_settled_update_is_gone_and_its_token_void(box: Any) -> None:
    (claim,) = box.give(box.arrival(1, "a"))
    assert box.store.counts() == (0, 1, 0)
    assert box.settle(claim) is Verdict.OK
    assert box.store.counts() == (0, 0, 0)
    assert box.settle(claim) is Verdict.STALE
    assert box.fail(claim) is Verdict.STALE
    assert box.store.extend([claim], 5.5) == [False]
    assert box.claim_ids() == []


def test_verdicts_come_in_the_order_of_the_settlements(box: Any) -> None:
    first, second, third = box.give(box.arrival(1), box.arrival(2), box.arrival(3))
    settlements = [
        Settlement(*second, [Write("x", 5, b"1")]),
        Settlement(*first),
        Settlement(third[0], third[1] + 1),
        Settlement(*first),
        Settlement(*third),
    ]
    assert box.store.settle(settlements) == [
        Verdict.CONFLICT,
        Verdict.OK,
        Verdict.STALE,
        Verdict.STALE,
        Verdict.OK,
    ]
    assert box.store.counts() == (0, 1, 0)
    assert box.store.settle([]) == []
    assert box.store.fail([]) == []


def test_a_session_is_written_with_the_update_and_its_version_counts_up(box: Any) -> None:
    for version in range(4):
        (claim,) = box.give(box.arrival(version, "a"))
        assert box.settle(claim, Write("s", version, b'{"n": %d}' % version)) is Verdict.OK
        assert box.store.load(["s"]) == {"s": Value(version + 1, b'{"n": %d}' % version)}


def test_load_returns_the_sessions_there_are(box: Any) -> None:
    (claim,) = box.give(box.arrival(1))
    box.settle(claim, Write("a", 0, b"1"), Write("", 0, b"{}"), Write("ä\x00\U0001f600", 0, b'"\xc3\xa4"'))
    assert box.store.load([]) == {}
    assert box.store.load(["b"]) == {}
    assert box.store.load(["a", "b", "", "a"]) == {"a": Value(1, b"1"), "": Value(1, b"{}")}
    assert box.store.load(iter(["ä\x00\U0001f600", "A"])) == {"ä\x00\U0001f600": Value(1, b'"\xc3\xa4"')}


def test_many_sessions_can_be_loaded_at_once(box: Any) -> None:
    (claim,) = box.give(box.arrival(1))
    box.settle(claim, *[Write(str(number), 0, b"%d" % number) for number in range(3000)])
    assert len(box.store.load(str(number) for number in range(-3000, 40_000))) == 3000


@pytest.mark.parametrize("version", [0, 1, 3, -1])
def test_with_another_version_nothing_of_the_settlement_is_written(box: Any, version: int) -> None:
    for number in range(2):
        box.settle(*box.give(box.arrival(number)), Write("s", number, b"old"))
    (claim,) = box.give(box.arrival(2, "a"))
    writes = [Write("before", 0, b"1"), Write("s", version, b"new"), Write("after", 0, b"1")]
    assert box.settle(claim, *writes) is Verdict.CONFLICT
    assert box.store.load(["before", "s", "after"]) == {"s": Value(2, b"old")}
    # The claim is as it was.
    assert box.store.counts() == (0, 1, 0)
    box.keep([3], "a")
    assert box.claim_ids() == []
    assert box.settle(claim, Write("s", 2, b"new")) is Verdict.OK
    assert box.store.load(["s"]) == {"s": Value(3, b"new")}


def test_a_session_that_is_not_there_has_version_0_only(box: Any) -> None:
    (claim,) = box.give(box.arrival(1))
    assert box.settle(claim, Write("s", 1, b"x")) is Verdict.CONFLICT
    assert box.settle(claim, Write("s", 1, None)) is Verdict.CONFLICT
    assert box.settle(claim, Write("s", 0, b"x")) is Verdict.OK


def test_none_deletes_a_session_and_what_is_deleted_has_version_0(box: Any) -> None:
    first, second, third, fourth = box.give(*[box.arrival(number) for number in range(4)])
    box.settle(first, Write("s", 0, b"1"))
    assert box.settle(second, Write("s", 0, None)) is Verdict.CONFLICT
    assert box.settle(second, Write("s", 1, None)) is Verdict.OK
    assert box.store.load(["s"]) == {}
    assert box.settle(third, Write("s", 2, b"2")) is Verdict.CONFLICT
    assert box.settle(third, Write("s", 0, b"2")) is Verdict.OK
    assert box.store.load(["s"])["s"].value == b"2"
    assert box.settle(fourth, Write("other", 0, None)) is Verdict.OK
    assert box.store.load(["other"]) == {}


def test_versions_count_within_one_call(box: Any) -> None:
    claims = box.give(*[box.arrival(number, "a") for number in range(6)])
    verdicts = box.store.settle(
        [
            Settlement(*claims[0], [Write("s", 0, b"1")]),
            Settlement(*claims[1], [Write("s", 1, b"2")]),
            Settlement(*claims[2], [Write("s", 1, b"3")]),
            Settlement(*claims[3], [Write("s", 2, None)]),
            Settlement(*claims[4], [Write("s", 0, b"4"), Write("t", 1, b"4")]),
            Settlement(*claims[5], [Write("s", 0, b"5")]),
        ]
    )
    ok, conflict = Verdict.OK, Verdict.CONFLICT
    assert verdicts == [ok, ok, conflict, ok, conflict, ok]
    assert box.store.load(["s", "t"])["s"].value == b"5"
    assert box.store.counts() == (0, 2, 0)


def test_a_stale_settlement_writes_no_session(box: Any) -> None:
    (claim,) = box.give(box.arrival(1))
    assert box.settle((claim[0], claim[1] + 1), Write("s", 0, b"1")) is Verdict.STALE
    assert box.store.load(["s"]) == {}
    assert box.settle(claim, Write("s", 0, b"2")) is Verdict.OK
    assert box.settle(claim, Write("s", 1, b"3")) is Verdict.STALE
    assert box.store.load(["s"]) == {"s": Value(1, b"2")}


def test_a_failed_update_that_is_tried_again_stays_with_its_claimer(box: Any) -> None:
    (claim,) = box.give(box.arrival(1, "a"))
    box.keep([2], "a")
    for _ in range(3):
        assert box.fail(claim, 0.5) is Verdict.OK
    box.clock.advance(10)
    assert box.store.claim(9) == []
    assert box.store.claim(9, lease_s=5.5) == []
    assert box.store.counts() == (1, 1, 0)
    box.store.release([claim])
    again = box.claim_one()
    assert (again.failures, again.attempt) == (3, 4)
    assert box.settle(again) is Verdict.OK
    assert box.claim_ids() == [2]


def test_a_failed_update_can_be_settled_by_its_next_try(box: Any) -> None:
    (claim,) = box.give(box.arrival(1, "a"))
    assert box.fail(claim, 0.5) is Verdict.OK
    assert box.settle(claim, Write("s", 0, b"1")) is Verdict.OK
    assert box.store.counts() == (0, 0, 0)


def test_of_several_failures_each_has_its_verdict(box: Any) -> None:
    first, second = box.give(box.arrival(1, "a"), box.arrival(2, "b"))
    verdicts = box.store.fail(
        [
            Failure(*first, "one", 1.0),
            Failure(second[0], second[1] + 1, "two", None),
            Failure(*first, "three", None),
            Failure(*first, "four", 1.0),
            Failure(*second, "five", 1.0),
        ]
    )
    assert verdicts == [Verdict.OK, Verdict.STALE, Verdict.OK, Verdict.STALE, Verdict.OK]
    assert box.store.counts() == (0, 1, 1)


def test_successors_are_settled_in_their_order_while_others_still_wait(box: Any) -> None:
    claims = box.give(*[box.arrival(number, "a") for number in range(3)])
    box.keep([3, 4], "a")
    for claim in claims[:2]:
        assert box.settle(claim) is Verdict.OK
        assert box.claim_ids() == []
    assert box.settle(claims[2]) is Verdict.OK
    assert box.claim_ids() == [3]
