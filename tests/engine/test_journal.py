"""A run with a store: what is durable, what waits in the store only, what the store is told, and in which order."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from runner_c import ConfigError, RunnerError, StoreError, StoreInUse, current, retry, run
from runner_c.store import Store

PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon what failed."""
    monkeypatch.setattr(retry, "FIRST_RETRY_S", 0.02)


def test_every_update_is_handled_once_in_order_and_leaves_nothing_behind(
    queue_bot: Any, start: Any, store: Store, wait_until: Any, count: Any
) -> None:
    bot = queue_bot(count)
    bot.push(2000, chat=lambda index: index % 20)
    handle = start(bot, store=store, backlog=60, concurrency=10)
    bot.record.wait_for_ended(2000)
    wait_until(lambda: store.counts()[:2] == (0, 0))
    assert bot.record.breaches == []
    report = handle.stop()
    assert (report.handled, report.unfinished, report.drained) == (2000, [], True)
    assert report.confirmed_offset == store.offset == 3000
    assert {key: value.value for key, value in store.load(map(str, range(20))).items()} == {
        str(chat): b"100" for chat in range(20)
    }


def test_an_update_is_in_the_store_before_the_offset_passes_it(queue_bot: Any, start: Any, store: Store) -> None:
    class Watched(queue_bot):  # type: ignore[misc]
        def get_updates(self, **options: Any) -> Any:
            if options["offset"]:
                passed.append((options["offset"], store.offset))
            return super().get_updates(**options)

    passed: list[tuple[int, int | None]] = []
    bot = Watched()
    bot.push(300)
    start(bot, store=store)
    bot.record.wait_for_ended(300)
    assert passed
    assert all(stored is not None and asked <= stored for asked, stored in passed)


def test_polling_goes_on_at_the_stored_offset_and_nothing_handled_comes_again(
    queue_bot: Any, start: Any, store: Store
) -> None:
    bot = queue_bot()
    ids = bot.push(10)
    first = start(bot, store=store)
    bot.record.wait_for_ended(10)
    first.stop()
    other = queue_bot()
    other.put(*[{"update_id": number, "message": {"chat": {"id": 1}}} for number in [*ids, 2000]])
    start(other, store=store)
    other.record.wait_for_ended(1)
    assert other.polls[0][0] == 1010
    assert other.record.ended == [2000]


def test_one_id_by_both_roads_in_any_order_is_handled_once(
    queue_bot: Any, start: Any, store: Store, wait_until: Any
) -> None:
    bot = queue_bot()
    handle = start(bot, store=store)
    updates = [{"update_id": number, "message": {"chat": {"id": number % 7}}} for number in range(5000, 5200)]
    barrier = threading.Barrier(5)

    def offer(part: list[Any]) -> None:
        barrier.wait()
        for update in part:
            assert handle.offer(update)

    threads = [
        threading.Thread(target=offer, args=(part,)) for part in (updates, updates[::-1], updates[1::2], updates)
    ]
    for thread in threads:
        thread.start()
    barrier.wait()
    bot.put(*updates)
    for thread in threads:
        thread.join()
    bot.record.wait_for_ended(200)
    low = [{"update_id": number, "message": {"chat": {"id": 1}}} for number in (7, 3, 9)]
    for update in [*low, *low]:
        assert handle.offer(update)
    bot.record.wait_for_ended(203)
    wait_until(lambda: store.counts()[:2] == (0, 0))
    assert len(bot.record.ended) == 203
    assert set(bot.record.ended) == set(range(5000, 5200)) | {3, 7, 9}
    assert handle.stats().duplicates >= 4 * 200 + 3 - 200


def test_what_memory_has_no_room_for_waits_in_the_store_and_intake_goes_on(
    queue_bot: Any, start: Any, store: Store, wait_until: Any
) -> None:
    go = threading.Event()
    bot = queue_bot(lambda update: go.wait())
    bot.push(1000, chat=lambda index: index % 50)
    handle = start(bot, store=store, backlog=40, concurrency=5)
    wait_until(lambda: store.offset == 2000)
    most = handle.size()
    assert store.counts() == (1000 - most, most, 0)
    assert most <= 40
    go.set()
    bot.record.wait_for_ended(1000)
    assert bot.record.breaches == []


