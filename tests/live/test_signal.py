"""Signals at awkward moments: none is ever swallowed."""

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from pyruntime.testing import FakeBotApi
from runner_c.command import exit_code

Run = Callable[..., Any]


@pytest.mark.parametrize("times", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_a_signal_right_after_the_start_with_handlers_beginning_is_never_swallowed(
    api: FakeBotApi, crowd: Any, run_bot: Run, pace: Callable[[float], None], rng: Any, times: int
) -> None:
    longest_s = 0.0
    for turn in range(times):
        crowd.write(range(1, 21))
        program = run_bot("answer.py", HANDLER_S="0.1", LIFE=str(turn))
        pace(rng.uniform(0.0, 0.01))
        begun_s = time.monotonic()
        program.send(rng.choice([signal.SIGTERM, signal.SIGINT]))
        program.wait_for("stopping", timeout_s=10)
        longest_s = max(longest_s, time.monotonic() - begun_s)
        assert program.wait() == exit_code.OK
    print(f"{times} signals right after the start: acted on after {longest_s * 1e3:.0f} ms at most")
    program = run_bot("answer.py", LIFE="last")
    crowd.wait_for_answers()
    assert program.stop() == exit_code.OK
    crowd.assert_answered_once_in_order()


def test_a_signal_under_full_load_is_acted_on(api: FakeBotApi, crowd: Any, run_bot: Run, rng: Any) -> None:
    program = run_bot("answer.py")
    crowd.write_in_turn(200, 20, rng)
    crowd.wait_for_answers(200)
    program.send(signal.SIGTERM)
    program.wait_for("stopping", timeout_s=10)
    assert program.wait(60) == exit_code.OK
    again = run_bot("answer.py", LIFE="2")
    crowd.wait_for_answers()
    assert again.stop() == exit_code.OK
    crowd.assert_answered_once_in_order()


def test_a_burst_of_signals_of_one_kind_ends_the_program_whatever_they_meet(
    api: FakeBotApi, crowd: Any, run_bot: Run
) -> None:
    program = run_bot("moody.py", "--grace", "600")
    api.chat(1).send("hang")
    program.wait_for("began hang")
    for _ in range(20):
        if program.process.poll() is None:
            program.send(signal.SIGINT)
    program.wait_for("stopping", timeout_s=10)
    if program.process.poll() is None:
        program.send(signal.SIGINT)
    assert program.wait(10) == exit_code.NOT_DRAINED
    assert "Traceback" not in program.err
