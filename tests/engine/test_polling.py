"""Offsets, confirmation, dedupe, pace, failures and back-off of the polling loop."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from runner_c import ConfigError, create_concurrent_sink, create_runner, create_sequential_sink, create_source, run
from runner_c._seen import Seen
from runner_c.retry import Backoff
from runner_c.sink import create_batch_sink


class ApiFailure(Exception):
    def __init__(self, error_code: int, retry_after: float | None = None) -> None:
        super().__init__(f"error {error_code}")
        self.error_code = error_code
        self.retry_after = retry_after


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


def test_a_full_batch_is_not_followed_by_a_pause() -> None:
    source = create_source(lambda limit: [], speed_traffic_balance=1.0, max_delay_s=0.5)
    assert source.pause_s(100, 100) == 0.0
    assert source.pause_s(0, 100) == 0.0
    assert source.pause_s(50, 100) == 0.25


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
    bot = queue_bot(work=lambda update: update["update_id"] == 1000 and release.wait(20))
    bot.push(1)
    handle = start(bot, ack="done", backlog=2, concurrency=2)
    bot.record.wait_for_begun(1)
    bot.push(20, chat=2)
    bot.record.wait_for_ended(20)
    release.set()
    assert handle.stop().handled == 21


# -- failures


def test_a_bot_that_is_set_up_wrongly_ends_the_runner_at_once(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    bot.fail(ConfigError("no bot token"))
    with pytest.raises(ConfigError, match="no bot token"):
        start(bot).wait(20)


@pytest.mark.parametrize("code", [401, 404])
def test_a_refused_token_ends_the_runner_and_wait_raises_it(queue_bot: Any, start: Any, code: int) -> None:
    bot = queue_bot()
    bot.fail(ApiFailure(code))
    handle = start(bot)
    with pytest.raises(ApiFailure):
        handle.wait(20)
    assert isinstance(handle.task().exception(), ApiFailure)
    assert handle.is_running() is False
    assert handle.stop().handled == 0


def test_what_was_admitted_is_handled_although_polling_has_failed_for_good(queue_bot: Any, start: Any) -> None:
    bot = queue_bot(work=lambda update: time.sleep(0.01))
    bot.push(20)
    handle = start(bot)
    bot.record.wait_for_begun(1)
    bot.fail(ApiFailure(401))
    with pytest.raises(ApiFailure):
        handle.wait(20)
    assert len(bot.record.ended) == 20


def test_polling_goes_on_after_failures_of_every_kind(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    bot.fail(
        OSError("down"), ApiFailure(500), ApiFailure(502), ApiFailure(409), ValueError("garbage"), ApiFailure(429, 0.05)
    )
    bot.push(3)
    handle = start(bot, retry=0.01)
    bot.record.wait_for_ended(3)
    assert handle.stats().poll_failures == 6


def test_a_reply_that_is_no_list_is_a_failure_that_is_retried(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    bot.push(1)
    replies = iter(["text", {"ok": True}, b"bytes", 7])
    original = bot.get_updates
    bot.get_updates = lambda **options: next(replies, None) or original(**options)
    handle = start(bot, retry=0.01)
    bot.record.wait_for_ended(1)
    assert handle.stats().poll_failures == 4


def test_a_conflict_is_retried_and_becomes_fatal_after_a_minute_of_nothing_else(queue_bot: Any) -> None:
    from runner_c._poller import Poller
    from runner_c._sink import Sink
    from runner_c.source import BotSource

    bot = queue_bot()
    bot.fail(*[ApiFailure(409) for _ in range(1000)])
    sink = Sink(lambda update: None, lambda error, update: None)
    source = BotSource(bot, poll_timeout_s=1, allowed_updates=None)
    poller = Poller(source, sink, Backoff(0.01, 1.0, 100.0), conflict_limit_s=1.2)
    error = poller.run()
    assert isinstance(error, ApiFailure)
    assert 3 <= poller.polls <= 5


def test_a_conflict_between_other_failures_is_not_counted_as_lasting(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    bot.fail(*(ApiFailure(409 if number % 2 else 500) for number in range(10)))
    bot.push(1)
    start(bot, retry=0.01)
    bot.record.wait_for_ended(1)


def test_retry_after_is_obeyed_and_not_added_to(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    bot.fail(ApiFailure(429, 0.3))
    start(bot, retry=20.0)
    bot.wait_for_poll(lambda polls: len(polls) >= 2)
    assert 0.29 <= bot.poll_times[1] - bot.poll_times[0] < 2.0


def test_polling_is_given_up_after_the_longest_retry_time(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    bot.fail(*[OSError("down")] * 1000)
    handle = start(bot, retry=0.01, max_retry_time_s=0.15)
    with pytest.raises(OSError, match="down"):
        handle.wait(20)


def test_init_is_retried_like_a_poll_and_its_refusal_is_fatal(queue_bot: Any, start: Any) -> None:
    class WithInit(queue_bot):  # type: ignore[misc]
        def __init__(self, *outcomes: BaseException | None) -> None:
            super().__init__()
            self.outcomes = list(outcomes)

        def init(self) -> None:
            outcome = self.outcomes.pop(0)
            if outcome is not None:
                raise outcome

    bot = WithInit(OSError("down"), None)
    bot.push(1)
    start(bot, retry=0.01)
    bot.record.wait_for_ended(1)
    refused = WithInit(ApiFailure(401))
    with pytest.raises(ApiFailure):
        start(refused).wait(20)
    assert refused.polls == []


def test_a_token_in_an_error_does_not_reach_the_log(queue_bot: Any, start: Any, caplog: Any) -> None:
    token = "123456789:" + "A" * 35
    bot = queue_bot()
    bot.fail(OSError(f"https://api.telegram.org/bot{token}/getUpdates is unreachable"))
    bot.push(1)
    start(bot, retry=0.01)
    bot.record.wait_for_ended(1)
    assert "unreachable" in caplog.text
    assert token not in caplog.text


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("exponential", [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]), ("quadratic", [0.1, 0.4, 0.9, 1.6, 2.0]), (0.5, [0.5, 0.5])],
)
def test_back_off_grows_to_its_cap(policy: Any, expected: list[float]) -> None:
    backoff = Backoff(policy, 2.0, 60.0, chance=lambda: 0.0)
    assert [round(backoff.next_s(), 6) for _ in expected] == expected


def test_back_off_is_jittered_and_over_at_some_time() -> None:
    now = 0.0
    backoff = Backoff("exponential", 30.0, 60.0, clock=lambda: now)
    delays = [backoff.next_s() for _ in range(2000)]
    assert all(delay <= 30.0 for delay in delays)
    assert min(delays[20:]) < 18 < 27 < max(delays[20:])
    assert not backoff.is_over()
    now = 60.0
    assert backoff.is_over()
    backoff.reset()
    assert not backoff.is_over()


# -- sources and sinks of one's own


@pytest.mark.parametrize("kind", ["function", "object", "generator"])
def test_a_source_may_be_a_function_an_object_or_a_generator(kind: str) -> None:
    updates = [{"update_id": number} for number in range(30)]

    def supply(limit: int) -> list[Any]:
        batch = updates[:limit]
        del updates[:limit]
        if not batch:
            raise StopIteration
        return batch

    class Supplier:
        def supply(self, limit: int) -> list[Any]:
            return supply(limit)

    supplier: Any = {"function": supply, "object": Supplier(), "generator": (update for update in list(updates))}[kind]
    handled: list[int] = []
    runner = create_runner(
        create_source(supplier),
        create_sequential_sink(lambda update: handled.append(update["update_id"]), lambda error, update: None),
    )
    runner.start()
    assert runner.wait(20)
    assert handled == list(range(30))


def test_a_batch_sink_takes_no_batch_before_the_last_has_ended() -> None:
    running = 0
    breaches = 0
    served = 0
    lock = threading.Lock()

    def supply(limit: int) -> list[Any]:
        nonlocal served, breaches
        with lock:
            breaches += running > 0
        if served == 40:
            raise StopIteration
        served += 10
        return [{"update_id": served + number} for number in range(10)]

    def consume(update: Any) -> None:
        nonlocal running
        with lock:
            running += 1
        time.sleep(0.002)
        with lock:
            running -= 1

    runner = create_runner(
        create_source(supply), create_batch_sink(consume, lambda error, update: None, concurrency=10)
    )
    runner.start()
    assert runner.wait(20)
    assert runner.stop().handled == 40
    assert breaches == 0


@pytest.mark.parametrize(
    ("named", "make"),
    [
        ("source", lambda source, sink: create_runner(sink, sink)),
        ("sink", lambda source, sink: create_runner(source, source)),
        ("consumer", lambda source, sink: create_concurrent_sink(3, lambda error, update: None)),
        ("on_error", lambda source, sink: create_concurrent_sink(print, None)),
        ("supplier", lambda source, sink: create_source(3)),
    ],
)
def test_what_create_runner_cannot_use_is_refused(named: str, make: Any) -> None:
    sink = create_concurrent_sink(lambda update: None, lambda error, update: None)
    source = create_source(lambda limit: [])
    with pytest.raises(ValueError, match=named):
        make(source, sink)


def test_seen_ids_are_intervals_with_a_life() -> None:
    seen = Seen()
    assert all(seen.accept(number) for number in range(100, 200))
    assert len(seen) == 1
    assert not seen.accept(150)
    assert seen.accept(50)
    assert seen.accept(202)
    assert len(seen) == 3
    assert seen.accept(201)
    assert seen.accept(200)
    assert len(seen) == 2
    assert 199 in seen
    for number in (150, 50, 100, 203, 202):
        seen.drop(number)
    assert [number for number in (50, 100, 101, 149, 150, 151, 201, 202) if number in seen] == [101, 149, 151, 201]
    assert seen.accept(150)
    assert len(seen) == 1
    assert 203 not in seen
    short = Seen(0.0)
    assert short.accept(1)
    assert not short.accept(1)
    assert short.accept(2)
    assert short.accept(3)
    assert short.accept(1), "an id is forgotten after its life"


def test_seen_ids_agree_with_a_plain_set(request: pytest.FixtureRequest) -> None:
    from hypothesis import given
    from hypothesis import strategies as st

    @given(st.lists(st.integers(-50, 50) | st.integers(2**31 - 20, 2**31 - 1)))
    def agree(numbers: list[int]) -> None:
        seen, plain = Seen(), set()
        for number in numbers:
            if number % 3:
                assert seen.accept(number) == (number not in plain)
                plain.add(number)
            else:
                seen.drop(number + 1)
                plain.discard(number + 1)
        assert all((number in seen) == (number in plain) for number in range(-55, 55))
        runs = sum(number - 1 not in plain for number in plain)
        assert len(seen) == runs

    agree()


def test_the_same_bot_can_be_run_again_without_repeating_what_it_handled(queue_bot: Any) -> None:
    bot = queue_bot()
    bot.push(10)
    with run(bot) as handle:
        bot.record.wait_for_ended(10)
    bot.put({"update_id": 1000, "message": {}})
    handle.start()
    bot.wait_for_poll(lambda polls: polls[-1][0] == 1001)
    assert handle.stop().handled == 0
