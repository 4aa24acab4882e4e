"""A bot fed from a source of one's own: a generator, a queue, an object."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner_c import (
    ConfigError,
    Offers,
    SourceBroken,
    create_source,
    run,
)
from tests.engine.fed import Bot, Update, as_function, message


def as_generator(updates: list[Update]) -> Any:
    return (update for update in updates)


def as_queue(updates: list[Update]) -> Any:
    filled: queue.Queue[Any] = queue.Queue()
    for update in [*updates, None]:
        filled.put(update)
    return filled


@pytest.mark.parametrize("made", [as_generator, as_function, as_queue])
@pytest.mark.parametrize("store", [None, "sqlite"])
def test_each_update_of_a_source_is_handled_once_and_each_chat_in_order(
    made: Callable[[list[Update]], Any], store: str | None, tmp_path: Path
) -> None:
    bot = Bot()
    updates = [message(number, number % 17) for number in range(2000)]
    options = {"store": f"sqlite:{tmp_path}/bot.db"} if store else {}
    handle = run(bot, source=made(updates), concurrency=16, backlog=100, **options)
    assert handle.wait(30)
    assert bot.ids() == list(range(2000))
    assert all(ids == sorted(ids) for ids in bot.handled.values())
    assert bot.calls == ["init", "close"]


def test_a_full_backlog_stops_taking() -> None:
    go, is_full = threading.Event(), threading.Event()
    ahead: list[int] = []

    def updates() -> Iterator[Update]:
        for number in range(1000):
            ahead.append(number - len(bot.ids()))
            if ahead[-1] == 9:
                is_full.set()
            yield message(number, number)

    bot = Bot(lambda update: go.wait(20))
    handle = run(bot, source=updates(), concurrency=2, backlog=10)
    assert is_full.wait(20)
    go.set()
    assert handle.wait(30)
    assert len(bot.ids()) == 1000
    assert max(ahead) <= 12  # what is held, and what has just ended but is not yet in the list


def test_a_generator_that_raises_ends_the_run_with_its_error_after_what_it_gave() -> None:
    def updates() -> Iterator[Update]:
        yield message(1)
        raise ValueError("the feed is gone")

    bot = Bot()
    handle = run(bot, source=updates())
    with pytest.raises(SourceBroken, match="the feed is gone") as caught:
        handle.wait(20)
    assert isinstance(caught.value.__cause__, ValueError)
    assert bot.ids() == [1]


def test_a_function_that_raises_is_asked_again() -> None:
    answers: list[Any] = [OSError("no network"), [message(1)], OSError("again"), [message(2)]]

    def supply(limit: int) -> list[Update]:
        if not answers:
            raise StopIteration
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    bot = Bot()
    assert run(bot, source=supply, retry=0.01).wait(20)
    assert bot.ids() == [1, 2]


@pytest.mark.parametrize("nothing", [[], None, ()])
def test_a_function_that_has_nothing_now_is_asked_again_in_a_while_and_not_in_a_hurry(nothing: Any) -> None:
    calls = [0]
    enough = threading.Event()

    def supply(limit: int) -> Any:
        calls[0] += 1
        if calls[0] == 4:
            enough.set()
            return [message(1)]
        return nothing

    bot = Bot()
    begun = time.monotonic()
    handle = run(bot, source=supply)
    assert enough.wait(20)
    took_s = time.monotonic() - begun
    handle.stop()
    assert bot.ids() == [1]
    assert took_s >= 3 * 0.05 * 0.9  # three times it had nothing
    assert handle.stats().poll_failures == 0


@pytest.mark.parametrize("kind", ["queue", "generator", "function", "offers"])
def test_a_stop_does_not_wait_for_a_source_that_gives_nothing(kind: str) -> None:
    never = threading.Event()

    def updates() -> Iterator[Update]:
        never.wait(20)
        yield message(1)

    def supply(limit: int) -> list[Update]:
        never.wait(20)
        return [message(1)]

    source: Any = {"queue": queue.Queue(), "generator": updates(), "function": supply, "offers": Offers()}[kind]
    bot = Bot()
    handle = run(bot, source=source)
    assert not handle.wait(0.1)
    begun = time.monotonic()
    report = handle.stop()
    took_s = time.monotonic() - begun
    never.set()
    assert report.drained
    assert took_s < 5, "the stop waited for the source"
    assert bot.ids() == []


def test_what_a_stop_leaves_over_goes_back_into_the_queue_in_its_order() -> None:
    go = threading.Event()
    filled: queue.Queue[Any] = queue.Queue()
    for number in range(200):
        filled.put(message(number, number))
    begun = threading.Semaphore(0)

    def hold(update: Update) -> None:
        begun.release()
        go.wait(20)

    bot = Bot(hold)
    handle = run(bot, source=filled, concurrency=2, backlog=5)
    assert begun.acquire(timeout=20)
    assert begun.acquire(timeout=20)
    stopping = threading.Thread(target=handle.stop)
    stopping.start()
    go.set()
    stopping.join(20)
    left = [filled.get_nowait()["update_id"] for _ in range(filled.qsize())]
    assert left == sorted(left)
    assert sorted(bot.ids() + left) == list(range(200))


def test_what_a_generator_gives_after_a_stop_is_told() -> None:
    go, begun, told = threading.Event(), threading.Event(), threading.Event()
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if getattr(record, "action", None) == "stop.not_taken":
                said.append(record.getMessage())
                told.set()

    def updates() -> Iterator[Update]:
        begun.set()
        go.wait(20)
        yield message(77)

    listener = Listener()
    logging.getLogger("runner_c").addHandler(listener)
    try:
        handle = run(Bot(), source=updates())
        assert begun.wait(20)
        handle.stop()
        go.set()
        assert told.wait(20)
    finally:
        logging.getLogger("runner_c").removeHandler(listener)
    assert "'update_id': 77" in said[0]


def test_what_fails_is_tried_again_before_the_run_of_a_source_ends(tmp_path: Path) -> None:
    tries: list[int] = []

    def fail_once(update: Update) -> None:
        tries.append(update["update_id"])
        if tries.count(update["update_id"]) == 1:
            raise ValueError("not yet")

    bot = Bot(fail_once)
    handle = run(bot, source=as_generator([message(1), message(2)]), store=f"sqlite:{tmp_path}/bot.db", max_attempts=2)
    assert handle.wait(30)
    assert bot.ids() == [1, 2]
    assert sorted(tries) == [1, 1, 2, 2]


def test_a_runner_starts_again_on_its_queue() -> None:
    filled: queue.Queue[Any] = queue.Queue()
    bot = Bot()
    handle = run(bot, source=filled)
    filled.put(message(1))
    handle.stop()
    filled.put(message(2))
    filled.put(None)
    handle.start()
    assert handle.wait(20)
    assert bot.ids() == [1, 2]


def test_offered_updates_need_no_other_source() -> None:
    bot = Bot()
    with run(bot, source=Offers()) as handle:
        assert all(handle.offer(message(number, number % 3)) for number in range(300))
    assert bot.ids() == list(range(300))


def test_a_bot_that_can_be_polled_is_not_polled_when_there_is_a_source() -> None:
    class Polled(Bot):
        def get_updates(self, **_: Any) -> list[Update]:
            raise AssertionError("polled")

    bot = Polled()
    assert run(bot, source=as_generator([message(1)])).wait(20)
    assert bot.ids() == [1]


@pytest.mark.parametrize("source", [5, "updates", {}, [message(1)]])
def test_what_cannot_be_a_source_is_a_clear_error(source: Any) -> None:
    with pytest.raises(ConfigError, match=r"a supplier has a method supply\(limit\)"):
        run(Bot(), source=source)
    with pytest.raises(ConfigError):
        create_source(source)
