"""The engine against a model: random programs, driven step by step, must do exactly what a page of plain Python does.

Every handler waits at a lock of its own until the program lets it go, so each step has one right outcome: which updates
run, how many are ready, waiting and held, in what order the snapshot lists them, and every counter. A step is over when
the engine shows just that; an engine that never does is wrong. More than 400 lines, because model and driver belong
together.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import Phase, given, note, settings
from hypothesis import strategies as st

from runner_c import BYPASS, HandlerTimeout, MemoryStorage, Stopped, StopReport, _watch, current, life, run

PATIENCE_S = 10.0
names = (f"model{number}" for number in itertools.count())


@dataclass
class Item:
    """One update of a program."""

    update_id: int
    keys: list[str]
    kind: str
    """"plain", "bypass" (past the lanes), or "fault" (its key function raises)."""
    waits: int = 0
    sequence: int = 0

    @property
    def update(self) -> dict[str, Any]:
        return {"update_id": self.update_id, "keys": self.keys, "kind": self.kind}


@dataclass
class Model:
    """What is right, for one life of a runner."""

    concurrency: int
    backlog: int
    held: dict[int, Item] = field(default_factory=dict)
    lanes: dict[str, deque[Item]] = field(default_factory=dict)
    ready: deque[Item] = field(default_factory=deque)
    control: deque[Item] = field(default_factory=deque)
    running: dict[int, Item] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    is_paused: bool = False
    admitted: int = 0
    succeeded: int = 0
    failed: int = 0
    abandoned: int = 0
    duplicates: int = 0
    refused: int = 0

    @property
    def room(self) -> int:
        return self.backlog - len(self.held)

    def admit(self, *items: Item) -> None:
        for item in items:
            self.admitted += 1
            item.sequence = self.admitted
            self.held[item.update_id] = item
            item.waits = 0
            if item.kind == "plain":
                for key in item.keys:
                    lane = self.lanes.setdefault(key, deque())
                    item.waits += bool(lane)
                    lane.append(item)
            if item.waits == 0:
                (self.control if item.kind == "bypass" else self.ready).append(item)
        self.begin()

    def begin(self) -> None:
        while not self.is_paused and len(self.running) < self.concurrency and (self.control or self.ready):
            item = (self.control or self.ready).popleft()
            if item.kind == "fault":
                self.failed += 1
                del self.held[item.update_id]
            else:
                self.running[item.update_id] = item
                self.order.append(item.update_id)

    def end(self, item: Item, outcome: str) -> None:
        del self.running[item.update_id]
        if outcome != "put back":
            setattr(self, outcome, getattr(self, outcome) + 1)
            del self.held[item.update_id]
            for key in item.keys if item.kind == "plain" else ():
                lane = self.lanes[key]
                assert lane.popleft() is item
                if not lane:
                    del self.lanes[key]
                    continue
                lane[0].waits -= 1
                if lane[0].waits == 0:
                    self.ready.append(lane[0])
        self.begin()

    def numbers(self) -> dict[str, int]:
        ready = len(self.ready) + len(self.control)
        return {
            "admitted": self.admitted,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "abandoned": self.abandoned,
            "duplicates": self.duplicates,
            "refused": self.refused,
            "in_flight": len(self.held),
            "ready": ready,
            "running": len(self.running),
            "blocked": 0,
            "keys": len(self.lanes),
        }


class GatedBot:
    """A bot whose handlers end when they are told, and as they are told."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.batches: list[list[dict[str, Any]]] = []
        self.cuts = 0
        self.gates: dict[int, Any] = {}
        self.outcomes: dict[int, str] = {}
        self.begun: list[int] = []
        self.running: set[int] = set()
        self.errors: dict[int, BaseException] = {}
        self.storage = MemoryStorage()

    def get_updates(self, *, offset: Any, limit: int, timeout: int, allowed_updates: Any) -> list[dict[str, Any]]:
        with self.changed:
            cuts = self.cuts
            self.changed.wait_for(lambda: self.batches or self.cuts != cuts, timeout)
            if timeout == 0 or not self.batches:
                return []
            # The limit is that of the moment when the poll began; the program sees to it that there is room now.
            return self.batches.pop(0)

    def interrupt(self) -> None:
        with self.changed:
            self.cuts += 1
            self.changed.notify_all()

    def keys(self, update: dict[str, Any]) -> Any:
        if update["kind"] == "fault":
            raise LookupError("no key")
        return BYPASS if update["kind"] == "bypass" else update["keys"]

    def handle_update(self, update: dict[str, Any]) -> None:
        update_id = update["update_id"]
        gate = threading.Lock()
        gate.acquire()
        current().stage(self.storage, str(update_id), b"1")  # type: ignore[union-attr]
        with self.changed:
            self.gates[update_id] = gate
            self.begun.append(update_id)
            self.running.add(update_id)
        try:
            gate.acquire()
            if self.outcomes[update_id] == "failed":
                raise ValueError(update_id)
            if self.outcomes[update_id] == "put back":
                raise Stopped
        finally:
            with self.changed:
                self.running.discard(update_id)
                self.changed.notify_all()

    def handle_error(self, error: BaseException, update: dict[str, Any]) -> None:
        self.errors[update["update_id"]] = error

    def let_go(self, update_id: int, outcome: str) -> None:
        self.outcomes[update_id] = outcome
        self.gates[update_id].release()


