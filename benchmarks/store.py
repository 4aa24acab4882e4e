"""Measure the SQLite store: what goes in and comes out in a second, and a flood that waits.

    python benchmarks/store.py [--folder .] [--updates 200000] [--flood 1000000]

First the store alone, on one thread: batches of 100 in, each durable, and groups of 256 ends, with and without a
session of each chat. Then a runner with the usual backlog whose handlers are held up while a flood comes in: what
waits is in the file, so memory stays as it was. Then the store is opened again, and the flood is handled.
"""

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from machine import describe, resident_kb

from runner_c import by_chat, create_concurrent_sink, create_runner, create_source, open_store
from runner_c.store import Arrival, Settlement, Write

sys.path.insert(0, str(Path(__file__).parent / "instruction" / "part"))
from update import make_update

BATCH, GROUP, CHATS = 100, 256, 300  # fewer chats than workers: then intake does not wait for handlers


def throughput(folder: str, count: int, *, has_session: bool) -> None:
    """Print appends and completions per second, and CPU µs per update of each."""
    store = open_store(f"sqlite:{folder}/throughput-{has_session}.db")
    versions: dict[str, int] = {}
    pending: list[Settlement] = []
    spent = {"append": [0.0, 0.0], "complete": [0.0, 0.0]}
    for first in range(0, count, BATCH):
        arrivals = [Arrival(update, (str(by_chat(update)),)) for update in batch(first)]
        begun = time.perf_counter(), time.process_time()
        token, places = store.push(arrivals, offset=first, limit=BATCH, chain=BATCH)
        note(spent["append"], begun)
        for (_, (key,), _), place in zip(arrivals, places, strict=True):
            version = versions.get(key, 0)
            versions[key] = version + has_session
            pending.append(Settlement(place, token, [Write(key, version, b'{"count":1}')] if has_session else ()))
        begun = time.perf_counter(), time.process_time()
        while len(pending) >= GROUP:
            store.settle(pending[:GROUP])
            del pending[:GROUP]
        if first % 20_000 == 0:
            store.tend()
        note(spent["complete"], begun)
    store.close()
    what = "with a session each" if has_session else "without sessions"
    rates = {
        name: f"{count / wall_s:,.0f}/s, {cpu_s / count * 1e6:.1f} µs of CPU" for name, (wall_s, cpu_s) in spent.items()
    }
    print(f"{what}: appends {rates['append']}; completions {rates['complete']}")


def flood(folder: str, count: int) -> None:
    """Print what a flood that waits takes in memory and on disk, and what opening and handling it takes in time."""
    url = f"sqlite:{folder}/flood.db"
    go = threading.Event()
    sent = iter(range(0, count, BATCH))
    is_last_taken = threading.Event()

    def supply(limit: int) -> list[dict[str, Any]]:
        first = next(sent, None)
        if first is None:
            is_last_taken.set()
            go.wait()
            raise StopIteration
        return batch(first)

    def fail(error: BaseException, update: dict[str, Any]) -> None:
        raise error

    sink = create_concurrent_sink(lambda update: go.wait(), fail, keys=by_chat)
    runner = create_runner(create_source(supply), sink, store=url)
    runner.start()
    time.sleep(1.0)
    before_kb = resident_kb()
    begun = time.perf_counter()
    is_last_taken.wait()
    took_s = time.perf_counter() - begun
    print(
        f"{count:,} updates taken in at {count / took_s:,.0f}/s while none is handled: {runner.size():,} in memory, "
        f"memory {before_kb / 1024:.0f} -> {resident_kb() / 1024:.0f} MB, "
        f"file {size_of(folder, 'flood') / 2**20:,.0f} MB, {size_of(folder, 'flood') / count:.0f} bytes each"
    )
    go.set()
    runner.stop(0.0)
    begun = time.perf_counter()
    store = open_store(url)
    print(f"opened again in {(time.perf_counter() - begun) * 1000:.0f} ms, {store.counts().waiting:,} waiting")
    handled = threading.Semaphore(0)
    sink = create_concurrent_sink(lambda update: handled.release(), fail, keys=by_chat)
    idle = threading.Event()

    def nothing(limit: int) -> list[dict[str, Any]]:
        idle.wait()
        raise StopIteration

    waiting = store.counts().waiting
    begun = time.perf_counter()
    runner = create_runner(create_source(nothing), sink, store=store)
    runner.start()
    handled.acquire()
    first_s = time.perf_counter() - begun
    while store.counts()[:2] != (0, 0):
        time.sleep(0.01)
    took_s = time.perf_counter() - begun
    print(
        f"first handler after {first_s * 1000:.0f} ms; {waiting:,} handled at {waiting / took_s:,.0f}/s, "
        f"memory {resident_kb() / 1024:.0f} MB"
    )
    begun = time.perf_counter()
    while store.tend():
        pass
    idle.set()
    runner.stop()
    store.close()
    print(f"file {size_of(folder, 'flood') / 2**20:,.1f} MB after {time.perf_counter() - begun:.1f} s of housekeeping")


def batch(first: int) -> list[dict[str, Any]]:
    """Return a batch of updates."""
    return [make_update(number, CHATS) for number in range(first, first + BATCH)]


def note(spent: list[float], begun: tuple[float, float]) -> None:
    """Add wall and CPU time since a moment."""
    spent[0] += time.perf_counter() - begun[0]
    spent[1] += time.process_time() - begun[1]


def size_of(folder: str, name: str) -> int:
    """Return the bytes of a store: the file and its log."""
    return sum(path.stat().st_size for path in Path(folder).glob(f"{name}.db*") if path.suffix in (".db", ".db-wal"))


def main() -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", default=".", help="on the disk to be measured")
    parser.add_argument("--updates", type=int, default=200_000)
    parser.add_argument("--flood", type=int, default=1_000_000)
    options = parser.parse_args()
    print(describe())
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        throughput(folder, options.updates, has_session=False)
        throughput(folder, options.updates, has_session=True)
        if options.flood:
            flood(folder, options.flood)


if __name__ == "__main__":
    main()
