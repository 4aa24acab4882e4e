"""I1, I3, I4: hard limits, exact accounts, no memory for idle keys."""

from __future__ import annotations

import resource
import sys
import threading
import time
from typing import Any

import pytest

from runner_c import Stopped, run


def test_sixteen_means_sixteen_from_the_first_batch_of_a_hundred(queue_bot: Any, start: Any) -> None:
    bot = queue_bot(work=lambda update: time.sleep(0.005))
    bot.push(400, chat=lambda index: index)
    start(bot, concurrency=16)
    bot.record.wait_for_ended(400)
    assert bot.record.most_running == 16


def test_never_more_updates_are_held_than_the_backlog(queue_bot: Any, start: Any) -> None:
    release = threading.Event()
    bot = queue_bot(work=lambda update: release.wait(20))
    bot.push(500, chat=lambda index: index)
    handle = start(bot, concurrency=5, backlog=40)
    bot.record.wait_for_begun(5)
    bot.wait_for_poll(lambda polls: sum(limit for _, limit, _ in polls) >= 40)
    assert handle.size() <= 40
    assert all(limit <= 40 for _, limit, _ in bot.polls)
    assert handle.offer({"update_id": 1}) is False or handle.size() <= 40
    release.set()
    bot.record.wait_for_ended(500)


def test_the_poller_fetches_ahead_while_handlers_run_and_pauses_at_the_backlog(queue_bot: Any, start: Any) -> None:
    release = threading.Event()
    bot = queue_bot(work=lambda update: release.wait(20))
    bot.push(1000, chat=lambda index: index)
    handle = start(bot, concurrency=1, backlog=250)
    with bot.record.changed:
        pass
    deadline = threading.Event()
    while handle.size() < 250 and not deadline.wait(0.005):
        pass
    assert [limit for _, limit, _ in bot.polls] == [100, 100, 50]
    release.set()
    bot.record.wait_for_ended(1000)


def test_an_offer_beyond_the_backlog_is_refused_and_can_be_repeated(queue_bot: Any, start: Any) -> None:
    release = threading.Event()
    bot = queue_bot(work=lambda update: release.wait(20))
    handle = start(bot, concurrency=1, backlog=3)
    updates = [{"update_id": number, "message": {"chat": {"id": number}}} for number in range(4)]
    assert [handle.offer(update) for update in updates] == [True, True, True, False]
    release.set()
    bot.record.wait_for_ended(3)
    while not handle.offer(updates[3]):
        pass
    bot.record.wait_for_ended(4)
    assert bot.record.breaches == []


def test_every_update_is_counted_once_whatever_comes_of_it(queue_bot: Any, start: Any) -> None:
    def work(update: Any) -> None:
        kind = update["update_id"] % 4
        if kind == 1:
            raise ValueError
        if kind == 2:
            raise SystemExit(3)
        if kind == 3:
            raise KeyboardInterrupt

    bot = queue_bot(work)
    bot.push(400, chat=lambda index: index % 10)
    handle = start(bot)
    bot.record.wait_for_ended(400)
    handle.stop()
    stats = handle.stats()
    assert (stats.admitted, stats.succeeded, stats.failed, stats.in_flight, stats.keys) == (400, 100, 300, 0, 0)


def test_stopped_that_is_raised_without_a_stop_is_a_failure_like_any_other(queue_bot: Any, start: Any) -> None:
    def work(update: Any) -> None:
        raise Stopped

    bot = queue_bot(work)
    bot.push(3)
    handle = start(bot)
    bot.record.wait_for_ended(3)
    assert handle.stop().handled == 3
    assert len(bot.errors) == handle.stats().failed == 3