class Program:
    """Does each step on the engine and on the model and compares."""

    def __init__(self, concurrency: int, backlog: int) -> None:
        self.bot = GatedBot()
        self.model = Model(concurrency, backlog)
        self.name = next(names)
        self.handle = run(
            self.bot, concurrency=concurrency, backlog=backlog, handler_timeout_s=1000.0, name=self.name, retry=0.01
        )
        self.next_id = 1
        self.known: list[Item] = []
        self.written_off: dict[int, Item] = {}
        self.stored: set[int] = set()

    # -- steps

    def offer(self, keys: list[str], kind: str) -> None:
        self._offer(self._new(keys, kind))

    def _offer(self, item: Item) -> None:
        fits = self.model.room > 0
        assert self.handle.offer(item.update) is fits
        if fits:
            self.model.admit(item)
            self.known.append(item)
        else:
            self.model.refused += 1

    def repeat(self, which: int) -> None:
        if self.known:
            fits = self.model.room > 0
            assert self.handle.offer(self.known[which % len(self.known)].update) is fits
            if fits:
                self.model.duplicates += 1
            else:
                self.model.refused += 1

    def poll(self, parts: list[tuple[list[str], str]]) -> None:
        # Above the low watermark or in a pause it depends on the moment whether there will be a poll.
        low_water = self.model.backlog - max(1, self.model.backlog // 4)
        if self.model.is_paused or len(self.model.held) > low_water or len(parts) > self.model.room:
            return
        items = [self._new(keys, kind) for keys, kind in parts]
        with self.bot.changed:
            self.bot.batches.append([item.update for item in items])
            self.bot.changed.notify_all()
        self.model.admit(*items)
        self.known += items

    def finish(self, which: int, outcome: str) -> None:
        if self.model.running:
            item = list(self.model.running.values())[which % len(self.model.running)]
            self._end(item, outcome)
            self.bot.let_go(item.update_id, outcome)

    def interrupt(self, which: int) -> None:
        if self.model.running:
            item = list(self.model.running.values())[which % len(self.model.running)]
            assert _watch.interrupt(self._sink, item.sequence, HandlerTimeout)
            self._end(item, "failed")
            self.bot.let_go(item.update_id, "succeeded")
            self.settle_down()
            assert isinstance(self.bot.errors[item.update_id], HandlerTimeout)

    def abandon(self, which: int) -> None:
        if self.model.running:
            item = list(self.model.running.values())[which % len(self.model.running)]
            assert _watch.is_running(self._sink, item.sequence)
            assert _watch.abandon(self._sink, item.sequence)
            assert not _watch.abandon(self._sink, item.sequence)
            assert not _watch.interrupt(self._sink, item.sequence, HandlerTimeout)
            assert not _watch.is_running(self._sink, item.sequence)
            self._end(item, "abandoned")
            self.written_off[item.update_id] = item

    def end_late(self, which: int) -> None:
        if self.written_off:
            update_id = list(self.written_off)[which % len(self.written_off)]
            del self.written_off[update_id]
            self.bot.let_go(update_id, ("succeeded", "failed")[which % 2])

    def pause(self) -> None:
        self.handle.pause()
        self.model.is_paused = True

    def resume(self) -> None:
        self.handle.resume()
        self.model.is_paused = False
        self.model.begin()

    def restart(self, timeout_s: float | None, endings: list[tuple[int, str]]) -> None:
        """Stop, take back what is left, start again and offer it again."""
        report = self.stop(timeout_s, endings)
        left = [self.model.held[update["update_id"]] for update in report.unfinished]
        self.model = Model(self.model.concurrency, self.model.backlog)
        self.known = [item for item in self.known if item not in left]
        self.handle.start()
        for item in left:
            self._offer(item)
            self.settle_down()

    def stop(self, timeout_s: float | None, endings: list[tuple[int, str]]) -> StopReport:
        reports: list[StopReport] = []
        stopper = threading.Thread(target=lambda: reports.append(self.handle.stop(timeout_s)))
        is_patient = timeout_s is None
        stopper.start()
        assert self._sink.stopping.wait(PATIENCE_S)
        assert self.handle.offer({"update_id": 10**9, "keys": [], "kind": "plain"}) is False
        self.model.refused += 1
        if is_patient:
            self.model.is_paused = False
            self.model.begin()
            for which, outcome in itertools.chain(endings, itertools.repeat((0, "succeeded"))):
                self.settle_down(is_ending=True)
                if not self.model.running:
                    break
                self.finish(which, outcome)
        stopper.join(PATIENCE_S)
        assert not stopper.is_alive(), "the stop does not end"
        (report,) = reports
        stats = self.handle.stats()
        assert [update["update_id"] for update in report.unfinished] == list(self.model.held)
        assert report.drained is not bool(self.model.held)
        assert report.handled == stats.handled == self.model.admitted - len(self.model.held)
        assert (stats.admitted, stats.refused) == (self.model.admitted, self.model.refused)
        # Whoever still waits here was cut off: its end must change nothing.
        for update_id in list(self.bot.running):
            self.bot.let_go(update_id, "succeeded")
        self.written_off.clear()
        for thread in threading.enumerate():
            if thread.name.startswith(f"{self.name}-"):
                thread.join(PATIENCE_S)
                assert not thread.is_alive(), f"{thread.name} does not end"
        assert self.handle.stats().handled == report.handled
        self._check_storage()
        return report

    # -- comparing

    def settle_down(self, is_ending: bool = False) -> None:
        """Wait until the engine shows what the model says."""
        expected = self.model.numbers()

        def is_right() -> bool:
            stats = self.handle.stats()
            return (
                all(getattr(stats, name) == number for name, number in expected.items())
                and self.bot.running == self.model.running.keys() | self.written_off.keys()
            )

        self._wait_for(is_right)
        assert [update["update_id"] for update in self.handle.snapshot()] == list(self.model.held)
        if not is_ending:
            states = {row.update["update_id"]: row.state for row in self.handle.in_flight()}
            for item in self.model.held.values():
                is_running = item.update_id in self.model.running
                assert states[item.update_id] == ("running" if is_running else "waiting" if item.waits else "ready")
        if self.model.concurrency == 1:
            assert self.bot.begun[-len(self.model.order) :] == self.model.order or not self.model.order
        self._check_storage()

    def _check_storage(self) -> None:
        assert {key for item in range(1, self.next_id) if self.bot.storage.read(key := str(item))} == {
            str(update_id) for update_id in self.stored
        }

    def _wait_for(self, claim: Any) -> None:
        latest = time.monotonic() + PATIENCE_S
        while not claim():
            with self.bot.changed:
                self.bot.changed.wait(0.0005)
            assert time.monotonic() < latest, (self.model, self.handle.stats(), self.bot.running, self.bot.begun)

    @property
    def _sink(self) -> Any:
        return self.handle._life.sink  # type: ignore[union-attr]

    def _new(self, keys: list[str], kind: str) -> Item:
        self.next_id += 1
        return Item(self.next_id - 1, keys, kind)

    def _end(self, item: Item, outcome: str) -> None:
        if outcome == "succeeded":
            self.stored.add(item.update_id)
        self.model.end(item, outcome)


def random_step(choice: random.Random) -> list[Any]:
    """Return the name and the arguments of a step of `Program`."""

    def part() -> tuple[list[str], str]:
        kind = choice.choice(["plain"] * 8 + ["bypass", "fault"])
        return choice.sample("abcd", choice.choice([0, 1, 1, 2, 2, 3])), kind

    which = choice.randrange(8)
    name = choice.choices(
        ["offer", "poll", "finish", "abandon", "interrupt", "end_late", "repeat", "pause", "resume", "restart"],
        [20, 10, 45, 3, 3, 3, 3, 2, 6, 2],
    )[0]
    if name == "offer":
        return [name, *part()]
    if name == "poll":
        return [name, [part() for _ in range(choice.randint(1, 4))]]
    if name == "finish":
        return [name, which, choice.choice(["succeeded", "succeeded", "failed"])]
    if name == "restart":
        outcomes = ["succeeded", "failed", "put back"]
        endings = [(choice.randrange(8), choice.choice(outcomes)) for _ in range(choice.randrange(7))]
        return [name, choice.choice([None, None, 0.0]), endings]
    return [name] if name in ("pause", "resume") else [name, which]


def check(seed: int, steps: int, concurrency: int, backlog: int) -> None:
    choice = random.Random(seed)
    done: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(life, "INTERRUPT_WAIT_S", 0.01)
        driver = Program(concurrency, backlog)
        try:
            driver.settle_down()
            for _ in range(steps):
                done.append(random_step(choice))
                getattr(driver, done[-1][0])(*done[-1][1:])
                driver.settle_down()
            driver.stop(None, [])
        except BaseException:
            note(f"the program up to the step that went wrong: {done}")
            raise
        finally:
            driver.handle._life.ask_to_stop(0.0)  # type: ignore[union-attr]
            for gate in driver.bot.gates.values():
                if gate.locked():
                    gate.release()


seeds = st.integers(0, 2**64 - 1)
# A program is a seed, so there is nothing to shrink but its length: a failure notes its steps.
relaxed = settings(deadline=None, database=None, phases=[Phase.explicit, Phase.generate])


@settings(relaxed, max_examples=250, derandomize=True)
@given(seeds, st.integers(10, 60), st.integers(1, 4), st.integers(1, 12))
def test_the_engine_does_what_the_model_does(seed: int, steps: int, concurrency: int, backlog: int) -> None:
    check(seed, steps, concurrency, backlog)


@pytest.mark.stress
@pytest.mark.timeout(1800)
@settings(relaxed, max_examples=2000)
@given(seeds, st.integers(20, 200), st.integers(1, 6), st.integers(1, 40))
def test_the_engine_does_what_the_model_does_for_long(seed: int, steps: int, concurrency: int, backlog: int) -> None:
    check(seed, steps, concurrency, backlog)
