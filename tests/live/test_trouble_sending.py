"""A bad network and a bad server between handlers and the people: no message twice, 429 holds back its chat alone."""

from collections.abc import Callable
from typing import Any

import pytest

from pyruntime.testing import FakeBotApi
from runner_c.command import exit_code

Run = Callable[..., Any]

# Each with the number of messages that arrive of one, and whether the handler hears of the failure.
FAULTS: list[tuple[Any, dict[str, Any], set[int], bool]] = [
    ("drop_after", {}, {1}, True),
    ("drop_midway", {}, {1}, True),
    ("half_json", {}, {1}, True),
    ("garbage", {}, {1}, True),
    ("not_http", {}, {1}, True),
    ("empty", {}, {1}, True),
    ("error", {"code": 500}, {1}, False),
    ("error", {"code": 502}, {1}, False),
    ("slow", {"seconds": 0.3}, {1}, False),
    ("retry_after", {"seconds": 1}, {1}, False),
    ("error", {"code": 400, "description": "Bad Request: no reason"}, {0}, True),
    ("drop_before", {}, {0}, True),
]


@pytest.mark.parametrize("ack", ["fetch", pytest.param("done", marks=pytest.mark.slow)])
def test_no_bad_reply_to_a_message_makes_it_arrive_twice_and_the_next_one_arrives(
    api: FakeBotApi, crowd: Any, run_bot: Run, ack: str
) -> None:
    program = run_bot("answer.py", "--ack", ack)
    api.wait_until_polled(timeout_s=20)
    failures = 0
    for place, (kind, arguments, arriving, is_heard) in enumerate(FAULTS):
        chat_id = place + 1
        with api.fault(kind, "sendMessage", **arguments) as fault:
            crowd.write([chat_id, chat_id])
            api.wait_for(is_last(crowd.count - 1), timeout_s=20)
        assert fault.hits == 1
        arrived = [answer.number for answer in crowd.answers() if answer.chat_id == chat_id]
        assert arrived.count(crowd.count - 2) in arriving, kind
        assert arrived.count(crowd.count - 1) == 1, kind
        failures += is_heard
        if failures:
            program.wait_for("a handler failed", times=failures)
    assert program.stop() == exit_code.OK
    assert api.pending_count() == 0


def is_last(number: int) -> Callable[[Any], bool]:
    """Return a function that recognises the answer to a message when it has been carried out."""

    def matches(call: Any) -> bool:
        return (
            call.method == "sendMessage"
            and call.result is not None
            and call.parameters["text"].startswith(f"{number} ")
        )

    return matches


def test_429_holds_back_its_own_chat_for_the_time_told_and_no_other(api: FakeBotApi, crowd: Any, run_bot: Run) -> None:
    program = run_bot("answer.py")
    api.wait_until_polled(timeout_s=20)
    api.fault("retry_after", "sendMessage", seconds=1)
    crowd.write([1])
    refused = api.wait_for(lambda call: call.status == 429)[0]
    crowd.write([1, 2, 3, 1, 2])
    answers = crowd.wait_for_answers()
    in_first_chat = [answer for answer in answers if answer.chat_id == 1]
    others = [answer for answer in answers if answer.chat_id != 1]
    assert (in_first_chat[0].at_ns - refused.at_ns) / 1e9 >= 1.0
    assert max(answer.at_ns for answer in others) < in_first_chat[0].at_ns
    assert program.stop() == exit_code.OK
    crowd.assert_answered_once_in_order()
    assert len(api.calls_of("sendMessage")) == 7


def test_429_in_many_chats_at_once_costs_no_message_and_no_order(
    api: FakeBotApi, crowd: Any, run_bot: Run, rng: Any
) -> None:
    program = run_bot("answer.py")
    api.wait_until_polled(timeout_s=20)
    api.fault("retry_after", "sendMessage", times=30, seconds=1)
    crowd.write_in_turn(50, 6, rng)
    crowd.wait_for_answers()
    assert program.stop() == exit_code.OK
    crowd.assert_answered_once_in_order()


def test_a_handler_that_raises_ends_its_update_only_and_its_chat_goes_on(api: FakeBotApi, run_bot: Run) -> None:
    program = run_bot("moody.py")
    chat = api.chat(1)
    for text in ("fail", "echo", "fail", "tea"):
        chat.send(text)
    assert chat.reply().text == "did echo"
    assert chat.reply().text == "did tea"
    program.wait_for("ValueError: no answer with <token>", times=2)
    assert program.stop() == exit_code.OK
    assert "4 updates handled, 0 unfinished" in program.err
