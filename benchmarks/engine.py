"""Measure the engine alone: updates from a list, handlers that do nothing, the default order by chat.

    python benchmarks/engine.py [--updates 300000] [--rounds 5]

Prints, for each number of chats and of workers, the median of updates/s and of CPU µs per update. Admission, lanes,
ring, hand-off and settlement are in it; making the updates is not.
"""

import argparse
import statistics
import threading
import time

from machine import describe

from runner_c import create_concurrent_sink, create_runner, create_source
from runner_c._keys import by_chat


def measure(count: int, chats: int, concurrency: int) -> tuple[float, float]:
    """Return updates/s and CPU µs per update of one run."""
    updates = [{"update_id": number, "message": {"chat": {"id": number % chats}}} for number in range(count)]
    place = 0

    def supply(limit: int) -> list[dict[str, object]]:
        nonlocal place
        batch = updates[place : place + limit]
        place += limit
        if not batch:
            raise StopIteration
        return batch

    def consume(update: dict[str, object]) -> None:
        pass

    sink = create_concurrent_sink(consume, print, concurrency=concurrency, keys=by_chat)
    runner = create_runner(create_source(supply), sink)
    begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
    runner.start()
    runner.wait()
    elapsed_s, cpu_s = time.perf_counter() - begun_s, time.process_time() - begun_cpu_s
    assert runner.stop().handled == count
    return count / elapsed_s, cpu_s / count * 1e6


def main() -> None:
    """Run every combination in turn, round after round, and print the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--updates", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(describe())
    cases = [(chats, concurrency) for chats in (1, 1000, 100_000) for concurrency in (1, 4, 32, 500)]
    measured: dict[tuple[int, int], list[tuple[float, float]]] = {case: [] for case in cases}
    for _ in range(options.rounds):
        for case in cases:
            measured[case].append(measure(options.updates, *case))
    print(f"{'chats':>8} {'concurrency':>12} {'updates/s':>12} {'CPU µs':>8}")
    for (chats, concurrency), runs in measured.items():
        rate = statistics.median(run[0] for run in runs)
        cpu_us = statistics.median(run[1] for run in runs)
        print(f"{chats:>8} {concurrency:>12} {rate:>12,.0f} {cpu_us:>8.2f}")
    assert threading.active_count() == 1


if __name__ == "__main__":
    main()
