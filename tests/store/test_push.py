"""What comes in: each update once, in its order, and given out at once where that breaks no order."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from runner_c.store import Verdict
from runner_c.store.base import KEPT, RETENTION_S, SEEN

HOUR_S = 3600


def test_an_update_is_taken_once_however_often_it_comes(box: Any) -> None:
    first = box.push(box.arrival(7), limit=1)
    assert first.places[0] > 0
    assert box.push(box.arrival(7), limit=1).places == [SEEN]
    assert box.settle((first.places[0], first.token)) is Verdict.OK
    assert box.push(box.arrival(7), limit=1).places == [SEEN]
    assert box.store.counts() == (0, 0, 0)


def test_an_update_that_comes_twice_in_a_batch_is_taken_once(box: Any) -> None:
    places = box.push(box.arrival(7, "a"), box.arrival(8), box.arrival(7, "b"), limit=3, chain=3).places
    assert places[0] > 0
    assert places[1] > 0
    assert places[2] == SEEN
    assert box.push(box.arrival(9), box.arrival(9)).places == [KEPT, SEEN]


def test_one_that_waits_is_known_as_well(box: Any) -> None:
    box.keep([7], "a")
    assert box.push(box.arrival(7, "a"), box.arrival(7, "b"), limit=9, chain=9).places == [SEEN, SEEN]
    assert box.claim_ids() == [7]


@pytest.mark.parametrize("ids", [[5, 4, 3, 2, 1], [10, 2, 11, 1, 12], [10**12, 3, 10**12 + 1, -5, 0]])
def test_ids_may_come_in_any_order_and_a_low_one_is_new(box: Any, ids: list[int]) -> None:
    for update_id in ids:
        assert box.push(box.arrival(update_id)).places == [KEPT]
    assert box.push(*[box.arrival(update_id) for update_id in sorted(ids)]).places == [SEEN] * len(ids)
    assert sorted(box.claim_ids()) == sorted(ids)


def test_two_roads_that_bring_the_same_updates_interleaved_bring_each_once(box: Any) -> None:
    seed = 20250101
    choice = random.Random(seed)
    roads = [list(range(1000, 1300)), list(range(1000, 1300))]
    choice.shuffle(roads[1])
    taken: list[int] = []
    while any(roads):
        road = choice.choice([road for road in roads if road])
        batch = [road.pop(0) for _ in range(min(len(road), choice.randint(1, 9)))]
        places = box.push(*[box.arrival(update_id) for update_id in batch]).places
        taken += [update_id for update_id, place in zip(batch, places, strict=True) if place != SEEN]
    assert sorted(taken) == list(range(1000, 1300)), f"seed {seed}"
    assert sorted(box.claim_ids(1000)) == list(range(1000, 1300))


def test_ids_of_64_bits_with_either_sign_are_taken_and_known(box: Any) -> None:
    ids = [2**63 - 1, -(2**63), 2**31, 2**53 + 1]
    assert box.push(*[box.arrival(update_id) for update_id in ids]).places == [KEPT] * 4
    assert box.push(*[box.arrival(update_id) for update_id in ids]).places == [SEEN] * 4
    assert sorted(box.claim_ids()) == sorted(ids)


def tend(box: Any) -> None:
    while box.store.tend():
        pass


def test_an_id_is_known_for_48_hours_and_forgotten_an_hour_later(box: Any) -> None:
    (claim,) = box.give(box.arrival(7))
    assert box.settle(claim) is Verdict.OK
    box.clock.advance(RETENTION_S - 1)
    tend(box)
    assert box.push(box.arrival(7), limit=1).places == [SEEN]
    box.clock.advance(HOUR_S + 2)
    tend(box)
    (again,) = box.push(box.arrival(7), limit=1).places
    assert again > claim[0]


def test_old_ids_go_and_young_ones_stay(box: Any) -> None:
    box.keep([7])
    box.clock.advance(RETENTION_S - HOUR_S)
    box.keep([8, 9, 3])
    box.clock.advance(2 * HOUR_S + 1)
    tend(box)
    assert box.push(box.arrival(8), box.arrival(7), box.arrival(3), box.arrival(9)).places == [SEEN, KEPT, SEEN, SEEN]


def test_the_offset_is_that_of_the_last_push_that_had_one(box: Any) -> None:
    assert box.store.offset is None
    box.push(box.arrival(7), offset=8)
    assert box.store.offset == 8
    box.push(box.arrival(9))
    assert box.store.offset == 8
    box.push(box.arrival(7), offset=11)
    assert box.store.offset == 11
    box.push(offset=5)
    assert box.store.offset == 5
    box.push(box.arrival(12), offset=0)
    assert box.store.offset == 0


def test_an_empty_batch_is_fine(box: Any) -> None:
    assert box.push(limit=5, chain=5).places == []
    assert box.store.counts() == (0, 0, 0)


def test_arrivals_are_numbered_in_their_order_whether_they_wait_or_not(box: Any) -> None:
    token, first = box.push(box.arrival(9, "a"), box.arrival(3, "a"), box.arrival(5, "b"), limit=5)
    assert first[1] == KEPT
    _, second = box.push(box.arrival(1, "c"), limit=5)
    assert box.settle((first[0], token)) is Verdict.OK
    waited = box.claim_one()
    assert waited.update["update_id"] == 3
    assert 0 < first[0] < waited.seq < first[2] < second[0]


def test_nothing_is_given_out_at_once_unless_asked_for(box: Any) -> None:
    assert box.push(box.arrival(1), box.arrival(2, "a"), box.arrival(3, is_urgent=True)).places == [KEPT] * 3
    assert box.store.counts() == (3, 0, 0)


def test_no_more_than_the_limit_is_given_out_at_once(box: Any) -> None:
    places = box.push(*[box.arrival(number, str(number)) for number in range(5)], limit=3, chain=9).places
    assert [place > 0 for place in places] == [True, True, True, False, False]
    assert box.store.counts() == (2, 3, 0)


def test_what_has_free_keys_is_given_out_at_once_without_a_chain(box: Any) -> None:
    places = box.push(box.arrival(1, "a"), box.arrival(2, "b"), box.arrival(3), box.arrival(4), limit=9).places
    assert all(place > 0 for place in places)


def test_without_a_chain_the_second_of_a_key_waits(box: Any) -> None:
    places = box.push(box.arrival(1, "a"), box.arrival(2, "a"), box.arrival(3, "b"), limit=9).places
    assert [place > 0 for place in places] == [True, False, True]
    assert box.push(box.arrival(4, "b"), limit=9).places == [KEPT]


@pytest.mark.parametrize("chain", [0, 1, 2, 3])
def test_so_many_successors_are_given_out_as_the_chain_says(box: Any, chain: int) -> None:
    box.give(box.arrival(1, "a"))
    places = box.push(*[box.arrival(number, "a") for number in range(2, 6)], box.arrival(6, "b"), limit=9, chain=chain)
    assert [place > 0 for place in places.places] == [number < chain for number in range(4)] + [True]


def test_the_chain_counts_only_successors(box: Any) -> None:
    arrivals = [box.arrival(1, "a"), box.arrival(2, "b"), box.arrival(3, "c"), box.arrival(4, "a"), box.arrival(5, "b")]
    places = box.push(*arrivals, limit=9, chain=1).places
    assert [place > 0 for place in places] == [True, True, True, True, False]


def test_the_chain_of_a_call_says_nothing_of_the_next(box: Any) -> None:
    for update_id in range(5):
        assert box.push(box.arrival(update_id, "a"), limit=1, chain=1).places[0] > 0
    assert box.push(box.arrival(9, "a"), limit=1).places == [KEPT]


def test_none_is_given_out_past_one_of_its_key_that_waits(box: Any) -> None:
    box.keep([1], "a")
    assert box.push(box.arrival(2, "a"), limit=9, chain=9).places == [KEPT]
    assert box.push(box.arrival(3, "b", "a"), limit=9, chain=9).places == [KEPT]
    assert box.push(box.arrival(4, "b"), limit=9, chain=9).places == [KEPT]
    assert box.push(box.arrival(5, "c"), limit=9, chain=9).places[0] > 0


def test_none_of_a_batch_passes_another_that_waits_because_of_the_limit_or_the_chain(box: Any) -> None:
    arrivals = [box.arrival(number, *keys) for number, keys in enumerate(["a", "a", "ab", "b", "c", "cb", "d"])]
    places = box.push(*arrivals, limit=9).places
    assert [place > 0 for place in places] == [True, False, False, False, True, False, True]


def test_an_update_of_several_keys_needs_all_of_them_free(box: Any) -> None:
    box.give(box.arrival(1, "a"))
    assert box.push(box.arrival(2, "b", "a"), limit=9).places == [KEPT]
    assert box.push(box.arrival(3, "c", "d"), limit=9).places[0] > 0
    assert box.push(box.arrival(4, "d"), limit=9).places == [KEPT]


def test_one_that_was_seen_holds_no_key_and_stands_in_nobodys_way(box: Any) -> None:
    box.settle(*box.give(box.arrival(1, "a")))
    places = box.push(box.arrival(1, "a"), box.arrival(2, "a"), limit=1).places
    assert places[0] == SEEN
    assert places[1] > 0


def test_keys_are_open_again_when_their_holder_is_settled(box: Any) -> None:
    for update_id in range(4):
        token, (place,) = box.push(box.arrival(update_id, "a", "b"), limit=1)
        assert place > 0
        assert box.push(box.arrival(100 + update_id, "b"), limit=1).places == [KEPT]
        assert box.settle((place, token)) is Verdict.OK
        assert box.settle(box.claim_one()) is Verdict.OK


def test_keys_are_told_apart_exactly(box: Any) -> None:
    keys = ["", " ", "a", "A", "ä", "a\u0308", '["a"]', '["a","b"]', "[", "a,b", "0", "\x00", "a\x00", "\U0001f600"]
    for number, key in enumerate(keys):
        assert box.push(box.arrival(number, key), limit=1).places[0] > 0, key
    for number, key in enumerate(keys):
        assert box.push(box.arrival(100 + number, key), limit=1).places == [KEPT], key
    assert box.store.claim(100) == []
    assert {claim.keys for claim in box.store.claim(100, chain=100)} == {(key,) for key in keys}


def test_keys_come_back_in_their_order(box: Any) -> None:
    for number, keys in enumerate(itertools.permutations(["b", "a", "c"], 2)):
        box.push(box.arrival(number, *keys))
    claims = box.store.claim(100, chain=100)
    assert [claim.keys for claim in claims] == list(itertools.permutations(["b", "a", "c"], 2))


def test_what_an_update_says_comes_back_as_it_was(box: Any) -> None:
    update = {
        "text": "half a pair \ud83d and \ude00 the other, \U0001f600 \x00 \u2028 </script> \\ \" '",
        "\udfff": [1, -1, 2**53 + 1, 2**63 - 1, -(2**63), 0.1, 1e300, 5e-324, True, False, None],
        "empty": [{}, [], ""],
        "deep": {"a": {"b": [{"c": [[["d"]]]}]}},
    }
    box.push(box.arrival(1, **update))
    claim = box.claim_one()
    assert claim.update == {"update_id": 1, **update}
    assert [type(value) for value in claim.update["\udfff"]] == [type(value) for value in update["\udfff"]]
    box.store.release([claim[:2]])
    assert box.claim_one().update == claim.update


def test_what_is_stored_is_a_copy(box: Any) -> None:
    kept, given = box.arrival(1, "a", list=[1]), box.arrival(2, "b", list=[1])
    box.push(kept)
    pushed = box.push(given, limit=1)
    assert pushed.places[0] > 0
    for arrival in (kept, given):
        arrival.update["list"].append("changed")
        arrival.update["more"] = 1
    box.store.release([(pushed.places[0], pushed.token)])
    for _ in range(2):
        claims = box.store.claim(9)
        assert sorted(claim.update["update_id"] for claim in claims) == [1, 2]
        for claim in claims:
            assert claim.update == {"update_id": claim.update["update_id"], "list": [1]}
            claim.update["list"].append("changed")
        box.store.release([claim[:2] for claim in claims])


WRONG = {
    "an object": {"update_id": 2, "x": object()},
    "bytes": {"update_id": 2, "x": b"bytes"},
    "a set": {"update_id": 2, "x": {1, 2}},
    "no number": {"update_id": 2, "x": float("nan")},
    "too large an id": {"update_id": 2**63},
    "an id that is a text": {"update_id": "2"},
    "an id that is null": {"update_id": None},
    "no id": {},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_one_that_is_no_update_is_refused_and_nothing_of_its_batch_is_taken(box: Any, wrong: Any) -> None:
    bad = box.arrival(0)._replace(update=wrong)
    with pytest.raises((TypeError, ValueError, KeyError, OverflowError)):
        box.push(box.arrival(1, "a"), bad, box.arrival(3, "a"), offset=4, limit=9, chain=9)
    assert box.store.counts() == (0, 0, 0)
    assert box.store.offset is None
    token, places = box.push(box.arrival(1, "a"), box.arrival(2), box.arrival(3, "a"), limit=9)
    assert [place > 0 for place in places] == [True, True, False]
    assert box.settle((places[0], token)) is Verdict.OK


def test_an_update_too_deep_to_be_read_again_is_refused_or_read(box: Any) -> None:
    for depth in (500, 1020, 1021, 1022, 1023, 1024, 1025, 5000):
        value: Any = []
        for _ in range(depth):
            value = [value]
        try:
            box.push(box.arrival(depth, value=value))
        except (TypeError, ValueError, OverflowError, RecursionError):
            assert depth > 1000
            continue
        claim = box.claim_one()
        assert claim.update["update_id"] == depth
        assert box.settle(claim) is Verdict.OK
