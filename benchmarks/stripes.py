"""Simulate the locks of the engine on many cores without a GIL: what each of them costs, and which gives way first.

    python benchmarks/stripes.py [--cores 1 2 4 8 16 32 64] [--work-us 25 1] [--wait spin]

A discrete-event simulation of one core per worker, and one for each poller. An update takes the locks that the engine
takes for it, in its order and under its rules: the poller checks 100 updates against the seen ids, enters them into the
table under one lock, queues them in the stripes of their keys one by one, and pushes what is ready to the ring; a
worker takes one, works, settles it in the table, leaves its stripes one at a time, and pushes what became ready by it.

Guarantees
    - The same options and the same seed give the same figures.
    - Every update admitted is handled once, those of one key in their order.
Assumes
    - Hold times are estimates: the engine takes about 530 ns per update on one core (`benchmarks/engine.py`), which
      were split by the code. Measured were a lock and an unlock (9 ns), the clock (17 ns), and the seen ids (15 and
      45 ns). Another core brings other figures, in much the same proportion.
    - A line of memory that another core wrote last takes `--handover-ns` to come over, and they come one by one.
      Memory bandwidth, sockets of more than one chip, the allocator and the collector are left out.
    - `--wait spin`: who waits for a lock has it as soon as it is free, first come, first served. `--wait sleep`: it
      sleeps in the system, as a pthread mutex has it; a core that runs may take the lock before it is awake.

Prints updates/s, the speed-up over one core, and the share of the workers' time that is lost at each lock: waiting for
it, and for the memory that it guards. `refs` is the count of references to the handler, which all workers write. `idle`
is the time without a ready update. Of the poller: how busy it is, and the share of its time lost at the seen ids.

More than 400 lines in one file, because it is one model: the locks mean nothing without the actors that take them.
"""

import argparse
import bisect
import heapq
import itertools
import random
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

BATCH = 100  # updates of one poll
LOCKS = ("ring", "table", "stripe", "seen", "refs")


@dataclass(frozen=True)
class Cost:
    """What an update costs where, in ns on one core; `*_lines` are lines of memory that change hands with a lock."""

    admit_ns: int = 150  # making the ticket, without a lock
    has_ns: int = 15  # seen ids: is it known
    add_ns: int = 45  # seen ids: keep it
    enlist_ns: int = 5  # table, in one hold for the batch
    enter_ns: int = 35  # stripes, per key
    push_ns: int = 3  # ring, per update
    take_ns: int = 30  # ring
    begin_ns: int = 45  # starting the handler, without a lock
    settle_ns: int = 25  # table
    leave_ns: int = 35  # stripe, per key
    release_ns: int = 120  # freeing ticket and update, without a lock
    ring_lines: int = 2  # lock and fields, the slot
    table_lines: int = 3  # lock and counters, the older and the newer neighbour
    stripe_lines: int = 2  # lock, the bucket or the follower
    seen_lines: int = 1
    refs_lines: int = 1


@dataclass(frozen=True)
class Setting:
    """One case to simulate."""

    cores: int = 64
    work_us: float = 25.0
    stripes: int = 64
    ring_cores: int = 0  # how many cores share a ring; 0: all of them
    table_cores: int = 0
    pollers: int = 1
    ready_batches: int = 1  # per poller: with more than that ready it rests, until half of it is left
    chats: int = 10_000
    zipf: float = 0.0  # 0: every chat as often as another; 1: the second half as often as the first, and so on
    two_keys: float = 0.2  # the share of updates with two keys
    updates: int = 6000
    backlog: int = 2000
    jitter: float = 0.5  # work is so much shorter or longer, at random
    handover_ns: int = 100
    wake_us: float = 5.0  # from a wake-up to the first instruction of who slept
    unpark_us: float = 1.0  # what the wake-up costs who gives it
    is_sleeping: bool = False  # how to wait for a lock
    is_seen_batchwise: bool = False  # the seen ids are locked once per batch
    references: int = 2  # atomic counts per update on one object that all workers use: the handler
    seed: int = 1
    cost: Cost = field(default_factory=Cost)


class Lock:
    """A lock, with the memory that it guards."""

    __slots__ = ("is_held", "kind", "move_ns", "owner", "waiters")

    def __init__(self, kind: str, move_ns: int) -> None:
        """Begin free, in nobody's cache."""
        self.kind = kind
        self.move_ns = move_ns
        self.owner = -1  # the core that held it last
        self.is_held = False
        self.waiters: deque[Actor] = deque()


