"""Telebot bots on the command line: what is checked, found and refused, and where token and address come from."""

import json
import re
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyruntime.testing import FakeBotApi
from runner_c.command import exit_code

Start = Callable[..., Any]
Write = Callable[[str, str], Path]

SCRIPT = """
import os, sys, telebot
bot = telebot.TeleBot({token})
print("me", bot.get_me().username, file=sys.stderr, flush=True)

@bot.message_handler(content_types=["document"])
def load(message):
    content = bot.download_file(bot.get_file(message.document.file_id).file_path)
    bot.send_message(message.chat.id, content.decode())

@bot.message_handler()
def echo(message):
    bot.send_message(message.chat.id, message.text)

{end}
"""


def script(end: str, token: str = "os.environ['SHOP_TOKEN']") -> str:
    """Return a script that makes a call before it polls."""
    return SCRIPT.format(end=end, token=token)


@pytest.mark.parametrize(
    ("end", "found"),
    [
        ("bot.infinity_polling()", "target shop.py: ok, a script that calls infinity_polling()"),
        ("if __name__ == '__main__':\n    bot.polling()", "target shop.py: ok, a script that calls polling()"),
        ("", "target shop.py:bot: ok"),
        (
            "import threading, time\nthreading.Thread(target=bot.polling).start()\ntime.sleep(600)",
            "target shop.py: ok, a script that calls polling()",
        ),
    ],
)
def test_check_says_what_was_found_and_checks_the_token_without_polling(
    start: Start, api: FakeBotApi, write: Write, end: str, found: str
) -> None:
    write("shop.py", script(end))
    program = start("shop.py", "us", "--check")
    assert program.wait() == exit_code.OK
    assert found in program.out.splitlines()
    assert "token: ok, it is @test_bot" in program.out
    assert api.polls == []
    assert not (Path(program.process.args[0]).parent / "shop.runner.db").exists()


def test_check_tells_that_the_token_is_refused(start: Start, write: Write) -> None:
    write(
        "shop.py",
        script("bot.polling()").replace('print("me", bot.get_me()', 'print("me", type(bot)').replace(".username", ""),
    )
    program = start("shop.py", "us", "--check", SHOP_TOKEN="123456789:" + "B" * 35)
    assert program.wait() == exit_code.UNAUTHORIZED
    assert "BBBB" not in program.err + program.out


@pytest.mark.parametrize("end", ["bot.infinity_polling()", ""])
def test_the_playground_takes_the_place_of_token_and_address(launch: Start, write: Write, end: str) -> None:
    write("shop.py", script(end, token="'987654321:" + "C" * 35 + "'"))
    program = launch("-m", "runner_c", "shop.py", "--playground", "127.0.0.1:0")
    line = program.wait_for("playground http://")
    address = re.search(r"http://[^/\s]+", line)
    assert address is not None
    program.wait_for("me ")
    with urllib.request.urlopen(address.group(), timeout=10) as page:
        assert "<html" in page.read().decode().lower()
    assert program.stop() == exit_code.OK


def test_api_root_wins_over_what_the_script_sets_and_holds_for_downloads(
    launch: Start, api: FakeBotApi, write: Write
) -> None:
    text = script("bot.polling()").replace(
        "bot =", "telebot.apihelper.API_URL = 'http://127.0.0.1:9/bot{0}/{1}'\nbot =", 1
    )
    write("shop.py", text.replace('print("me"', 'print("me") or print("me"').replace("bot.get_me().username", "1"))
    program = launch("-m", "runner_c", "shop.py", "--api-root", api.url, SHOP_TOKEN=api.token)
    api.wait_until_polled(timeout_s=20)
    chat = api.chat(1)
    file_id = api.add_file(b"content of the file")
    chat.send(None, document={"file_id": file_id, "file_unique_id": "d"})
    assert chat.reply(timeout_s=20)["text"] == "content of the file"
    assert program.stop() == exit_code.OK


def test_a_token_file_takes_the_place_of_the_token_in_the_script(start: Start, api: FakeBotApi, write: Write) -> None:
    write("token", api.token)
    write("shop.py", script("bot.polling()", token="token='987654321:" + "C" * 35 + "'"))
    program = start("shop.py", "us", "--token-file", "token")
    api.wait_until_polled(timeout_s=20)
    chat = api.chat(1)
    chat.send("tea")
    assert chat.reply(timeout_s=20)["text"] == "tea"
    assert program.stop() == exit_code.OK


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        ("import telebot\nprint(telebot.TeleBot.polling)", "shop.py", "shop.py has no bot: neither a name `bot`"),
        ("import telebot\nx = telebot.TeleBot.polling\nraise ValueError('no')", "shop.py", "shop.py:3: ValueError: no"),
        ("import sys\nx.polling if len(sys.argv) > 1 else sys.exit('no')", "shop.py", "sys.exit('no')"),
        ("def main():\n  bot.polling(\nmain()", "shop.py", "shop.py:2: SyntaxError: '(' was never closed"),
        ("import telebot\nbot = telebot.TeleBot('1:a')\nbot.polling()", "shop.py:bot", "give it alone"),
        ("import inner", "shop.py", "calls polling() while it is imported"),
        (
            "from telebot.async_telebot import AsyncTeleBot\nbot = AsyncTeleBot('1:a')",
            "shop.py",
            "runner_c runs synchronous bots",
        ),
        (
            "import asyncio\nfrom telebot.async_telebot import AsyncTeleBot\nbot = AsyncTeleBot('1:a')\n"
            "asyncio.run(bot.polling())",
            "shop.py",
            "runner_c runs synchronous bots",
        ),
    ],
)
def test_what_cannot_be_run_is_told_in_one_line(
    launch: Start, write: Write, text: str, target: str, message: str
) -> None:
    write("shop.py", text)
    write("inner.py", "import telebot\nbot = telebot.TeleBot('12345:a')\nbot.polling()")
    program = launch("-m", "runner_c", target)
    assert program.wait() == exit_code.USAGE
    assert message in program.err
    assert program.err.count("\n") == 1, program.err


def test_a_script_may_decide_not_to_poll_and_its_bot_is_run(start: Start, api: FakeBotApi, write: Write) -> None:
    write("shop.py", script("if 'LOCAL' in os.environ:\n    bot.polling()"))
    program = start("shop.py", "us")
    api.wait_until_polled(timeout_s=20)
    program.wait_for("target shop.py:bot")
    assert program.stop() == exit_code.OK


def test_a_script_takes_its_updates_by_a_webhook_if_it_is_told_to(start: Start, api: FakeBotApi, write: Write) -> None:
    write("shop.py", script("bot.infinity_polling()"))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = ("--webhook", "https://shop.example/hook", "--listen", f"127.0.0.1:{port}")
    program = start("shop.py", "us", *options, WEBHOOK_SECRET="a-secret")
    program.wait_for("the webhook is set")
    person = {"id": 1, "is_bot": False, "first_name": "Ada"}
    message = {"message_id": 1, "date": 1, "text": "tea", "from": person, "chat": {"id": 1, "type": "private"}}
    api.chat(1).send("never polled")
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/hook",
        json.dumps({"update_id": 5, "message": message}).encode(),
        {"Content-Type": "application/json", "X-Telegram-Bot-Api-Secret-Token": "a-secret"},
    )
    with urllib.request.urlopen(request, timeout=20) as reply:
        assert reply.status == 200
    assert api.chat(1).reply(timeout_s=20)["text"] == "tea"
    assert api.polls == []
    assert program.stop() == exit_code.OK
