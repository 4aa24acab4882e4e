"""Offsets and confirmation over a real connection: slow polls, ids that go down, a slow update at the head."""

from collections.abc import Callable
from typing import Any

import pytest

from pyruntime.testing import FakeBotApi
from runner_c.command import exit_code

Run = Callable[..., Any]


@pytest.mark.parametrize("ack", [pytest.param("fetch", marks=pytest.mark.slow), "done"])
def test_slow_polls_and_restarts_repeat_nothing(api: FakeBotApi, crowd: Any, run_bot: Run, rng: Any, ack: str) -> None:
    api.latency_by_method_s["getUpdates"] = 0.15
    crowd.write_in_turn(40, 6, rng)
    for life in range(1, 4):
        program = run_bot("answer.py", "--ack", ack, HANDLER_S="0.01:0.05", LIFE=str(life))
        crowd.wait_for_answers(60 * life)
        assert program.stop() == exit_code.OK
    program = run_bot("answer.py", "--ack", ack)
    crowd.wait_for_answers()
    assert program.stop() == exit_code.OK
    crowd.assert_answered_once_in_order()
    assert api.pending_count() == 0


@pytest.mark.parametrize("ack", ["fetch", "done"])
def test_ids_that_go_down_after_a_quiet_week_cost_no_update(
    api: FakeBotApi, crowd: Any, run_bot: Run, ack: str
) -> None:
    program = run_bot("answer.py", "--ack", ack)
    for first_id in (900_000_000, 500, 2_000_000_000, 700_000):
        api.wait_until_confirmed(timeout_s=20)
        api.wait_until_polled(timeout_s=20)
        api.jump_update_ids(first_id)
        crowd.write(range(1, 121))
        crowd.wait_for_answers()
        assert api.next_update_id == first_id + 120
    assert program.stop() == exit_code.OK
    crowd.assert_answered_once_in_order()
    assert api.pending_count() == 0


def test_with_ack_done_a_slow_update_at_the_head_keeps_its_place_and_polls_stay_rare(
    api: FakeBotApi, run_bot: Run
) -> None:
    program = run_bot("moody.py", "--ack", "done")
    api.wait_until_polled(timeout_s=20)
    update_id = api.next_update_id
    api.chat(1).send("sleep")
    for number in range(2, 300):
        api.chat(number).send("echo")
    api.wait_for("sendMessage", 99)
    assert api.confirmed_offset <= update_id
    api.wait_for("sendMessage", 299)
    assert program.stop() == exit_code.OK
    assert api.pending_count() == 0
    at_head = [poll for poll in api.polls if poll.parameters.get("offset") == update_id]
    assert len(at_head) <= 6
    counts = [len(api.calls_of("sendMessage", number)) for number in range(1, 300)]
    assert counts == [1] * 299
