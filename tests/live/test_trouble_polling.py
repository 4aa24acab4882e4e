"""A bad network and a bad server between bot and updates: tried again with back-off, and no update is lost."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from pyruntime.api import ApiClient
from pyruntime.testing import FakeBotApi
from pyruntime.testing.fault import HUGE_BYTES
from runner_c.command import exit_code

Run = Callable[..., Any]

# Each with the arguments of `FakeBotApi.fault`, and whether a poll fails by it.
FAULTS: list[tuple[Any, dict[str, Any], bool]] = [
    ("drop_midway", {}, True),
    ("half_json", {}, True),
    ("garbage", {}, True),
    ("empty", {}, True),
    ("huge", {"size_bytes": HUGE_BYTES}, True),
    ("conflict", {}, True),
    ("duplicate", {}, False),
    ("shuffle", {}, False),
]
MORE_FAULTS: list[tuple[Any, dict[str, Any], bool]] = [
    ("drop_before", {}, True),
    ("drop_after", {}, True),
    ("error", {"code": 500}, True),
    ("garbage", {"code": 502}, True),
    ("not_http", {}, True),
    ("error", {"code": 400, "description": "Bad Request: no reason"}, True),
    ("retry_after", {"seconds": 1}, True),
    ("slow", {"seconds": 0.3}, False),
]


def delays_s(text: str) -> list[float]:
    """Return the announced waits between polls."""
    return [float(found) for found in re.findall(r"next try in ([\d.]+) s", text)]


@pytest.mark.parametrize(
    ("ack", "faults"),
    [
        ("fetch", FAULTS),
        pytest.param("fetch", MORE_FAULTS, marks=pytest.mark.slow),
        pytest.param("done", FAULTS + MORE_FAULTS, marks=pytest.mark.slow),
    ],
)
def test_every_kind_of_bad_reply_to_a_poll_is_survived_and_each_update_is_answered_once(
    api: FakeBotApi, crowd: Any, run_bot: Run, ack: str, faults: list[tuple[Any, dict[str, Any], bool]]
) -> None:
    program = run_bot("answer.py", "--ack", ack)
    api.wait_until_polled(timeout_s=20)
    failures = 0
    for place, (kind, arguments, is_failure) in enumerate(faults):
        # In chats of its own, one message each: `shuffle` brings the messages of a chat in another order.
        chats = range(1 + place * 10, 7 + place * 10)
        with api.fault(kind, "getUpdates", **arguments) as fault:
            crowd.write(chats[:3])  # answer the poll that waits already; the fault meets those after it
            crowd.wait_for_answers()
            api.wait_until_polled(timeout_s=20)
            crowd.write(chats[3:])
            crowd.wait_for_answers()
        assert fault.hits == 1, kind
        failures += is_failure
        program.wait_for("polling failed", times=max(1, failures))
        assert program.err.count("polling failed") == failures, kind
    # After a shuffled reply, which no real server sends, it takes one more poll to pass the highest id.
    api.wait_until_confirmed(timeout_s=20)
    assert program.stop() == exit_code.OK
    crowd.assert_answered_once_in_order()
    assert api.pending_count() == 0
    assert "Traceback" not in program.err


def test_trouble_with_the_very_first_call_is_survived(api: FakeBotApi, crowd: Any, run_bot: Run) -> None:
    faults = [
        api.fault("garbage", "getMe"),
        api.fault("error", "getMe"),
        api.fault("huge", "getMe"),
        api.fault("drop_midway", "getMe"),
    ]
    crowd.write(range(1, 4))
    program = run_bot("answer.py")
    crowd.wait_for_answers()
    assert [fault.hits for fault in faults] == [1, 1, 1, 1]
    assert program.stop() == exit_code.OK
    crowd.assert_answered_once_in_order()


def test_the_waits_between_failing_polls_grow_and_each_failure_is_one_line(api: FakeBotApi, run_bot: Run) -> None:
    api.fault("garbage", times=None)
    program = run_bot("answer.py")
    program.wait_for("polling failed", times=5)
    waits = delays_s(program.err)[:5]
    assert waits == sorted(waits)
    assert waits[-1] > 4 * waits[0]
    assert program.stop() == exit_code.OK
    assert "Traceback" not in program.err
    assert len(api.calls) + len(api.polls) < 10


def test_a_bot_that_starts_before_its_server_waits_for_it(api: FakeBotApi, crowd: Any, run_bot: Run) -> None:
    api.start()
    api.stop()
    program = run_bot("answer.py")
    program.wait_for("ConnectFailed", times=2)
    api.start()
    crowd.write(range(1, 11))
    crowd.wait_for_answers()
    assert program.stop() == exit_code.OK
    crowd.assert_answered_once_in_order()


@pytest.mark.parametrize("ack", ["fetch", pytest.param("done", marks=pytest.mark.slow)])
def test_a_server_that_restarts_again_and_again_costs_no_update(
    api: FakeBotApi, crowd: Any, run_bot: Run, ack: str
) -> None:
    program = run_bot("answer.py", "--ack", ack)
    api.wait_until_polled(timeout_s=20)
    for turn in range(1, 3):
        crowd.write(range(1, 31))
        crowd.wait_for_answers()
        api.stop()
        program.wait_for("polling failed", times=turn)
        api.start()
    crowd.write(range(1, 31))
    crowd.wait_for_answers()
    assert program.stop() == exit_code.OK
    crowd.assert_answered_once_in_order()


def test_429_is_obeyed_to_the_second(api: FakeBotApi, crowd: Any, run_bot: Run) -> None:
    program = run_bot("answer.py")
    api.wait_until_polled(timeout_s=20)
    api.fault("retry_after", "getUpdates", seconds=1)
    crowd.write([1])
    crowd.wait_for_answers()
    api.wait_until_polled(timeout_s=20)
    refused = next(place for place, poll in enumerate(api.polls) if poll.status == 429)
    gap_s = (api.polls[refused + 1].at_ns - api.polls[refused].at_ns) / 1e9
    assert 1.0 <= gap_s < 5.0
    assert delays_s(program.err) == [1.0]


def test_an_update_of_3_mb_comes_through_and_so_do_those_behind_it(
    api: FakeBotApi, crowd: Any, run_bot: Run, write: Callable[..., Any]
) -> None:
    for number in range(4):
        update = write(number + 1, str(number))
        update["message"]["padding"] = "x" * 3_000_000
        api.push(update)
    program = run_bot("answer.py")
    api.wait_for("sendMessage", 4)
    assert {answer.number for answer in crowd.answers()} == set(range(4))
    assert program.stop() == exit_code.OK


@pytest.mark.parametrize(
    ("kind", "arguments"), [("unauthorized", {}), ("error", {"code": 404, "description": "Not Found"})]
)
def test_a_token_that_is_refused_in_the_middle_ends_the_bot_with_code_3_after_its_handlers(
    api: FakeBotApi, crowd: Any, run_bot: Run, kind: Any, arguments: dict[str, Any]
) -> None:
    program = run_bot("answer.py", HANDLER_S="0.5")
    api.wait_until_polled(timeout_s=20)
    api.fault(kind, "getUpdates", times=None, **arguments)
    crowd.write(range(1, 11))
    assert program.wait() == exit_code.UNAUTHORIZED
    assert "refused the token" in program.err
    assert "Traceback" not in program.err
    crowd.assert_answered_once_in_order()


@pytest.mark.slow
def test_a_reply_that_stops_in_the_middle_for_ever_is_given_up_and_asked_for_again(
    api: FakeBotApi, crowd: Any, run_bot: Run
) -> None:
    program = run_bot("answer.py", "--poll-timeout", "1")
    api.wait_until_polled(timeout_s=20)
    api.fault("stall", "getUpdates")
    crowd.write([1])
    crowd.write([2])
    crowd.wait_for_answers()
    assert program.stop() == exit_code.OK
    crowd.assert_answered_once_in_order()


@pytest.mark.slow
def test_a_webhook_that_stays_set_ends_the_bot_with_code_4_after_a_minute(
    api: FakeBotApi, crowd: Any, run_bot: Run
) -> None:
    ApiClient(api.token, api.url).set_webhook(url="https://example.org/hook")
    crowd.write([1])
    program = run_bot("answer.py")
    assert program.wait(timeout_s=150) == exit_code.CONFLICT
    assert "webhook" in program.err
    assert "Traceback" not in program.err
    assert api.pending_count() == 1
    print(f"409 for a minute: {len(api.polls)} polls, waits {delays_s(program.err)}")
