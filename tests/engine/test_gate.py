"""sequentialize deeper in the stack: turns at keys that are known only when a handler runs."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pytest

from runner_c import Gate, KeyDeadlock, current, sequentialize


def test_a_blocked_worker_is_replaced_and_the_limit_holds(queue_bot: Any, start: Any) -> None:
    gate = Gate()
    release = threading.Event()

    def work(update: Any) -> None:
        if update.get("gated"):
            with gate.turn(["one"]):
                release.wait(20)
        else:
            time.sleep(0.001)

    bot = queue_bot(work)
    bot.push(10, chat=lambda index: index, gated=True)
    handle = start(bot, concurrency=2)
    while handle.stats().blocked < 9:
        pass
    # One holds the key and a slot; nine wait for it and hold none; so one more can run at a time.
    others = bot.push(50, chat=lambda index: 100 + index)
    bot.record.wait_until(lambda: set(others) <= set(bot.record.ended))
    assert handle.stats().running == 1
    release.set()
    bot.record.wait_for_ended(60)
    assert handle.stop().drained
    assert len(gate) == 0


def test_turns_are_given_by_age(queue_bot: Any, start: Any) -> None:
    gate = sequentialize(lambda update: "one key")
    entered: list[int] = []
    first = threading.Event()

    def work(update: Any) -> None:
        gate(update, lambda: (entered.append(update["update_id"]), first.wait(20)))

    bot = queue_bot(work)
    bot.push(1, chat=1)
    handle = start(bot, concurrency=8)
    bot.record.wait_for_begun(1)
    bot.push(40, chat=lambda index: 2 + index)
    while handle.stats().blocked < 40:
        pass
    first.set()
    bot.record.wait_for_ended(41)
    assert entered == sorted(entered)


def test_a_circle_of_waits_is_an_error_and_no_deadlock(queue_bot: Any, start: Any) -> None:
    one, other = Gate(), Gate()
    both_hold = threading.Barrier(2)

    def work(update: Any) -> None:
        gates = (one, other) if update["update_id"] % 2 else (other, one)
        with gates[0].turn(["key"]):
            both_hold.wait(20)
            with gates[1].turn(["key"]):
                pass

    bot = queue_bot(work)
    bot.push(2, chat=lambda index: index)
    handle = start(bot)
    bot.record.wait_for_ended(2)
    handle.stop()
    assert [type(error) for error, _ in bot.errors] == [KeyDeadlock]
    assert (len(one), len(other)) == (0, 0)


def test_a_turn_can_be_taken_again_by_who_holds_it(queue_bot: Any, start: Any) -> None:
    gate = Gate()

    def work(update: Any) -> None:
        with gate.turn(["a", "b"]), gate.turn(["b"]), gate.turn(["a", "c"]):
            assert len(gate) == 3

    bot = queue_bot(work)
    bot.push(5, chat=lambda index: index)
    handle = start(bot, concurrency=1)
    bot.record.wait_for_ended(5)
    assert handle.stop().handled == 5
    assert bot.errors == []


def test_a_turn_is_held_until_the_update_has_settled(queue_bot: Any, start: Any) -> None:
    gate = Gate()
    log: list[str] = []

    class Storage:
        def write(self, key: str, value: bytes) -> None:
            time.sleep(0.02)
            log.append(f"written {key}")

    storage = Storage()

    def work(update: Any) -> None:
        with gate.turn(["one"]):
            log.append(f"begun {update['update_id']}")
            current().stage(storage, str(update["update_id"]), b"1")

    bot = queue_bot(work)
    bot.push(2, chat=lambda index: index)
    handle = start(bot)
    bot.record.wait_for_ended(2)
    handle.stop()
    assert log == ["begun 1000", "written 1000", "begun 1001", "written 1001"] or log == [
        "begun 1001",
        "written 1001",
        "begun 1000",
        "written 1000",
    ]


def test_a_stop_past_its_deadline_ends_the_wait_at_a_key(queue_bot: Any, start: Any) -> None:
    gate = Gate()
    release = threading.Event()

    def work(update: Any) -> None:
        with gate.turn(["one"]):
            release.wait(30)

    bot = queue_bot(work)
    bot.push(3, chat=lambda index: index)
    handle = start(bot)
    while handle.stats().blocked < 2:
        pass
    report = handle.stop(0.05)
    assert len(report.unfinished) == 3
    release.set()
    while len(gate):
        pass


def test_threads_outside_a_runner_take_turns_too() -> None:
    gate = Gate()
    inside = 0
    most = 0

    def enter(seed: int) -> None:
        nonlocal inside, most
        choice = random.Random(seed)
        for _ in range(100):
            with gate.turn(choice.sample(["a", "b", "c"], 2)):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=enter, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert most == 1
    assert len(gate) == 0


def test_a_handler_that_is_abandoned_gives_up_its_turn(queue_bot: Any, start: Any) -> None:
    gate = Gate()
    release = threading.Event()

    def work(update: Any) -> None:
        with gate.turn(["one"]):
            if update["update_id"] == 1000:
                release.wait(20)

    bot = queue_bot(work)
    bot.push(2, chat=lambda index: index)
    handle = start(bot, handler_timeout_s=0.05, on_timeout="abandon")
    bot.record.wait_until(lambda: 1001 in bot.record.ended)
    release.set()
    handle.stop()


def test_a_handler_that_is_abandoned_while_it_waits_for_a_turn_goes_home(queue_bot: Any, start: Any) -> None:
    gate = Gate()
    release = threading.Event()

    def work(update: Any) -> None:
        with gate.turn(["one"]):
            release.wait(20)

    bot = queue_bot(work)
    bot.push(1, chat=1)
    handle = start(bot)
    bot.record.wait_for_begun(1)
    other = queue_bot(work)
    other.push(3, chat=lambda index: index)
    waiting = start(other, handler_timeout_s=0.05, on_timeout="abandon", name="waiting")
    other.record.wait_for_ended(3)
    while waiting.stats().blocked:
        pass
    assert waiting.stop().handled == 3
    release.set()
    assert handle.stop().handled == 1
    assert len(gate) == 0


@pytest.mark.parametrize("functions", [(), ("not callable",)])
def test_sequentialize_refuses_what_is_no_key_function(functions: Any) -> None:
    with pytest.raises(ValueError, match="sequentialize"):
        sequentialize(*functions)