def test_one_flooded_chat_delays_no_other_one(queue_bot: Any, start: Any, store: Store, wait_until: Any) -> None:
    go = threading.Event()
    loud = 1

    def work(update: dict[str, Any]) -> None:
        if update["message"]["chat"]["id"] == loud:
            go.wait()

    bot = queue_bot(work)
    bot.push(3000, chat=loud)
    handle = start(bot, store=store, backlog=100, concurrency=10)
    wait_until(lambda: store.offset == 4000)
    quiet = bot.push(400, chat=lambda index: 2 + index % 8)
    bot.record.wait_until(lambda: set(quiet) <= set(bot.record.ended))
    assert handle.size() <= 100
    go.set()
    bot.record.wait_for_ended(3400)
    assert bot.record.breaches == []


def test_an_update_that_fails_is_tried_again_its_keys_held_until_it_is_a_dead_letter(
    queue_bot: Any, start: Any, store: Store, wait_until: Any, count: Any
) -> None:
    seen: list[tuple[int, int]] = []

    def work(update: dict[str, Any]) -> None:
        delivery = current()
        assert delivery is not None
        seen.append((update["update_id"], delivery.attempt))
        count(update)
        if update["update_id"] == 1001 or (update["update_id"] == 1002 and delivery.attempt < 3):
            raise ValueError("no")

    class Bot(queue_bot):  # type: ignore[misc]
        def handle_update(self, update: Any) -> None:
            work(update)

    bot = Bot()
    bot.push(5)
    handle = start(bot, store=store, max_attempts=3)
    wait_until(lambda: store.counts() == (0, 0, 1))
    assert seen == [(1000, 1), (1001, 1), (1001, 2), (1001, 3), (1002, 1), (1002, 2), (1002, 3), (1003, 1), (1004, 1)]
    assert [error.args for error, _ in bot.errors] == [("no",)]
    (letter,) = store.dead.list()
    assert (letter.update_id, letter.attempts) == (1001, 3)
    assert "ValueError: no" in letter.error
    assert store.load(["1"])["1"].value == b"4"
    stats = handle.stats()
    assert (stats.succeeded, stats.failed, stats.retried, stats.in_flight) == (4, 1, 4, 0)


def test_a_dead_letter_that_is_retried_comes_back_while_the_runner_runs(
    queue_bot: Any, start: Any, store: Store, wait_until: Any
) -> None:
    is_broken = threading.Event()
    is_broken.set()

    def work(update: dict[str, Any]) -> None:
        if is_broken.is_set():
            raise ValueError("broken")

    class Bot(queue_bot):  # type: ignore[misc]
        def handle_update(self, update: Any) -> None:
            work(update)
            self.record.begin(update["update_id"], ["1"])
            self.record.end(update["update_id"], ["1"])

    bot = Bot()
    bot.push(2)
    start(bot, store=store, max_attempts=2)
    wait_until(lambda: store.counts().dead == 2)
    is_broken.clear()
    store.dead.retry([letter.number for letter in store.dead.list()])
    bot.record.wait_for_ended(2)
    wait_until(lambda: store.counts() == (0, 0, 0))


