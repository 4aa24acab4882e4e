"""Hold the load server of the benchmarks to what it reports: what it measures, and what it finds wrong with a bot."""

import os
import subprocess
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

FIRST_CHAT_ID = 5_000_000_000
Start = Callable[..., Any]


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that is not less than this share of all values."""
    return sorted(values)[max(0, -(-int(share * 1000) * len(values) // 1000) - 1)]


def test_a_right_bot_gets_a_clean_report(start: Start, connect: Start) -> None:
    server = start("--updates", 250, "--chats", 10, "--shuffle", 5)
    connect(server).echo_all(250)
    report = server.wait_for("report")
    main = report["main"]
    assert report["complete"]
    assert (main["answered"], main["handed_out"], main["created"]) == (250, 250, 250)
    for fault in ("lost", "unconfirmed", "duplicates", "order_violations", "overlaps", "session_errors"):
        assert main[fault] == 0, fault
    assert (report["unknown_texts"], report["wrong_chats"], report["bad_requests"]) == (0, 0, 0)
    assert sum(count for _, count in main["histogram"]) == main["latency_count"] == 250


def test_the_echo_in_c_keeps_every_promise(build: ModuleType, start: Start) -> None:
    server = start("--updates", 3000, "--chats", 40, "--session", "--shuffle", 1, "--latency-ms", 0.5)
    environment = {**os.environ, "API_ROOT": server.api_root, "SESSION": "1", "CONCURRENCY": "30"}
    with subprocess.Popen([build.build("capacity")], env=environment) as echo:
        report = server.wait_for("report")
        echo.terminate()
    main = report["main"]
    assert main["answered"] == 3000
    for fault in ("lost", "unconfirmed", "duplicates", "order_violations", "overlaps", "session_errors"):
        assert main[fault] == 0, fault
    assert 1 < report["max_outstanding"] <= 30


def test_an_older_answer_after_a_newer_one_is_an_order_violation(start: Start, connect: Start) -> None:
    server = start("--updates", 3, "--chats", 1)
    caller = connect(server)
    updates = caller.poll()
    for index in (0, 2, 1):
        caller.answer(updates[index])
    assert server.wait_for("report")["main"]["order_violations"] == 1


def test_other_chats_have_an_order_of_their_own(start: Start, connect: Start) -> None:
    server = start("--updates", 3, "--chats", 3)
    caller = connect(server)
    for update in reversed(caller.poll()):
        caller.answer(update)
    assert server.wait_for("report")["main"]["order_violations"] == 0


def test_an_answer_while_another_of_its_chat_is_under_way_is_an_overlap(start: Start, connect: Start) -> None:
    server = start("--updates", 4, "--chats", 2, "--latency-ms", 300)
    callers = [connect(server) for _ in range(3)]
    updates = callers[0].poll()
    for caller, update in zip(callers, updates, strict=False):  # chats 0, 1, 0
        caller.ask_to_answer(update)
    for caller in callers:
        caller.hear()
    callers[0].answer(updates[3])
    report = server.wait_for("report")
    assert report["main"]["overlaps"] == 1
    assert report["max_outstanding"] == 3


def test_a_second_answer_to_an_update_is_a_duplicate_and_counts_only_once(start: Start, connect: Start) -> None:
    server = start("--updates", 2, "--chats", 1)
    caller = connect(server)
    updates = caller.poll()
    for index in (0, 0, 1):
        caller.answer(updates[index])
    main = server.wait_for("report")["main"]
    assert (main["duplicates"], main["answered"], main["order_violations"]) == (1, 2, 0)


def test_what_was_confirmed_but_never_answered_is_lost(start: Start, connect: Start) -> None:
    server = start("--updates", 4, "--chats", 1, "--patience-s", 0.3)
    caller = connect(server)
    updates = caller.poll()
    caller.answer(updates[0])
    caller.poll(updates[2]["update_id"], limit=1)
    report = server.wait_for("report")
    assert not report["complete"]
    assert (report["main"]["lost"], report["main"]["unconfirmed"], report["main"]["answered"]) == (1, 2, 1)


def test_a_lost_session_write_is_one_session_error(start: Start, connect: Start) -> None:
    server = start("--updates", 6, "--chats", 2, "--session")
    caller = connect(server)
    for update, count in zip(caller.poll(), (1, 1, 2, 1, 3, 2), strict=True):
        caller.answer(update, count)
    assert server.wait_for("report")["main"]["session_errors"] == 1


def test_texts_that_answer_nothing_and_answers_to_the_wrong_chat_are_told_apart(start: Start, connect: Start) -> None:
    server = start("--updates", 2, "--chats", 2)
    caller = connect(server)
    one, other = caller.poll()
    caller.call("sendMessage", chat_id=FIRST_CHAT_ID, text="hello")
    caller.call("sendMessage", chat_id=FIRST_CHAT_ID, text=f"u{other['update_id'] + 1}")
    caller.call("sendMessage", chat_id=FIRST_CHAT_ID, text=f"u{other['update_id']}")
    caller.answer(one)
    caller.answer(other)
    report = server.wait_for("report")
    assert (report["unknown_texts"], report["wrong_chats"], report["main"]["answered"]) == (2, 1, 2)


def test_the_latency_holds_for_messages_but_not_for_polls(start: Start, connect: Start) -> None:
    caller = connect(start("--updates", 2, "--latency-ms", 150))
    begun_s = time.monotonic()
    caller.call("getMe")
    update = caller.poll()[0]
    fetched_s = time.monotonic()
    caller.answer(update)
    assert fetched_s - begun_s < 0.15
    assert 0.15 <= time.monotonic() - fetched_s < 0.5


def test_percentiles_lie_between_what_the_bot_itself_measured(start: Start, connect: Start) -> None:
    server = start("--updates", 40, "--chats", 40)
    caller = connect(server)
    offset, least_ms, most_ms = 0, [], []
    for index in range(40):
        asked_s = time.monotonic()
        (update,) = caller.poll(offset, limit=1)
        got_s = time.monotonic()
        offset = update["update_id"] + 1
        time.sleep(0.02 if index % 10 == 9 else 0.002)
        least_ms.append((time.monotonic() - got_s) * 1e3)
        caller.answer(update)
        most_ms.append((time.monotonic() - asked_s) * 1e3)
    latency = server.wait_for("report")["main"]["latency_ms"]
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)):
        assert percentile(least_ms, share) * 0.99 <= latency[name] <= percentile(most_ms, share) * 1.01, name


def test_the_window_of_a_count_begins_after_the_warm_up(start: Start, connect: Start) -> None:
    server = start("--updates", 100, "--warmup-updates", 40)
    connect(server).echo_all(100)
    main = server.wait_for("report")["main"]
    assert (main["answered"], main["answered_in_window"]) == (100, 60)
    assert main["rate"] == pytest.approx(60 / main["window_s"], rel=1e-3)
    length_s = server.wait_for("window_end")["t"] - server.wait_for("window_begin")["t"]
    assert main["window_s"] == pytest.approx(length_s, abs=1e-5)


def test_saturation_never_runs_dry_until_the_window_ends(start: Start, connect: Start) -> None:
    server = start("--warmup-s", 0.1, "--seconds", 0.3)
    caller = connect(server)
    begun_s, offset = time.monotonic(), 0
    while (updates := caller.poll(offset, limit=10, timeout=1)) and len(updates) == 10:
        for update in updates:
            caller.answer(update)
        offset = updates[-1]["update_id"] + 1
    assert updates == []
    report = server.wait_for("report")
    assert report["main"]["window_s"] == pytest.approx(0.3)
    assert report["main"]["rate"] == pytest.approx(report["main"]["answered_in_window"] / 0.3, rel=1e-6)
    assert 0 < report["main"]["answered_in_window"] < report["main"]["answered"]
    first, begin = server.wait_for("first_poll")["t"], server.wait_for("window_begin")["t"]
    assert first >= begun_s
    assert begin - first == pytest.approx(0.1, abs=1e-6)


def test_open_loop_counts_from_the_time_at_which_an_update_should_be_there(start: Start, connect: Start) -> None:
    server = start("--rate", 100, "--warmup-s", 0.105, "--seconds", 0.4, "--chats", 3)
    caller = connect(server)
    caller.poll(limit=1)
    time.sleep(0.3)  # a bot that stalls: what piled up meanwhile has waited
    caller.echo_all(50)
    main = server.wait_for("report")["main"]
    assert (main["created"], main["answered"], main["latency_count"]) == (50, 50, 40)
    assert main["latency_ms"]["max"] > 150
    assert main["overlaps"] == 0


def test_random_gaps_are_the_same_for_the_same_seed(start: Start, connect: Start) -> None:
    servers = [start("--rate", 200, "--poisson", 7, "--warmup-s", 0, "--seconds", 0.2) for _ in range(2)]
    callers = [connect(server) for server in servers]
    for caller in callers:
        caller.ask("getUpdates", limit=1, timeout=30)
    for server, caller in zip(servers, callers, strict=True):
        server.wait_for("window_end")
        offset = caller.hear()[0]["update_id"]
        for update in caller.poll(offset):
            caller.answer(update)
    counts = [server.wait_for("report")["main"]["created"] for server in servers]
    assert counts[0] == counts[1]
    assert 15 < counts[0] < 80


def test_a_flooded_chat_is_reported_apart(start: Start, connect: Start) -> None:
    server = start("--rate", 50, "--warmup-s", 0.1, "--seconds", 0.3, "--chats", 5, "--flood", "7:150@0.1")
    connect(server).echo_all(19 + 150)
    report = server.wait_for("report")
    assert (report["main"]["answered"], report["flooded"]["answered"]) == (19, 150)
    assert report["flooded"]["latency_count"] == 150


def test_idle_windows_report_nothing_answered(start: Start, connect: Start) -> None:
    server = start("--idle", "--seconds", 0.2)
    connect(server).ask("getUpdates", timeout=30)
    assert server.wait_for("window_end")["t"] - server.wait_for("window_begin")["t"] == pytest.approx(0.2)
    assert server.wait_for("report")["main"]["answered"] == 0


def test_the_one_update_is_answered_and_reported(start: Start, connect: Start) -> None:
    server = start("--one")
    connect(server).echo_all(1)
    assert server.wait_for("first_answer")["t"] >= server.wait_for("first_poll")["t"]
    assert server.wait_for("report")["main"]["answered"] == 1


def test_stopping_early_still_gives_a_report_that_says_so(start: Start, connect: Start) -> None:
    server = start("--seconds", 60)
    caller = connect(server)
    caller.answer(caller.poll(limit=1)[0])
    report = server.stop()
    assert not report["complete"]
    assert report["main"]["answered"] == 1
