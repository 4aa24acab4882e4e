"""Opening, owning, looking after and closing a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner_c.errors import StoreError
from runner_c.store import Failure, Settlement, Store, Verdict, open_store


@pytest.mark.parametrize("url", ["memory:", "sqlite:{}/bot.db"])
def test_a_store_is_opened_by_its_url_and_tells_it(url: str, tmp_path: Path) -> None:
    url = url.format(tmp_path)
    store = open_store(url)
    assert isinstance(store, Store)
    assert store.url == url
    store.close()


def test_a_store_belongs_to_the_first_bot_that_binds_it(box: Any) -> None:
    box.store.bind("bot 111")
    box.store.bind("bot 111")
    with pytest.raises(StoreError, match=r"bot 111.*bot 222|bot 222.*bot 111"):
        box.store.bind("bot 222")
    box.store.bind("bot 111")
    box.keep([1])
    assert box.claim_ids() == [1]


def test_counts_follow_what_happens(box: Any) -> None:
    assert box.store.counts() == (0, 0, 0)
    box.push(box.arrival(1, "a"), box.arrival(2, "a"), box.arrival(3), limit=2, chain=0)
    assert box.store.counts() == (1, 2, 0)
    box.push(box.arrival(2), limit=9)
    assert box.store.counts() == (1, 2, 0)
    box.push(box.arrival(4, is_urgent=True))
    assert box.store.counts() == (2, 2, 0)
    claim = box.claim_one()
    assert box.store.counts() == (1, 3, 0)
    box.fail(claim, 5.0)
    assert box.store.counts() == (1, 3, 0)
    box.fail(claim)
    assert box.store.counts() == (1, 2, 1)
    assert box.store.dead.count() == 1


def test_there_is_nothing_to_look_after_in_an_empty_store(box: Any) -> None:
    assert box.store.tend() is False


def test_looking_after_a_store_ends(box: Any) -> None:
    box.push(*[box.arrival(number) for number in range(0, 3000, 2)])
    for hour in range(60):
        box.clock.advance(3600)
        box.keep([10_000 + hour])
        for _ in range(1000):
            if not box.store.tend():
                break
        else:
            raise AssertionError("there is always more to do")


def test_sync_may_be_called_at_any_time(box: Any) -> None:
    box.store.sync()
    (claim,) = box.give(box.arrival(1))
    box.settle(claim)
    box.store.sync()
    box.store.sync()
    assert box.store.counts() == (0, 0, 0)


CALLS = {
    "offset": lambda store: store.offset,
    "bind": lambda store: store.bind("bot 1"),
    "push": lambda store: store.push([]),
    "claim": lambda store: store.claim(1),
    "claim with a lease": lambda store: store.claim(1, lease_s=5.5),
    "settle": lambda store: store.settle([Settlement(1, 1)]),
    "settle nothing": lambda store: store.settle([]),
    "fail": lambda store: store.fail([Failure(1, 1, "boom", None)]),
    "extend": lambda store: store.extend([(1, 1)], 5.5),
    "release": lambda store: store.release([(1, 1)]),
    "load": lambda store: store.load(["a"]),
    "load nothing": lambda store: store.load([]),
    "sync": lambda store: store.sync(),
    "tend": lambda store: store.tend(),
    "counts": lambda store: store.counts(),
    "list": lambda store: store.dead.list(),
    "show": lambda store: store.dead.show(1),
    "retry": lambda store: store.dead.retry([1]),
    "drop": lambda store: store.dead.drop([1]),
    "count": lambda store: store.dead.count(),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_closed_store_says_so(box: Any, call: str) -> None:
    box.store.bind("bot 1")
    box.keep([1])
    CALLS[call](box.store)
    box.store.close()
    with pytest.raises(StoreError, match="is closed"):
        CALLS[call](box.store)


def test_a_push_into_a_closed_store_takes_nothing(box: Any) -> None:
    box.store.close()
    with pytest.raises(StoreError, match="is closed"):
        box.push(box.arrival(1), limit=1, offset=2)


def test_closing_twice_is_fine(box: Any) -> None:
    (claim,) = box.give(box.arrival(1))
    assert box.settle(claim) is Verdict.OK
    box.store.close()
    box.store.close()
