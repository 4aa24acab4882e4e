"""A server, and ways to run the scripts of this folder: by telebot itself, and by us."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyruntime.testing import FakeBotApi

if TYPE_CHECKING:
    from tests.conftest import Program

pytest.importorskip("telebot", reason="pip install 'runner_c[telebot]'")

BOTS = Path(__file__).with_name("bots")
TOKEN = "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"


@pytest.fixture
def api() -> Iterator[FakeBotApi]:
    """Serve the Bot API on a free port, with a token that looks like a real one."""
    with FakeBotApi(token=TOKEN) as server:
        yield server


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function that writes a file into the folder in which programs are launched."""

    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_file


@pytest.fixture
def start(api: FakeBotApi, tmp_path: Path, launch: "Callable[..., Program]") -> "Callable[..., Program]":
    """Return a function that starts a script: by telebot itself (`"telebot"`), or by us, with options."""

    def run(name: str, how: str, *options: str, server: FakeBotApi = api, **variables: Any) -> "Program":
        if (BOTS / name).is_file():
            shutil.copy(BOTS / name, tmp_path / name)
        variables = {"SHOP_TOKEN": server.token, **variables}
        if how == "telebot":
            return launch(name, SHOP_API_URL=f"{server.url}/bot{{0}}/{{1}}", **variables)
        return launch("-m", "runner_c", name, *options, BOT_API_ROOT=server.url, **variables)

    return run


@pytest.fixture
def run(start: "Callable[..., Program]", api: FakeBotApi) -> "Callable[..., Program]":
    """Return a function that starts a script by us and waits until it polls."""

    def begin(name: str, *options: str, **variables: Any) -> "Program":
        program = start(name, "us", *options, **variables)
        program.wait_for("stop with Ctrl-C")
        api.wait_until_polled(timeout_s=20)
        return program

    return begin
