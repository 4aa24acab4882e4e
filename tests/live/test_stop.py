"""Stop: cut the long poll, wait for handlers, confirm them, name what was left; by call, and by signal."""

import json
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from pyruntime.testing import FakeBotApi
from runner_c.command import exit_code

Run = Callable[..., Any]


@pytest.fixture
def embed(api: FakeBotApi, run_script: Run) -> Run:
    """Return a function that runs `embedded.py` and waits until it polls."""

    def start(**variables: str) -> Any:
        program = run_script("embedded.py", **variables)
        api.wait_until_polled(timeout_s=20)
        return program

    return start


def stop(program: Any, times: int = 1) -> dict[str, Any]:
    """Have the program stop its runner and return the report."""
    program.send(signal.SIGUSR1)
    report: dict[str, Any] = json.loads(program.wait_for('{"handled"', times=times))
    return report


@pytest.mark.parametrize("ack", ["fetch", "done"])
def test_a_stop_in_an_idle_long_poll_of_30_s_returns_at_once_ten_times(api: FakeBotApi, embed: Run, ack: str) -> None:
    program = embed(ACK=ack)
    took_s = []
    for turn in range(1, 11):
        assert api.polls[-1].parameters["timeout"] == 30
        report = stop(program, turn)
        took_s.append(report["took_s"])
        assert report["drained"]
        assert report["unfinished"] == []
        api.wait_until_polled(timeout_s=20, is_polled=False)
        program.send(signal.SIGUSR2)
        api.wait_until_polled(timeout_s=20)
    print(f"ack={ack}: idle stop took {min(took_s) * 1e3:.0f} to {max(took_s) * 1e3:.0f} ms")
    assert max(took_s) < 1.0
    program.stop()


@pytest.mark.parametrize("ack", ["fetch", pytest.param("done", marks=pytest.mark.slow)])
def test_the_program_ends_at_once_when_it_is_idle_in_a_long_poll(api: FakeBotApi, run_bot: Run, ack: str) -> None:
    program = run_bot("answer.py", "--ack", ack)
    api.wait_until_polled(timeout_s=20)
    begun_s = time.monotonic()
    assert program.stop() == exit_code.OK
    took_s = time.monotonic() - begun_s
    print(f"ack={ack}: TERM to the end of the process {took_s * 1e3:.0f} ms")
    assert took_s < 2.0


@pytest.mark.parametrize(("ack", "number"), [("fetch", signal.SIGTERM), ("done", signal.SIGINT)])
def test_a_stop_waits_for_100_handlers_confirms_them_and_a_restart_handles_nothing_twice(
    api: FakeBotApi, crowd: Any, run_bot: Run, ack: str, number: signal.Signals
) -> None:
    api.latency_by_method_s["sendMessage"] = 0.5
    program = run_bot("answer.py", "--ack", ack)
    api.wait_until_polled(timeout_s=20)
    first_id = api.next_update_id
    crowd.write(range(1, 101))
    crowd.wait_for_answers()  # all 100 wait for the reply
    assert program.stop(number) == exit_code.OK
    assert "100 updates handled, 0 unfinished" in program.err
    assert api.confirmed_offset == first_id + 100
    assert api.pending_count() == 0
    again = run_bot("answer.py", "--ack", ack)
    api.wait_until_polled(timeout_s=20)
    crowd.write([1])
    crowd.wait_for_answers()
    assert again.stop() == exit_code.OK
    crowd.assert_answered_once_in_order()


def test_a_stop_waits_for_100_running_handlers_when_it_is_called(api: FakeBotApi, crowd: Any, embed: Run) -> None:
    api.latency_by_method_s["sendMessage"] = 1.0
    program = embed()
    first_id = api.next_update_id
    crowd.write(range(1, 101))
    api.wait_for("sendMessage", 100)
    report = stop(program)
    print(f"stop with 100 handlers of 1 s: {report['took_s']:.2f} s")
    assert report["handled"] == 100
    assert report["drained"]
    assert report["confirmed_offset"] == api.confirmed_offset == first_id + 100
    assert 0.3 < report["took_s"] < 10.0


@pytest.mark.parametrize("ack", ["fetch", "done"])
def test_restarts_in_the_middle_of_a_flood_handle_every_update_once_and_in_order(
    api: FakeBotApi, crowd: Any, run_bot: Run, rng: Any, ack: str
) -> None:
    crowd.write_in_turn(100, 10, rng)
    api.latency_by_method_s["sendMessage"] = 0.02
    for turn in range(1, 4):
        program = run_bot("answer.py", "--ack", ack, "--concurrency", "20", "--backlog", "60", LIFE=str(turn))
        crowd.wait_for_answers(200 * turn)
        assert program.stop() == exit_code.OK
    program = run_bot("answer.py", "--ack", ack, LIFE="last")
    crowd.wait_for_answers()
    assert program.stop() == exit_code.OK
    crowd.assert_answered_once_in_order()
    assert len({answer.life for answer in crowd.answers()}) == 4
    assert api.pending_count() == 0


