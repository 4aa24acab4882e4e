"""I1, I8: a stop wakes everything that waits, loses nothing, confirms what was handled, and says what is left."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from runner_c import (
    ConfigError,
    RunnerError,
    Stopped,
    create_concurrent_sink,
    create_runner,
    create_source,
    current,
    run,
)

SOON_S = 0.5
"""The promise is 0.1 s; the tests leave room for a machine that is busy."""


def took(call: Any) -> tuple[Any, float]:
    begun = time.monotonic()
    return call(), time.monotonic() - begun


def test_a_stop_cuts_the_long_poll(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    handle = start(bot)
    bot.wait_for_poll(lambda polls: len(polls) == 1)
    report, elapsed_s = took(handle.stop)
    assert elapsed_s < SOON_S
    assert (report.handled, report.unfinished, report.drained) == (0, [], True)


def test_a_stop_cuts_the_back_off(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    bot.fail(OSError("no network"))
    handle = start(bot, retry=30.0)
    bot.wait_for_poll(lambda polls: len(polls) == 1)
    assert took(handle.stop)[1] < SOON_S


def test_a_stop_cuts_a_retry_after_of_the_server(queue_bot: Any, start: Any) -> None:
    class Flood(Exception):
        error_code = 429
        retry_after = 600

    bot = queue_bot()
    bot.fail(Flood())
    handle = start(bot)
    bot.wait_for_poll(lambda polls: len(polls) == 1)
    assert took(handle.stop)[1] < SOON_S


def test_a_stop_wakes_the_poller_that_waits_for_room(queue_bot: Any, start: Any) -> None:
    release = threading.Event()
    bot = queue_bot(work=lambda update: release.wait(20))
    bot.push(30, chat=lambda index: index)
    handle = start(bot, concurrency=2, backlog=10)
    bot.record.wait_for_begun(2)
    release.set()
    report, elapsed_s = took(handle.stop)
    assert elapsed_s < 2 * SOON_S
    assert report.drained


def test_a_stop_ends_a_wait_of_a_handler_and_its_update_is_unfinished(queue_bot: Any, start: Any) -> None:
    def work(update: Any) -> None:
        if current().wait(600):
            raise Stopped

    bot = queue_bot(work)
    ids = bot.push(3)
    handle = start(bot)
    bot.record.wait_for_begun(1)
    report, elapsed_s = took(handle.stop)
    assert elapsed_s < SOON_S
    assert [update["update_id"] for update in report.unfinished] == ids
    assert not report.drained
    assert bot.errors == []
    assert bot.record.begun == ids[:1], "a successor overtook the update that was put back"


def test_a_stop_waits_for_a_hundred_handlers_and_confirms_them(queue_bot: Any, start: Any) -> None:
    release = threading.Event()
    bot = queue_bot(work=lambda update: release.wait(20))
    ids = bot.push(100, chat=lambda index: index)
    handle = start(bot)
    bot.record.wait_for_begun(100)
    threading.Timer(0.1, release.set).start()
    report = handle.stop()
    assert (report.handled, report.unfinished, report.drained) == (100, [], True)
    assert report.confirmed_offset == ids[-1] + 1
    assert bot.unconfirmed == []


@pytest.mark.parametrize("ack", ["fetch", "done"])
def test_nothing_is_handled_twice_after_a_stop_and_a_start(queue_bot: Any, start: Any, ack: str) -> None:
    bot = queue_bot(work=lambda update: time.sleep(0.001))
    bot.push(500, chat=lambda index: index % 50)
    handled = 0
    for _ in range(5):
        handle = run(bot, ack=ack, concurrency=8)
        bot.record.wait_for_ended(min(500, handled + 60))
        handled += handle.stop().handled
    assert handled == len(bot.record.ended)
    handle = start(bot, ack=ack)
    bot.record.wait_for_ended(500)
    handle.stop()
    assert bot.record.breaches == []
    assert len(bot.record.ended) == 500
    assert bot.unconfirmed == []


def test_a_handler_that_hangs_is_named_at_the_deadline(queue_bot: Any, start: Any, caplog: Any) -> None:
    lock = threading.Lock()
    lock.acquire()
    bot = queue_bot(work=lambda update: update["update_id"] == 1001 and lock.acquire(timeout=30))
    ids = bot.push(4, chat=lambda index: 7 if index in (1, 3) else index)
    handle = start(bot, ack="done")
    bot.record.wait_until(lambda: len(bot.record.begun) == 3 and len(bot.record.ended) == 2)
    report, elapsed_s = took(lambda: handle.stop(0.3))
    assert 0.3 <= elapsed_s < 0.3 + 2 * SOON_S
    assert [update["update_id"] for update in report.unfinished] == [ids[1], ids[3]]
    assert report.handled == 2
    assert report.confirmed_offset == ids[1]
    hanging = [record.getMessage() for record in caplog.records if getattr(record, "action", "") == "stop.hanging"]
    assert len(hanging) == 1
    assert f"update {ids[1]} still runs" in hanging[0]
    assert "test_stop.py" in hanging[0], "the stack is missing"
    lock.release()


def test_a_tail_that_was_never_begun_stays_at_the_server(queue_bot: Any, start: Any) -> None:
    release = threading.Event()
    bot = queue_bot(work=lambda update: release.wait(20))
    ids = bot.push(10)
    handle = start(bot)
    bot.record.wait_for_begun(1)
    # The poll after the batch has confirmed all ten already, unless the stop comes first; so look at the report only.
    report = handle.stop(0.05)
    release.set()
    assert [update["update_id"] for update in report.unfinished] == ids


def test_a_python_loop_is_interrupted_at_the_deadline(queue_bot: Any, start: Any) -> None:
    def work(update: Any) -> None:
        while True:
            pass

    bot = queue_bot(work)
    ids = bot.push(1)
    handle = start(bot)
    bot.record.wait_for_begun(1)
    report = handle.stop(0.1)
    assert [update["update_id"] for update in report.unfinished] == ids
    bot.record.wait_for_ended(1)


def test_a_stop_in_a_handler_begins_and_does_not_wait_for_itself(queue_bot: Any, start: Any) -> None:
    handles: list[Any] = []
    ready = threading.Event()
    reports: list[Any] = []

    def work(update: Any) -> None:
        ready.wait(20)
        reports.append(handles[0].stop())

    bot = queue_bot(work)
    bot.push(1)
    handles.append(start(bot))
    ready.set()
    assert handles[0].wait(20)
    assert reports[0].drained is False
    assert handles[0].stop().drained is True


def test_stop_can_be_called_again_and_by_many_threads(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    bot.push(20)
    handle = start(bot)
    bot.record.wait_for_ended(20)
    reports: list[Any] = []
    threads = [threading.Thread(target=lambda: reports.append(handle.stop(5))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(report is reports[0] for report in reports)
    assert handle.stop() is reports[0]
    for wrong in (-1, float("inf"), float("nan"), 1e300, "x", True):
        for method in (handle.stop, handle.wait):
            with pytest.raises(ConfigError, match="timeout_s"):
                method(wrong)


def test_a_second_stop_may_shorten_the_deadline(queue_bot: Any, start: Any) -> None:
    release = threading.Event()
    bot = queue_bot(work=lambda update: release.wait(30))
    bot.push(1)
    handle = start(bot)
    bot.record.wait_for_begun(1)
    patient = threading.Thread(target=handle.stop)
    patient.start()
    handle.stop(0.05)
    patient.join(5)
    assert not patient.is_alive()
    release.set()


def test_leaving_the_context_stops_and_a_new_start_begins_again(queue_bot: Any) -> None:
    bot = queue_bot()
    with run(bot) as handle:
        bot.push(3)
        bot.record.wait_for_ended(3)
        with pytest.raises(RunnerError, match="running already"):
            handle.start()
    assert not handle.is_running()
    assert handle.task().result().handled == 3
    handle.start()
    bot.push(2)
    bot.record.wait_for_ended(5)
    assert handle.stop().handled == 2
    assert bot.record.breaches == []


def test_a_source_that_ends_ends_the_runner_when_all_is_handled() -> None:
    handled: list[int] = []
    source = create_source(iter({"update_id": number} for number in range(10)))
    sink = create_concurrent_sink(lambda update: handled.append(update["update_id"]), lambda error, update: None)
    handle = create_runner(source, sink)
    with pytest.raises(RunnerError, match="not started"):
        handle.wait(0)
    handle.start()
    assert handle.wait(20)
    assert sorted(handled) == list(range(10))
    assert handle.stop().handled == 10


def test_an_offer_while_it_stops_is_refused(queue_bot: Any, start: Any) -> None:
    release = threading.Event()
    bot = queue_bot(work=lambda update: release.wait(20))
    bot.push(1)
    handle = start(bot)
    bot.record.wait_for_begun(1)
    stopper = threading.Thread(target=handle.stop)
    stopper.start()
    while handle.offer({"update_id": 5_000_000}) and not release.wait(0.001):
        break
    while not handle._life.sink.stopping.is_set():
        pass
    assert handle.offer({"update_id": 5_000_001}) is False
    release.set()
    stopper.join()
    assert handle.offer({"update_id": 5_000_002}) is False


def test_pause_begins_nothing_and_resume_goes_on(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    handle = start(bot)
    bot.push(5)
    bot.record.wait_for_ended(5)
    handle.pause()
    bot.push(5, chat=2)
    assert handle.offer({"update_id": 1, "message": {"chat": {"id": 3}}})
    while handle.size() < 1:
        pass
    assert len(bot.record.begun) == 5
    handle.resume()
    bot.record.wait_for_ended(11)
    handle.pause()
    bot.push(1)
    assert handle.stop().drained
