"""I1: a stop that meets offers, pauses, hostile bots or other runners loses nothing; what is left can come again."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from runner_c import (
    Stopped,
    current,
    run,
)


def test_a_stop_races_with_updates_that_come_in_and_every_one_is_accounted_for(queue_bot: Any) -> None:
    for attempt in range(16):
        bot = queue_bot(work=lambda update: time.sleep(0.0005))
        bot.push(200, chat=lambda index: index % 20)
        handle = run(bot, concurrency=8, ack="done", backlog=250)
        offered: list[int] = []
        thread = threading.Thread(target=offer_until_it_stops, args=(handle, offered))
        thread.start()
        bot.record.wait_for_begun(attempt * 10)
        report = handle.stop(0.01 if attempt % 2 else None)
        thread.join()
        left = {update["update_id"] for update in report.unfinished}
        stats = handle.stats()
        assert stats.admitted == stats.handled + len(left)
        assert set(offered) <= set(bot.record.begun) | left
        assert [breach for breach in bot.record.breaches if "overlaps" in breach or "twice" in breach] == []
        if report.drained:
            assert set(bot.record.ended) >= set(offered)


def test_what_a_stop_left_unfinished_is_handled_after_the_next_start(queue_bot: Any, start: Any) -> None:
    release = threading.Event()
    bot = queue_bot(work=lambda update: release.wait(20))
    ids = bot.push(5)
    handle = start(bot, ack="done")
    bot.record.wait_for_begun(1)
    assert [update["update_id"] for update in handle.stop(0).unfinished] == ids
    release.set()
    bot.record.wait_for_ended(1)
    bot.record = type(bot.record)()
    handle.start()
    bot.record.wait_for_ended(5)
    assert bot.record.ended == ids
    assert handle.stop().handled == 5


def test_unfinished_updates_can_be_offered_again(queue_bot: Any, start: Any) -> None:
    release = threading.Event()
    bot = queue_bot(work=lambda update: release.wait(20))
    bot.push(5)
    handle = start(bot, concurrency=1)
    bot.record.wait_for_begun(1)
    unfinished = handle.stop(0).unfinished
    release.set()
    handle.start()
    assert all(handle.offer(update) for update in unfinished[1:])
    bot.record.wait_for_ended(5)
    assert handle.stop().handled >= 4


def test_an_offer_that_a_stop_overtakes_is_refused_and_can_be_repeated(queue_bot: Any, start: Any) -> None:
    in_key_function, release = threading.Event(), threading.Event()

    def slow_key(update: Any) -> str:
        in_key_function.set()
        release.wait(20)
        return "key"

    bot = queue_bot()
    handle = start(bot, sequentialize=slow_key)
    taken: list[bool] = []
    update = {"update_id": 5, "message": {}}
    thread = threading.Thread(target=lambda: taken.append(handle.offer(update)))
    thread.start()
    assert in_key_function.wait(20)
    report = handle.stop(0)
    release.set()
    thread.join(20)
    assert (taken, report.unfinished, report.handled) == ([False], [], 0)
    handle.start()
    assert handle.offer(update)
    bot.record.wait_for_ended(1)


def test_a_pause_during_a_stop_does_not_hold_it_up(queue_bot: Any, start: Any) -> None:
    release = threading.Event()
    bot = queue_bot(work=lambda update: release.wait(20))
    bot.push(10)
    handle = start(bot, concurrency=1)
    bot.record.wait_for_begun(1)
    stopper = threading.Thread(target=handle.stop)
    stopper.start()
    while not handle._life.sink.stopping.is_set():
        pass
    handle.pause()
    release.set()
    stopper.join(20)
    assert handle.stop().handled == 10


def test_a_bot_whose_close_and_interrupt_fail_is_stopped_all_the_same(queue_bot: Any, caplog: Any) -> None:
    class Hostile(queue_bot):  # type: ignore[misc]
        def interrupt(self) -> None:
            super().interrupt()
            raise RuntimeError("interrupt fails")

        def close(self) -> None:
            raise RuntimeError("close fails")

    bot = Hostile()
    bot.push(3)
    handle = run(bot)
    bot.record.wait_for_ended(3)
    assert handle.stop().handled == 3
    assert "interrupt fails" in caplog.text
    assert "close fails" in caplog.text


def test_a_handler_of_one_runner_can_stop_another(queue_bot: Any, start: Any) -> None:
    other = start(queue_bot())
    reports: list[Any] = []
    bot = queue_bot(work=lambda update: reports.append(other.stop()))
    bot.push(1)
    start(bot)
    bot.record.wait_for_ended(1)
    assert reports[0].drained
    assert not other.is_running()


def test_stop_does_not_raise_the_time_out_that_ended_the_runner(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    bot.fail(*[TimeoutError("the network")] * 100)
    handle = start(bot, max_retry_time_s=0.01)
    with pytest.raises(TimeoutError):
        handle.wait(20)
    assert handle.stop().handled == 0


def test_a_run_that_has_ended_is_freed(queue_bot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import gc
    import logging
    import weakref

    # pytest keeps the records of the log, and with them the updates.
    monkeypatch.setattr(logging.getLogger("runner_c"), "disabled", True)

    class Token:
        pass

    def work(update: Any) -> None:
        if current().wait(20):
            raise Stopped

    bot = queue_bot(work)
    handle = run(bot)
    token = Token()
    handle.offer({"update_id": 1, "message": {}, "token": token})
    bot.record.wait_for_begun(1)
    handle.stop()
    handle.start()
    handle.stop()
    gone = weakref.ref(token)
    del token
    gc.collect()
    assert gone() is None


def offer_until_it_stops(handle: Any, offered: list[int]) -> None:
    """Offer updates of three chats for as long as the runner runs; note those that were taken."""
    number = 5_000_000
    while handle.is_running():
        number += 1
        if handle.offer({"update_id": number, "message": {"chat": {"id": number % 3}}}):
            offered.append(number)
