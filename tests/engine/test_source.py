"""Sources and sinks of one's own, and the set of seen ids."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from runner_c import (
    create_batch_sink,
    create_concurrent_sink,
    create_runner,
    create_sequential_sink,
    create_source,
    run,
)
from runner_c._seen import Seen


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
        ("max_delay_s", lambda source, sink: create_source(print, max_delay_s=None)),
        ("age_limits", lambda source, sink: create_concurrent_sink(print, print, age_limits=3)),
        ("on_timeout", lambda source, sink: create_concurrent_sink(print, print, on_timeout="x")),
        ("handler_timeout_s", lambda source, sink: create_concurrent_sink(print, print, handler_timeout_s=-1)),
        ("keys", lambda source, sink: create_batch_sink(print, print, keys=5)),
        ("ack", lambda source, sink: create_runner(source, sink, ack="x")),
        ("retry_cap_s", lambda source, sink: create_runner(source, sink, retry_cap_s="x")),
        ("drop_pending", lambda source, sink: create_runner(source, sink, drop_pending="no")),
        ("name", lambda source, sink: create_runner(source, sink, name=None)),
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
