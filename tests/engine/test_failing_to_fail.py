"""What is done about a failed update fails itself: it is a failure all the same, and never the end of its update."""

from __future__ import annotations

import linecache
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from runner_c import RunnerError, format_error, retry, run
from runner_c.store import Store
from runner_c.trace import format_stack


class Unaskable(Exception):
    """An error that answers no question."""

    @property
    def retry_after(self) -> float:
        raise KeyError("retry_after")

    def __str__(self) -> str:
        raise KeyError("str")


class BadFilter(logging.Filter):
    """A filter of the log that fails, at failures of updates or at all that is logged."""

    def __init__(self, action: str = "") -> None:
        super().__init__()
        self._action = action

    def filter(self, record: logging.LogRecord) -> bool:
        if str(getattr(record, "action", "")).startswith(self._action):
            raise KeyError(record.name)
        return True


def no_traceback(*_: object, **__: object) -> NoReturn:
    raise KeyError("linecache")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon what failed."""
    monkeypatch.setattr(retry, "FIRST_RETRY_S", 0.02)


@pytest.fixture(params=["log", "error", "traceback"])
def spoiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> BaseException:
    """What a handler is to raise, where describing it, or asking it, or logging it fails."""
    if request.param == "log":
        logger = logging.getLogger("runner_c")
        monkeypatch.setattr(logger, "filters", [BadFilter("update.")])
    if request.param == "traceback":
        monkeypatch.setattr(traceback, "format_exception", no_traceback)
    return Unaskable() if request.param == "error" else ValueError("late")


def test_an_update_is_tried_again_and_becomes_a_dead_letter_however_its_failure_is_dealt_with(
    queue_bot: Any, start: Any, store: Store, wait_until: Any, spoiled: BaseException
) -> None:
    attempts: list[int] = []

    def work(update: dict[str, Any]) -> None:
        attempts.append(update["update_id"])
        raise spoiled

    bot = queue_bot(work)
    ids = bot.push(5, chat=lambda index: index)
    handle = start(bot, store=store, max_attempts=2)
    wait_until(lambda: store.counts().dead == 5)
    assert sorted(attempts) == sorted([*ids, *ids])
    assert handle.stats().failed == 5
    assert store.counts() == (0, 0, 5)
    assert all(letter.error for letter in store.dead.list())


def test_without_a_store_it_is_a_failure_and_the_next_update_runs(
    queue_bot: Any, start: Any, spoiled: BaseException
) -> None:
    def work(update: dict[str, Any]) -> None:
        if update["update_id"] == 1000:
            raise spoiled

    bot = queue_bot(work)
    bot.push(2)
    handle = start(bot)
    bot.record.wait_for_ended(1)
    assert handle.stop().drained
    assert (handle.stats().failed, handle.stats().succeeded) == (1, 1)


def test_an_interrupt_that_hits_while_a_failure_is_dealt_with_does_not_end_the_update(
    queue_bot: Any, start: Any, store: Store, wait_until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe = traceback.format_exception

    def slowly(error: BaseException) -> list[str]:
        deadline_s = time.monotonic() + 0.2
        while time.monotonic() < deadline_s:
            pass  # the interrupt comes here, between two instructions
        return describe(error)

    monkeypatch.setattr(traceback, "format_exception", slowly)
    raised: list[int] = []

    def work(update: dict[str, Any]) -> None:
        raised.append(update["update_id"])
        raise ValueError("early")

    bot = queue_bot(work)
    ids = bot.push(3, chat=lambda index: index)
    start(bot, store=store, max_attempts=2, handler_timeout_s=0.05, on_timeout="interrupt")
    wait_until(lambda: store.counts().dead == 3)
    assert sorted(raised) == sorted([*ids, *ids])


def test_a_log_that_fails_keeps_nobody_waiting_for_the_end(
    queue_bot: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("runner_c"), "filters", [BadFilter()])
    caplog.set_level(logging.DEBUG, "runner_c")
    handle = run(queue_bot())
    with pytest.raises(RunnerError) as caught:
        handle.stop(5.0)
    assert isinstance(caught.value.__cause__, KeyError)


def together(call: Callable[[], object], seconds: float = 1.5) -> list[BaseException]:
    """Make a call over and over in many threads, while another one empties the cache of source lines."""
    errors: list[BaseException] = []
    end_s = time.monotonic() + seconds

    def repeat() -> None:
        while time.monotonic() < end_s:
            try:
                call()
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=repeat) for _ in range(16)]
    for thread in threads:
        thread.start()
    while time.monotonic() < end_s:
        linecache.clearcache()
        time.sleep(0.0005)
    for thread in threads:
        thread.join()
    return errors


def test_tracebacks_and_stacks_can_be_had_while_other_threads_have_theirs() -> None:
    frame = sys._current_frames()[threading.get_ident()]

    def both() -> None:
        with pytest.raises(KeyError) as caught:
            no_traceback()
        assert "KeyError: 'linecache'" in format_error(caught.value)
        assert "File" in format_stack(frame)

    assert together(both) == []


def test_a_traceback_that_cannot_be_had_is_shown_without_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traceback, "format_exception", no_traceback)
    monkeypatch.setattr(traceback, "format_stack", no_traceback)
    with pytest.raises(KeyError) as caught:
        no_traceback()
    told = format_error(caught.value)
    assert told.splitlines()[0] == "Traceback (most recent call last), without source:"
    assert 'test_failing_to_fail.py", line' in told
    assert told.endswith("in no_traceback\nKeyError: 'linecache'")
    assert format_error(Unaskable()).endswith("Unaskable: (its message cannot be read: str() of it fails)")
    frame = sys._current_frames()[threading.get_ident()]
    assert "in test_a_traceback_that_cannot_be_had_is_shown_without_source" in format_stack(frame)