def test_a_stop_with_a_handler_that_hangs_returns_at_the_deadline_and_the_report_names_the_update(
    api: FakeBotApi, embed: Run
) -> None:
    program = embed(STOP_S="0.5")
    update_id = api.next_update_id
    api.chat(1).send("hang")
    api.chat(2).send("echo")
    api.chat(2).reply()
    program.wait_for("began hang in chat 1")
    report = stop(program)
    print(f"stop with a hanging handler and 0.5 s: {report['took_s']:.2f} s")
    assert not report["drained"]
    assert [update["update_id"] for update in report["unfinished"]] == [update_id]
    assert 0.5 <= report["took_s"] < 3.0
    assert f"update {update_id} still runs after" in program.err
    assert "moody.py" in program.err  # the stack


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_handler_that_hangs_past_the_grace_ends_the_program_with_code_5_and_its_id_in_the_log(
    api: FakeBotApi, run_bot: Run, number: signal.Signals
) -> None:
    program = run_bot("moody.py", "--grace", "0.5")
    update_id = api.next_update_id
    api.chat(1).send("hang")
    api.chat(1).send("echo")
    program.wait_for("began hang in chat 1")
    begun_s = time.monotonic()
    assert program.stop(number) == exit_code.NOT_DRAINED
    assert 0.5 <= time.monotonic() - begun_s < 5.0
    assert f"unfinished: {update_id}, {update_id + 1} (2)" in program.err


def test_with_ack_done_what_a_stop_left_is_handled_by_the_next_start(api: FakeBotApi, run_bot: Run) -> None:
    program = run_bot("moody.py", "--grace", "0.3", "--ack", "done")
    api.chat(2).send("echo")
    api.chat(2).reply()
    update_id = api.next_update_id
    api.chat(1).send("hang")
    api.chat(1).send("tea")
    program.wait_for("began hang in chat 1")
    assert program.stop() == exit_code.NOT_DRAINED
    assert [update["update_id"] for update in api.pending()] == [update_id, update_id + 1]
    again = run_bot("moody.py", "--grace", "0.3", "--ack", "done")
    again.wait_for("began hang in chat 1")
    assert again.stop() == exit_code.NOT_DRAINED


def test_a_second_signal_ends_the_program_at_once_and_names_what_was_left(api: FakeBotApi, run_bot: Run) -> None:
    program = run_bot("moody.py", "--grace", "600")
    update_id = api.next_update_id
    api.chat(1).send("hang")
    program.wait_for("began hang")
    program.send(signal.SIGTERM)
    program.wait_for("stopping")
    begun_s = time.monotonic()
    assert program.stop(signal.SIGTERM) == exit_code.NOT_DRAINED
    assert time.monotonic() - begun_s < 5.0
    assert f"second signal; unfinished: {update_id} (1)" in program.err


def test_a_stop_ends_the_wait_between_failed_polls(api: FakeBotApi, run_bot: Run) -> None:
    program = run_bot("answer.py")
    api.wait_until_polled(timeout_s=20)
    with api.fault("retry_after", "getUpdates", times=None, seconds=600):
        api.drop_connections()
        program.wait_for("next try in 600.0 s")
        begun_s = time.monotonic()
        assert program.stop() == exit_code.OK
    assert time.monotonic() - begun_s < 3.0


def test_a_stop_ends_the_wait_for_leave_to_send_and_the_update_is_reported_as_unfinished(
    api: FakeBotApi, run_bot: Run
) -> None:
    program = run_bot("moody.py", "--ack", "done", "--grace", "1")
    update_id = api.next_update_id
    with api.fault("retry_after", "sendMessage", times=None, seconds=50):
        api.chat(1).send("echo")
        api.wait_for("sendMessage")
        begun_s = time.monotonic()
        code = program.stop()
    took_s = time.monotonic() - begun_s
    print(f"stop during a flood wait of 50 s with a grace of 1 s: {took_s:.2f} s, code {code}")
    assert took_s < 5.0
    assert code == exit_code.NOT_DRAINED
    assert str(update_id) in program.err
    assert [update["update_id"] for update in api.pending()] == [update_id]
