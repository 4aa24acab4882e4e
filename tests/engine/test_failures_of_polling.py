"""Failures of polling: which are retried, for how long, and which end the runner."""

from __future__ import annotations

import time
from typing import Any

import pytest

from runner_c import ConfigError
from runner_c.retry import Backoff


class ApiFailure(Exception):
    def __init__(self, error_code: int, retry_after: float | None = None) -> None:
        super().__init__(f"error {error_code}")
        self.error_code = error_code
        self.retry_after = retry_after


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


class Unreadable(Exception):
    error_code: int | None = None

    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_error_whose_text_cannot_be_read_is_retried_like_any_other(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    bot.fail(Unreadable())
    bot.push(1)
    start(bot, retry=0.01)
    bot.record.wait_for_ended(1)


def test_a_fatal_error_whose_text_cannot_be_read_ends_the_runner_with_it(queue_bot: Any, start: Any) -> None:
    error = Unreadable()
    error.error_code = 401
    bot = queue_bot()
    bot.fail(error)
    with pytest.raises(Unreadable):
        start(bot).wait(20)


def test_a_bot_that_raises_stop_iteration_is_polled_again(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    bot.fail(StopIteration())
    bot.push(1)
    handle = start(bot, retry=0.01)
    bot.record.wait_for_ended(1)
    assert handle.is_running()
