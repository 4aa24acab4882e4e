"""Two processes poll the same bot for a moment, as in a redeploy: 409 is retried, and nothing is lost."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyruntime.testing import FakeBotApi
from runner_c.command import exit_code

if TYPE_CHECKING:
    from tests.conftest import Program

BOT = Path(__file__).parent / "bots" / "answer.py"


def test_a_redeploy_with_a_moment_of_two_pollers_loses_nothing(
    api: FakeBotApi, crowd: Any, run_bot: Callable[..., Any]
) -> None:
    # With a store the new one would wait for the old one, see below.
    old = run_bot("answer.py", "--store", "none", LIFE="old")
    api.wait_until_polled(timeout_s=20)
    crowd.write(range(1, 21))
    crowd.wait_for_answers()
    new = run_bot("answer.py", "--store", "none", LIFE="new")
    old.wait_for("Conflict")
    crowd.write(range(1, 21))
    assert old.stop() == exit_code.OK
    crowd.write(range(1, 21))
    crowd.api.wait_until_confirmed(timeout_s=30)
    assert new.stop() == exit_code.OK
    answers = crowd.answers()
    assert {answer.number for answer in answers} == set(range(60))
    assert answers[-1].life == "new"


def test_with_a_store_the_new_one_begins_when_the_old_one_has_ended_and_each_update_is_answered_once(
    api: FakeBotApi, crowd: Any, run_bot: Callable[..., Any], launch: "Callable[..., Program]"
) -> None:
    old = run_bot("answer.py", LIFE="old", HANDLER_S="0.2:0.4")
    api.wait_until_polled(timeout_s=20)
    crowd.write(range(1, 21))
    new = launch("-m", "runner_c", str(BOT), BOT_TOKEN=api.token, BOT_API_ROOT=api.url, LIFE="new")
    new.wait_for("waiting up to 60 s for it")
    crowd.write(range(1, 21))
    assert old.stop() == exit_code.OK
    new.wait_for("stop with Ctrl-C")
    crowd.write(range(1, 21))
    crowd.wait_for_answers()
    assert new.stop() == exit_code.OK
    crowd.assert_answered_once_in_order()
    assert crowd.answers()[-1].life == "new"


def test_a_start_that_waits_for_the_store_ends_when_it_is_told_to(
    api: FakeBotApi, run_bot: Callable[..., Any], launch: "Callable[..., Program]"
) -> None:
    old = run_bot("answer.py", LIFE="old")
    new = launch("-m", "runner_c", str(BOT), BOT_TOKEN=api.token, BOT_API_ROOT=api.url, LIFE="new")
    new.wait_for("waiting up to 60 s for it")
    assert new.stop(signal.SIGTERM) == exit_code.OK
    assert old.stop() == exit_code.OK
