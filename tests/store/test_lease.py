"""Claims for a time: leases, and tokens that become void."""

from __future__ import annotations

from typing import Any

import pytest

from runner_c.store import Settlement, Verdict, Write
from runner_c.store.base import KEPT


def test_a_claim_is_valid_until_its_lease_lapses(box: Any) -> None:
    box.keep([1], "a")
    claim = box.claim_one(lease_s=10.5)
    box.clock.advance(10)
    assert box.claim_ids(lease_s=10.5) == []
    assert box.settle(claim) is Verdict.OK


def test_a_lapsed_claim_is_given_again_as_the_next_attempt_with_a_new_token(box: Any) -> None:
    box.keep([1], "a")
    claim = box.claim_one(lease_s=10.5)
    for attempt in (2, 3, 4):
        box.clock.advance(11)
        again = box.claim_one(lease_s=10.5)
        assert (again.seq, again.update, again.keys) == (claim.seq, claim.update, claim.keys)
        assert (again.attempt, again.failures, again.is_suspect) == (attempt, 0, False)
        assert again.token != claim.token
        claim = again


@pytest.mark.parametrize("is_given_again", [False, True], ids=["nobody has it", "another has it"])
def test_with_a_void_token_nothing_can_be_done(box: Any, is_given_again: bool) -> None:
    box.keep([1], "a")
    old = box.claim_one(lease_s=10.5)
    box.clock.advance(11)
    new = box.claim_one(lease_s=100.5) if is_given_again else None
    assert box.settle(old, Write("a", 0, b"1")) is Verdict.STALE
    assert box.fail(old, 5.0) is Verdict.STALE
    assert box.fail(old) is Verdict.STALE
    assert box.store.extend([old[:2]], 100.5) == [False]
    box.store.release([old[:2]])
    assert box.store.load(["a"]) == {}
    assert box.store.dead.count() == 0
    assert box.store.counts() == ((0, 1, 0) if is_given_again else (1, 0, 0))
    if new is None:
        new = box.claim_one()
    assert (new.attempt, new.failures, new.retry_in_s) == (2, 0, 0)
    assert box.settle(new, Write("a", 0, b"2")) is Verdict.OK
    assert box.store.load(["a"])["a"].value == b"2"


@pytest.mark.parametrize("call", ["settle", "fail", "extend", "claim"])
def test_a_lease_that_lapsed_is_void_before_anybody_claims(box: Any, call: str) -> None:
    box.keep([1], "a")
    old = box.claim_one(lease_s=10.5)
    box.clock.advance(11)
    if call == "settle":
        assert box.settle(old) is Verdict.STALE
    elif call == "fail":
        assert box.fail(old, 1.0) is Verdict.STALE
    elif call == "extend":
        assert box.store.extend([old[:2]], 10.5) == [False]
    assert box.claim_one().attempt == 2


def test_an_extended_lease_lasts_longer(box: Any) -> None:
    box.push(box.arrival(1, "a"), box.arrival(2, "b"))
    first, second = sorted(box.store.claim(2, lease_s=10.5))
    box.clock.advance(10)
    assert box.store.extend([first[:2]], 10.5) == [True]
    box.clock.advance(10)
    assert box.store.extend([first[:2], second[:2]], 10.5) == [True, False]
    assert box.claim_ids(lease_s=10.5) == [2]
    box.clock.advance(10)
    assert box.settle(first) is Verdict.OK


def test_extend_may_shorten_a_lease(box: Any) -> None:
    box.keep([1])
    claim = box.claim_one(lease_s=100.5)
    assert box.store.extend([claim[:2]], 5.5) == [True]
    box.clock.advance(6)
    assert box.settle(claim) is Verdict.STALE


def test_a_claim_without_a_lease_has_none_after_extend_either_and_never_lapses(box: Any) -> None:
    box.keep([1], "a")
    claim = box.claim_one()
    (pushed,) = box.give(box.arrival(2, "b"))
    assert box.store.extend([claim[:2], pushed, (claim.seq, claim.token + 1), (10**9, 1)], 5.5) == [
        True,
        True,
        False,
        False,
    ]
    box.clock.advance(10**6)
    assert box.claim_ids() == []
    assert box.settle(claim) is Verdict.OK
    assert box.settle(pushed) is Verdict.OK


