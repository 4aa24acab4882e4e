"""Offsets, confirmation, dedupe, pace, failures and back-off of the polling loop."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

from runner_c import create_concurrent_sink, create_runner, create_source
from runner_c.source import EMPTY_PAUSE_S, BotSource

# -- offsets and confirmation


def test_fetch_confirms_a_batch_with_the_next_poll(queue_bot: Any, start: Any) -> None:
    release = threading.Event()
    bot = queue_bot(work=lambda update: release.wait(20))
    ids = bot.push(3)
    start(bot, ack="fetch")
    bot.wait_for_poll(lambda polls: len(polls) == 2)
    assert [offset for offset, _, _ in bot.polls] == [None, ids[-1] + 1]
    assert bot.unconfirmed == []
    release.set()


def test_done_never_passes_an_update_that_is_not_handled(queue_bot: Any, start: Any) -> None:
    release = threading.Event()
    bot = queue_bot(work=lambda update: update["update_id"] == 1001 and release.wait(20))
    ids = bot.push(4, chat=lambda index: index)
    handle = start(bot, ack="done")
    bot.record.wait_for_ended(3)
    bot.wait_for_poll(lambda polls: polls[-1][0] == ids[1])
    later = bot.push(2, chat=9)
    bot.record.wait_until(lambda: set(later) <= set(bot.record.ended))
    assert bot.unconfirmed == [ids[1], ids[2], ids[3], *later]
    release.set()
    bot.record.wait_for_ended(6)
    handle.stop()
    assert bot.unconfirmed == []
    assert bot.record.breaches == []
    assert handle.stats().duplicates > 0


def test_done_does_not_ask_for_an_unchanged_offset_in_a_hurry(queue_bot: Any, start: Any) -> None:
    release = threading.Event()
    bot = queue_bot(work=lambda update: release.wait(20))
    bot.push(1)
    start(bot, ack="done")
    bot.wait_for_poll(lambda polls: len(polls) >= 4)
    release.set()
    same = [
        later - earlier
        for earlier, later, (one, _, _), (other, _, _) in zip(
            bot.poll_times, bot.poll_times[1:], bot.polls, bot.polls[1:], strict=False
        )
        if one == other
    ]
    assert same
    assert min(same) >= 0.49


def test_done_moves_the_offset_as_soon_as_the_oldest_update_is_handled(queue_bot: Any, start: Any) -> None:
    release = threading.Event()
    bot = queue_bot(work=lambda update: release.wait(20))
    (first,) = bot.push(1)
    start(bot, ack="done")
    bot.wait_for_poll(lambda polls: len(polls) >= 2)
    begun = time.monotonic()
    release.set()
    bot.wait_for_poll(lambda polls: polls[-1][0] == first + 1)
    assert time.monotonic() - begun < 0.4


def test_ids_that_jump_down_are_handled(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    bot.put({"update_id": 900_000_000, "message": {}})
    start(bot)
    bot.record.wait_for_ended(1)
    bot.wait_for_poll(lambda polls: polls[-1][0] == 900_000_001)
    bot.put({"update_id": 17, "message": {}}, {"update_id": 18, "message": {}})
    bot.record.wait_for_ended(3)
    bot.wait_for_poll(lambda polls: polls[-1][0] == 19)


def test_an_update_that_comes_again_is_dropped_and_counted(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    update = {"update_id": 5, "message": {"chat": {"id": 1}}}
    bot.put(update, update, {"update_id": 6, "message": {}}, update)
    handle = start(bot)
    assert handle.offer(dict(update)) is True
    bot.record.wait_for_ended(2)
    assert handle.stop().handled == 2
    assert sorted(bot.record.ended) == [5, 6]
    assert handle.stats().duplicates >= 3


def test_drop_pending_leaves_behind_what_waits(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    dropped = bot.push(250)
    start(bot, drop_pending=True)
    bot.wait_for_poll(lambda polls: len(polls) >= 2)
    kept = bot.push(2)
    bot.record.wait_for_ended(2)
    assert bot.record.ended == kept
    assert bot.polls[0][0] == -1
    assert bot.polls[1][0] == dropped[-1] + 1


def test_what_is_no_update_is_skipped_with_an_error_and_the_rest_is_handled(
    queue_bot: Any, start: Any, caplog: Any
) -> None:
    bot = queue_bot()
    good = {"update_id": 3, "message": {}}
    bot.get_updates, original = (lambda **options: ["rubbish", {"no": "id"}, {"update_id": "3"}, good]), bot.get_updates
    handle = start(bot)
    bot.record.wait_for_ended(1)
    bot.get_updates = original
    handle.stop()
    assert bot.record.ended == [3]
    assert handle.stats().refused >= 3
    assert "the source gave something that is no update" in caplog.text


def test_the_poll_is_told_limit_timeout_and_kinds(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    start(bot, poll_limit=7, poll_timeout_s=11, allowed_updates=["message"])
    bot.wait_for_poll(lambda polls: len(polls) == 1)
    assert bot.polls == [(None, 7, 11)]
    assert bot.allowed == [["message"]]


def test_kinds_are_derived_by_the_bot_if_run_is_not_told(queue_bot: Any, start: Any) -> None:
    class Deriving(queue_bot):  # type: ignore[misc]
        def allowed_updates(self) -> list[str]:
            return ["callback_query"]

    bot = Deriving()
    start(bot)
    bot.wait_for_poll(lambda polls: len(polls) == 1)
    assert bot.allowed == [["callback_query"]]


def test_traffic_waits_for_fuller_batches_and_speed_does_not(queue_bot: Any, start: Any) -> None:
    gaps = {}
    for balance in (0.0, 1.0):
        bot = queue_bot()
        bot.push(1)
        handle = start(bot, speed_traffic_balance=balance, max_delay_s=0.3)
        bot.wait_for_poll(lambda polls: len(polls) >= 2)
        gaps[balance] = bot.poll_times[1] - bot.poll_times[0]
        handle.stop()
    assert gaps[0.0] < 0.15
    assert gaps[1.0] >= 0.29


def test_while_plenty_is_ready_more_is_fetched_at_leisure_until_the_backlog_is_full() -> None:
    release = threading.Event()
    asked_at_s: list[float] = []

    def supply(limit: int) -> list[dict[str, Any]]:
        asked_at_s.append(time.monotonic())
        first = 100 * len(asked_at_s)
        return [{"update_id": first + number, "message": {"chat": {"id": number}}} for number in range(limit)]

    sink = create_concurrent_sink(lambda update: release.wait(30), print, concurrency=1, keys=None, backlog=1000)
    with create_runner(create_source(supply), sink) as runner:
        runner.start()
        while runner.size() < 1000:
            time.sleep(0.001)
        release.set()
        # The first batch leaves 99 ready, the second more than a batch.
        pauses_s = [later - sooner for sooner, later in itertools.pairwise(asked_at_s[2:10])]
        assert min(pauses_s) > 0.015
        runner.stop(5)


def test_a_full_batch_is_not_followed_by_a_pause() -> None:
    source = create_source(lambda limit: [], speed_traffic_balance=1.0, max_delay_s=0.5)
    assert source.pause_s(100, 100) == 0.0
    assert source.pause_s(50, 100) == 0.25


def test_an_empty_poll_is_not_followed_by_a_pause_because_it_has_waited(queue_bot: Any) -> None:
    polled = BotSource(queue_bot(), poll_timeout_s=30, allowed_updates=None, speed_traffic_balance=1.0)
    assert polled.pause_s(0, 100) == 0.0
    assert create_source(lambda limit: []).pause_s(0, 100) == EMPTY_PAUSE_S


def test_a_short_reply_of_known_updates_does_not_lead_the_offset_back(queue_bot: Any, start: Any) -> None:
    release = threading.Event()
    bot = queue_bot(work=lambda update: update["update_id"] == 1000 and release.wait(20))
    ids = bot.push(30, chat=lambda index: index)
    whole = bot.get_updates
    bot.get_updates = lambda *, limit, **options: whole(limit=3 if len(bot.polls) else limit, **options)
    handle = start(bot, ack="done")
    bot.record.wait_for_ended(29)
    bot.wait_for_poll(lambda polls: len(polls) >= 3)
    release.set()
    report = handle.stop()
    assert report.confirmed_offset == ids[-1] + 1
    assert bot.unconfirmed == []


def test_room_that_duplicates_had_reserved_is_given_back_to_a_source_that_waits(queue_bot: Any, start: Any) -> None:
    release = threading.Event()
    bot = queue_bot(work=lambda update: update["update_id"] == 1000 and release.wait(60))
    bot.push(1)
    handle = start(bot, ack="done", backlog=2, concurrency=2)
    bot.record.wait_for_begun(1)
    # One place is left: each reply brings the update that hangs again, and one of these.
    bot.push(4, chat=2)
    bot.record.wait_for_ended(4)
    release.set()
    bot.record.wait_for_ended(5)
    assert handle.stop().handled == 5


def test_known_updates_at_the_head_take_no_room_from_new_ones_and_the_offset_keeps_its_way(
    queue_bot: Any, start: Any
) -> None:
    release = threading.Event()
    bot = queue_bot(work=lambda update: update["update_id"] == 1000 and release.wait(60))
    ids = bot.push(12, chat=lambda index: index)
    handle = start(bot, ack="done", backlog=3)
    bot.record.wait_for_ended(11)
    release.set()
    report = handle.stop()
    assert (report.handled, report.confirmed_offset) == (12, ids[-1] + 1)
    assert bot.record.breaches == []
