"""Tests that each kill one way of getting the engine wrong: a lock taken out of order, a key opened too early, …"""

from __future__ import annotations

import queue
import random
import threading
import time
from typing import Any

import pytest

from runner_c import Gate, HandlerTimeout, _stop, current
from runner_c._sink import Sink
from runner_c._watch import counts, interrupt, snapshot

PATIENCE_S = 30.0


def test_threads_that_admit_with_the_same_keys_in_another_order_never_deadlock() -> None:
    # Nothing runs here: each round fills the lanes from four threads at once and throws the sink away.
    seed = random.randrange(2**32)
    print("seed", seed)
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
        # Daemons, so that the process can end although they hang.
        threads = [threading.Thread(target=offer, args=(worker,), daemon=True) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "admission deadlocks"
        assert counts(sink)["held"] == 1600


def test_sessions_are_written_before_the_keys_are_opened(queue_bot: Any, start: Any) -> None:
    begun = threading.Event()
    overtaken: list[bool] = []

    class Storage:
        def read(self, key: str) -> bytes | None:
            return None

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


def test_a_worker_that_waited_at_a_key_counts_against_the_limit_again(queue_bot: Any, start: Any) -> None:
    gate = Gate()
    enter = threading.Event()
    release = threading.Event()

    def work(update: Any) -> None:
        if update.get("gated"):
            with gate.turn(["one"]):
                enter.wait(PATIENCE_S)
        else:
            release.wait(PATIENCE_S)

    bot = queue_bot(work)
    gated = bot.push(4, chat=lambda index: index, gated=True)
    handle = start(bot, concurrency=2)
    while handle.stats().blocked < 3:
        pass
    enter.set()
    bot.record.wait_until(lambda: set(gated) <= set(bot.record.ended))
    while handle.stats().in_flight or handle.stats().running > 0:
        pass
    assert handle.stats().running == 0
    bot.push(12, chat=lambda index: index)
    bot.record.wait_for_begun(4 + 2)
    while handle.stats().ready < 10:
        assert len(bot.record.running) <= 2
    assert handle.stats().running == 2
    release.set()
    bot.record.wait_for_ended(16)


def test_an_interrupt_that_nothing_could_notice_is_taken_back_at_the_end(caplog: Any) -> None:
    # The handler is a function in C: when it returns the exception is still on its way, and the next Python code in
    # that thread, the error handler of the next update, would get it.
    items: Any = queue.SimpleQueue()
    errors: list[tuple[BaseException, int]] = []
    failed = threading.Event()

    def key_of(update: Any) -> str:
        if update["update_id"] == 2:
            raise LookupError
        return "key"

    def on_error(error: BaseException, update: Any) -> None:
        errors.append((error, update["update_id"]))
        failed.set()

    sink = Sink(items.get, on_error, keyer=key_of, concurrency=1, handler_timeout_s=1000.0, name="taken-back")
    sink.start()
    sink.offer({"update_id": 1})
    while counts(sink)["running"] < 1:
        pass
    sink.offer({"update_id": 2})
    while not interrupt(sink, 1, HandlerTimeout):
        pass
    items.put(1)
    assert failed.wait(PATIENCE_S)
    while counts(sink)["held"]:
        pass
    assert [(type(error), update_id) for error, update_id in errors] == [(LookupError, 2)]
    assert (counts(sink)["succeeded"], counts(sink)["failed"]) == (1, 1)
    assert _stop.close(sink, PATIENCE_S) == 0
    assert caplog.records == []


def test_a_snapshot_beside_updates_that_come_and_go_is_whole_and_in_order() -> None:
    sink = Sink(lambda update: None, lambda error, update: None, concurrency=3, backlog=200, name="snapshots")
    sink.start()
    is_over = threading.Event()
    wrong: list[list[int]] = []

    def look() -> None:
        while not is_over.is_set():
            seen = [update["update_id"] for update in snapshot(sink)]
            if seen != sorted(set(seen)):
                wrong.append(seen)

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for thread in lookers:
        thread.start()
    latest = time.monotonic() + 1.5
    number = 0
    while time.monotonic() < latest and not wrong:
        number += sink.offer({"update_id": number})
    is_over.set()
    for thread in lookers:
        thread.join(PATIENCE_S)
    while counts(sink)["held"]:
        pass
    assert _stop.close(sink, PATIENCE_S) == 0
    assert wrong == []
    assert counts(sink)["succeeded"] == number
