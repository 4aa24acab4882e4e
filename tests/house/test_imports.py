"""Who may import whom."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pyruntime
import runner_c

ENGINE = Path(next(iter(runner_c.__path__)))
BOT_LAYER = Path(next(iter(pyruntime.__path__)))

MEETING_PLACE = "command"
"""The folder of the command line, in which engine and bot layer are put together."""

LOG_FILES = {"logs.py"}
"""The files that may import the library for log files."""

JSON_FILES = {"store/encoding.py"}
"""The file that may import the library for JSON."""

NETWORK = {"socket", "ssl", "http", "urllib", "select", "selectors", "asyncio"}
BUILD_TIME = {"cython", "cpython", "libc"}


def imported(path: Path) -> set[str]:
    """Return the full names that a .py, .pyi or .pyx file imports, at whatever depth in the file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix in (".pyx", ".pxd"):
        found = re.findall(r"^\s*from\s+([\w.]+)\s+c?import\b", text, re.MULTILINE)
        for names in re.findall(r"^\s*c?import\s+([\w., ]+)", text, re.MULTILINE):
            found += [name.split()[0] for name in names.split(",") if name.strip()]
        return set(found)
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute here"
            names.add(node.module or "")
    return names


def files(folder: Path) -> Iterator[Path]:
    """Yield the source files of a package."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".py", ".pyi", ".pyx", ".pxd"):
            yield path


def test_the_scan_sees_the_files_it_is_about() -> None:
    assert {"cli.py", "errors.py"} <= {path.name for path in files(ENGINE)}
    assert "runner_c" in {name.split(".")[0] for name in imported(ENGINE / "command" / "cli.py")}
    assert "pyruntime.testing.playground" in imported(ENGINE / "command" / "local_server.py")


def test_only_the_command_line_of_the_engine_imports_the_bot_layer() -> None:
    guilty = {
        path.name
        for path in files(ENGINE)
        if any(name.split(".")[0] == "pyruntime" for name in imported(path)) and path.parent.name != MEETING_PLACE
    }
    assert guilty == set()


def test_the_engine_imports_nothing_but_the_standard_library() -> None:
    allowed = {"runner_c"} | BUILD_TIME | set(sys.stdlib_module_names)
    for path in files(ENGINE):
        foreign = {name.split(".")[0] for name in imported(path)} - allowed
        if path.parent.name == MEETING_PLACE:
            foreign -= {"pyruntime"}
        if path.name in LOG_FILES:
            foreign -= {"concurrent_log_handler"}
        if str(path.relative_to(ENGINE)) in JSON_FILES:
            foreign -= {"ujson"}
        assert foreign == set(), path.name


def test_the_engine_knows_no_network() -> None:
    guilty = {path.name for path in files(ENGINE) if {name.split(".")[0] for name in imported(path)} & NETWORK}
    assert guilty == set()


def test_the_bot_layer_uses_the_front_door_of_the_engine() -> None:
    for path in files(BOT_LAYER):
        if path.name == "runbot.py":
            continue  # a command line inside of another one
        inner = {name for name in imported(path) if name.startswith("runner_c.")}
        assert inner == set(), f"{path.name} must import these from runner_c itself"


def test_only_the_header_of_the_engine_names_pthreads() -> None:
    for path in files(ENGINE):
        if path.suffix in (".pyx", ".pxd"):
            assert "pthread_" not in path.read_text(encoding="utf-8"), path.name
