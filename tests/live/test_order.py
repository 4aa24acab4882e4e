"""Each chat in order, never two of its handlers at once, each update answered once: seen from the server."""

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from pyruntime.testing import FakeBotApi


@pytest.mark.timeout(600)
@pytest.mark.parametrize("latency_ms", [0, 5, 50])
@pytest.mark.parametrize(
    ("updates", "chats"),
    [
        (1_000, 100),
        (400, 20),
        pytest.param(20_000, 1_000, marks=pytest.mark.slow),
        pytest.param(6_000, 20, marks=pytest.mark.slow),
    ],
)
def test_every_update_is_answered_once_and_each_chat_in_order(
    api: FakeBotApi,
    crowd: Any,
    run_bot: Callable[..., Any],
    rng: random.Random,
    updates: int,
    chats: int,
    latency_ms: int,
) -> None:
    program = run_bot("answer.py")
    api.wait_until_polled(timeout_s=20)
    api.latency_by_method_s["sendMessage"] = latency_ms / 1000
    start_ns = time.monotonic_ns()
    crowd.write_in_turn(chats, updates // chats, rng)
    answers = crowd.wait_for_answers(timeout_s=300)
    crowd.assert_answered_once_in_order(answers)
    crowd.assert_never_overlapping(latency_ms / 1000)
    seconds = (answers[-1].at_ns - start_ns) / 1e9
    print(f"{updates} updates, {chats} chats, {latency_ms} ms: {updates / seconds:.0f} updates/s")
    assert program.stop() == 0
    assert len(crowd.answers()) == updates
    assert api.pending_count() == 0


def test_a_backlog_smaller_than_the_flood_changes_nothing(
    api: FakeBotApi, crowd: Any, run_bot: Callable[..., Any], rng: random.Random
) -> None:
    crowd.write_in_turn(40, 20, rng)
    api.latency_by_method_s["sendMessage"] = 0.005
    program = run_bot("answer.py", "--backlog", "50", "--concurrency", "20")
    crowd.assert_answered_once_in_order(crowd.wait_for_answers())
    crowd.assert_never_overlapping(0.005)
    assert program.stop() == 0
    assert len(crowd.answers()) == 800
