"""I2, I5, I6: order per key, several keys, no deadlock, no starvation."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pytest

from runner_c import BYPASS, run, sequentialize


def test_updates_of_one_chat_run_in_order_and_never_overlap(queue_bot: Any, start: Any) -> None:
    bot = queue_bot(work=lambda update: time.sleep(random.random() / 2000))
    bot.push(1000, chat=lambda index: index % 7)
    handle = start(bot, concurrency=32)
    bot.record.wait_for_ended(1000)
    assert bot.record.breaches == []
    assert handle.stop().handled == 1000


def test_a_failing_update_lets_its_successors_go_on_in_order(queue_bot: Any, start: Any) -> None:
    def work(update: Any) -> None:
        if update["update_id"] % 3 == 0:
            raise ValueError("third")

    bot = queue_bot(work)
    bot.push(600, chat=lambda index: index % 5)
    handle = start(bot)
    bot.record.wait_for_ended(600)
    report = handle.stop()
    assert bot.record.breaches == []
    assert report.handled == 600
    assert handle.stats().failed == len(bot.errors) == sum(number % 3 == 0 for number in range(1000, 1600))


def test_an_update_with_two_keys_waits_for_both_predecessors_although_one_fails(keyed_bot: Any, start: Any) -> None:
    release = threading.Event()
    failed = threading.Event()

    def work(update: Any) -> None:
        if update["keys"] == ["a"]:
            failed.set()
            raise ValueError("a fails at once")
        if update["keys"] == ["b"]:
            release.wait(20)

    bot = keyed_bot(work)
    bot.put(
        {"update_id": 1, "keys": ["a"]},
        {"update_id": 2, "keys": ["b"]},
        {"update_id": 3, "keys": ["a", "b"]},
        {"update_id": 4, "keys": ["c"]},
    )
    start(bot)
    failed.wait(20)
    bot.record.wait_until(lambda: {1, 4} <= set(bot.record.ended))
    assert 3 not in bot.record.begun
    release.set()
    bot.record.wait_for_ended(4)
    assert bot.record.breaches == []


def test_random_sets_of_keys_from_many_threads_never_deadlock(keyed_bot: Any, start: Any) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    bot = keyed_bot()
    handle = start(bot, backlog=100_000)
    barrier = threading.Barrier(4)

    def offer(worker: int) -> None:
        choice = random.Random(seed + worker)
        barrier.wait()
        for index in range(1500):
            keys = [f"key {number}" for number in choice.sample(range(12), choice.randint(0, 4))]
            # Ids of one thread only grow, but not across threads: the recorder may check overlap, not order.
            handle.offer({"update_id": worker * 1_000_000 + index, "keys": keys})

    threads = [threading.Thread(target=offer, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bot.record.wait_for_ended(6000)
    assert [breach for breach in bot.record.breaches if " after " not in breach] == []
    stats = handle.stats()
    assert (stats.in_flight, stats.keys, stats.succeeded) == (0, 0, 6000) or handle.stop().handled == 6000


def test_ready_updates_run_in_the_order_in_which_they_became_ready(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    bot.push(300, chat=lambda index: index)
    start(bot, concurrency=1)
    bot.record.wait_for_ended(300)
    assert bot.record.begun == sorted(bot.record.begun)


def test_a_flood_in_one_chat_does_not_delay_another(queue_bot: Any, start: Any) -> None:
    bot = queue_bot(work=lambda update: time.sleep(0.002))
    flood = bot.push(1000, chat=1)
    start(bot, concurrency=4)
    bot.record.wait_for_begun(20)
    others = bot.push(20, chat=lambda index: 100 + index)
    bot.record.wait_until(lambda: set(others) <= set(bot.record.ended))
    done = len(set(flood) & set(bot.record.ended))
    assert done < 500, "the others had to wait for the flood"


def test_none_turns_the_default_order_off(queue_bot: Any, start: Any) -> None:
    together = threading.Barrier(3)
    bot = queue_bot(work=lambda update: together.wait(20))
    bot.push(3, chat=1)
    handle = start(bot, sequentialize=None)
    bot.record.wait_for_ended(3)
    assert handle.stop().drained


def test_what_sequentialize_returned_can_be_given_to_run(queue_bot: Any, start: Any) -> None:
    together = threading.Barrier(2)
    bot = queue_bot(work=lambda update: together.wait(20))
    bot.put(*({"update_id": number, "keys": [str(number % 2)], "message": {}} for number in range(2)))
    start(bot, sequentialize=sequentialize(lambda update: update["keys"]))
    bot.record.wait_for_ended(2)
    assert bot.record.breaches == []


def test_a_bypassing_update_runs_beside_the_job_of_its_chat_and_ahead_of_the_ring(queue_bot: Any, start: Any) -> None:
    cancelled = threading.Event()

    def work(update: Any) -> None:
        if update.get("cancel"):
            cancelled.set()
        elif update["update_id"] == 1:
            cancelled.wait(20)

    bot = queue_bot(work)

    class Ordered(type(bot)):  # type: ignore[misc]
        def keys(self, update: Any) -> Any:
            return BYPASS if update.get("cancel") else "one chat"

    bot = Ordered(work)
    bot.put({"update_id": 1}, *({"update_id": number} for number in range(2, 50)), {"update_id": 50, "cancel": True})
    handle = start(bot, concurrency=2)
    assert cancelled.wait(20)
    bot.record.wait_for_ended(50)
    assert bot.record.ended.index(50) <= 1
    assert handle.stop().handled == 50


@pytest.mark.parametrize("returned", ["key", ["key"], ("key", "key"), {"key"}, 7, [7], iter(["key"])])
def test_a_key_function_may_return_a_string_an_iterable_or_a_number(queue_bot: Any, start: Any, returned: Any) -> None:
    bot = queue_bot()
    handle = start(bot, sequentialize=lambda update: returned)
    bot.push(3)
    bot.record.wait_for_ended(3)
    assert handle.stop().handled == 3
    assert bot.errors == []


@pytest.mark.parametrize("returned", [3.5, [None, 3.5], [b"key"], b"key", {"a": 1}, True, object(), ["\ud800"]])
def test_a_key_that_is_none_ends_its_update_only(queue_bot: Any, start: Any, returned: Any) -> None:
    bot = queue_bot()
    handle = start(bot, sequentialize=lambda update: returned if update["update_id"] == 1000 else "fine")
    bot.push(3)
    bot.record.wait_for_ended(2)
    report = handle.stop()
    assert report.handled == 3
    assert [update["update_id"] for _, update in bot.errors] == [1000]
    assert handle.stats().failed == 1


async def asynchronous(ctx: Any) -> bool:
    return False


class AsynchronousObject:
    async def __call__(self, ctx: Any) -> bool:
        return False


@pytest.mark.parametrize("function", [asynchronous, AsynchronousObject(), lambda: 1, 5])
def test_what_is_no_plain_function_of_one_argument_is_refused_at_registration(queue_bot: Any, function: Any) -> None:
    for register in (
        lambda: sequentialize(function),
        lambda: sequentialize(str, bypass=function),
        lambda: run(queue_bot(), sequentialize=function),
    ):
        with pytest.raises(ValueError, match=r"function|sequentialize"):
            register()


def test_a_coroutine_from_a_bypass_function_does_not_count_as_true(queue_bot: Any, start: Any) -> None:
    class Later:
        def __await__(self) -> Any:
            yield

    bot = queue_bot()
    bot.push(2)
    handle = start(bot, sequentialize=sequentialize(str, bypass=lambda update: Later()))
    while handle.stats().failed < 2:
        pass
    assert bot.record.begun == []


@pytest.mark.parametrize("method", ["get_updates", "handle_update", "handle_error", "init"])
def test_an_asynchronous_bot_is_refused(queue_bot: Any, method: str) -> None:
    bot = queue_bot()
    setattr(bot, method, asynchronous)
    with pytest.raises(ValueError, match=f"{method}.*plain def"):
        run(bot)


def test_a_handler_that_gives_a_coroutine_has_failed(queue_bot: Any, start: Any) -> None:
    class Late(queue_bot):  # type: ignore[misc]
        def handle_update(self, update: Any) -> Any:
            class Later:
                def __await__(self) -> Any:
                    yield

            return Later()

    bot = Late()
    bot.push(1)
    handle = start(bot)
    while handle.stats().failed < 1:
        pass
    assert "coroutine" in str(bot.errors[0][0])
