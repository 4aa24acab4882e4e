"""Handlers past their deadline: told of, interrupted, abandoned; and updates too old to answer."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import pytest

from runner_c import HandlerTimeout, TooManyWrittenOff, deadline


def overdue_logs(caplog: Any) -> list[str]:
    return [record.getMessage() for record in caplog.records if getattr(record, "action", "") == "timeout.overdue"]


def test_a_late_handler_is_reported_once_with_update_age_and_stack(queue_bot: Any, start: Any, caplog: Any) -> None:
    release = threading.Event()

    def a_handler_that_waits(update: Any) -> None:
        release.wait(20)

    bot = queue_bot(a_handler_that_waits)
    bot.push(1)
    # Long enough for the handler to be where it waits, also on a busy machine.
    handle = start(bot, handler_timeout_s=0.5)
    while not handle.stats().overdue:
        time.sleep(0.001)
    while not overdue_logs(caplog):
        time.sleep(0.001)
    release.set()
    bot.record.wait_for_ended(1)
    assert handle.stop().handled == 1
    (message,) = overdue_logs(caplog)
    assert re.search(r"update 1000 has been running for \d+\.\d s", message)
    assert "a_handler_that_waits" in message
    assert handle.stats().succeeded == 1


def test_interrupt_ends_a_python_loop_and_the_error_handler_gets_it(queue_bot: Any, start: Any) -> None:
    # No recorder around the loop: an exception that is raised just anywhere would leave its lock behind.
    class Bare(queue_bot):  # type: ignore[misc]
        def handle_update(self, update: Any) -> None:
            while update["update_id"] == 1000:
                pass

    bot = Bare()
    bot.push(2)
    handle = start(bot, handler_timeout_s=0.2, on_timeout="interrupt")
    while handle.stats().handled < 2:
        time.sleep(0.01)
    handle.stop()
    ((error, update),) = bot.errors
    assert isinstance(error, HandlerTimeout)
    assert update["update_id"] == 1000
    stats = handle.stats()
    assert (stats.failed, stats.succeeded, stats.overdue) == (1, 1, 1)


def test_an_interrupt_that_comes_too_late_hits_no_other_update(queue_bot: Any, start: Any) -> None:
    # Handlers end at about their deadline, so that interrupts and ends cross again and again. Nothing but the loop may
    # be hit: what records the outcome is the engine's own count.
    timeout_s = 0.004
    overdue_ids: set[int] = set()

    def interrupt(overdue: Any) -> str:
        overdue_ids.add(overdue.update["update_id"])
        return "interrupt"

    class Bare(queue_bot):  # type: ignore[misc]
        def handle_update(self, update: Any) -> None:
            if update["update_id"] % 2:
                end = time.monotonic() + timeout_s
                while time.monotonic() < end:
                    pass

    bot = Bare()
    bot.push(600, chat=lambda index: index % 4)
    handle = start(bot, concurrency=2, handler_timeout_s=timeout_s, on_timeout=interrupt)
    while handle.stats().handled < 600:
        time.sleep(0.01)
    handle.stop()
    stats = handle.stats()
    assert (stats.handled, stats.in_flight) == (600, 0)
    assert all(isinstance(error, HandlerTimeout) for error, _ in bot.errors)
    # On a busy machine an update that does nothing may be late as well; but only one that was late may be hit.
    assert {update["update_id"] for _, update in bot.errors} <= overdue_ids
    assert len(bot.errors) <= stats.failed <= stats.overdue


def test_abandon_frees_slot_and_key_and_the_late_end_changes_no_count(queue_bot: Any, start: Any) -> None:
    release = threading.Event()
    left = threading.Event()

    def work(update: Any) -> None:
        if update["update_id"] == 1000:
            release.wait(20)
            left.set()

    bot = queue_bot(work)
    bot.push(3)
    # Long enough for the two that only pass to do so, also on a busy machine.
    handle = start(bot, concurrency=1, handler_timeout_s=0.5, on_timeout="abandon", name="abandoning")
    bot.record.wait_until(lambda: {1001, 1002} <= set(bot.record.ended))
    while handle.size():
        time.sleep(0.001)
    before = handle.stats()
    assert (before.succeeded, before.abandoned, before.failed, before.in_flight, before.keys) == (2, 1, 0, 0, 0)
    assert before.workers == 1
    release.set()
    assert left.wait(20)
    bot.record.wait_for_ended(3)
    while any(thread.name == "abandoning-worker-1" for thread in threading.enumerate()):
        time.sleep(0.001)
    after = handle.stats()
    assert (after.succeeded, after.abandoned, after.failed, after.admitted) == (2, 1, 0, 3)
    assert (after.running, after.workers) == (before.running, before.workers)
    bot.push(5)
    bot.record.wait_for_ended(8)
    report = handle.stop()
    assert report.handled == 8
    assert report.drained


def test_abandoned_handlers_cross_with_their_ends_and_every_update_ends_once(queue_bot: Any, start: Any) -> None:
    timeout_s = 0.004

    def work(update: Any) -> None:
        if update["update_id"] % 2:
            time.sleep(timeout_s)

    bot = queue_bot(work)
    bot.push(600, chat=lambda index: index % 8)
    handle = start(bot, concurrency=4, handler_timeout_s=timeout_s, on_timeout="abandon")
    bot.record.wait_for_ended(600)
    report = handle.stop()
    stats = handle.stats()
    assert report.handled == 600 == stats.succeeded + stats.abandoned
    assert (stats.running, stats.keys, stats.in_flight) == (0, 0, 0)
    assert [breach for breach in bot.record.breaches if "twice" in breach] == []


def test_a_function_decides_by_update(queue_bot: Any, start: Any) -> None:
    decided: list[Any] = []
    release = threading.Event()

    def decide(overdue: Any) -> str | None:
        decided.append(overdue)
        return "abandon" if overdue.update["update_id"] == 1000 else None

    bot = queue_bot(work=lambda update: release.wait(20))
    bot.push(2, chat=lambda index: index)
    handle = start(bot, handler_timeout_s=0.05, on_timeout=decide)
    while handle.stats().abandoned == 0 or len(decided) < 2:
        pass
    assert handle.size() == 1
    assert all(overdue.age_s >= 0.05 and overdue.stack for overdue in decided)
    release.set()
    handle.stop()
    assert handle.stats().succeeded == 1


@pytest.mark.parametrize("answer", ["nonsense", None])
def test_a_policy_function_that_fails_changes_nothing(queue_bot: Any, start: Any, caplog: Any, answer: Any) -> None:
    release = threading.Event()

    def decide(overdue: Any) -> Any:
        if answer is None:
            raise LookupError("no decision")
        return answer

    bot = queue_bot(work=lambda update: release.wait(20))
    bot.push(1)
    handle = start(bot, handler_timeout_s=0.02, on_timeout=decide)
    while not [record for record in caplog.records if getattr(record, "action", "") == "timeout.failed"]:
        pass
    release.set()
    assert handle.stop().handled == 1


def test_too_many_written_off_threads_end_the_runner_with_an_error(
    queue_bot: Any, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "WRITTEN_OFF_LIMIT", 3)
    release = threading.Event()
    bot = queue_bot(work=lambda update: release.wait(30))
    bot.push(6)
    handle = start(bot, handler_timeout_s=0.02, on_timeout="abandon")
    with pytest.raises(TooManyWrittenOff, match="4 handlers hang"):
        handle.wait(20)
    release.set()
    assert handle.stop().handled == 6


def test_updates_too_old_to_answer_are_skipped_and_counted(queue_bot: Any, start: Any) -> None:
    release = threading.Event()
    bot = queue_bot(work=lambda update: "message" in update and release.wait(20))
    bot.put({"update_id": 1, "message": {"chat": {"id": 1}}})
    handle = start(bot, concurrency=1, age_limits={"inline_query": 0.05})
    bot.record.wait_for_begun(1)
    bot.put({"update_id": 2, "inline_query": {}}, {"update_id": 3, "callback_query": {}})
    while handle.size() < 3:
        pass
    time.sleep(0.06)  # the age itself
    release.set()
    bot.record.wait_for_ended(2)
    handle.stop()
    assert bot.record.ended == [1, 3]
    assert (handle.stats().skipped, handle.stats().succeeded) == (1, 2)
