"""The stores against a model: random calls, and after each one all that `runner_c.store.base` promises.

The model is told what a store gave out and judges whether it was allowed to, and whether it kept back what it had to
give; all else has one right answer. A failure prints its seed and the last calls. More than 400 lines, because model
and driver belong together.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from runner_c.store import Arrival, Claim, DeadLetter, Failure, Settlement, Value, Verdict, Write
from runner_c.store.base import KEPT, RETENTION_S, SEEN

HOUR_S = 3600
KEYS = "abcdef"
SESSIONS = "uvw"
MOST = 25
"""Unsettled updates, about; with more of them most calls find nothing new."""

Pair = tuple[int, int]


@dataclass
class Item:
    """An unsettled update. `tag` stands in the update and tells it from all others."""

    order: int
    tag: int
    update: dict[str, Any]
    keys: tuple[str, ...]
    is_urgent: bool
    attempt: int = 1
    failures: int = 0
    retry_at: float = float("-inf")
    came_back: bool = False
    seq: int = 0
    token: int = 0
    lapse_at: float | None = None

    def shares(self, other: Item) -> bool:
        return not set(self.keys).isdisjoint(other.keys)


@dataclass
class Model:
    """What a store holds, and the rules for what it may give out."""

    live: dict[int, Item] = field(default_factory=dict)
    accepted: dict[int, float] = field(default_factory=dict)
    sessions: dict[str, Value] = field(default_factory=dict)
    dead: dict[int, tuple[DeadLetter, bool]] = field(default_factory=dict)
    offset: int | None = None
    orders: int = 0
    numbered: list[Pair] = field(default_factory=list)
    tokens: set[Pair] = field(default_factory=set)

    def enter(self, arrival: Arrival, attempt: int = 1) -> Item:
        self.orders += 1
        tag = arrival.update["tag"]
        item = Item(self.orders, tag, arrival.update, arrival.keys, arrival.is_urgent, attempt)
        self.live[tag] = item
        return item

    def number(self, item: Item, seq: int) -> None:
        """Learn the number of an update: numbers are given in the order of arrival, and keep."""
        assert seq > 0
        place = bisect_left(self.numbered, (item.order, 0))
        if item.seq:
            assert item.seq == seq
            return
        assert place == 0 or self.numbered[place - 1][1] < seq
        assert place == len(self.numbered) or self.numbered[place][1] > seq
        self.numbered.insert(place, (item.order, seq))
        item.seq = seq

    def give(self, item: Item, seq: int, token: int, lapse_at: float | None) -> None:
        self.number(item, seq)
        assert (seq, token) not in self.tokens, "a token that was used before"
        self.tokens.add((seq, token))
        item.token, item.lapse_at, item.came_back = token, lapse_at, False

    def take_back(self, item: Item) -> None:
        item.token, item.lapse_at, item.came_back = 0, None, True

    def lapse(self, now: float) -> None:
        for item in self.lapsed(now):
            self.take_back(item)
            item.attempt += 1

    def lapsed(self, now: float) -> list[Item]:
        return [item for item in self.live.values() if item.lapse_at is not None and item.lapse_at <= now]

    def sharers(self, item: Item, *, given: bool) -> list[Item]:
        """Return those that come before an update that is not given out, and are (or are not) given out themselves."""
        return [
            other
            for other in self.live.values()
            if other.order < item.order and bool(other.token) is given and other.shares(item)
        ]

    def is_free(self, item: Item) -> bool:
        return not self.sharers(item, given=True) and not self.sharers(item, given=False)

    @property
    def has_leases(self) -> bool:
        return any(item.lapse_at is not None for item in self.live.values())

    def waiting(self) -> list[Item]:
        return [item for item in self.live.values() if not item.token]

    def find(self, pair: Pair) -> Item | None:
        return next((item for item in self.live.values() if item.token and (item.seq, item.token) == pair), None)


class Driver:
    """Does each step on the store and on the model, and compares."""

    def __init__(self, box: Any, seed: int) -> None:
        self.box = box
        self.model = Model()
        self.choice = random.Random(seed)
        self.trace: deque[tuple[object, ...]] = deque(maxlen=30)
        self.tags = 0
        self.next_id = 10_000
        self.pairs: list[Pair] = []

    @property
    def now(self) -> float:
        return float(self.box.clock.now)

    def steps(self) -> Iterator[Any]:
        """Yield what is to be done, for ever."""
        weights = {
            self.push: self.choice.choice([12, 20, 30]),
            self.claim: 30,
            self.settle: 30,
            self.fail: 8,
            self.extend: 3,
            self.release: 4,
            self.drain: 1,
            self.letters: 5,
            self.tend: 3,
            self.wait: 8,
            self.wait_for_days: 0.3,
            self.reopen: 2 if self.box.lasts else 0,
        }
        while True:
            yield self.choice.choices(list(weights), list(weights.values()))[0]

    def note(self, *what: object) -> None:
        self.trace.append(what)

    # -- steps

    def push(self) -> None:
        size = self.choice.choice([0, 1, 1, 2, 3, 5, 8]) if len(self.model.live) < MOST else 0
        arrivals = [self._arrival() for _ in range(size)]
        limit, chain = self.choice.choice([0, 1, 2, 4, 8, 8]), self.choice.choice([0, 0, 1, 2, 8, 8])
        offset = self.choice.choice([None, self.next_id])
        self.note("push", arrivals, limit, chain, offset)
        token, places = self.box.store.push(arrivals, offset=offset, limit=limit, chain=chain)
        self.note("->", token, places)
        assert len(places) == len(arrivals)
        given = chained = 0
        for arrival, place in zip(arrivals, places, strict=True):
            update_id = arrival.update["update_id"]
            age = self.now - self.model.accepted.get(update_id, float("-inf"))
            assert age >= RETENTION_S if place != SEEN else age < float("inf"), f"{update_id} is {age} s old"
            if place == SEEN:
                continue
            self.model.accepted[update_id] = self.now
            item = self.model.enter(arrival)
            holders = self.model.sharers(item, given=True)
            is_possible = given < limit and not self.model.sharers(item, given=False)
            may = is_possible and (
                not holders or (chained < chain and not any(holder.lapse_at is not None for holder in holders))
            )
            must = is_possible and (not holders or (chained < chain and not self.model.has_leases))
            assert may if place != KEPT else not must, f"place {place} of {item}"
            if place != KEPT:
                given += 1
                chained += bool(holders)
                self.model.give(item, place, token, None)
                self.pairs.append((place, token))
        if offset is not None:
            self.model.offset = offset

    def claim(self) -> None:
        limit, chain = self.choice.choice([0, 1, 1, 2, 5, 30]), self.choice.choice([0, 0, 0, 1, 2, 30])
        lease_s = self.choice.choice([None, None, None, 5.5, 50.5])
        self.note("claim", limit, chain, lease_s)
        claims = self.box.store.claim(limit, chain=chain, lease_s=lease_s)
        self.note("->", claims)
        self.model.lapse(self.now)
        chain = 0 if lease_s is not None else chain
        had_leases = self.model.has_leases
        assert len(claims) <= limit
        for claim in claims:
            item = self._checked(claim)
            holders = self.model.sharers(item, given=True)
            assert not self.model.sharers(item, given=False), "an earlier one of its key waits"
            assert not any(holder.lapse_at is not None for holder in holders), "another claimer has its predecessor"
            chain -= bool(holders)
            assert chain >= 0, "more successors than the chain allows"
            assert lease_s is None or item.retry_at <= self.now, "not yet due"
            self._check_turn(item, lease_s)
            self.model.give(item, claim.seq, claim.token, None if lease_s is None else self.now + lease_s)
            self.pairs.append((claim.seq, claim.token))
        if len(claims) < limit:
            assert not self._ready(lease_s), "it was free and there was room"
            assert lease_s is not None or had_leases or chain == 0 or not self.model.waiting(), "the chain allowed it"

    def _checked(self, claim: Claim) -> Item:
        item = self.model.live[claim.update["tag"]]
        assert not item.token, f"{item} was given out twice"
        assert claim.update == item.update
        assert (claim.keys, claim.is_urgent, claim.is_suspect) == (item.keys, item.is_urgent, False)
        assert (claim.attempt, claim.failures) == (item.attempt, item.failures)
        assert claim.retry_in_s == pytest.approx(max(0.0, item.retry_at - self.now), abs=1e-4)
        return item

    def _ready(self, lease_s: float | None) -> list[Item]:
        """Return what nothing stands in the way of."""
        return [
            item
            for item in self.model.waiting()
            if (lease_s is None or item.retry_at <= self.now) and self.model.is_free(item)
        ]

    def _check_turn(self, item: Item, lease_s: float | None) -> None:
        """What came back goes by age, then what is urgent by age, then the others."""

        def rank(item: Item) -> Pair:
            return (0 if item.came_back else 1 if item.is_urgent else 2, item.order)

        for other in self._ready(lease_s):
            assert rank(item)[0] == 2 == rank(other)[0] or rank(item) <= rank(other), f"{other} goes before {item}"

    def settle(self) -> None:
        settlements = []
        staged = dict(self.model.sessions)
        for pair in self._pick(in_order=True):
            writes = []
            for key in self.choice.sample(SESSIONS, self.choice.choice([0, 0, 1, 1, 2])):
                version = staged[key].version if key in staged else 0
                if self.choice.random() < 0.15:
                    version = self.choice.choice([0, 1, 2, version + 1])
                value = None if self.choice.random() < 0.2 else b"%d" % self.choice.randrange(10**6)
                writes.append(Write(key, version, value))
            settlements.append(Settlement(*pair, writes))
            self._apply(staged, writes)
        self.note("settle", settlements)
        verdicts = self.box.store.settle(settlements)
        self.note("->", verdicts)
        self.model.lapse(self.now)
        expected = []
        for seq, token, writes in settlements:
            item = self.model.find((seq, token))
            if item is None:
                expected.append(Verdict.STALE)
            elif not self._apply(self.model.sessions, writes):
                expected.append(Verdict.CONFLICT)
            else:
                expected.append(Verdict.OK)
                del self.model.live[item.tag]
        assert verdicts == expected

    @staticmethod
    def _apply(sessions: dict[str, Value], writes: Sequence[Write]) -> bool:
        if any(write.version != sessions.get(write.key, Value(0, b"")).version for write in writes):
            return False
        for key, version, value in writes:
            if value is None:
                sessions.pop(key, None)
            else:
                sessions[key] = Value(version + 1, value)
        return True

    def fail(self) -> None:
        failures = [
            Failure(*pair, f"error {self.choice.randrange(99)}", self.choice.choice([None, 0.25, 20.25, 4000.25]))
            for pair in self._pick(in_order=False)
        ]
        self.note("fail", failures)
        verdicts = self.box.store.fail(failures)
        self.note("->", verdicts)
        self.model.lapse(self.now)
        for (seq, token, error, retry_in_s), verdict in zip(failures, verdicts, strict=True):
            item = self.model.find((seq, token))
            assert verdict is (Verdict.STALE if item is None else Verdict.OK)
            if item is not None and retry_in_s is None:
                del self.model.live[item.tag]
                self._bury(item, error)
            elif item is not None and retry_in_s is not None:
                item.failures += 1
                item.attempt += 1
                item.retry_at = self.now + retry_in_s

    def _bury(self, item: Item, error: str) -> None:
        (number,) = {letter.number for letter in self.box.store.dead.list(limit=10**6) if letter.update == item.update}
        assert number not in self.model.dead
        letter = DeadLetter(
            number, item.update["update_id"], item.update, item.keys, error, item.attempt, self.now, False
        )
        self.model.dead[number] = (letter, item.is_urgent)

    def extend(self) -> None:
        pairs, lease_s = self._pick(in_order=False), self.choice.choice([2.5, 20.5, 200.5])
        self.note("extend", pairs, lease_s)
        found = self.box.store.extend(pairs, lease_s)
        self.model.lapse(self.now)
        assert found == [self.model.find(pair) is not None for pair in pairs]
        for pair in pairs:
            item = self.model.find(pair)
            if item is not None and item.lapse_at is not None:
                item.lapse_at = self.now + lease_s

    def release(self) -> None:
        # Lapsed leases are void: whether a release may still count for one of them is left open here.
        self.box.store.settle([Settlement(10**9, 1)])
        self.model.lapse(self.now)
        pairs = self._pick(in_order=False)
        held = {item.order: item for pair in pairs if (item := self.model.find(pair))}
        # Who gives one back gives back its successors, too: it keeps the order of its keys.
        for item in sorted(self.model.live.values(), key=lambda item: item.order):
            if (
                item.token
                and item.order not in held
                and any(other.order < item.order and other.shares(item) for other in held.values())
            ):
                held[item.order] = item
                pairs.append((item.seq, item.token))
        self.choice.shuffle(pairs)
        self.note("release", pairs)
        self.box.store.release(pairs)
        for item in held.values():
            self.model.take_back(item)

    def letters(self) -> None:
        numbers = self.choice.sample([*self.model.dead, 10**9], self.choice.randint(0, min(3, len(self.model.dead))))
        known = [number for number in numbers if number in self.model.dead]
        if self.choice.random() < 0.7:
            self.note("retry", numbers)
            assert self.box.store.dead.retry(numbers) == len(known)
            for number in known:
                letter, is_urgent = self.model.dead[number]
                self.model.dead[number] = (letter._replace(is_retried=True), is_urgent)
        else:
            self.note("drop", numbers)
            assert self.box.store.dead.drop(numbers) == len(known)
            for number in known:
                del self.model.dead[number]

    def tend(self) -> None:
        self.note("tend")
        while self.box.store.tend():
            pass
        for number, (letter, is_urgent) in sorted(self.model.dead.items()):
            if letter.is_retried:
                del self.model.dead[number]
                self.model.enter(Arrival(letter.update, letter.keys, is_urgent), letter.attempts + 1)
        for update_id, taken_at in list(self.model.accepted.items()):
            if taken_at + RETENTION_S + HOUR_S <= self.now:
                del self.model.accepted[update_id]

    def wait(self) -> None:
        seconds = self.choice.choice([1, 1, 3, 10, 60, HOUR_S])
        self.note("wait", seconds)
        self.box.clock.advance(seconds)

    def wait_for_days(self) -> None:
        self.note("wait for days")
        self.box.clock.advance(self.choice.choice([RETENTION_S - 60, RETENTION_S + HOUR_S, 3 * RETENTION_S]))
        self.tend()

    def reopen(self) -> None:
        self.note("reopen")
        self.box.reopen()
        for item in self.model.live.values():
            if item.token:
                self.model.take_back(item)
                item.attempt += 1

    def drain(self) -> None:
        """Settle all there is: nothing may be stuck, nothing lost."""
        self.note("drain")
        self.box.store.release([(item.seq, item.token) for item in self.model.live.values() if item.token])
        left = set(self.model.live)
        while claims := self.box.store.claim(7):
            left -= {claim.update["tag"] for claim in claims}
            verdicts = self.box.store.settle([Settlement(claim.seq, claim.token) for claim in claims])
            assert set(verdicts) == {Verdict.OK}
        assert left == set()
        self.model.live.clear()

    # -- comparing

    def check(self) -> None:
        """Compare all that can be seen at any time."""
        store, model = self.box.store, self.model
        waiting, given, dead = store.counts()
        most = sum(bool(item.token) for item in model.live.values())
        assert waiting + given == len(model.live)
        assert most - len(model.lapsed(self.now)) <= given <= most
        assert dead == len(model.dead) == store.dead.count()
        assert store.load(SESSIONS) == model.sessions
        assert store.offset == model.offset
        letters = [letter for _, (letter, _) in sorted(model.dead.items())]
        assert store.dead.list(limit=10**6) == letters
        if letters:
            one = self.choice.choice(letters)
            assert store.dead.show(one.number) == one
            assert store.dead.list(after=one.number, limit=2) == letters[letters.index(one) + 1 :][:2]

    def _arrival(self) -> Arrival:
        if self.choice.random() < 0.15 and self.model.accepted:
            update_id = self.choice.choice(list(self.model.accepted))
        elif self.choice.random() < 0.1:
            update_id = self.choice.randrange(self.next_id)
        else:
            self.next_id += 1
            update_id = self.next_id
        self.tags += 1
        is_urgent = self.choice.random() < 0.05
        keys = () if is_urgent else tuple(self.choice.sample(KEYS, self.choice.choice([0, 1, 1, 1, 1, 2, 2, 3])))
        return Arrival({"update_id": update_id, "tag": self.tags}, keys, is_urgent)

    def _pick(self, *, in_order: bool) -> list[Pair]:
        """Return claims, most of them valid; in order means that no predecessor is left out."""
        held = sorted((item for item in self.model.live.values() if item.token), key=lambda item: item.order)
        picked: list[Item] = []
        share = self.choice.choice([0.2, 0.6, 1.0])
        for item in held:
            is_possible = all(other in picked for other in held if other.order < item.order and other.shares(item))
            if self.choice.random() < share and (is_possible or not in_order):
                picked.append(item)
        pairs = [(item.seq, item.token) for item in picked]
        for _ in range(self.choice.choice([0, 0, 0, 1, 2])):
            seq, token = self.choice.choice(self.pairs) if self.pairs else (1, 1)
            if self.model.find((seq, token)) is None:
                pairs.append((seq, token))
            elif self.model.find((seq, token + 1)) is None:
                pairs.append((seq, token + 1))
        return pairs


def run(box: Any, seed: int, steps: int) -> None:
    driver = Driver(box, seed)
    try:
        for step, _ in zip(driver.steps(), range(steps), strict=False):
            step()
            driver.check()
        driver.drain()
        driver.check()
    except BaseException:
        print(f"seed {seed}; the last calls:", *driver.trace, sep="\n")
        raise


@pytest.mark.parametrize("seed", range(10))
def test_a_store_does_what_it_promises_whatever_is_asked_of_it(box: Any, seed: int) -> None:
    run(box, seed, 250 if box.lasts else 1500)


def test_and_so_for_a_program_that_nobody_has_seen(box: Any) -> None:
    run(box, random.SystemRandom().randrange(10**9), 250 if box.lasts else 1500)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_and_so_for_a_long_time(box: Any, seed: int) -> None:
    run(box, seed, 1000 if box.lasts else 4000)
