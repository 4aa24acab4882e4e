"""Errors of telebot handlers: where they go, how often they are told, and that the token is in none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyruntime.testing import FakeBotApi
from runner_c.command import exit_code

Run = Callable[..., Any]
Write = Callable[[str, str], Path]

TOKEN = "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/unhandled", "ValueError: nobody handles it"),
        ("break the middleware", "RuntimeError: ('the middleware failed'"),
    ],
)
def test_an_error_that_nobody_handles_is_told_once_and_the_next_update_goes_on(
    run: Run, api: FakeBotApi, text: str, message: str
) -> None:
    program = run("typed.py")
    chat = api.chat(1)
    chat.send(text)
    chat.send("after")
    assert chat.reply(timeout_s=20)["text"] == "heard after"
    assert program.stop() == exit_code.OK
    assert program.err.count(message) == 1
    assert program.err.count(message.partition(": ")[2].strip("('")) <= 2, "telebot told it too"
    assert program.err.count("update.failed") == 1


def test_a_next_step_that_fails_does_not_keep_the_chat(run: Run, api: FakeBotApi) -> None:
    program = run("typed.py")
    chat = api.chat(1)
    chat.send("/step_fails")
    assert chat.reply(timeout_s=20)["text"] == "say anything"
    chat.send("anything")
    chat.send("after")
    assert chat.reply(timeout_s=20)["text"] == "heard after"
    assert program.stop() == exit_code.OK
    assert program.err.count("ValueError: the step failed") == 1


def test_what_the_exception_handler_takes_is_not_told(run: Run, api: FakeBotApi) -> None:
    program = run("typed.py")
    chat = api.chat(1)
    chat.send("/handled")
    assert chat.reply(timeout_s=20)["text"] == "handled"
    assert program.stop() == exit_code.OK
    assert "Error" not in program.err


def test_an_error_behind_class_based_middlewares_is_told_once_and_becomes_a_dead_letter(
    run: Run, api: FakeBotApi, launch: Run
) -> None:
    program = run("classy.py", "--max-attempts", "2")
    chat = api.chat(1)
    chat.send("fail")
    replies = [chat.reply(timeout_s=20)["text"] for _ in range(4)]
    assert replies == ["about to fail", "post: ValueError failed as asked"] * 2
    chat.send("hello")
    assert chat.reply(timeout_s=20)["text"] == "hello, message"
    assert program.stop() == exit_code.OK
    letters = launch("-m", "runner_c", "dead-letters", "list", "--store", "sqlite:classy.runner.db")
    assert letters.wait() == exit_code.OK
    assert "ValueError: failed as asked" in letters.out


def test_no_log_shows_the_token_whatever_the_script_logs(run: Run, api: FakeBotApi, write: Write) -> None:
    write(
        "chatty.py",
        "import logging, os, telebot\ntelebot.logger.setLevel(logging.DEBUG)\n"
        "bot = telebot.TeleBot(os.environ['SHOP_TOKEN'], suppress_middleware_excepions=True)\n"
        "@bot.message_handler()\ndef echo(message):\n"
        "    telebot.logger.error('I am %s', bot.token)\n    bot.send_message(message.chat.id, message.text)\n"
        "bot.infinity_polling(logger_level=logging.DEBUG)",
    )
    program = run("chatty.py", "--log-level", "debug")
    chat = api.chat(1)
    chat.send("tea")
    assert chat.reply(timeout_s=20)["text"] == "tea"
    assert program.stop() == exit_code.OK
    assert "I am <token>" in program.err
    assert program.err.count("I am ") == 1
    assert TOKEN not in program.err + program.out


def test_a_refused_token_ends_with_code_3(start: Run, api: FakeBotApi) -> None:
    program = start("classy.py", "us", SHOP_TOKEN="123456789:" + "B" * 35)
    assert program.wait() == exit_code.UNAUTHORIZED
    assert "refused the token" in program.err
    assert "BBBB" not in program.err
    assert "Traceback" not in program.err
