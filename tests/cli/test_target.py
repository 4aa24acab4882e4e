"""The target: what is found, and what a mistake says."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from runner_c.command.settings import UsageError
from runner_c.command.target import is_accepted, load

BOT = """
class Machine:
    def get_updates(self, *, offset, limit, timeout, allowed_updates):
        return []
    def handle_update(self, update):
        pass
"""

Write = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make an empty working directory; forget afterwards what was imported from it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


@pytest.fixture
def write(folder: Path) -> Write:
    """Return a function that writes a module which has the class Machine and this text."""

    def write_module(name: str, text: str) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(BOT + textwrap.dedent(text))
        return path

    return write_module


def complaint(target: str) -> str:
    """Return the one line that a wrong target is answered with."""
    with pytest.raises(UsageError) as caught:
        load(target)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("target", ["shop", "shop.py", "./shop.py", "shop:bot", "shop.py:bot"])
def test_the_name_bot_is_found_by_module_and_by_file(write: Write, target: str) -> None:
    write("shop.py", "other, bot = Machine(), Machine()")
    found = load(target)
    assert found.bot is sys.modules["shop"].bot
    assert found.name.endswith(":bot")


def test_an_absolute_path_and_a_path_with_a_dash_are_found(write: Write) -> None:
    path = write("deep/my-shop.py", "bot = Machine()")
    assert is_accepted(load(str(path)).bot)
    assert is_accepted(load("deep/my-shop.py").bot)


def test_a_file_can_import_its_neighbours_like_a_script(write: Write) -> None:
    write("deep/neighbour.py", "answer = Machine()")
    write("deep/main.py", "from neighbour import answer as bot")
    assert is_accepted(load("deep/main.py").bot)


def test_a_file_inside_a_package_is_imported_as_its_module(write: Write) -> None:
    write("shop/__init__.py", "")
    write("shop/stock.py", "bot = Machine()")
    write("shop/front.py", "from .stock import bot")
    assert load("shop/front.py").bot is load("shop.stock").bot


def test_a_file_named_like_a_loaded_module_does_not_replace_it(write: Write) -> None:
    import json

    write("json.py", "bot = Machine()")
    assert is_accepted(load("json.py").bot)
    assert sys.modules["json"] is json


def test_the_only_object_that_runs_is_found_under_any_name_or_several(write: Write) -> None:
    write("shop.py", "keeper = Machine()\nalias = keeper\nclass Other(Machine): pass")
    assert load("shop").name == "shop:keeper"


def test_an_object_that_invents_its_methods_is_not_taken_for_a_bot(write: Write) -> None:
    write("shop.py", "class Client:\n    def __getattr__(self, name): return print\napi = Client()\nkeeper = Machine()")
    assert load("shop").name == "shop:keeper"


def test_create_bot_is_called_when_nothing_else_is_there(write: Write) -> None:
    write("shop.py", "def create_bot(): return Machine()")
    assert is_accepted(load("shop").bot)
    assert is_accepted(load("shop:create_bot").bot)


def test_an_attribute_may_be_deep(write: Write) -> None:
    write("shop.py", "class App: pass\napp = App()\napp.inner = Machine()")
    assert is_accepted(load("shop:app.inner").bot)


def test_an_object_with_both_methods_in_its_instance_is_accepted() -> None:
    assert is_accepted(SimpleNamespace(get_updates=print, handle_update=print))
    assert not is_accepted(SimpleNamespace(get_updates=print))


@pytest.mark.parametrize(
    ("text", "target", "line"),
    [
        ("", "shop", "shop has no bot: neither a name `bot`"),
        ("a, b = Machine(), Machine()", "shop", "shop has more than one bot: a, b; say which, as in shop:a"),
        ("keeper = Machine()", "shop:keper", "shop has no keper; did you mean keeper?"),
        ("bot = 5", "shop", "shop:bot (int) cannot be run: it has no method get_updates and no method"),
        ("bot = Machine", "shop", "shop:bot is a class"),
        ("async def create_bot(): pass", "shop", "is an async function"),
        ("def create_bot(): pass", "shop", "shop:create_bot() (NoneType) cannot be run"),
        ("def create_bot():\n    raise KeyError('colour')", "shop", "shop.py:8: KeyError: 'colour'"),
        ("bot = Machine()", "shop:", "shop:: a name must follow the colon"),
        ("bot = Machine()", "shp", "there is no module shp"),
        ("bot = Machine()", "shp.py", "there is no file shp.py; did you mean shop.py?"),
        ("bot = Machine()", "deep/shop", "deep/shop is neither a module (package.module) nor a .py file"),
        ("bot = Machine()", "9lives", "9lives is neither a module"),
        ("1 / 0", "shop", "shop.py:7: ZeroDivisionError: division by zero"),
        ("1 / 0", "shop.py", "shop.py:7: ZeroDivisionError: division by zero"),
        ("import nowhere_at_all", "shop", "shop.py:7: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("import json\njson.loads('{')", "shop", "shop.py:8: JSONDecodeError: "),
        ("x = = 1", "shop", "shop.py:7: SyntaxError: invalid syntax"),
        ("import sys\nsys.exit(3)", "shop", "shop.py:8: the module ended the program by sys.exit(3)"),
        ("raise RuntimeError('two\\nlines')", "shop", "shop.py:7: RuntimeError: two lines"),
    ],
)
def test_a_mistake_is_one_line_that_says_where_to_look(write: Write, text: str, target: str, line: str) -> None:
    write("shop.py", text)
    assert line in complaint(target)


def test_a_failed_import_keeps_the_users_exception_as_its_cause(write: Write) -> None:
    write("shop.py", "1 / 0")
    with pytest.raises(UsageError) as caught:
        load("shop")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
