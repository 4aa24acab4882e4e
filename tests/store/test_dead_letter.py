"""Updates that were given up: shown, tried again, dropped."""

from __future__ import annotations

from typing import Any

from runner_c.store import DeadLetter, Verdict


def test_there_are_none_at_first(box: Any) -> None:
    assert box.store.dead.list() == []
    assert box.store.dead.count() == 0
    assert box.store.dead.show(1) is None


def test_a_dead_letter_tells_all_of_its_update(box: Any) -> None:
    (claim,) = box.give(box.arrival(7, "a", "b", text="hi \ud83d"))
    assert box.fail(claim, 0.5) is Verdict.OK
    assert box.fail(claim, 0.5) is Verdict.OK
    box.clock.advance(5)
    assert box.fail(claim, error="Traceback\nLookupError: 'ä'") is Verdict.OK
    (letter,) = box.store.dead.list()
    assert letter == DeadLetter(
        letter.number,
        7,
        {"update_id": 7, "text": "hi \ud83d"},
        ("a", "b"),
        "Traceback\nLookupError: 'ä'",
        3,
        box.clock.now,
        False,
    )
    assert box.store.dead.show(letter.number) == letter
    assert letter.number > 0
    assert box.store.counts() == (0, 0, 1)


def test_the_keys_of_a_dead_letter_are_open(box: Any) -> None:
    (claim,) = box.give(box.arrival(1, "a"))
    box.keep([2], "a")
    assert box.claim_ids() == []
    assert box.fail(claim) is Verdict.OK
    assert box.claim_ids() == [2]


def test_the_claim_of_a_dead_letter_is_void(box: Any) -> None:
    (claim,) = box.give(box.arrival(1, "a"))
    assert box.fail(claim) is Verdict.OK
    assert box.settle(claim) is Verdict.STALE
    assert box.fail(claim, 1.0) is Verdict.STALE
    assert box.store.extend([claim], 5.5) == [False]
    box.store.release([claim])
    assert box.store.counts() == (0, 0, 1)


def test_the_update_of_a_dead_letter_is_known(box: Any) -> None:
    box.kill(1, "a")
    assert box.push(box.arrival(1, "a"), limit=1).places == [-1]


def test_a_text_of_an_error_that_is_no_unicode_loses_no_letter(box: Any) -> None:
    box.kill(1, error="before \ud83d after \x00 end")
    (letter,) = box.store.dead.list()
    assert letter.error.startswith("before ")
    assert letter.error.endswith(" end")


def test_letters_are_listed_by_number_in_pages(box: Any) -> None:
    claims = box.give(*[box.arrival(number) for number in range(25)])
    for claim in claims[::2] + claims[1::2]:
        assert box.fail(claim) is Verdict.OK
    after = 0
    for expected in (range(10), range(10, 20), range(20, 25)):
        page = box.store.dead.list(after=after, limit=10)
        assert [letter.update_id for letter in page] == list(expected)
        after = page[-1].number
    assert box.store.dead.list(after=after, limit=10) == []
    assert len(box.store.dead.list()) == 25
    assert box.store.dead.list(limit=0) == []
    assert box.store.dead.count() == 25


def test_a_list_without_a_limit_is_of_100(box: Any) -> None:
    for claim in box.give(*[box.arrival(number) for number in range(101)]):
        box.fail(claim)
    assert [letter.update_id for letter in box.store.dead.list()] == list(range(100))


def test_dropped_letters_are_gone(box: Any) -> None:
    first, second, third = (box.kill(number) for number in range(3))
    assert box.store.dead.drop([first, 10**9, third, first]) == 2
    assert [letter.number for letter in box.store.dead.list()] == [second]
    assert box.store.dead.show(first) is None
    assert box.store.dead.drop([first]) == 0
    assert box.store.dead.drop([]) == 0
    assert box.store.counts() == (0, 0, 1)


