"""`concurrency` is a hard limit from the first batch on: counted by the server as calls that wait for their reply."""

from collections.abc import Callable
from typing import Any

import pytest

from pyruntime.testing import FakeBotApi


@pytest.mark.parametrize("ack", ["fetch", pytest.param("done", marks=pytest.mark.slow)])
def test_16_handlers_run_at_once_and_never_17_from_the_first_batch_of_100(
    api: FakeBotApi, crowd: Any, run_bot: Callable[..., Any], count_at_once: Callable[..., int], ack: str
) -> None:
    crowd.write(range(1, 101))
    api.latency_by_method_s["sendMessage"] = 0.1
    program = run_bot("answer.py", "--concurrency", "16", "--ack", ack)
    answers = crowd.wait_for_answers()
    crowd.write(range(1, 101))
    answers = crowd.wait_for_answers()
    assert count_at_once(api.calls_of("sendMessage"), 0.1) == 16
    assert max(answer.most_running for answer in answers) == 16
    assert len(api.polls[0].update_ids) == 100
    assert program.stop() == 0
    crowd.assert_answered_once_in_order()


@pytest.mark.slow
def test_300_handlers_that_wait_for_the_network_wait_at_the_same_time(
    api: FakeBotApi, crowd: Any, run_bot: Callable[..., Any], count_at_once: Callable[..., int]
) -> None:
    api.latency_by_method_s["sendMessage"] = 2.0
    program = run_bot("answer.py", "--concurrency", "300")
    crowd.write(range(1, 601))
    crowd.wait_for_answers()
    assert count_at_once(api.calls_of("sendMessage"), 2.0) == 300
    assert program.stop() == 0
    crowd.assert_answered_once_in_order()
