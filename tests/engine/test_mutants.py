"""Tests that each kill one way of getting the engine wrong: a lock taken out of order, a key opened too early, …"""

from __future__ import annotations

import faulthandler
import random
import threading
from typing import Any

import pytest

from runner_c import _stop, current
from runner_c._sink import Sink
from runner_c._watch import counts

PATIENCE_S = 30.0


def test_threads_that_admit_with_the_same_keys_in_another_order_never_deadlock() -> None:
    # Nothing runs here: each round fills the lanes from four threads at once and throws the sink away.
    seed = random.randrange(2**32)
    print("seed", seed)
    # A thread that hangs in a lock of the engine cannot be ended: tell where, and let the time-out end the process.
    faulthandler.dump_traceback_later(PATIENCE_S)
    for number in range(20):
        sink = Sink(lambda update: None, lambda error, update: None, keyer=lambda update: update["keys"])
        barrier = threading.Barrier(4)

        def offer(worker: int, sink: Sink = sink, barrier: Any = barrier, number: int = number) -> None:
            choice = random.Random(seed + 100 * number + worker)
            updates = [
                {"update_id": 1000 * worker + index, "keys": [str(key) for key in choice.sample(range(40), 8)]}
                for index in range(400)
            ]
            barrier.wait()
            for update in updates:
                sink.offer(update)

        _stop.pause(sink, True)
        threads = [threading.Thread(target=offer, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "admission deadlocks"
        assert counts(sink)["held"] == 1600
    faulthandler.cancel_dump_traceback_later()


def test_sessions_are_written_before_the_keys_are_opened(queue_bot: Any, start: Any) -> None:
    begun = threading.Event()
    overtaken: list[bool] = []

    class Storage:
        def write(self, key: str, value: bytes) -> None:
            overtaken.append(begun.wait(0.1))

        def delete(self, key: str) -> None:
            raise AssertionError

    storage = Storage()

    def work(update: Any) -> None:
        if update["update_id"] == 1000:
            current().stage(storage, "key", b"1")  # type: ignore[union-attr]
        else:
            begun.set()

    bot = queue_bot(work)
    bot.push(2)
    start(bot, concurrency=4)
    bot.record.wait_for_ended(2)
    assert overtaken == [False]


@pytest.mark.parametrize("concurrency", [1, 2, 5])
def test_workers_are_never_more_than_the_limit_while_all_hang(queue_bot: Any, start: Any, concurrency: int) -> None:
    release = threading.Event()
    bot = queue_bot(work=lambda update: release.wait(PATIENCE_S))
    bot.push(20, chat=lambda index: index)
    handle = start(bot, concurrency=concurrency)
    bot.record.wait_for_begun(concurrency)
    while handle.stats().ready < 20 - concurrency:
        assert len(bot.record.begun) <= concurrency
    stats = handle.stats()
    assert (stats.running, stats.workers) == (concurrency, concurrency)
    release.set()
    bot.record.wait_for_ended(20)
    assert bot.record.most_running == concurrency


def test_a_burst_wakes_one_worker_after_the_other_until_all_run(queue_bot: Any, start: Any) -> None:
    # Every handler waits for all the others, so a call that is lost on the way leaves the burst standing.
    together = threading.Barrier(24)
    bot = queue_bot(work=lambda update: together.wait(PATIENCE_S))
    handle = start(bot, concurrency=24)
    for _ in range(30):
        ids = bot.push(24, chat=lambda index: index)
        bot.record.wait_until(lambda ids=ids: set(ids) <= set(bot.record.ended))
    assert handle.stop().handled == 30 * 24
    assert bot.record.breaches == []
