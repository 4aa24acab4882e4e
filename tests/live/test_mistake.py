"""Mistakes of the person at the keyboard: one clear line on stderr, code 2, and nothing was polled."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyruntime.testing import FakeBotApi
from runner_c.command import exit_code

FILES = {
    "shop.py": "from pyruntime import Bot\nbot = Bot()\n",
    "raises.py": "def load():\n    raise RuntimeError('the shop is shut')\n\nload()\n",
    "typo.py": "bot = Bot(\n",
    "leaves.py": "import sys\nsys.exit(7)\n",
    "lacks.py": "import a_module_that_nobody_has\n",
    "empty.py": "",
    "two.py": "from pyruntime import Bot\none = Bot()\nother = Bot()\n",
    "slow.py": "async def create_bot():\n    return None\n",
}


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["nowhere.py"], "there is no file nowhere.py"),
        (["shop:robot"], "shop has no robot"),
        (["raises"], "raises.py:2: RuntimeError: the shop is shut"),
        (["typo"], "typo.py:1: SyntaxError"),
        (["leaves"], "sys.exit(7)"),
        (["lacks"], "a_module_that_nobody_has"),
        (["empty"], "empty has no bot"),
        (["two"], "two has more than one bot: one, other"),
        (["slow"], "async"),
        (["shop", "--concurency", "3"], "did you mean --concurrency?"),
        (["shop", "--poll-timeout", "51"], "--poll-timeout"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_code_2(
    api: FakeBotApi, launch: Callable[..., Any], tmp_path: Path, arguments: list[str], part: str
) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    program = launch("-m", "runner_c", *arguments, BOT_TOKEN=api.token, BOT_API_ROOT=api.url)
    assert program.wait() == exit_code.USAGE
    lines = program.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("runner_c: ")
    assert part in lines[0]
    assert program.out == ""
    assert not api.polls


def test_no_token_is_told_in_one_line_with_code_2(launch: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(FILES["shop.py"])
    program = launch("-m", "runner_c", "shop")
    assert program.wait() == exit_code.USAGE
    assert program.err.startswith("runner_c: there is no bot token: set BOT_TOKEN")
    assert len(program.err.splitlines()) == 1


@pytest.mark.parametrize(
    "token", ["no colon at all", "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc/../x", "123:a b\nc"]
)
def test_a_token_that_cannot_be_one_is_told_without_a_traceback_and_is_not_shown(
    api: FakeBotApi, launch: Callable[..., Any], tmp_path: Path, token: str
) -> None:
    (tmp_path / "shop.py").write_text(FILES["shop.py"])
    program = launch("-m", "runner_c", "shop", BOT_TOKEN=token, BOT_API_ROOT=api.url)
    assert program.wait(timeout_s=10) in (exit_code.USAGE, exit_code.UNAUTHORIZED)
    assert token not in program.err
    assert "Traceback" not in program.err


def test_a_wrong_variable_in_the_environment_is_told_by_its_name(
    api: FakeBotApi, launch: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(FILES["shop.py"])
    program = launch("-m", "runner_c", "shop", BOT_TOKEN=api.token, BOT_API_ROOT=api.url, RUNNER_CONCURRENCY="many")
    assert program.wait() == exit_code.USAGE
    assert "RUNNER_CONCURRENCY" in program.err
    assert len(program.err.splitlines()) == 1