def test_what_lapsed_goes_before_all_that_waits_by_age(box: Any) -> None:
    box.push(*[box.arrival(number, f"key {number}") for number in range(4)])
    assert len(box.store.claim(4, lease_s=10.5)) == 4
    box.keep([4], "key 0")
    box.push(box.arrival(5, is_urgent=True))
    box.clock.advance(11)
    assert box.claim_ids(2) == [0, 1]
    assert box.claim_ids(9) == [2, 3, 5]


def test_the_keys_of_a_lapsed_claim_stay_its_own(box: Any) -> None:
    box.keep([1, 2], "a")
    box.claim_one(lease_s=10.5)
    box.clock.advance(11)
    assert box.push(box.arrival(3, "a"), limit=9, chain=9).places == [KEPT]
    assert box.claim_ids(9, lease_s=10.5) == [1]


def test_nobody_is_given_the_successor_of_what_another_has_a_lease_for(box: Any) -> None:
    # Were it given out, it would be handled before its predecessor whose lease lapses.
    box.keep([1, 2], "a")
    box.claim_one(lease_s=10.5)
    assert box.claim_ids(9, chain=9) == []
    assert box.push(box.arrival(3, "a"), limit=9, chain=9).places == [KEPT]
    assert box.push(box.arrival(4, "b"), limit=9, chain=9).places != [KEPT]


def test_nor_when_nothing_else_waits(box: Any) -> None:
    box.keep([1], "a")
    box.claim_one(lease_s=10.5)
    assert box.push(box.arrival(2, "a"), limit=9, chain=9).places == [KEPT]


def test_tokens_are_never_used_twice(box: Any) -> None:
    box.keep([1], "a")
    tokens = set()
    for turn in range(20):
        claim = box.claim_one(lease_s=10.5 if turn % 2 else None)
        tokens.add(claim.token)
        if turn % 2:
            box.clock.advance(11)
        else:
            box.store.release([claim[:2]])
    assert len(tokens) == 20


def test_a_token_is_that_of_one_update_only(box: Any) -> None:
    box.push(box.arrival(1), box.arrival(2))
    first, second = sorted(box.store.claim(2))
    assert box.settle(first) is Verdict.OK
    assert (
        box.store.settle([Settlement(first.seq, second.token), Settlement(10**9, second.token)]) == [Verdict.STALE] * 2
    )
    assert box.settle(second) is Verdict.OK


def test_a_failed_claim_keeps_its_lease(box: Any) -> None:
    box.keep([1], "a")
    claim = box.claim_one(lease_s=10.5)
    assert box.fail(claim, 2.0) is Verdict.OK
    box.clock.advance(5)
    assert box.store.extend([claim[:2]], 10.5) == [True]
    box.clock.advance(11)
    assert box.settle(claim) is Verdict.STALE
    again = box.claim_one(lease_s=10.5)
    assert again.failures == 1
    assert again.attempt == 3


def test_what_is_to_be_tried_again_later_is_not_claimed_with_a_lease_before(box: Any) -> None:
    claim, other = box.give(box.arrival(1, "a"), box.arrival(2, "b"))
    assert box.fail(claim, 30.5) is Verdict.OK
    box.store.release([claim, other])
    box.keep([3], "a")
    assert box.claim_ids(9, lease_s=1000.5) == [2]
    box.clock.advance(30)
    assert box.claim_ids(9, lease_s=1000.5) == []
    box.clock.advance(1)
    again = box.claim_one(lease_s=1000.5)
    assert (again.update["update_id"], again.attempt, again.failures, again.retry_in_s) == (1, 2, 1, 0)


def test_what_is_to_be_tried_again_later_is_claimed_without_a_lease_and_told(box: Any) -> None:
    (claim,) = box.give(box.arrival(1, "a"))
    assert box.fail(claim, 30.5) is Verdict.OK
    box.store.release([claim])
    box.keep([2], "a")
    box.clock.advance(10)
    again = box.claim_one()
    assert (again.attempt, again.failures, again.retry_in_s) == (2, 1, pytest.approx(20.5))
    assert box.claim_ids() == []
    box.store.release([again[:2]])
    box.clock.advance(21)
    assert box.claim_one().retry_in_s == 0
