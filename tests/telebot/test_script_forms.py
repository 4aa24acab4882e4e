"""The ways in which telebot scripts are written: each runs unchanged, answers, and ends when it is told to."""

import signal
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyruntime.testing import FakeBotApi
from runner_c.command import exit_code

Start = Callable[..., Any]
Write = Callable[[str, str], Path]

HEAD = """
import os, sys, threading, time
import telebot
print("begun", file=sys.stderr, flush=True)
bot = telebot.TeleBot(os.environ["SHOP_TOKEN"])

@bot.message_handler(commands=["stop"])
def stop(message):
    bot.send_message(message.chat.id, "stopping")
    bot.stop_polling()

@bot.message_handler(content_types=["text"])
def echo(message):
    bot.send_message(message.chat.id, __name__ + " " + message.text)

def say(text):
    print(text, file=sys.stderr, flush=True)
"""

FORMS = {
    "without a polling call": ("script", ""),
    "with a guard": ("__main__", "if __name__ == '__main__':\n    bot.infinity_polling()\n    say('behind it')"),
    "at module level": ("__main__", "bot.polling(none_stop=True)\nsay('behind it')"),
    "in a function": ("__main__", "def main():\n    bot.polling()\n    say('behind it')\nmain()"),
    "in a loop that tries again": (
        "__main__",
        "while True:\n    try:\n        bot.polling(non_stop=True)\n        say('behind it')\n"
        "    except Exception as error:\n        say(error)\n        time.sleep(600)",
    ),
    "in a loop that catches everything": (
        "__main__",
        "while True:\n    try:\n        bot.polling()\n        say('behind it')\n    except:\n        time.sleep(600)",
    ),
    "in a thread beside a loop": (
        "__main__",
        "def work():\n    bot.infinity_polling()\n    say('behind it')\n"
        "threading.Thread(target=work, daemon=True).start()\nwhile True:\n    time.sleep(600)",
    ),
    "in a thread beside a loop that catches everything": (
        "__main__",
        "threading.Thread(target=bot.infinity_polling).start()\n"
        "while True:\n    try:\n        time.sleep(600)\n    except BaseException:\n        say('behind it')",
    ),
    "in a thread that outlives the script": (
        "__main__",
        "def work():\n    bot.infinity_polling()\n    say('behind it')\nthreading.Thread(target=work).start()",
    ),
    "beside a thread that never ends": (
        "__main__",
        "threading.Thread(target=threading.Event().wait).start()\nbot.infinity_polling()\nsay('behind it')",
    ),
    "with options": (
        "__main__",
        "bot.infinity_polling(timeout=10, long_polling_timeout=5, skip_pending=True, interval=2,"
        " allowed_updates=['message', 'callback_query'])\nsay('behind it')",
    ),
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("form", FORMS)
def test_a_script_runs_unchanged_and_ends(
    run: Start, api: FakeBotApi, write: Write, form: str, number: signal.Signals
) -> None:
    name, end = FORMS[form]
    write("script.py", HEAD + end)
    program = run("script.py")
    chat = api.chat(1)
    chat.send("tea")
    assert chat.reply(timeout_s=20)["text"] == f"{name} tea"
    assert program.stop(number) == exit_code.OK
    assert program.err.count("begun") == 1
    assert ("behind it" in program.err) == ("behind it" in end)
    assert api.pending_count() == 0
    assert "Traceback" not in program.err


@pytest.mark.parametrize("target", ["shop.script", "shop/script.py", "shop"])
def test_a_script_in_a_package_runs_as_a_module_does(run: Start, api: FakeBotApi, write: Write, target: str) -> None:
    write("shop/__init__.py", "")
    write("shop/texts.py", "GREETING = 'hello'")
    where = "__main__" if target == "shop" else "script"
    imports = "from .texts import GREETING" if not target.endswith(".py") else "from texts import GREETING"
    end = "if __name__ == '__main__':\n    say(GREETING + ' ' + sys.argv[0] + str(len(sys.argv)))\n    bot.polling()"
    write(f"shop/{where}.py", imports + HEAD + end)
    program = run(target)
    chat = api.chat(1)
    chat.send("tea")
    assert chat.reply(timeout_s=20)["text"] == "__main__ tea"
    said = program.wait_for("hello ")
    assert said.strip().endswith(f"shop/{where}.py1")
    assert program.stop() == exit_code.OK


def test_what_the_polling_call_asks_for_is_asked_for(start: Start, api: FakeBotApi, write: Write) -> None:
    write("script.py", HEAD + FORMS["with options"][1])
    api.chat(1).send("old")
    program = start("script.py", "us")
    program.wait_for("stop with Ctrl-C")
    line = program.wait_for("not used")
    assert "infinity_polling(interval=2, timeout=10)" in line
    api.wait_for(lambda call: call.method == "getUpdates" and call.parameters.get("timeout") == 5, timeout_s=20)
    chat = api.chat(1)
    chat.send("new")
    assert chat.reply(timeout_s=20)["text"] == "__main__ new"
    kinds = str(api.polls[-1].parameters["allowed_updates"])
    assert "callback_query" in kinds
    assert "edited_message" not in kinds
    assert program.stop() == exit_code.OK


def test_the_command_line_wins_over_the_polling_call(start: Start, api: FakeBotApi, write: Write) -> None:
    write("script.py", HEAD + FORMS["with options"][1])
    api.chat(1).send("old")
    options = ("--no-drop-pending", "--poll-timeout", "7", "--allowed-updates", "message")
    program = start("script.py", "us", *options)
    chat = api.chat(1)
    assert chat.reply(timeout_s=20)["text"] == "__main__ old"
    api.wait_for(lambda call: call.method == "getUpdates" and call.parameters.get("timeout") == 7, timeout_s=20)
    assert "callback_query" not in str(api.polls[-1].parameters["allowed_updates"])
    assert program.stop() == exit_code.OK


def test_a_bot_that_stops_its_polling_goes_on_behind_the_call_and_may_poll_again(
    run: Start, api: FakeBotApi, write: Write
) -> None:
    end = "for turn in range(2):\n    bot.infinity_polling()\n    say(f'stopped {turn}')\nsys.exit(7)"
    write("script.py", HEAD + end)
    program = run("script.py")
    chat = api.chat(1)
    for turn in range(2):
        chat.send("/stop")
        assert chat.reply(timeout_s=20)["text"] == "stopping"
        program.wait_for(f"stopped {turn}")
    assert program.wait() == 7
    assert api.pending_count() == 0


@pytest.mark.parametrize(
    ("handler", "code"), [("bot.stop_polling()", exit_code.OK), ("sys.exit(9)", 9)], ids=["stops the bot", "exits"]
)
def test_a_signal_handler_of_the_script_acts_in_place_of_ours_and_the_stop_drains(
    run: Start, api: FakeBotApi, write: Write, handler: str, code: int
) -> None:
    slow = (
        "@bot.message_handler(content_types=['photo'])\ndef slow(message):\n    say('slow')\n    time.sleep(1)\n"
        "    bot.send_message(message.chat.id, 'done')\n"
    )
    end = f"import signal\nsignal.signal(signal.SIGTERM, lambda *_: {handler})\nbot.infinity_polling()"
    write("script.py", HEAD + slow + end)
    program = run("script.py")
    chat = api.chat(1)
    chat.send(None, photo=[{"file_id": "a", "file_unique_id": "b", "width": 1, "height": 1}])
    program.wait_for("slow")
    assert program.stop() == code
    assert chat.reply()["text"] == "done"
    assert api.pending_count() == 0


def test_a_signal_before_the_script_polls_ends_it(start: Start, write: Write) -> None:
    write("script.py", HEAD + "say('setting up')\ntime.sleep(600)\nbot.polling()")
    program = start("script.py", "us")
    program.wait_for("setting up")
    assert program.stop() == exit_code.OK
    assert "interrupted" in program.err
    assert "Traceback" not in program.err


def test_hup_runs_the_script_anew(run: Start, api: FakeBotApi, write: Write) -> None:
    write("script.py", HEAD + FORMS["in a thread beside a loop"][1])
    program = run("script.py")
    program.send(signal.SIGHUP)
    program.wait_for("stop with Ctrl-C", times=2)
    chat = api.chat(1)
    chat.send("tea")
    assert chat.reply(timeout_s=20)["text"] == "__main__ tea"
    assert program.err.count("begun") == 2
    assert program.stop() == exit_code.OK


def test_a_main_thread_that_cannot_be_interrupted_keeps_the_process_neither_from_a_restart_nor_from_its_end(
    run: Start, write: Write
) -> None:
    end = """
    threading.Thread(target=bot.infinity_polling, daemon=True).start()
    while True:
        try:
            while True:
                sum(range(1000))
        except BaseException:
            say("no")
    """
    write("script.py", HEAD + textwrap.dedent(end))
    program = run("script.py")
    program.send(signal.SIGHUP)
    program.wait_for("stop with Ctrl-C", times=2)
    assert program.err.count("begun") == 2
    assert program.stop() == exit_code.OK


def test_what_the_script_does_behind_its_polling_call_ends_with_another_signal(run: Start, write: Write) -> None:
    write("script.py", HEAD + "bot.polling()\nsay('behind it')\ntime.sleep(600)")
    program = run("script.py")
    program.send(signal.SIGTERM)
    program.wait_for("behind it")
    begun_s = time.monotonic()
    assert program.stop() == exit_code.OK
    assert time.monotonic() - begun_s < 4


def test_what_the_script_does_behind_its_polling_call_is_cut_in_the_end(run: Start, write: Write) -> None:
    write("script.py", HEAD + "bot.polling()\nsay('behind it')\nwhile True:\n    time.sleep(600)")
    program = run("script.py", "--grace", "1")
    assert program.stop() == exit_code.OK
    assert "ending it" in program.err


def test_two_bots_in_one_script_are_refused_in_one_line(start: Start, write: Write) -> None:
    end = """
    other = telebot.TeleBot(os.environ["SHOP_TOKEN"])
    threading.Thread(target=bot.infinity_polling).start()
    threading.Thread(target=other.infinity_polling).start()
    """
    write("script.py", HEAD + textwrap.dedent(end))
    program = start("script.py", "us")
    assert program.wait() == exit_code.USAGE
    assert "runner_c: script.py polls two bots; one process runs one bot" in program.err
    assert "Traceback" not in program.err
