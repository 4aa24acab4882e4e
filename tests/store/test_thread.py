"""Many threads at one store at once."""

from __future__ import annotations

import random
import sys
import sysconfig
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from runner_c.errors import StoreError
from runner_c.store import Settlement, Value, Verdict, Write
from runner_c.store.base import SEEN

THREADS = 8
UPDATES = 600
KEYS = "abcdef"


@pytest.fixture(autouse=True)
def _eager_switches() -> Iterator[None]:
    """Let threads that share a GIL take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Crowd:
    """Workers that push, claim and settle, and what they saw. Its lock guards all of it."""

    def __init__(self, box: Any, seed: int) -> None:
        self.box = box
        self.lock = threading.Lock()
        self.seed = seed
        self.todo = [list(range(UPDATES)), list(range(UPDATES))]  # two roads that bring the same
        self.taken: Counter[int] = Counter()
        self.settled: Counter[int] = Counter()
        self.writes: Counter[str] = Counter()
        self.inside: dict[str, int] = {}
        self.last: dict[str, int] = {}
        self.breaches: list[str] = []

    def keys(self, update_id: int) -> list[str]:
        return random.Random(update_id).sample(KEYS, update_id % 3)

    def push(self, choice: random.Random) -> list[tuple[int, int, int]]:
        """Push a batch; return what was given out, as id, seq and token."""
        with self.lock:
            road = choice.choice(self.todo)
            batch = [road.pop(0) for _ in range(min(len(road), choice.randint(1, 12)))]
        arrivals = [self.box.arrival(update_id, *self.keys(update_id)) for update_id in batch]
        token, places = self.box.push(*arrivals, limit=choice.randint(0, 6))
        with self.lock:
            self.taken.update(update_id for update_id, place in zip(batch, places, strict=True) if place != SEEN)
        return [(update_id, place, token) for update_id, place in zip(batch, places, strict=True) if place > 0]

    def handle(self, update_id: int, seq: int, token: int) -> None:
        keys = self.keys(update_id)
        with self.lock:
            for key in keys:
                if key in self.inside:
                    self.breaches.append(f"{update_id} overlaps {self.inside[key]} at key {key}")
                if self.last.get(key, 0) >= seq:
                    self.breaches.append(f"{update_id} comes late at key {key}")
                self.inside[key] = update_id
                self.last[key] = seq
        sessions = self.box.store.load(keys)
        writes = [Write(key, sessions.get(key, Value(0, b"")).version, b"%d" % update_id) for key in keys]
        with self.lock:
            for key in keys:
                self.inside.pop(key, None)
        verdicts = self.box.store.settle([Settlement(seq, token, writes), Settlement(seq, token, writes)])
        with self.lock:
            self.settled[update_id] += 1
            self.writes.update(keys)
            if verdicts != [Verdict.OK, Verdict.STALE]:
                self.breaches.append(f"{update_id}: {verdicts}")

    def work(self, number: int) -> None:
        choice = random.Random(f"{self.seed} {number}")
        try:
            while not self.breaches:
                with self.lock:
                    has_more = any(self.todo)
                    is_done = not has_more and sum(self.settled.values()) >= UPDATES
                if is_done:
                    return
                given = self.push(choice) if has_more and choice.random() < 0.5 else []
                claims = self.box.store.claim(choice.randint(1, 6), lease_s=choice.choice([None, 1000.5]))
                given += [(claim.update["update_id"], claim.seq, claim.token) for claim in claims]
                if given and choice.random() < 0.2:
                    self.box.store.release([given.pop()[1:]])
                for update_id, seq, token in sorted(given, key=lambda one: one[1]):
                    self.handle(update_id, seq, token)
                if choice.random() < 0.1:
                    self.box.store.counts()
                    self.box.store.dead.list()
                    self.box.store.tend()
                    self.box.store.extend([(1, 1)], 5.5)
        except BaseException as error:
            with self.lock:
                self.breaches.append(repr(error))
            raise


@pytest.mark.parametrize("seed", [1, 2])
def test_eight_threads_settle_each_update_once_and_in_the_order_of_its_keys(box: Any, seed: int) -> None:
    crowd = Crowd(box, seed)
    threads = [threading.Thread(target=crowd.work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert crowd.breaches == [], f"seed {seed}"
    assert crowd.taken == crowd.settled == Counter(range(UPDATES)), f"seed {seed}"
    assert box.store.counts() == (0, 0, 0)
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert sys._is_gil_enabled() is False  # type: ignore[attr-defined]
    assert {key: value.version for key, value in box.store.load(KEYS).items()} == crowd.writes


def test_of_threads_that_push_the_same_one_takes_it(box: Any) -> None:
    start = threading.Barrier(THREADS)
    taken: list[int] = []

    def push() -> None:
        start.wait()
        for update_id in range(50):
            (place,) = box.push(box.arrival(update_id)).places
            if place != SEEN:
                taken.append(update_id)

    threads = [threading.Thread(target=push) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(50))
    assert sorted(box.claim_ids()) == list(range(50))


def test_a_store_that_is_closed_under_its_threads_refuses_them_and_nothing_else_happens(box: Any) -> None:
    begun = threading.Barrier(THREADS + 1)
    endings: list[BaseException] = []

    def work(number: int) -> None:
        begun.wait()
        try:
            for update_id in range(number * 10**6, (number + 1) * 10**6):
                box.push(box.arrival(update_id, "a"), limit=1, chain=1)
                for claim in box.store.claim(2):
                    box.settle(claim)
                box.store.tend()
                box.store.dead.count()
        except BaseException as error:
            endings.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    begun.wait()
    for _ in range(20):
        box.store.counts()
    box.store.close()
    for thread in threads:
        thread.join()
    assert [type(error) for error in endings] == [StoreError] * THREADS, endings
    assert all("is closed" in str(error) for error in endings), endings
