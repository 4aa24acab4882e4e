"""A program that uses the SQLite store as an engine does, under the shim, and notes what it was told is done.

usage: workload.py PATH SEED STEPS [--threads] [--life N] [--synchronous NORMAL|OFF]

Each step is a push, a claim, a group of settlements, a failure, a change of a dead letter, a sync or a tend; in the
middle the store is closed and opened again. With --threads the pushes come from a thread of their own. The process ends
without closing the store. Before and after each call that changes something a note goes into the record:
``[stage, call, details]``.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import sys
import sysconfig
import threading
from collections import deque
from typing import Any

import runner_c.store.sqlite as package
from runner_c.store import Arrival, Claim, Failure, Settlement, Verdict, Write
from runner_c.store.sqlite import SqliteStore

CHATS = 12
FAILURES = 2
"""After so many an update becomes a dead letter."""

write_note = ctypes.CDLL(None).record_note
write_note.argtypes = (ctypes.c_char_p, ctypes.c_uint64)
write_note.restype = None


def note(stage: str, call: str, details: Any = None) -> None:
    """Add a note to the record."""
    text = json.dumps([stage, call, details]).encode()
    write_note(text, len(text))


class Engine:
    """Pushes, claims and settles at random.

    Thread-safety: `push` may be in another thread than the rest.
    """

    def __init__(self, path: str, seed: str, first_id: int) -> None:
        self.path = path
        self.rng = random.Random(f"{seed} rest")
        self.push_rng = random.Random(f"{seed} push")
        self.next_id = first_id
        self.store = self._open()

    def _open(self) -> SqliteStore:
        self.given: deque[Claim] = deque()
        """What a push gave out: one thread adds, the other takes."""
        self.lanes: dict[str, list[Claim]] = {}
        note("begin", "open")
        store = SqliteStore(self.path)
        note("end", "open")
        found = store.load([f"chat:{chat}" for chat in range(CHATS)])
        self.sessions = {key: (value.version, json.loads(value.value)) for key, value in found.items()}
        if store.offset is not None:
            self.next_id = max(self.next_id, store.offset)
        return store

    def push(self) -> None:
        """Take a batch in."""
        arrivals = []
        for _ in range(self.push_rng.choice((1, 1, 2, 5, 10, 30))):
            chat = self.push_rng.randrange(CHATS)
            text = "x" * self.push_rng.choice((0, 20, 200, 2000))
            update = {"update_id": self.next_id, "message": {"chat": {"id": chat}, "text": text}}
            arrivals.append(Arrival(update, (f"chat:{chat}",)))
            self.next_id += 1
        ids = [arrival.update["update_id"] for arrival in arrivals]
        details = {"ids": ids, "chats": [arrival.keys[0] for arrival in arrivals], "offset": self.next_id}
        limit = self.push_rng.choice((0, 5, 100, 100))
        note("begin", "push", details)
        pushed = self.store.push(arrivals, offset=self.next_id, limit=limit, chain=limit)
        note("end", "push", details)
        for arrival, seq in zip(arrivals, pushed.places, strict=True):
            assert seq != -1, arrival
            if seq > 0:
                self._give(Claim(seq, pushed.token, arrival.update, arrival.keys))

    def claim(self) -> None:
        """Take what waits."""
        for claim in self.store.claim(self.rng.choice((1, 10, 100)), chain=100):
            self._give(claim)

    def _give(self, claim: Claim) -> None:
        note("end", "given", [claim.update["update_id"]])
        self.given.append(claim)

    def _sort(self) -> None:
        while self.given:
            claim = self.given.popleft()
            self.lanes.setdefault(claim.keys[0], []).append(claim)
            self.lanes[claim.keys[0]].sort()

    def _next(self, count: int) -> list[Claim]:
        """Take the first updates of some lanes, in a random order of the lanes."""
        self._sort()
        taken: list[Claim] = []
        while len(taken) < count and self.lanes:
            key = self.rng.choice(sorted(self.lanes))
            taken.append(self.lanes[key].pop(0))
            if not self.lanes[key]:
                del self.lanes[key]
        return taken

    def settle(self) -> None:
        """End a group of updates, each with the session of its chat, in one call."""
        settlements = []
        details = []
        for slot, claim in enumerate(self._next(self.rng.choice((1, 3, 10, 40)))):
            key = claim.keys[0]
            if self.store.marks is not None:
                self.store.marks.slots[slot] = claim.seq
            version, session = self.sessions.get(key, (0, {"count": 0, "last": None}))
            session = {"count": session["count"] + 1, "last": claim.update["update_id"]}
            self.sessions[key] = (version + 1, session)
            write = Write(key, version, json.dumps(session).encode())
            settlements.append(Settlement(claim.seq, claim.token, [write]))
            details.append([claim.update["update_id"], key])
        if settlements:
            note("begin", "settle", details)
            verdicts = self.store.settle(settlements)
            note("end", "settle", details)
            assert set(verdicts) == {Verdict.OK}, verdicts

    def fail(self) -> None:
        """Let the handler of an update fail, perhaps again: it is tried again, or becomes a dead letter."""
        for claim in self._next(1):
            is_dead = is_over = False
            while not is_over:
                is_dead = claim.failures + 1 >= FAILURES
                is_over = is_dead or self.rng.random() < 0.5
                details = [[claim.update["update_id"], claim.keys[0]]]
                call = "bury" if is_dead else "fail"
                note("begin", call, details)
                verdicts = self.store.fail([Failure(claim.seq, claim.token, "no luck", None if is_dead else 0.0)])
                note("end", call, details)
                assert verdicts == [Verdict.OK], verdicts
                claim = claim._replace(failures=claim.failures + 1)
            if not is_dead:
                self.lanes.setdefault(claim.keys[0], []).insert(0, claim)

    def sync(self) -> None:
        """Make durable what was settled."""
        note("begin", "sync")
        self.store.sync()
        note("end", "sync")

    def tend(self) -> None:
        """Let the store tidy up."""
        self.store.tend()

    def judge(self) -> None:
        """Retry a dead letter, or drop it."""
        for letter in self.store.dead.list(limit=1):
            details = [[letter.update_id, letter.keys[0]]]
            if self.rng.random() < 0.5:
                note("begin", "drop", details)
                assert self.store.dead.drop([letter.number]) == 1
                note("end", "drop", details)
            else:
                note("begin", "retry", details)
                assert self.store.dead.retry([letter.number]) == 1
                self.store.tend()
                note("end", "retry", details)

    def reopen(self) -> None:
        """Close the store and open it again; what was given out comes back."""
        note("begin", "open")
        note("begin", "sync")
        self.store.close()
        note("end", "sync")
        self.store = self._open()


LIMITS = {"LOG_BYTES": 200_000, "LONGEST_LOG_BYTES": 800_000, "FREE_PAGES": 8}
"""What the store does beyond these it does often then."""


def modules_with(name: str) -> list[Any]:
    """Return the modules of the store that know a name, wherever it was defined."""
    found = [
        module
        for path, module in sorted(sys.modules.items())
        if path.startswith(f"{package.__name__}.") and hasattr(module, name)
    ]
    assert found, f"the store has no {name} any more: tell this workload what there is instead"
    return found


def shrink() -> None:
    """Let what the store does now and then happen often."""
    for name, value in LIMITS.items():
        for module in modules_with(name):
            assert getattr(module, name) > value
            setattr(module, name, value)


def weaken(synchronous: str) -> None:
    """Let the connections of the store be less careful than they ask for."""
    modules = modules_with("connect")
    connect = modules[0].connect
    is_hit = False

    def connect_weakly(path: str, **options: Any) -> Any:
        nonlocal is_hit
        connection = connect(path, **options)
        if synchronous == "OFF" or options["synchronous"] == "FULL":
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            is_hit = True
        return connection

    for module in modules:
        assert module.connect is connect
        module.connect = connect_weakly
    SqliteStore(os.environ["PROBE"]).close()
    assert is_hit, "the store opens its connections in another way"


def run(engine: Engine, steps: int, is_threaded: bool) -> None:
    """Do so many steps, and as many again after a restart of the store."""
    calls = [engine.claim, engine.fail, engine.fail, engine.tend, engine.judge, *[engine.settle] * 3]
    for part in range(2):
        if part:
            engine.reopen()
        pushing = threading.Thread(target=lambda: [engine.push() for _ in range(steps // 3)])
        if is_threaded:
            pushing.start()
        for _ in range(steps):
            if engine.rng.random() < 0.04:
                engine.sync()
            elif not is_threaded and engine.rng.random() < 0.35:
                engine.push()
            else:
                engine.rng.choice(calls)()
        if is_threaded:
            pushing.join()


def main() -> None:
    """Run one life."""
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("seed")
    parser.add_argument("steps", type=int)
    parser.add_argument("--threads", action="store_true")
    parser.add_argument("--life", type=int, default=0)
    parser.add_argument("--synchronous", choices=("FULL", "NORMAL", "OFF"), default="FULL")
    options = parser.parse_args()
    shrink()
    if options.synchronous != "FULL":
        weaken(options.synchronous)
    engine = Engine(options.path, f"{options.seed} {options.life}", 1000 * (options.life + 1))
    run(engine, options.steps, options.threads)
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert not sys._is_gil_enabled()
    os._exit(0)


main()
