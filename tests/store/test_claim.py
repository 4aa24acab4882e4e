"""What is given out of what waits: in the order of each key, fair to all of them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from runner_c.store import Claim, Verdict


def test_a_claim_tells_all_of_a_new_update(box: Any) -> None:
    box.push(box.arrival(7, "a", "b", text="hi"))
    claim = box.claim_one()
    assert claim == Claim(claim.seq, claim.token, {"update_id": 7, "text": "hi"}, ("a", "b"))
    assert claim.attempt == 1


def test_nothing_waits_and_nothing_is_given(box: Any) -> None:
    assert box.store.claim(10) == []
    box.give(box.arrival(1, "a"))
    assert box.store.claim(10, chain=10) == []


@pytest.mark.parametrize("options", [{}, {"chain": 9}, {"lease_s": 9.5}], ids=str)
@pytest.mark.parametrize("limit", [0, 1, 3, 9])
def test_no_more_than_the_limit_is_given(box: Any, limit: int, options: Any) -> None:
    box.push(*[box.arrival(number, f"key {number}") for number in range(3)], box.arrival(3), box.arrival(4))
    box.push(box.arrival(5, is_urgent=True))
    assert len(box.claim_ids(limit, **options)) == min(limit, 6)
    assert box.store.counts() == (6 - min(limit, 6), min(limit, 6), 0)


def test_of_each_key_one_is_given_at_a_time(box: Any) -> None:
    for update_id in range(9):
        box.keep([update_id], "abc"[update_id % 3])
    given: list[int] = []
    while claims := box.store.claim(10):
        assert len({claim.keys for claim in claims}) == len(claims)
        assert box.store.claim(10) == []
        given += box.ids(claims)
        for claim in claims:
            assert box.settle(claim) is Verdict.OK
    for key in range(3):
        assert [update_id for update_id in given if update_id % 3 == key] == [key, key + 3, key + 6]


def test_a_key_whose_holder_came_at_once_is_held(box: Any) -> None:
    (holder,) = box.give(box.arrival(1, "a"))
    box.keep([2], "a")
    assert box.store.claim(9) == []
    assert box.store.claim(9, lease_s=9.5) == []
    assert box.settle(holder) is Verdict.OK
    assert box.claim_ids() == [2]


def test_updates_of_several_keys_pass_nobody_of_any_of_their_keys(box: Any) -> None:
    box.push(box.arrival(1, "a"), box.arrival(2, "a", "b"), box.arrival(3, "b", "c"), box.arrival(4, "c"))
    box.push(box.arrival(5, "d", "c"), box.arrival(6, "e"))
    rounds = []
    while claims := box.store.claim(10):
        rounds.append(sorted(box.ids(claims)))
        for claim in claims:
            box.settle(claim)
    assert rounds == [[1, 6], [2], [3], [4], [5]]


@pytest.mark.parametrize("chain", [0, 1, 2, 5])
def test_so_many_successors_are_given_as_the_chain_says(box: Any, chain: int) -> None:
    box.keep(range(1, 5), "a")
    claims = box.store.claim(10, chain=chain)
    assert box.ids(claims) == list(range(1, 2 + min(chain, 3)))
    assert [claim.seq for claim in claims] == sorted(claim.seq for claim in claims)


def test_with_a_chain_the_oldest_go_first(box: Any) -> None:
    for update_id, key in enumerate("abacab"):
        box.keep([update_id], key)
    assert box.claim_ids(5, chain=9) == [0, 1, 2, 3, 4]


def test_when_the_chain_is_used_up_the_others_that_are_free_still_go(box: Any) -> None:
    box.keep(range(1, 6), "a")
    box.keep([6], "b")
    box.push(box.arrival(7))
    claims = box.store.claim(10, chain=2)
    assert box.ids(claims)[:3] == [1, 2, 3]
    assert sorted(box.ids(claims)) == [1, 2, 3, 6, 7]


def test_a_chain_passes_nobody_of_a_second_key(box: Any) -> None:
    box.give(box.arrival(1, "a"))
    box.push(box.arrival(2, "a", "b"), box.arrival(3, "b"), box.arrival(4, "b", "c"), box.arrival(5, "c"))
    assert box.claim_ids(10) == []
    assert box.claim_ids(10, chain=1) == [2]
    assert box.claim_ids(10, chain=2) == [3, 4]
    assert box.claim_ids(10, chain=1) == [5]


def test_a_lease_has_no_chain(box: Any) -> None:
    box.keep([1, 2], "a")
    assert box.claim_ids(10, chain=10, lease_s=9.5) == [1]
    assert box.claim_ids(10, chain=10, lease_s=9.5) == []


def test_urgent_updates_go_before_all_that_wait(box: Any) -> None:
    box.keep(range(10), "a")
    box.push(*[box.arrival(number, f"key {number}") for number in range(10, 20)], box.arrival(20))
    box.push(box.arrival(21, is_urgent=True), box.arrival(22, is_urgent=True))
    first = box.store.claim(1)
    assert box.ids(first) == [21]
    assert first[0].is_urgent
    assert box.claim_ids(3, chain=3)[0] == 22


def test_updates_without_keys_hinder_nobody_and_are_not_hidden(box: Any) -> None:
    box.give(box.arrival(0, "a"))
    box.keep(range(1, 50), "a")
    box.push(*[box.arrival(number) for number in range(50, 250)])
    assert box.claim_ids(300) == list(range(50, 250))


def test_a_few_at_a_time_updates_without_keys_and_with_keys_both_get_on(box: Any) -> None:
    box.push(*[box.arrival(number) for number in range(200)])
    box.push(*[box.arrival(number, f"key {number % 20}") for number in range(200, 400)])
    given: list[int] = []
    for _ in range(25):
        claims = box.store.claim(2)
        given += box.ids(claims)
        for claim in claims:
            assert box.settle(claim) is Verdict.OK
    assert len(given) == 50
    assert any(update_id < 200 for update_id in given)
    assert set(range(200, 220)) <= set(given)


def test_one_key_with_10_000_waiting_hides_no_other(box: Any) -> None:
    (holder,) = box.give(box.arrival(0, "loud"))
    box.keep(range(1, 10_001), "loud")
    box.keep([20_000], "quiet")
    box.push(box.arrival(20_001))
    assert sorted(box.claim_ids()) == [20_000, 20_001]
    box.settle(holder)
    box.keep([20_002], "late")
    assert sorted(box.claim_ids()) == [1, 20_002]


def test_every_key_gets_its_turn_when_one_is_claimed_at_a_time(box: Any) -> None:
    box.keep(range(1000), "loud")
    for number in range(20):
        box.keep([1000 + number], f"key {number}")
    given: list[int] = []
    for _ in range(60):
        (claim,) = box.store.claim(1)
        given += box.ids([claim])
        assert box.settle(claim) is Verdict.OK
    assert set(range(1000, 1020)) <= set(given)
    assert [update_id for update_id in given if update_id < 1000] == list(range(40))


def test_hundreds_of_keys_that_are_held_do_not_hide_a_free_one_for_long(box: Any) -> None:
    names = [f"key {number:03}" for number in range(500)]
    box.give(*[box.arrival(number, name) for number, name in enumerate(names)])
    box.push(*[box.arrival(1000 + number, name) for number, name in enumerate(names)])
    box.keep([5000], "key 250 and a half")
    assert [update_id for _ in range(10) for update_id in box.claim_ids(10)] == [5000]


def test_when_nothing_is_given_out_something_that_waits_is_given(box: Any) -> None:
    # All of these wait for the first, and nobody may look at all of them.
    box.keep([1], "zz hub")
    box.push(*[box.arrival(number, f"key {number}", "zz hub") for number in range(100, 500)])
    box.keep([1000], "zz hub")
    for expected in (1, 100, 101, 102):
        claim = box.claim_one()
        assert claim.update["update_id"] == expected
        assert box.settle(claim) is Verdict.OK


def test_what_was_released_waits_as_if_it_had_not_been_given(box: Any) -> None:
    box.keep([1, 2], "a")
    claim = box.claim_one()
    box.store.release([claim[:2]])
    assert box.store.counts() == (2, 0, 0)
    assert box.push(box.arrival(3, "a"), limit=9, chain=9).places == [0]
    again = box.claim_one()
    assert (again.seq, again.update, again.keys) == (claim.seq, claim.update, claim.keys)
    assert (again.attempt, again.failures) == (1, 0)
    assert again.token != claim.token
    assert box.settle(claim) is Verdict.STALE
    assert box.settle(again) is Verdict.OK
    assert box.claim_ids() == [2]


def test_what_was_released_after_it_had_begun_is_another_attempt(box: Any) -> None:
    box.keep([1], "a")
    claim = box.claim_one()
    box.store.release([claim[:2]], has_begun=True)
    again = box.claim_one()
    assert (again.seq, again.attempt, again.failures) == (claim.seq, 2, 0)
    assert box.settle(claim) is Verdict.STALE
    assert box.settle(again) is Verdict.OK


def test_what_was_released_goes_before_all_that_waits_by_age(box: Any) -> None:
    claims = box.give(*[box.arrival(number, "abcabc"[number]) for number in range(6)], box.arrival(6))
    box.keep([7], "d")
    box.push(box.arrival(8, is_urgent=True))
    box.store.release([claims[number] for number in (4, 0, 6, 3, 1)])
    assert box.claim_ids(3, chain=9) == [0, 1, 3]
    assert box.claim_ids(9, chain=9) == [4, 6, 8, 7]


def test_what_was_given_out_late_but_is_older_comes_back_first(box: Any) -> None:
    (holder,) = box.give(box.arrival(1, "a"))
    box.keep([2], "a")
    (younger,) = box.give(box.arrival(3, "b"))
    box.settle(holder)
    older = box.claim_one()
    box.store.release([younger, older[:2]])
    assert box.claim_ids() == [2, 3]


def test_of_what_was_released_each_key_keeps_its_order_without_a_chain(box: Any) -> None:
    box.store.release(box.give(*[box.arrival(number, *keys) for number, keys in enumerate(["a", "ab", "b", "c", "a"])]))
    box.keep([9], "c")
    rounds = []
    while claims := box.store.claim(10):
        rounds.append(box.ids(claims))
        for claim in claims:
            box.settle(claim)
    assert rounds == [[0, 3], [1, 9], [2, 4]]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_in_whatever_order_updates_are_released_their_key_keeps_its_own(box: Any, order: tuple[int, ...]) -> None:
    claims = box.give(*[box.arrival(number, "a") for number in range(3)])
    box.keep([3], "a")
    for number in order:
        box.store.release([claims[number]])
    assert box.claim_ids(2, chain=1) == [0, 1]
    assert box.claim_ids(9, chain=9) == [2, 3]


def test_releasing_twice_or_with_a_void_token_changes_nothing(box: Any) -> None:
    box.keep([1], "a")
    claim = box.claim_one()
    box.store.release([claim[:2], claim[:2]])
    again = box.claim_one()
    box.store.release([claim[:2], (again.seq, again.token + 1), (10**9, again.token)])
    assert box.store.counts() == (0, 1, 0)
    assert box.settle(again) is Verdict.OK
    box.store.release([again[:2]])
    assert box.store.counts() == (0, 0, 0)


def test_release_with_a_source_that_breaks_loses_nothing(box: Any) -> None:
    claims = box.give(box.arrival(1), box.arrival(2))

    def breaking() -> Any:
        yield claims[0]
        raise LookupError

    with pytest.raises(LookupError):
        box.store.release(breaking())
    counts = box.store.counts()
    assert counts.waiting + counts.given == 2
    assert box.settle(claims[1]) is Verdict.OK