class Update:
    """One update, in the lanes of its keys."""

    __slots__ = ("keys", "table", "waits")

    def __init__(self, keys: tuple[int, ...], table: int) -> None:
        """Be admitted to one of the tables."""
        self.keys = keys
        self.table = table
        self.waits = 0


class Ring:
    """Ready updates, and the workers that sleep for want of them."""

    def __init__(self, lock: Lock) -> None:
        """Begin empty."""
        self.lock = lock
        self.ready: deque[Update] = deque()
        self.idle: list[Actor] = []
        self.is_calling = False


# What an actor waits for: a time in ns, a lock with the time of work under it, or (None) a wake-up.
Step = float | tuple[Lock, float] | None
Steps = Generator[Step, None, None]


class Actor:
    """A worker or a poller, on a core of its own."""

    def __init__(self, core: int) -> None:
        """Begin with nothing lost."""
        self.core = core
        self.steps: Steps
        self.since_ns = 0.0  # when it began to wait
        self.wanted: tuple[Lock, float] | None = None
        self.caller: Ring | None = None  # the ring that woke it and waits for it
        self.lost_ns = dict.fromkeys((*LOCKS, "idle"), 0.0)


class Simulation:
    """One setting, run until its updates are handled."""

    def __init__(self, setting: Setting) -> None:
        """Make locks, keys and actors."""
        self.setting = setting
        cost, move_ns = setting.cost, setting.handover_ns
        self.random = random.Random(setting.seed)
        self.ring_count = -(-setting.cores // setting.ring_cores) if setting.ring_cores else 1
        table_count = -(-setting.cores // setting.table_cores) if setting.table_cores else 1
        self.rings = [Ring(Lock("ring", cost.ring_lines * move_ns)) for _ in range(self.ring_count)]
        self.tables = [Lock("table", cost.table_lines * move_ns) for _ in range(table_count)]
        self.stripes = [Lock("stripe", cost.stripe_lines * move_ns) for _ in range(setting.stripes)]
        self.seen = Lock("seen", cost.seen_lines * move_ns)
        self.handler = Lock("refs", cost.refs_lines * move_ns)
        self.lanes: dict[int, deque[Update]] = {}
        self.chances: list[float] = []
        if setting.zipf:
            weights = (1 / place**setting.zipf for place in range(1, setting.chats + 1))
            self.chances = list(itertools.accumulate(weights))
        # Where a chat is in the table of stripes has nothing to do with how busy it is.
        self.stripe_of = [self.random.randrange(setting.stripes) for _ in range(setting.chats)]
        self.plenty = BATCH * setting.ready_batches * setting.pollers
        self.now_ns = 0.0
        self.order = itertools.count()
        self.agenda: list[tuple[float, int, Actor, bool]] = []
        self.held = self.handled = self.admitted = self.ready = 0
        self.resting: list[Actor] = []
        self.workers = [Actor(core) for core in range(setting.cores)]
        self.pollers = [Actor(setting.cores + number) for number in range(setting.pollers)]
        for worker in self.workers:
            worker.steps = self.work(worker)
        for poller in self.pollers:
            poller.steps = self.poll(poller)
        for actor in (*self.pollers, *self.workers):
            self.schedule(0.0, actor)

    # -- time and locks ------------------------------------------------------------------------------------------

    def schedule(self, delay_ns: float, actor: Actor, is_retry: bool = False) -> None:
        """Let an actor go on after a delay, or (`is_retry`) try again for its lock."""
        heapq.heappush(self.agenda, (self.now_ns + delay_ns, next(self.order), actor, is_retry))

    def grant(self, lock: Lock, hold_ns: float, actor: Actor) -> None:
        """Give a free lock away: the actor goes on when its work under it is done."""
        move_ns = lock.move_ns if lock.owner not in (actor.core, -1) else 0
        lock.is_held = True
        lock.owner = actor.core
        actor.lost_ns[lock.kind] += self.now_ns - actor.since_ns + move_ns
        self.schedule(move_ns + hold_ns, actor)

    def release(self, lock: Lock) -> float:
        """Free a lock; return the time that it takes to wake who waits for it."""
        lock.is_held = False
        if not lock.waiters:
            return 0.0
        following = lock.waiters.popleft()
        if self.setting.is_sleeping and lock is not self.handler:  # a count is no lock: it never sleeps
            self.schedule(self.setting.wake_us * 1e3, following, True)
            return self.setting.unpark_us * 1e3
        assert following.wanted is not None
        self.grant(*following.wanted, following)
        return 0.0

    def wake(self, actor: Actor) -> None:
        """Wake an actor that sleeps."""
        self.schedule(self.setting.wake_us * 1e3, actor)

    def run(self) -> "Outcome":
        """Run until all updates are handled; measure from the first fifth of them on."""
        warm = self.setting.updates // 5
        start_ns = 0.0
        lost_at_start: dict[str, float] = {}
        while self.handled < self.setting.updates:
            self.now_ns, _, actor, is_retry = heapq.heappop(self.agenda)
            if is_retry:
                assert actor.wanted is not None
                lock, hold_ns = actor.wanted
                if lock.is_held:
                    lock.waiters.appendleft(actor)
                else:
                    self.grant(lock, hold_ns, actor)
                continue
            step = next(actor.steps)
            if step is None:
                continue
            if isinstance(step, tuple):
                actor.since_ns, actor.wanted = self.now_ns, step
                if step[0].is_held:
                    step[0].waiters.append(actor)
                else:
                    self.grant(*step, actor)
            else:
                self.schedule(step, actor)
            if not start_ns and self.handled >= warm:
                start_ns, lost_at_start = self.now_ns, self.lost_ns()
        span_ns = self.now_ns - start_ns
        shares = {
            kind: (lost_ns - lost_at_start[kind])
            / span_ns
            / (self.setting.pollers if kind in ("poller", "seen") else self.setting.cores)
            for kind, lost_ns in self.lost_ns().items()
        }
        shares["poller"] = 1 - shares["poller"]
        return Outcome(self.setting, (self.handled - warm) / span_ns * 1e9, shares)

    def lost_ns(self) -> dict[str, float]:
        """Sum up what the workers have lost, and how long the pollers have rested."""
        lost = {kind: sum(worker.lost_ns[kind] for worker in self.workers) for kind in (*LOCKS, "idle")}
        for worker in itertools.chain.from_iterable(ring.idle for ring in self.rings):
            lost["idle"] += self.now_ns - worker.since_ns
        lost["seen"] = sum(poller.lost_ns["seen"] for poller in self.pollers)
        lost["poller"] = sum(poller.lost_ns["idle"] for poller in self.pollers)
        lost["poller"] += sum(self.now_ns - poller.since_ns for poller in self.resting)
        return lost

    # -- the poller ----------------------------------------------------------------------------------------------

    def keys(self) -> Iterator[tuple[int, ...]]:
        """Draw the keys of update after update."""
        chats, two_keys = self.setting.chats, self.setting.two_keys
        while True:
            if self.chances:
                key = bisect.bisect(self.chances, self.random.random() * self.chances[-1])
            else:
                key = self.random.randrange(chats)
            other = self.random.randrange(chats) if self.random.random() < two_keys else key
            yield (key,) if other == key else (key, other)

    def poll(self, poller: Actor) -> Steps:
        """Admit batch after batch, as long as there is room and not plenty is ready."""
        cost, keys = self.setting.cost, self.keys()
        for turn in itertools.count():
            while self.held + BATCH > self.setting.backlog or self.ready > self.plenty:
                self.resting.append(poller)
                poller.since_ns = self.now_ns
                yield None
            table = (turn * self.setting.pollers + poller.core) % len(self.tables)
            updates = [Update(next(keys), table) for _ in range(BATCH)]
            if self.setting.is_seen_batchwise:
                yield (self.seen, (cost.has_ns + cost.add_ns) * BATCH)
                yield cost.admit_ns * BATCH + self.release(self.seen)
            for _ in () if self.setting.is_seen_batchwise else updates:
                yield (self.seen, cost.has_ns)
                yield cost.admit_ns + self.release(self.seen)
                yield (self.seen, cost.add_ns)
                yield self.release(self.seen)
            yield (self.tables[table], cost.enlist_ns * BATCH)
            self.held += BATCH
            yield self.release(self.tables[table])
            ready = []
            for update in updates:
                stripes = sorted({self.stripe_of[key] for key in update.keys})
                for number in stripes:
                    is_last = number == stripes[-1]
                    yield (self.stripes[number], cost.enter_ns * len(update.keys) if is_last else 0)
                for key in update.keys:
                    lane = self.lanes.setdefault(key, deque())
                    update.waits += bool(lane)
                    lane.append(update)
                if not update.waits:
                    ready.append(update)
                yield sum(self.release(self.stripes[number]) for number in stripes)
            if ready:
                ring = self.rings[(turn * self.setting.pollers + poller.core) % self.ring_count]
                yield from self.push(ring, ready, True)

    def push(self, ring: Ring, ready: list[Update], is_call_wanted: bool) -> Steps:
        """Append ready updates to a ring, and call one worker for them."""
        yield (ring.lock, self.setting.cost.push_ns * len(ready))
        ring.ready.extend(ready)
        self.ready += len(ready)
        called_us = self.setting.unpark_us if is_call_wanted and self.call(ring) else 0.0
        yield self.release(ring.lock) + called_us * 1e3

    def call(self, ring: Ring) -> bool:
        """Wake one worker for what is ready, unless one is on its way; with many rings also one of another ring."""
        if ring.is_calling or not ring.ready:
            return False
        for place in (ring, *self.rings):
            if place.idle:
                worker = place.idle.pop()
                worker.lost_ns["idle"] += self.now_ns + self.setting.wake_us * 1e3 - worker.since_ns
                ring.is_calling = True
                worker.caller = ring
                self.wake(worker)
                return True
        return False

    # -- the workers ---------------------------------------------------------------------------------------------

    def work(self, worker: Actor) -> Steps:
        """Take, handle and settle update after update."""
        setting, cost = self.setting, self.setting.cost
        home = self.rings[worker.core * self.ring_count // setting.cores]
        while True:
            update = None
            while update is None:
                # One's own ring first, then any that has something; asleep only after a look at the own one.
                ring = home if home.ready else next((ring for ring in self.rings if ring.ready), home)
                yield (ring.lock, cost.take_ns)
                if worker.caller is not None:
                    worker.caller.is_calling = False
                    worker.caller = None
                if ring.ready:
                    update = ring.ready.popleft()
                    self.ready -= 1
                    called_us = setting.unpark_us if self.call(ring) else 0.0
                    if self.resting and self.ready <= self.plenty // 2 and self.held + BATCH <= setting.backlog:
                        called_us += setting.unpark_us
                        self.end_rest()
                    yield self.release(ring.lock) + called_us * 1e3
                elif ring is home:
                    worker.since_ns = self.now_ns
                    home.idle.append(worker)
                    self.release(ring.lock)
                    yield None
                else:
                    yield self.release(ring.lock)
            for _ in range(setting.references // 2):
                yield (self.handler, 0)
                self.release(self.handler)
            work_us = setting.work_us * (1 + setting.jitter * (2 * self.random.random() - 1))
            yield cost.begin_ns + work_us * 1e3
            for _ in range(setting.references - setting.references // 2):
                yield (self.handler, 0)
                self.release(self.handler)
            table = self.tables[update.table]
            yield (table, cost.settle_ns)
            self.held -= 1
            self.handled += 1
            called_us = 0.0
            if self.resting and self.held <= setting.backlog * 3 // 4 and self.ready <= self.plenty // 2:
                called_us = setting.unpark_us
                self.end_rest()
            yield self.release(table) + called_us * 1e3
            opened = []
            for key in update.keys:
                stripe = self.stripes[self.stripe_of[key]]
                yield (stripe, cost.leave_ns)
                lane = self.lanes[key]
                lane.popleft()
                if not lane:
                    del self.lanes[key]
                else:
                    lane[0].waits -= 1
                    if not lane[0].waits:
                        opened.append(lane[0])
                yield self.release(stripe)
            if opened:
                yield from self.push(home, opened, False)
            yield cost.release_ns

    def end_rest(self) -> None:
        """Wake a poller."""
        poller = self.resting.pop()
        poller.lost_ns["idle"] += self.now_ns + self.setting.wake_us * 1e3 - poller.since_ns
        self.wake(poller)


@dataclass(frozen=True)
class Outcome:
    """What a simulation found."""

    setting: Setting
    per_s: float  # updates/s
    shares: dict[str, float]  # of the workers' time, by what it was lost to; of the poller's, how busy it was


def simulate(setting: Setting) -> Outcome:
    """Run one setting."""
    return Simulation(setting).run()


def print_table(title: str, rows: list[tuple[str, Outcome, float]]) -> None:
    """Print cases with their speed-up over one core."""
    print(f"\n{title}")
    print(f"{'':<30} {'updates/s':>11} {'speed-up':>8} | lost at: ring  table stripe   refs   idle | poller   seen")
    for name, outcome, base in rows:
        lost = " ".join(f"{outcome.shares[kind]:>6.1%}" for kind in ("ring", "table", "stripe", "refs", "idle"))
        pollers = f"{outcome.shares['poller']:>6.0%} {outcome.shares['seen']:>6.1%}"
        print(f"{name:<30} {outcome.per_s:>11,.0f} {outcome.per_s / base:>8.1f} |       {lost} | {pollers}")


def main() -> None:
    """Print one table per question."""
    default = Setting()
    parser = argparse.ArgumentParser(
        description="Simulate the engine's locks on many cores without a GIL.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64], help="numbers of cores")
    parser.add_argument("--work-us", type=float, nargs="+", default=[25.0, 1.0], help="work of a handler in us")
    parser.add_argument("--updates", type=int, default=default.updates, help="how many to handle in each case")
    parser.add_argument("--chats", type=int, default=default.chats, help="from how many chats the keys are drawn")
    parser.add_argument("--zipf", type=float, default=0.8, help="exponent of the rows with hot keys")
    parser.add_argument("--two-keys", type=float, default=default.two_keys, help="share of updates with two keys")
    parser.add_argument("--handover-ns", type=int, default=default.handover_ns, help="time to move a line of memory")
    parser.add_argument("--wake-us", type=float, default=default.wake_us, help="time until a sleeper is awake")
    parser.add_argument("--wait", choices=("spin", "sleep"), default="spin", help="how to wait for a lock")
    parser.add_argument("--seed", type=int, default=default.seed, help="of the random keys and work")
    for name, value in vars(default.cost).items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=value, help="estimate; see class Cost")
    options = parser.parse_args()
    base = replace(
        default,
        updates=options.updates,
        chats=options.chats,
        two_keys=options.two_keys,
        handover_ns=options.handover_ns,
        wake_us=options.wake_us,
        is_sleeping=options.wait == "sleep",
        seed=options.seed,
        cost=Cost(**{name: getattr(options, name) for name in vars(default.cost)}),
    )
    most = max(options.cores)
    groups: dict[str, Any] = {"ring_cores": 8, "table_cores": 8}
    pollers = max(1, most // 8)
    print(f"SIMULATED, not measured: seed {base.seed}, {base.chats} chats, waiting by {options.wait}")
    for work_us in options.work_us:
        case = replace(base, work_us=work_us)
        alone = simulate(replace(case, cores=1)).per_s
        rows = [
            (f"{cores} core{'s' * (cores > 1)}", simulate(replace(case, cores=cores)), alone) for cores in options.cores
        ]
        print_table(f"{work_us:g} us of work, today's layout", rows)

        case = replace(case, cores=most)
        variants: list[tuple[str, dict[str, Any]]] = [
            ("a ring per 8", {"ring_cores": 8}),
            ("a table per 8", {"table_cores": 8}),
            ("a ring and a table per 8", groups),
            ("poller rests at 4 batches", {"ready_batches": 4}),
            (f"{pollers} pollers", {"pollers": pollers}),
            (f"{pollers} pollers, ring per 8", {"pollers": pollers, "ring_cores": 8}),
            (f"{pollers} pollers, table per 8", {"pollers": pollers, "table_cores": 8}),
            (f"{pollers} pollers, both per 8", {"pollers": pollers, **groups}),
            ("... and no shared handler", {"pollers": pollers, **groups, "references": 0}),
            ("... and seen ids by batch", {"pollers": pollers, **groups, "references": 0, "is_seen_batchwise": True}),
        ]
        rows = [(name, simulate(replace(case, **changes)), alone) for name, changes in variants]
        print_table(f"{work_us:g} us of work, {most} cores, other layouts", rows)

        # Where nothing else is in the way: what the number of stripes is worth.
        case = replace(case, pollers=pollers, references=0, is_seen_batchwise=True, **groups)
        rows = []
        for stripes in (1, 4, 16, 64, 256):
            for name, zipf in (("", 0.0), (", hot keys", options.zipf)):
                outcome = simulate(replace(case, stripes=stripes, zipf=zipf))
                rows.append((f"stripes: {stripes}{name}", outcome, alone))
        print_table(f"{work_us:g} us of work, {most} cores, the last layout by number of stripes", rows)


if __name__ == "__main__":
    main()
