"""A stop when nothing works: at the start, with a server that is gone, or that never answers."""

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from pyruntime.testing import FakeBotApi
from runner_c.command import exit_code

Run = Callable[..., Any]


def stop_within(program: Any, limit_s: float, number: signal.Signals = signal.SIGTERM) -> int:
    """Stop the program, check that it took no longer, and return its exit code."""
    begun_s = time.monotonic()
    code: int = program.stop(number)
    took_s = time.monotonic() - begun_s
    print(f"the stop took {took_s:.2f} s")
    assert took_s < limit_s
    return code


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_stop_while_the_first_call_hangs_is_not_held_up_by_it(
    api: FakeBotApi, run_bot: Run, number: signal.Signals
) -> None:
    api.fault("slow", "getMe", times=None, seconds=50)
    program = run_bot("answer.py")
    api.wait_for("getMe")
    assert stop_within(program, 3.0, number) == exit_code.OK


@pytest.mark.parametrize("ack", ["fetch", pytest.param("done", marks=pytest.mark.slow)])
def test_a_stop_after_the_server_went_away_ends_in_time_and_says_that_nothing_could_be_confirmed(
    api: FakeBotApi, crowd: Any, run_bot: Run, ack: str
) -> None:
    program = run_bot("answer.py", "--ack", ack)
    api.wait_until_polled(timeout_s=20)
    crowd.write(range(1, 11))
    crowd.wait_for_answers()
    api.stop()
    program.wait_for("polling failed")
    assert stop_within(program, 8.0) == exit_code.OK
    assert "10 updates handled, 0 unfinished" in program.err


@pytest.mark.parametrize("ack", ["fetch", pytest.param("done", marks=pytest.mark.slow)])
def test_a_stop_with_a_server_that_answers_no_poll_any_more_ends_in_time(
    api: FakeBotApi, crowd: Any, run_bot: Run, ack: str
) -> None:
    program = run_bot("answer.py", "--ack", ack, HANDLER_S="0.3")
    api.wait_until_polled(timeout_s=20)
    api.fault("slow", "getUpdates", times=None, seconds=100)
    crowd.write(range(1, 11))
    crowd.wait_for_answers()
    assert stop_within(program, 15.0) == exit_code.OK
    assert "10 updates handled, 0 unfinished" in program.err


def test_a_stop_before_the_handlers_have_ended_waits_for_them_even_if_the_server_restarts_meanwhile(
    api: FakeBotApi, crowd: Any, run_bot: Run
) -> None:
    program = run_bot("answer.py", HANDLER_S="0.5")
    api.wait_until_polled(timeout_s=20)
    crowd.write(range(1, 21))
    api.wait_until_confirmed()
    program.send(signal.SIGTERM)
    program.wait_for("stopping")
    api.drop_connections()
    assert program.wait() == exit_code.OK
    crowd.assert_answered_once_in_order()
