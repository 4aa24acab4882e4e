"""Who tells the end of a run: the engine or the command line."""

import logging
from typing import Any

import pytest

from runner_c.command.ending import Ending


class Handle:
    def __init__(self, *in_flight: dict[str, Any]) -> None:
        self.in_flight = in_flight

    def snapshot(self) -> list[dict[str, Any]]:
        return list(self.in_flight)


def is_written(ending: Ending, action: str | None) -> bool:
    return ending.filter(logging.makeLogRecord({} if action is None else {"action": action}))


def handle_of(ending: Ending, *in_flight: dict[str, Any]) -> Ending:
    vars(ending)["handle"] = Handle(*in_flight)
    return ending


@pytest.mark.parametrize("has_begun", [True, False])
def test_a_failure_is_left_to_the_last_line_unless_updates_are_in_flight(has_begun: bool) -> None:
    ending = handle_of(Ending())
    ending.has_begun = has_begun
    assert is_written(ending, "runner.failed") is False
    assert is_written(ending, "runner.stopped") is has_begun
    assert is_written(handle_of(Ending(), {"update_id": 1}), "runner.failed") is True


def test_everything_else_is_written() -> None:
    ending = handle_of(Ending())
    for action in (None, "poll.failed", "runner.stopped", "update.failed"):
        assert is_written(ending, action)