def test_a_retry_is_asked_for_and_begins_with_the_next_tend(box: Any) -> None:
    number = box.kill(7, "a", text="hi")
    other = box.kill(8, "b")
    assert box.store.dead.retry([number, number, 10**9]) == 1
    assert {letter.number: letter.is_retried for letter in box.store.dead.list()} == {number: True, other: False}
    assert box.store.dead.count() == 2
    assert box.claim_ids() == []
    assert box.store.tend() is False
    assert [letter.number for letter in box.store.dead.list()] == [other]
    assert box.store.dead.show(number) is None
    assert box.store.counts() == (1, 0, 1)
    claim = box.claim_one()
    assert (claim.update, claim.keys) == ({"update_id": 7, "text": "hi"}, ("a",))
    assert box.settle(claim) is Verdict.OK
    assert box.store.counts() == (0, 0, 1)


def test_a_retry_comes_as_if_it_had_just_arrived(box: Any) -> None:
    number = box.kill(1, "a")
    box.keep([2, 3], "a")
    assert box.store.dead.retry([number]) == 1
    box.store.tend()
    box.keep([4], "a")
    claims = box.store.claim(9, chain=9)
    assert box.ids(claims) == [2, 3, 1, 4]
    assert claims[2].seq > claims[1].seq
    assert claims[2].seq < claims[3].seq


def test_a_retry_counts_attempts_on_and_failures_anew(box: Any) -> None:
    (claim,) = box.give(box.arrival(1, "a"))
    assert box.fail(claim, 0.5) is Verdict.OK
    assert box.fail(claim) is Verdict.OK
    for attempts in (2, 3, 4):
        (letter,) = box.store.dead.list()
        assert letter.attempts == attempts
        assert box.store.dead.retry([letter.number]) == 1
        box.store.tend()
        again = box.claim_one(lease_s=100.5)
        assert (again.attempt, again.failures, again.retry_in_s) == (attempts + 1, 0, 0)
        assert box.fail(again) is Verdict.OK


def test_an_urgent_update_is_urgent_again(box: Any) -> None:
    numbers = [box.kill(1), box.kill(2, is_urgent=True)]
    box.keep([3], "a")
    assert box.store.dead.retry(numbers) == 2
    box.store.tend()
    claims = box.store.claim(9)
    assert box.ids(claims)[0] == 2
    assert {claim.update["update_id"]: claim.is_urgent for claim in claims} == {1: False, 2: True, 3: False}


def test_asking_twice_tries_once(box: Any) -> None:
    number = box.kill(1)
    assert box.store.dead.retry([number]) == 1
    assert box.store.dead.retry([number]) == 1
    box.store.tend()
    box.store.tend()
    assert box.store.dead.retry([number]) == 0
    assert box.claim_ids() == [1]
    assert box.store.tend() is False
    assert box.claim_ids() == []


def test_a_letter_that_is_dropped_is_not_tried_again(box: Any) -> None:
    number = box.kill(1)
    assert box.store.dead.retry([number]) == 1
    assert box.store.dead.drop([number]) == 1
    assert box.store.tend() is False
    assert box.store.counts() == (0, 0, 0)


def test_many_retries_are_taken_up_in_small_steps(box: Any) -> None:
    claims = box.give(*[box.arrival(number, "a") for number in range(1500)])
    for claim in claims:
        assert box.fail(claim) is Verdict.OK
    numbers = [letter.number for letter in box.store.dead.list(limit=2000)]
    assert box.store.dead.retry(reversed(numbers)) == 1500
    steps = 1
    while box.store.tend():
        steps += 1
    assert steps > 1
    assert box.store.counts() == (1500, 0, 0)
    assert box.claim_ids(2000, chain=2000) == list(range(1500))


def test_numbers_are_never_those_of_another_letter(box: Any) -> None:
    numbers = []
    for turn in range(6):
        numbers.append(box.kill(turn))
        if turn % 2:
            box.store.dead.drop(numbers)
        else:
            box.store.dead.retry(numbers)
            box.store.tend()
            box.settle(box.claim_one())
    assert len(set(numbers)) == 6
    assert numbers == sorted(numbers)


def test_a_letter_shown_is_a_copy(box: Any) -> None:
    number = box.kill(1, list=[1])
    for _ in range(2):
        letter = box.store.dead.show(number)
        assert letter.update == {"update_id": 1, "list": [1]}
        letter.update["list"].append(2)