def test_ends_are_made_durable_also_while_they_come_without_a_pause_and_nothing_comes_in(
    queue_bot: Any, start: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def listed(name: str) -> None:
        call = getattr(store, name)

        def listing(*arguments: Any, **options: Any) -> Any:
            calls.append(name)
            return call(*arguments, **options)

        monkeypatch.setattr(store, name, listing)

    for name in ("push", "settle", "sync"):
        listed(name)
    bot = queue_bot(lambda update: time.sleep(0.001))
    bot.push(600, chat=lambda index: index % 4)
    start(bot, store=store, concurrency=2)
    bot.record.wait_for_ended(600)
    last_push = len(calls) - calls[::-1].index("push")
    last_settle = len(calls) - calls[::-1].index("settle")
    assert calls[last_push:last_settle].count("settle") > 10
    assert "sync" in calls[last_push:last_settle]


def test_a_broken_store_ends_the_runner_with_its_error(
    queue_bot: Any, start: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*arguments: Any, **options: Any) -> Any:
        raise StoreError("it broke")

    bot = queue_bot()
    handle = start(bot, store=store)
    monkeypatch.setattr(store, "settle", break_down)
    bot.push(1)
    with pytest.raises(StoreError, match="it broke"):
        handle.wait(PATIENCE_S)


def test_an_update_that_is_no_json_takes_no_other_one_with_it(
    queue_bot: Any, start: Any, store: Store, wait_until: Any
) -> None:
    bot = queue_bot()
    handle = start(bot, store=store)
    bot.put({"update_id": 1, "x": {1, 2}}, {"update_id": 2}, {"update_id": 3, "x": object()}, {"update_id": 4})
    bot.record.wait_for_ended(2)
    assert sorted(bot.record.ended) == [2, 4]
    wait_until(lambda: store.offset == 5)
    assert handle.stats().admitted == 2


def test_sessions_of_a_handler_that_failed_stay_as_they_were(
    queue_bot: Any, start: Any, store: Store, wait_until: Any, count: Any
) -> None:
    def work(update: dict[str, Any]) -> None:
        count(update)
        if update["update_id"] % 2:
            raise ValueError("odd")

    bot = queue_bot(work)
    bot.push(10)
    start(bot, store=store)
    bot.record.wait_for_ended(10)
    wait_until(lambda: store.counts()[:2] == (0, 0))
    assert store.load(["1"])["1"].value == b"5"


def test_a_store_has_one_runner_and_is_free_again_after_it(queue_bot: Any, start: Any, tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 'bot.db'}"
    handle = start(queue_bot(), store=url)
    with pytest.raises(StoreInUse, match="in use"):
        run(queue_bot(), store=url, name="second")
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("second")]
    handle.stop()
    start(queue_bot(), store=url).stop()
    handle.start()
    assert handle.is_running()


def test_an_open_store_serves_one_run_at_a_time(queue_bot: Any, start: Any, store: Store) -> None:
    first = start(queue_bot(), store=store)
    with pytest.raises(StoreInUse, match="in use by another runner of this process"):
        run(queue_bot(), store=store)
    first.stop()
    start(queue_bot(), store=store).stop()
    first.start()


def test_a_store_keeps_the_updates_of_one_bot(queue_bot: Any, start: Any, tmp_path: Path) -> None:
    class Bot(queue_bot):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def identity(self) -> str:
            return self.name

    url = f"sqlite:{tmp_path / 'bot.db'}"
    start(Bot("bot 1"), store=url).stop()
    with pytest.raises(StoreError, match="holds the updates of bot 1, and this is bot 2"):
        run(Bot("bot 2"), store=url)
    start(Bot("bot 1"), store=url).stop()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ack": "journal"}, "needs a store"),
        ({"ack": "fetch", "store": "memory:"}, "goes without a store"),
        ({"ack": "done", "store": "memory:"}, "goes without a store"),
        ({"max_attempts": 3}, "needs a store"),
        ({"max_attempts": 0, "store": "memory:"}, "max_attempts is a whole number"),
        ({"store": "bot.db"}, "sqlite:PATH"),
        ({"store": "postgresql://u:secret@h/x"}, "not part of this version"),
        ({"store": 5}, "sqlite:PATH"),
    ],
)
def test_options_that_do_not_go_together_are_told_in_one_line(
    queue_bot: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        run(queue_bot(), **options)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_runner_that_is_running_is_not_started_again(queue_bot: Any, start: Any, store: Store) -> None:
    handle = start(queue_bot(), store=store)
    with pytest.raises(RunnerError, match="running already"):
        handle.start()