def test_an_id_that_is_no_64_bit_number_is_refused(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    handle = start(bot)
    for number in (2**63, True, "1", None):
        with pytest.raises(TypeError):
            handle.offer({"update_id": number})
    bot.put({"update_id": 2**70, "message": {}}, {"update_id": 1, "message": {}})
    bot.record.wait_for_ended(1)
    assert handle.stop().handled == 1


def test_errors_in_the_error_handler_and_the_key_function_end_one_update_each(queue_bot: Any, start: Any) -> None:
    class Hostile(queue_bot):  # type: ignore[misc]
        def handle_error(self, error: BaseException, update: Any) -> None:
            super().handle_error(error, update)
            raise RuntimeError("the error handler fails too")

        def keys(self, update: Any) -> str:
            if update["update_id"] % 2:
                raise LookupError("no key")
            return "all"

    bot = Hostile(lambda update: 1 / 0)
    bot.push(50)
    handle = start(bot)
    while handle.stats().failed < 50:
        pass
    assert len(bot.errors) == 50
    assert handle.stop().handled == 50


def test_idle_keys_cost_no_memory(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    handle = start(bot, backlog=50_000)
    number = 0

    def rounds(count: int) -> None:
        nonlocal number
        for _ in range(count):
            handle.offer({"update_id": number, "message": {"chat": {"id": number}}})
            number += 1
            while handle.size() > 40_000:
                pass
        while handle.size():
            pass
        bot.record.begun.clear()
        bot.record.ended.clear()
        bot.record._last.clear()

    bot.handle_update = lambda update: None
    handle.stop()
    handle = start(bot, backlog=50_000)
    rounds(60_000)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rounds(120_000)
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    assert handle.stats().keys == 0
    assert grown_kb < 12_000, f"{grown_kb} KB more after 120,000 keys that came and went"


def test_the_pool_grows_with_need_and_shrinks_when_idle(queue_bot: Any) -> None:
    from runner_c._sink import Sink
    from runner_c._stop import close
    from runner_c._watch import counts

    together = threading.Barrier(20)
    done = threading.Semaphore(0)

    def consume(update: Any) -> None:
        together.wait(20)
        done.release()

    sink = Sink(consume, lambda error, update: None, concurrency=64, name="small", idle_timeout_s=0.05)
    sink.start()
    assert counts(sink)["workers"] == 1
    for number in range(20):
        sink.offer({"update_id": number})
    for _ in range(20):
        assert done.acquire(timeout=20)
    assert 20 <= counts(sink)["workers"] <= 22
    names = {thread.name for thread in threading.enumerate()}
    assert {"small-worker-1", "small-worker-20"} <= names
    shrunk = threading.Event()
    while counts(sink)["workers"] > 1 and not shrunk.wait(0.01):
        pass
    assert close(sink, 5.0) == 0


def test_five_hundred_handlers_that_wait_run_at_the_same_time(queue_bot: Any, start: Any) -> None:
    together = threading.Barrier(500)
    bot = queue_bot(work=lambda update: together.wait(30))
    bot.push(1000, chat=lambda index: index)
    handle = start(bot, concurrency=500)
    bot.record.wait_for_ended(1000)
    assert bot.record.most_running == 500
    assert handle.stop().drained


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("concurrency", 0),
        ("concurrency", "4"),
        ("concurrency", True),
        ("backlog", 0),
        ("poll_timeout_s", 51),
        ("poll_limit", 101),
        ("speed_traffic_balance", 2),
        ("ack", "sometimes"),
        ("ack", "journal"),
        ("store", "x.db"),
        ("store", "postgresql://localhost/x"),
        ("retry", "never"),
        ("retry_cap_s", -1),
        ("handler_timeout_s", 0),
        ("on_timeout", "explode"),
        ("age_limits", 3),
        ("sequentialize", "by_chat"),
        ("processes", 2),
        ("allowed_updates", "message"),
        ("allowed_updates", [5]),
        ("drop_pending", "no"),
        ("max_delay_s", "x"),
        ("max_delay_s", float("inf")),
        ("speed_traffic_balance", None),
        ("max_retry_time_s", None),
        ("name", 5),
        ("sequentialize", int.__add__),
        ("max_attempts", 3),
    ],
)
def test_a_bad_option_is_an_error_that_names_it(queue_bot: Any, option: str, value: Any) -> None:
    threads = threading.active_count()
    with pytest.raises(ValueError, match=option):
        run(queue_bot(), **{option: value})
    assert threading.active_count() == threads


def test_an_object_without_the_two_methods_is_refused() -> None:
    with pytest.raises(ValueError, match="has no get_updates"):
        run(object())  # type: ignore[arg-type]


def test_the_gil_stays_off_while_the_engine_runs(queue_bot: Any, start: Any) -> None:
    if not hasattr(sys, "_is_gil_enabled"):
        pytest.skip("a build with the GIL")
    import sysconfig

    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("a build with the GIL")
    bot = queue_bot()
    bot.push(500, chat=lambda index: index % 50)
    start(bot)
    bot.record.wait_for_ended(500)
    assert sys._is_gil_enabled() is False
