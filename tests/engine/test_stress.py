"""Everything at once, for seconds or for minutes, and at the end every invariant.

Polled and offered updates with several keys each, failures, gates inside of handlers, time-outs that abandon and
interrupt, stops with and without deadline, pauses, and observers that look all the time. A failure prints the seed.
"""

from __future__ import annotations

import itertools
import random
import sys
import sysconfig
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runner_c import Gate, KeyDeadlock, MemoryStorage, Stopped, current, life, run

Update = dict[str, Any]
CONCURRENCY = 8
BACKLOG = 48
OFFERERS = 3
TIMEOUT_S = 0.01
names = (f"stress{number}" for number in itertools.count())


class Ledger:
    """Who ran when. Updates that were abandoned or interrupted may break the order of their keys: they are excused.

    An exception can be raised in a handler anywhere, so what is recorded of an update that was not excused is exact
    and what is recorded of the others is not looked at.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.breaches: list[str] = []
        self.accepted: set[int] = set()
        self.begun: Counter[int] = Counter()
        self.reported: Counter[int] = Counter()
        self.excused: set[int] = set()
        self.running: set[int] = set()
        self.at_gate: set[int] = set()
        self.inside: dict[str, int] = {}
        self.last: dict[tuple[str, int], int] = defaultdict(lambda: -1)
        self.clean: list[Update] = []
        self.surprises: list[tuple[int, str]] = []
        self.is_cutting = False

    def accept(self, update_id: int) -> None:
        with self._lock:
            self.accepted.add(update_id)

    def begin(self, update: Update) -> None:
        update_id, origin = update["update_id"], update["origin"]
        with self._lock:
            self.begun[update_id] += 1
            self.running.add(update_id)
            if self.begun[update_id] > 1 + self.reported[update_id]:
                self.breaches.append(f"{update_id} begun {self.begun[update_id]} times")
            for key in update["keys"]:
                other = self.inside.get(key)
                if other is not None and other not in self.excused:
                    self.breaches.append(f"{update_id} overlaps {other} at key {key}")
                self.inside[key] = update_id
                if self.last[key, origin] > update_id and not self.reported[update_id]:
                    self.breaches.append(f"{update_id} after {self.last[key, origin]} at key {key}")
                self.last[key, origin] = max(self.last[key, origin], update_id)
            self._count()

    def end(self, update: Update) -> None:
        with self._lock:
            for key in update["keys"]:
                if self.inside.get(key) == update["update_id"]:
                    del self.inside[key]
            self.running.discard(update["update_id"])

    def go_to_gate(self, update_id: int) -> None:
        with self._lock:
            self.at_gate.add(update_id)

    def come_from_gate(self, update_id: int) -> None:
        with self._lock:
            self.at_gate.discard(update_id)
            self._count()

    def excuse(self, update_ids: set[int]) -> None:
        with self._lock:
            self.excused |= update_ids

    def _count(self) -> None:
        # A cut hands out slots beyond the limit, so that everybody who waits can leave.
        inside = self.running - self.at_gate - self.excused
        if len(inside) > CONCURRENCY and not self.is_cutting:
            self.breaches.append(f"{len(inside)} run at the same time: {sorted(inside)}")


class Server:
    """The bot's side of getUpdates, with a stream that never ends until it is told to."""

    def __init__(self, ledger: Ledger, stream: Iterator[Update]) -> None:
        self.ledger = ledger
        self.stream = stream
        self.changed = threading.Condition()
        self.queue: list[Update] = []
        self.cuts = 0
        self.is_dry = False
        self.is_empty = threading.Event()

    def get_updates(self, *, offset: int | None, limit: int, timeout: int, allowed_updates: Any) -> list[Update]:
        with self.changed:
            self.queue = [update for update in self.queue if update["update_id"] >= (offset or 0)]
            if self.is_dry and not self.queue and timeout:
                self.is_empty.set()
                cuts = self.cuts
                self.changed.wait_for(lambda: self.cuts != cuts, timeout)
            while not self.is_dry and len(self.queue) < limit:
                self.queue.append(next(self.stream))
            return self.queue[:limit]

    def interrupt(self) -> None:
        with self.changed:
            self.cuts += 1
            self.changed.notify_all()


