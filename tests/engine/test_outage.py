"""A run whose store cannot write for a while."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any

import pytest

from runner_c import StoreUnavailable, current
from runner_c.journal import journal
from runner_c.store import Store


class Outage:
    """A store that cannot write while `is_on` is set."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch, changed: threading.Condition) -> None:
        self.is_on = threading.Event()
        self.refused = 0
        for name in ("push", "settle", "fail", "claim"):
            call = getattr(store, name)

            def refuse(*arguments: Any, _call: Any = call, **options: Any) -> Any:
                if self.is_on.is_set():
                    with changed:
                        self.refused += 1
                        changed.notify_all()
                    raise StoreUnavailable("the disk is full")
                return _call(*arguments, **options)

            monkeypatch.setattr(store, name, refuse)


def test_a_store_that_cannot_write_stops_intake_and_nothing_else_until_it_can_again(
    queue_bot: Any,
    start: Any,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    wait_until: Any,
    store_changed: threading.Condition,
) -> None:
    go = threading.Event()
    bot = queue_bot(lambda update: go.wait())
    bot.push(50, chat=lambda index: index)
    outage = Outage(store, monkeypatch, store_changed)
    handle = start(bot, store=store, concurrency=50)
    bot.record.wait_for_begun(50)
    outage.is_on.set()
    bot.push(20, chat=lambda index: index)
    go.set()
    bot.record.wait_for_ended(50)
    wait_until(lambda: outage.refused > 3)
    assert handle.offer({"update_id": 5}) is False
    assert store.offset == 1050
    assert len(bot.unconfirmed) >= 20
    outage.is_on.clear()
    bot.record.wait_for_ended(70)
    wait_until(lambda: store.counts()[:2] == (0, 0))
    assert bot.record.breaches == []
    actions = [record.action for record in caplog.records if "journal" in getattr(record, "action", "")]
    assert actions[0] == "journal.stuck"
    assert "journal.unstuck" in actions
    assert "the disk is full" in caplog.text


def test_a_stop_in_an_outage_ends_and_what_could_not_be_written_is_given_out_again(
    queue_bot: Any,
    start: Any,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    store_changed: threading.Condition,
) -> None:
    monkeypatch.setattr(journal, "LAST_TRY_S", 0.1)
    go = threading.Event()
    bot = queue_bot(lambda update: go.wait())
    bot.push(5)
    outage = Outage(store, monkeypatch, store_changed)
    handle = start(bot, store=store)
    bot.record.wait_for_begun(1)
    outage.is_on.set()
    go.set()
    bot.record.wait_for_ended(5)
    report = handle.stop(5.0)
    assert (report.handled, report.unfinished, report.drained) == (5, [], False)
    assert "could not be told of 5 updates" in caplog.text
    outage.is_on.clear()
    assert store.counts() == (5, 0, 0)
    assert [(claim.update["update_id"], claim.attempt) for claim in store.claim(9, chain=9)] == [
        (number, 2) for number in range(1000, 1005)
    ]


def test_a_session_is_read_as_the_update_before_left_it_also_before_the_store_has_it(
    queue_bot: Any,
    start: Any,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Any,
    count: Any,
    store_changed: threading.Condition,
) -> None:
    outage = Outage(store, monkeypatch, store_changed)
    go = threading.Event()
    read: dict[str, list[bytes | None]] = defaultdict(list)

    def work(update: dict[str, Any]) -> None:
        go.wait()
        delivery = current()
        assert delivery is not None
        assert delivery.storage is not None
        read["1"].append(delivery.storage.read("1"))
        count(update)

    bot = queue_bot(work)
    bot.push(5)
    start(bot, store=store)
    bot.record.wait_for_begun(1)
    outage.is_on.set()
    go.set()
    bot.record.wait_for_ended(5)
    outage.is_on.clear()
    assert read["1"] == [None, b"1", b"2", b"3", b"4"]
    wait_until(lambda: store.counts()[:2] == (0, 0))
    assert store.load(["1"])["1"] == (5, b"5")
