"""A run with a store that stops, or gives a handler up: what is done with, what is kept, and who is suspected."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from runner_c import Stopped, current, open_store, retry
from runner_c.store import Store


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon what failed."""
    monkeypatch.setattr(retry, "FIRST_RETRY_S", 0.02)


def test_an_abandoned_update_is_done_with_though_its_handler_fails_afterwards(
    queue_bot: Any, start: Any, store: Store, wait_until: Any
) -> None:
    def work(update: dict[str, Any]) -> None:
        time.sleep(0.02)
        raise ValueError("late")

    bot = queue_bot(work)
    bot.push(60, chat=lambda index: index % 20)
    handle = start(bot, store=store, max_attempts=3, handler_timeout_s=0.02, on_timeout="abandon", concurrency=20)
    wait_until(lambda: handle.stats().in_flight == 0 and handle.stats().admitted == 60)
    wait_until(lambda: store.counts().given == 0)
    stats = handle.stats()
    assert stats.abandoned > 0
    assert stats.abandoned + stats.failed == 60
    assert store.counts().dead == stats.failed


def test_an_offer_while_the_run_stops_is_refused_or_kept(
    queue_bot: Any, start: Any, store: Store, wait_until: Any
) -> None:
    taken: list[int] = []
    ended: list[int] = []
    for number in range(20):
        bot = queue_bot()
        handle = start(bot, store=store)
        barrier = threading.Barrier(2)

        def offer(base: int, handle: Any = handle, barrier: Any = barrier) -> None:
            barrier.wait()
            for update_id in range(base, base + 200):
                if not handle.offer({"update_id": update_id}):
                    return
                taken.append(update_id)

        thread = threading.Thread(target=offer, args=(1000 * (number + 1),))
        thread.start()
        barrier.wait()
        assert handle.stop().drained
        thread.join()
        ended += bot.record.ended
        # What came at the last moment is in the store, and runs at the next start.
        assert store.counts() == (len(taken) - len(ended), 0, 0)
    bot = queue_bot()
    start(bot, store=store)
    wait_until(lambda: store.counts()[:2] == (0, 0))
    assert sorted(ended + bot.record.ended) == taken


def test_a_handler_that_a_stop_did_not_wait_for_is_no_suspect(queue_bot: Any, start: Any, tmp_path: Path) -> None:
    go = threading.Event()
    url = f"sqlite:{tmp_path / 'bot.db'}"
    bot = queue_bot(lambda update: go.wait())
    bot.push(1)
    handle = start(bot, store=url)
    bot.record.wait_for_begun(1)
    assert not handle.stop(0.0).drained
    opened = open_store(url)
    try:
        (claim,) = opened.claim(1)
        assert (claim.attempt, claim.is_suspect) == (2, False)
    finally:
        opened.close()
        go.set()


def test_what_a_stop_leaves_runs_first_at_the_next_start_and_only_what_had_begun_is_a_second_attempt(
    queue_bot: Any, start: Any, store: Store, wait_until: Any
) -> None:
    go = threading.Event()
    attempts: dict[int, int] = {}

    def work(update: dict[str, Any]) -> None:
        delivery = current()
        assert delivery is not None
        attempts[update["update_id"]] = delivery.attempt
        while not go.is_set():
            delivery.wait(10.0)
            if delivery.is_stopping:
                raise Stopped

    bot = queue_bot(work)
    ids = bot.push(30, chat=lambda index: index % 3)
    handle = start(bot, store=store, concurrency=3)
    bot.record.wait_for_begun(3)
    report = handle.stop(0.0)
    assert (report.handled, [update["update_id"] for update in report.unfinished]) == (0, ids)
    go.set()
    other = queue_bot(work)
    start(other, store=store, concurrency=3)
    other.record.wait_for_ended(30)
    wait_until(lambda: store.counts()[:2] == (0, 0))
    assert other.record.breaches == []
    assert sorted(other.record.ended) == ids
    assert {number for number in ids if attempts[number] > 1} == set(bot.record.begun)


def test_a_stop_does_not_wait_for_attempts_that_are_far_away(
    queue_bot: Any, start: Any, store: Store, monkeypatch: pytest.MonkeyPatch, wait_until: Any
) -> None:
    monkeypatch.setattr(retry, "FIRST_RETRY_S", 200.0)

    def work(update: dict[str, Any]) -> None:
        raise ValueError("no")

    bot = queue_bot(work)
    bot.push(1)
    handle = start(bot, store=store, max_attempts=2)
    wait_until(lambda: handle.stats().retrying == 1)
    report = handle.stop()
    assert (report.handled, len(report.unfinished), report.duration_s < 5.0) == (0, 1, True)
    assert store.counts() == (1, 0, 0)
    (claim,) = store.claim(1)
    assert (claim.attempt, claim.failures) == (2, 1)
    assert 100.0 < claim.retry_in_s < 250.0
