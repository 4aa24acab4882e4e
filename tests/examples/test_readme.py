"""The programs that the README shows, run as they stand there."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyruntime.testing import FakeBotApi

Start = Callable[..., Any]

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def program_of(section: str) -> str:
    """Return the first Python program of a section of the README."""
    found = re.search(rf"^## {section}\n.*?```python\n(.*?)```", README, re.S | re.M)
    assert found is not None
    return found.group(1)


def test_the_bot_of_the_readme_has_no_more_lines_than_it_says() -> None:
    assert sum(bool(line.strip()) for line in program_of("A bot in 15 lines").splitlines()) <= 15


@pytest.mark.parametrize("command", [["-m", "runner_c", "bot.py"], ["bot.py"]], ids=["command line", "embedded"])
def test_the_bot_of_the_readme_runs(launch: Start, api: FakeBotApi, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "bot.py").write_text(program_of("A bot in 15 lines"))
    launch(*command, BOT_TOKEN=api.token, BOT_API_ROOT=api.url)
    chat = api.chat(1)
    chat.send("/start")
    assert chat.reply(timeout_s=20)["text"] == "visit 1"
    chat.send("/start")
    assert chat.reply()["text"] == "visit 2"


def test_the_test_of_the_readme_passes(launch: Start, tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text(program_of("A bot in 15 lines"))
    (tmp_path / "test_bot.py").write_text(program_of("Test your bot"))
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    variables = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    program = launch("-m", "pytest", "-q", "-p", "pyruntime.testing.plugin", "test_bot.py", **variables)
    assert program.wait() == 0, program.out
    assert "1 passed" in program.out
