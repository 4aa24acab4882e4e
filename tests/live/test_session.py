"""A counter in the session under load: every visit counts once, in order, and failed handlers leave no trace."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from pyruntime.testing import FakeBotApi

SIZES = [(50, 20), pytest.param(200, 50, marks=pytest.mark.slow)]


def load(api: FakeBotApi, chats: int, each: int, fails: int, rng: random.Random, write: Callable[..., Any]) -> None:
    """Write so many messages and failing ones in each chat; replies take 0 to 20 ms, each another time."""

    def change_latency(kind: str, content: Any) -> None:
        if kind == "call":
            api.latency_by_method_s["sendMessage"] = rng.uniform(0.0, 0.02)

    api.observe(change_latency)
    order = [(chat, text) for chat in range(1, chats + 1) for text in ["visit"] * each + ["fail"] * fails]
    rng.shuffle(order)
    api.push_many(write(chat, text) for chat, text in order)


def visits(api: FakeBotApi) -> dict[int | str | None, list[str]]:
    """Return the texts that each chat got."""
    texts: dict[int | str | None, list[str]] = defaultdict(list)
    for call in api.calls_of("sendMessage"):
        texts[call.chat_id].append(call.parameters["text"])
    return texts


def expected(chats: int, each: int) -> dict[int, list[str]]:
    """Return what they should have got."""
    return {chat: numbered(range(1, each + 1)) for chat in range(1, chats + 1)}


def numbered(numbers: Iterable[int]) -> list[str]:
    """Return the texts of these visits."""
    return [f"visit {number}" for number in numbers]


@pytest.mark.parametrize(("chats", "each"), SIZES)
def test_each_visit_is_counted_once_in_order_and_a_failed_handler_writes_nothing(
    api: FakeBotApi,
    run_bot: Callable[..., Any],
    rng: random.Random,
    write: Callable[..., Any],
    chats: int,
    each: int,
) -> None:
    load(api, chats, each, each // 10, rng, write)
    program = run_bot("counter.py")
    api.wait_for("sendMessage", chats * each, timeout_s=120)
    assert program.stop() == 0
    assert visits(api) == expected(chats, each)


@pytest.mark.parametrize(("chats", "each"), SIZES)
def test_the_session_alone_keeps_its_updates_apart_when_the_runner_orders_nothing(
    api: FakeBotApi,
    run_script: Callable[..., Any],
    rng: random.Random,
    write: Callable[..., Any],
    chats: int,
    each: int,
) -> None:
    load(api, chats, each, each // 10, rng, write)
    run_script("unordered.py")
    api.wait_for("sendMessage", chats * each, timeout_s=120)
    assert visits(api) == expected(chats, each)
