"""Two processes poll the same bot for a moment, as in a redeploy: 409 is retried, and nothing is lost."""

from collections.abc import Callable
from typing import Any

from pyruntime.testing import FakeBotApi
from runner_c.command import exit_code


def test_a_redeploy_with_a_moment_of_two_pollers_loses_nothing(
    api: FakeBotApi, crowd: Any, run_bot: Callable[..., Any]
) -> None:
    old = run_bot("answer.py", LIFE="old")
    api.wait_until_polled(timeout_s=20)
    crowd.write(range(1, 21))
    crowd.wait_for_answers()
    new = run_bot("answer.py", LIFE="new")
    old.wait_for("Conflict")
    crowd.write(range(1, 21))
    assert old.stop() == exit_code.OK
    crowd.write(range(1, 21))
    crowd.api.wait_until_confirmed(timeout_s=30)
    assert new.stop() == exit_code.OK
    answers = crowd.answers()
    assert {answer.number for answer in answers} == set(range(60))
    assert answers[-1].life == "new"
