"""The examples with sources and sinks of their own."""

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runner_c
from pyruntime.testing import FakeBotApi

Start = Callable[..., Any]


@pytest.fixture
def start(launch: Start, api: FakeBotApi, tmp_path: Path) -> Start:
    """Return a function that runs an example as its docstring says."""
    places = os.pathsep.join([str(Path(next(iter(runner_c.__path__))).parent), str(tmp_path)])

    def start_example(name: str, *arguments: str) -> Any:
        variables = {"BOT_TOKEN": api.token, "BOT_API_ROOT": api.url, "PYTHONPATH": places}
        return launch("-m", name, *arguments, **variables)

    return start_example


def test_a_generator_feeds_a_bot_and_the_run_ends_with_it(start: Start, api: FakeBotApi, tmp_path: Path) -> None:
    lines = []
    for number in range(50):
        chat = {"id": number % 5 + 1, "type": "private"}
        content = {"message_id": number, "date": 1, "chat": chat, "text": str(number)}
        lines.append(json.dumps({"update_id": number, "message": content}))
    (tmp_path / "exported.jsonl").write_text("\n".join(lines))
    for chat_id in range(1, 6):
        api.chat(chat_id)
    program = start("examples.from_generator", "exported.jsonl")
    assert program.wait() == 0
    assert "50 handled" in program.out
    for chat_id in range(1, 6):
        texts = [int(call.parameters["text"].split()[-1]) for call in api.calls_of("sendMessage", chat_id)]
        assert texts == list(range(chat_id - 1, 50, 5))


def test_a_queue_feeds_a_bot_until_its_end(start: Start, api: FakeBotApi) -> None:
    api.chat(7)
    program = start("examples.from_queue", "7")
    assert program.wait() == 0
    assert "9 handled" in program.out
    texts = [str(call.parameters["text"]) for call in api.calls_of("sendMessage", 7)]
    for name in ("Ann", "Ben", "Cleo"):
        assert [text for text in texts if text.startswith(name)] == [f"{name} reports {value}" for value in range(3)]


def test_updates_are_taken_in_one_process_and_handled_in_another_through_kills_of_both(
    start: Start, api: FakeBotApi
) -> None:
    ingest, work = start("examples.push_elsewhere", "ingest"), start("examples.push_elsewhere", "work")
    for program in (ingest, work):
        program.wait_for("ready")
    chats = [api.chat(chat_id) for chat_id in (1, 2, 3)]
    for number in range(20):
        for chat in chats:
            chat.send(str(number))
    api.wait_for("sendMessage", 10, timeout_s=20)
    for program in (ingest, work):
        program.send(signal.SIGKILL)
        program.wait()
    ingest, work = start("examples.push_elsewhere", "ingest"), start("examples.push_elsewhere", "work")
    for program in (ingest, work):
        program.wait_for("ready")
    api.wait_until_confirmed(timeout_s=30)
    for chat in chats:
        while chat.reply(timeout_s=20)["text"] != "worked on: 19":
            pass
    assert ingest.stop() == 0
    assert work.stop() == 0
    for chat in chats:
        texts = [str(call.parameters["text"]) for call in api.calls_of("sendMessage", chat.id)]
        numbers = [int(re.sub(r"\D", "", text)) for text in texts]
        assert list(dict.fromkeys(numbers)) == list(range(20))
        assert len(numbers) <= 22  # what was running at the kill may be answered again
