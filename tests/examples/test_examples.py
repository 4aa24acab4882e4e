"""Every example, run as its docstring says, against the fake server."""

import json
import os
import re
import signal
import socket
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runner_c
from pyruntime.testing import FakeBotApi

Start = Callable[..., Any]

ROOT = Path(__file__).resolve().parents[2]
ON_THE_COMMAND_LINE = ("echo", "counter", "slow_and_fast", "plain_object", "orders", "telebot_bot")


@pytest.fixture
def run_example(launch: Start, api: FakeBotApi) -> Start:
    """Return a function that runs an example from the command line and waits until it polls."""

    def start(name: str) -> Any:
        program = launch("-m", "runner_c", f"examples.{name}", BOT_TOKEN=api.token, BOT_API_ROOT=api.url)
        program.wait_for("stop with Ctrl-C")
        api.wait_until_polled(timeout_s=20)
        return program

    return start


def test_every_example_is_in_a_test() -> None:
    names = {path.stem for path in (ROOT / "examples").glob("*.py")} - {"__init__"}
    told = "".join(path.read_text() for path in (ROOT / "tests").glob("*/test_*.py"))
    untested = {name for name in names - set(ON_THE_COMMAND_LINE) if f"examples.{name}" not in told}
    assert untested == set()


def test_echo_says_every_text_back(run_example: Start, api: FakeBotApi) -> None:
    program = run_example("echo")
    chat = api.chat(1)
    chat.send("/start")
    assert "Write something" in chat.reply()["text"]
    chat.send("hello")
    assert chat.reply()["text"] == "hello"
    assert program.stop() == 0


def test_counter_counts_presses_without_losing_one(run_example: Start, api: FakeBotApi) -> None:
    program = run_example("counter")
    chat = api.chat(1)
    chat.send("/start")
    assert chat.reply()["text"] == "count: 0"
    for _ in range(20):
        chat.press("add")
    assert [chat.next_edit()["text"] for _ in range(20)] == [f"count: {number}" for number in range(1, 21)]
    chat.press("reset")
    assert chat.next_edit()["text"] == "count: 0"
    chat.send("hello")
    assert chat.reply()["text"] == "count: 1"
    assert program.stop() == 0


def test_an_order_survives_kills_and_is_there_once(launch: Start, api: FakeBotApi) -> None:
    arguments = ("-m", "runner_c", "examples.orders", "--store", "sqlite:orders.db", "--max-attempts", "2")
    chat = api.chat(1)
    for number in (1, 2, 3):
        program = launch(*arguments, BOT_TOKEN=api.token, BOT_API_ROOT=api.url)
        program.wait_for("stop with Ctrl-C")
        chat.send(f"/order {number}")
        # What was answered and not on record when the one before was killed is answered once more.
        while not chat.reply(timeout_s=20)["text"].startswith(f"order {number}: {number}"):
            pass
        program.send(signal.SIGKILL)
        program.wait()
    program = launch(*arguments, BOT_TOKEN=api.token, BOT_API_ROOT=api.url)
    program.wait_for("stop with Ctrl-C")
    chat.send("/order many")
    chat.send("/total")
    answers = [chat.reply(timeout_s=20)["text"]]
    while not answers[-1].endswith("in all"):
        answers.append(chat.reply(timeout_s=20)["text"])
    assert answers[-1] == "3 orders, 6 in all"
    assert "We could not take this order and look into it." in answers
    assert program.stop() == 0
    letters = launch("-m", "runner_c", "dead-letters", "list", "--store", "sqlite:orders.db")
    assert letters.wait() == 0
    assert "ValueError" in letters.out


def test_a_slow_job_delays_its_own_chat_only_and_cancel_overtakes(run_example: Start, api: FakeBotApi) -> None:
    program = run_example("slow_and_fast")
    busy, other = api.chat(1), api.chat(2)
    busy.send("/slow")
    assert "working" in busy.reply()["text"]
    busy.send("me too")
    other.send("tea")
    assert other.reply()["text"] == "fast: tea"
    busy.send("/cancel")
    assert busy.reply()["text"] == "cancelled"
    assert busy.reply()["text"] == "fast: me too"
    assert program.stop() == 0


def test_a_plain_object_runs_without_the_bot_layer(run_example: Start, api: FakeBotApi) -> None:
    program = run_example("plain_object")
    chat = api.chat(1)
    chat.send("hello")
    assert chat.reply()["text"] == "5 characters"
    begun = time.monotonic()
    assert program.stop() == 0
    assert time.monotonic() - begun < 5, "the stop waited for the long poll"


def test_a_telebot_bot_runs_unchanged(run_example: Start, api: FakeBotApi) -> None:
    program = run_example("telebot_bot")
    chat = api.chat(1)
    for text, answer in (
        ("/start", "What is your name?"),
        ("Ada", "Hello Ada. /count counts your messages, /stop ends it."),
        ("hello", "hello"),
        ("/count", "0"),
        ("one", "1"),
        ("two", "2"),
        ("/stop", "Stopped."),
        ("three", "three"),
    ):
        chat.send(text)
        assert chat.reply()["text"] == answer
    assert program.stop() == 0


def test_flask_serves_the_site_beside_the_polling(launch: Start, api: FakeBotApi, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    places = os.pathsep.join([str(Path(next(iter(runner_c.__path__))).parent), str(tmp_path)])
    variables = {"BOT_TOKEN": api.token, "BOT_API_ROOT": api.url, "PORT": str(port), "PYTHONPATH": places}
    program = launch("-m", "examples.flask_app", **variables)
    program.wait_for("Running on")
    chat = api.chat(1)
    chat.send("/order tea")
    assert chat.reply()["text"] == "order 1 taken"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/orders", timeout=10) as reply:
        assert json.load(reply) == ["tea"]


@pytest.mark.parametrize("name", ON_THE_COMMAND_LINE)
def test_every_example_runs_in_the_playground_without_a_token(launch: Start, name: str) -> None:
    program = launch("-m", "runner_c", f"examples.{name}", "--playground", "127.0.0.1:0")
    line = program.wait_for("playground http://")
    address = re.search(r"http://\S+", line)
    assert address is not None
    with urllib.request.urlopen(address.group(), timeout=10) as page:
        assert page.status == 200
        assert "<html" in page.read().decode().lower()
    assert program.stop() == 0
