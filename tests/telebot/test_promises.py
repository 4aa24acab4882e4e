"""What a telebot script gains: order, no lost writes, nobody delayed by errors, a stop that drains, nothing lost."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from pyruntime.testing import FakeBotApi
from runner_c.command import exit_code

Run = Callable[..., Any]

TOKEN = "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"


@pytest.mark.parametrize("storage", ["memory", "pickle", "json"])
def test_a_hundred_increments_in_each_of_five_chats_give_a_hundred(run: Run, api: FakeBotApi, storage: str) -> None:
    program = run("counting.py", STORAGE=storage)
    chats = [api.chat(number) for number in range(1, 6)]
    for chat in chats:
        chat.send("/start")
        assert chat.reply(timeout_s=20)["text"] == "0"
    for _ in range(100):
        for chat in chats:
            chat.send("one more")
    for chat in chats:
        assert [chat.reply(timeout_s=60)["text"] for _ in range(100)] == [str(n) for n in range(1, 101)]
    assert program.stop() == exit_code.OK


def test_a_failing_handler_delays_nobody_and_is_told_once_without_the_token(run: Run, api: FakeBotApi) -> None:
    program = run("counting.py")
    for number in range(1, 21):
        api.chat(number).send("/fail")
        api.chat(100 + number).send("/start")
    for number in range(1, 21):
        assert api.chat(100 + number).reply(timeout_s=5)["text"] == "0"
    assert program.stop() == exit_code.OK
    for number in range(1, 21):
        assert program.err.count(f"ValueError: failed for {number} with <token>") == 1
    assert TOKEN not in program.err + program.out
    assert len(api.polls) < 60, "errors made it poll again and again"


def test_term_drains_what_was_admitted(run: Run, api: FakeBotApi) -> None:
    program = run("counting.py")
    for number in range(1, 31):
        api.chat(number).send("/sleep")
    api.wait_until_confirmed(timeout_s=20)
    assert program.stop() == exit_code.OK
    for number in range(1, 31):
        assert api.chat(number).reply()["text"] == "awake"
    assert api.pending_count() == 0


def test_kill_9_loses_nothing(run: Run, api: FakeBotApi) -> None:
    program = run("counting.py")
    for number in range(1, 101):
        api.chat(number).send("/sleep")
    api.wait_until_confirmed(timeout_s=20)
    os.kill(program.process.pid, signal.SIGKILL)
    assert program.wait() == -signal.SIGKILL
    assert not any(api.chat(number).messages[1:] for number in range(1, 101)), "killed too late to prove anything"
    program = run("counting.py")
    for number in range(1, 101):
        assert api.chat(number).reply(timeout_s=30)["text"] == "awake"
    assert program.stop() == exit_code.OK


def test_an_update_that_fails_is_tried_again_and_the_handler_can_see_it(run: Run, api: FakeBotApi, write: Run) -> None:
    write(
        "again.py",
        "import os, telebot\nfrom runner_c import current\nbot = telebot.TeleBot(os.environ['SHOP_TOKEN'])\n"
        "@bot.message_handler()\ndef count(message):\n"
        "    attempt = current().attempt\n    bot.send_message(message.chat.id, str(attempt))\n"
        "    if attempt < 3 and message.text == 'fail':\n        raise ValueError('not yet')\n"
        "bot.polling()",
    )
    program = run("again.py", "--max-attempts", "5")
    chat = api.chat(1)
    chat.send("fail")
    chat.send("go on")
    assert [chat.reply(timeout_s=30)["text"] for _ in range(4)] == ["1", "2", "3", "1"]
    assert program.stop() == exit_code.OK
