"""Bots and a server for the tests of the command line."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyruntime.testing import FakeBotApi

if TYPE_CHECKING:
    from tests.conftest import Program

BOT = """
import os, sys, threading, time
from pyruntime import Bot

bot = Bot()

@bot.on("message:text")
def answer(ctx):
    if ctx.text == "sleep":
        print("sleeping", file=sys.stderr, flush=True)
        time.sleep(2)
    elif ctx.text == "hang":
        print("hanging", file=sys.stderr, flush=True)
        threading.Event().wait()
    elif ctx.text == "fail":
        raise ValueError("no " + os.environ["BOT_TOKEN"])
    ctx.reply("you said " + ctx.text)
"""


@pytest.fixture
def api() -> Iterator[FakeBotApi]:
    """Serve the Bot API on a free port, with a token that looks like a real one."""
    with FakeBotApi(token="123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc") as server:
        yield server


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function that writes a file into the folder in which programs are launched."""

    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write_file


@pytest.fixture
def run_shop(
    api: FakeBotApi, write: Callable[[str, str], Path], launch: "Callable[..., Program]"
) -> "Callable[..., Program]":
    """Return a function that runs the bot above against the server and waits until it polls."""

    def start(*options: str, **variables: Any) -> "Program":
        write("shop.py", BOT)
        program = launch(
            "-m", "runner_c", "shop", *options, **{"BOT_TOKEN": api.token, "BOT_API_ROOT": api.url, **variables}
        )
        program.wait_for("stop with Ctrl-C")
        api.wait_until_polled(timeout_s=20)
        return program

    return start