class Stress:
    """One run of everything."""

    def __init__(self, seed: int, has_timeouts: bool) -> None:
        self.choice = random.Random(seed)
        self.seed = seed
        self.has_timeouts = has_timeouts
        self.ledger = Ledger()
        self.gate = Gate()
        self.storage = MemoryStorage()
        self.is_over = threading.Event()
        self.failed: list[BaseException] = []
        self.server = Server(self.ledger, self._updates(0))
        self.interrupt = self.server.interrupt
        self.get_updates = self.server.get_updates
        self.name = next(names)
        self.totals: Counter[str] = Counter()
        options: dict[str, Any] = {"handler_timeout_s": TIMEOUT_S, "on_timeout": self._policy} if has_timeouts else {}
        self.handle = run(self, concurrency=CONCURRENCY, backlog=BACKLOG, name=self.name, retry=0.01, **options)

    # -- the bot

    def keys(self, update: Update) -> list[str]:
        if update["kind"] == "fault":
            raise LookupError("no key")
        return list(update["keys"])

    def handle_update(self, update: Update) -> None:
        update_id, kind = update["update_id"], update["kind"]
        self.ledger.begin(update)
        try:
            self._count_a_visit(update)
            if kind == "failure":
                raise ValueError(update_id)
            if kind == "nap":
                time.sleep(0.0005)
            if kind == "late":
                time.sleep(TIMEOUT_S * 1.2)
            if kind == "loop":
                end = time.monotonic() + TIMEOUT_S * 1.2
                while time.monotonic() < end:
                    pass
            if kind in ("gate", "gates"):
                self._pass_gate(update_id, update["gates"][:2])
            if kind == "gates":
                self._pass_gate(update_id, update["gates"][2:])
            if kind == "wait" and current().wait(0.001):  # type: ignore[union-attr]
                raise Stopped
            self.ledger.clean.append(update)
        finally:
            self.ledger.end(update)

    def handle_error(self, error: BaseException, update: Update) -> None:
        if not isinstance(error, (ValueError, LookupError, KeyDeadlock)):
            # Judged at the end: who was interrupted by a stop is excused only when that stop has returned.
            self.ledger.surprises.append((update["update_id"], repr(error)))

    def _pass_gate(self, update_id: int, keys: list[str]) -> None:
        self.ledger.go_to_gate(update_id)
        with self.gate.turn(keys):
            self.ledger.come_from_gate(update_id)

    def _count_a_visit(self, update: Update) -> None:
        """A session for each key: a visit counts if the update succeeds, and no visit may be lost."""
        for key in update["keys"]:
            visits = int(self.storage.read(key) or b"0")
            current().stage(self.storage, key, str(visits + 1).encode())  # type: ignore[union-attr]

    def _policy(self, overdue: Any) -> str:
        answer = ("report", "abandon", "interrupt")[overdue.update["update_id"] % 3]
        if answer != "report":
            self.ledger.excuse({overdue.update["update_id"]})
        return answer

    # -- threads

    def _updates(self, origin: int) -> Iterator[Update]:
        choice = random.Random(self.seed * 10 + origin)
        kinds = ["plain"] * 8 + ["nap"] * 4 + ["failure", "gate", "gates", "wait", "fault"]
        if self.has_timeouts:
            kinds += ["late", "loop"]
        for number in itertools.count(1):
            kind = choice.choice(kinds)
            gates = choice.sample("wxyz", 4)
            keys = [] if kind == "fault" else choice.sample("abcdef", choice.choice([0, 1, 1, 1, 2, 3, 4]))
            yield {"update_id": number * 16 + origin, "origin": origin, "kind": kind, "keys": keys, "gates": gates}

    def _offer(self, origin: int) -> None:
        for update in self._updates(origin):
            while not self._try_offer(update):
                if self.is_over.wait(0.0002):
                    return
            self.ledger.accept(update["update_id"])
            if update["update_id"] % 7 == 0:
                self._try_offer(update)
            if self.is_over.is_set():
                return

    def _try_offer(self, update: Update) -> bool:
        return self.handle.offer(update)

    def _look(self) -> None:
        choice = random.Random(self.seed + 1)
        while not self.is_over.is_set():
            stats = self.handle.stats()
            ended = stats.succeeded + stats.failed + stats.skipped + stats.abandoned
            assert stats.admitted == ended + stats.in_flight, stats
            assert 0 <= stats.in_flight <= BACKLOG, stats
            assert min(stats.running, stats.blocked, stats.keys) >= 0, stats
            assert stats.running <= CONCURRENCY or self.ledger.is_cutting or not self.handle.is_running(), stats
            seen = [update["update_id"] for update in self.handle.snapshot()]
            assert len(seen) == len(set(seen)) <= BACKLOG, seen
            for row in self.handle.in_flight():
                assert -1.0 < row.age_s < 600, row
            assert 0 <= self.handle.size() <= BACKLOG
            if choice.random() < 0.01:
                self.handle.pause()
                self.handle.resume()

    def _guarded(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except BaseException as error:
            self.failed.append(error)
            self.is_over.set()

    # -- the test's thread

    def go_on_for(self, seconds: float) -> None:
        threads = [threading.Thread(target=self._guarded, args=(self._offer, 1 + index)) for index in range(OFFERERS)]
        threads.append(threading.Thread(target=self._guarded, args=(self._look,)))
        for thread in threads:
            thread.start()
        latest = time.monotonic() + seconds
        try:
            while time.monotonic() < latest and not self.failed and not self.ledger.breaches:
                self.is_over.wait(self.choice.choice([0.0, 0.02, 0.1, 0.3, 0.5]))
                timeout_s = self.choice.choice([None, None, 0.0, 0.003, 0.05])
                self._stop(timeout_s)
                self.handle.start()
        finally:
            self.is_over.set()
            for thread in threads:
                thread.join(30)
                assert not thread.is_alive(), "a thread that offers or looks hangs"
        with self.server.changed:
            self.server.is_dry = True
        self._stop(None)
        # What the last stop left at the server or in its report has its turn now.
        self.handle.start()
        assert self.server.is_empty.wait(30)
        while self.handle.size():
            self.handle.wait(0.002)
        self._stop(None)
        self._check()

    def _stop(self, timeout_s: float | None) -> None:
        self.ledger.is_cutting = timeout_s is not None
        report = self.handle.stop(timeout_s)
        stats = self.handle.stats()
        self.totals["lives"] += 1
        self.totals["admitted"] += stats.admitted
        self.totals["handled"] += report.handled
        self.totals["unfinished"] += len(report.unfinished)
        for name in ("succeeded", "failed", "abandoned", "overdue", "duplicates", "refused"):
            self.totals[name] += getattr(stats, name)
        if timeout_s is not None:
            self.ledger.excuse({update["update_id"] for update in report.unfinished})
            self.ledger.excuse(set(self.ledger.running))
        self.ledger.is_cutting = False
        self.ledger.reported.update(update["update_id"] for update in report.unfinished)
        assert report.handled == stats.handled
        assert stats.admitted == report.handled + len(report.unfinished), (stats, report)
        assert report.drained is not bool(report.unfinished)
        if report.drained:
            assert (stats.in_flight, stats.ready, stats.running, stats.keys) == (0, 0, 0, 0), stats
        self.reports = report

    def _check(self) -> None:
        assert self.failed == []
        assert self.ledger.breaches == []
        assert [surprise for surprise in self.ledger.surprises if surprise[0] not in self.ledger.excused] == []
        latest = time.monotonic() + 20
        for thread in threading.enumerate():
            if thread.name.startswith(f"{self.name}-"):
                thread.join(latest - time.monotonic())
                assert not thread.is_alive(), f"{thread.name} is left"
        stats = self.handle.stats()
        gauges = (stats.in_flight, stats.ready, stats.waiting, stats.running, stats.blocked, stats.keys, stats.workers)
        assert gauges == (0,) * 7, stats
        assert len(self.gate) == 0
        faulty = self._faulty()
        missing = [
            update_id
            for update_id in self.ledger.accepted
            if not (self.ledger.begun[update_id] or self.ledger.reported[update_id])
            and update_id not in faulty | self.ledger.excused
        ]
        assert missing == []
        assert self.totals["admitted"] == self.totals["handled"] + self.totals["unfinished"]
        visits = Counter(
            key
            for update in self.ledger.clean
            if update["update_id"] not in self.ledger.excused
            for key in update["keys"]
        )
        for key in "abcdef":
            assert int(self.storage.read(key) or b"0") >= visits[key], f"visits of {key} were lost"

    def _faulty(self) -> set[int]:
        """The ids of updates whose key function raises: they end in the error handler and never begin."""
        most = max(self.ledger.accepted, default=0)
        return {
            update["update_id"]
            for origin in range(1, 1 + OFFERERS)
            for update in itertools.takewhile(lambda update: update["update_id"] <= most, self._updates(origin))
            if update["kind"] == "fault"
        }


def check(seconds: float, has_timeouts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life, "INTERRUPT_WAIT_S", 0.02)
    # What an exception that is raised in a thread from outside hits may be a callback of the interpreter, or the hook
    # itself that tells of it: so a hook without any Python code. What the engine itself lost is looked at below.
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    seed = random.randrange(2**32)
    print("seed", seed)
    stress = Stress(seed, has_timeouts)
    try:
        stress.go_on_for(seconds)
    finally:
        print(dict(stress.totals))
        if stress.handle.is_running():
            stress.is_over.set()
            stress.handle._life.ask_to_stop(0.0)  # type: ignore[union-attr]
    lost = [(lost.object, repr(lost.exc_value)) for lost in unraisable if isinstance(lost.object, str)]
    unraisable.clear()
    assert lost == [], "an exception ended in compiled code of the engine"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert sys._is_gil_enabled() is False  # type: ignore[attr-defined]


@pytest.mark.parametrize("has_timeouts", [False, True])
def test_the_invariants_hold_while_everything_happens(has_timeouts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    check(2.5, has_timeouts, monkeypatch)


@pytest.mark.stress
@pytest.mark.timeout(600)
@pytest.mark.parametrize("has_timeouts", [False, True])
@pytest.mark.parametrize("round_number", range(4))
def test_the_invariants_hold_for_long(round_number: int, has_timeouts: bool, monkeypatch: Any) -> None:
    check(60, has_timeouts, monkeypatch)
