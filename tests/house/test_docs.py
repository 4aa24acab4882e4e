"""README, version, docstrings and sizes say what is there."""

import ast
import contextlib
import importlib.metadata
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import pyruntime
import pyruntime.testing
import runner_c
from runner_c.command import exit_code
from runner_c.command.option import OPTIONS
from runner_c.version import __version__

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def sources() -> Iterator[Path]:
    """Yield all files written by hand that have code in them."""
    for folder in ("runner_c", "pyruntime", "examples", "tests", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*")):
            is_made = any(part.startswith(".") or part == "node_modules" for part in path.relative_to(ROOT).parts)
            if path.suffix in (".py", ".pyi", ".pyx", ".pxd", ".h", ".html", ".css", ".js") and not is_made:
                yield path
    yield ROOT / "setup.py"


def head(path: Path) -> str:
    """Return the docstring or the leading comment of a file."""
    text = path.read_text(encoding="utf-8")
    found = re.match(
        r'(?:\s*#[^\n]*\n)*\s*(?:"""(.*?)"""|/\*(.*?)\*/|<!doctype html>\s*<!--(.*?)-->)', text, re.S | re.I
    )
    return next((part for part in found.groups() if part), "") if found else ""


def commands(text: str) -> list[str]:
    """Return the lines of the shell blocks in a Markdown text."""
    return [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()]


def test_a_file_over_400_lines_says_why_in_its_head() -> None:
    for path in sources():
        length = len(path.read_text(encoding="utf-8").splitlines())
        assert length <= 400 or "400" in head(path), f"{path.relative_to(ROOT)} has {length} lines"


def test_every_python_file_begins_with_a_docstring() -> None:
    for path in sources():
        if path.suffix in (".py", ".pyi", ".pyx") and path.stat().st_size > 0:
            assert head(path).strip(), path.relative_to(ROOT)


def stub_docstring(thing: object, name: str) -> str | None:
    """Return what the .pyi of a compiled module says of `name`: compiled modules keep their docs there."""
    module = getattr(thing, "__module__", "") or ""
    stub = Path(next(iter(runner_c.__path__))) / (module.rpartition(".")[2] + ".pyi")
    if not stub.is_file():
        return None
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
            return ast.get_docstring(node)
    return None


@pytest.mark.parametrize("door", [runner_c, pyruntime, pyruntime.testing], ids=lambda door: str(door.__name__))
def test_every_public_name_exists_and_has_a_docstring(door: ModuleType) -> None:
    assert door.__all__
    for name in door.__all__:
        thing = getattr(door, name)
        if inspect.isclass(thing) or callable(thing):
            assert stub_docstring(thing, name) or (inspect.getdoc(thing) or "").strip(), f"{door.__name__}.{name}"


def test_the_version_is_written_once_and_the_same_everywhere() -> None:
    assert runner_c.__version__ == __version__
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc|\.dev)\d+)?", __version__)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "runner_c.version.__version__"}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # built in place, not installed
        assert importlib.metadata.version("runner_c") == __version__


def test_the_commands_of_the_readme_are_one_line_each_and_ci_calls_them() -> None:
    play, test = commands(README)
    for command in (play, test):
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -q -e ")
    assert test in CI
    assert play in CI


def test_the_links_of_the_documents_lead_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / name).read_text(encoding="utf-8")):
            assert link.startswith("https://") or (ROOT / link).exists(), f"{name}: {link}"


def test_the_readme_names_every_option_and_its_default() -> None:
    table = dict(re.findall(r"^\| `(--[a-z-]+)[^|`]*(?:\\\|[^|`]*)*` \|[ ]*([^|]*?)[ ]*\|", README, re.M))
    flags = {option.flag for option in OPTIONS if option.name != "target"} | {"--check", "--print-config", "--version"}
    assert set(table) == flags
    for option in OPTIONS:
        if isinstance(option.default, (int, float, str)) and not isinstance(option.default, bool):
            shown = f"{option.default:g}" if isinstance(option.default, float) else str(option.default)
            assert table[option.flag].strip() == shown, option.flag


def test_the_readme_names_every_exit_code() -> None:
    codes = {value for name, value in vars(exit_code).items() if name.isupper()}
    assert {int(code) for code in re.findall(r"^\| (\d) \|", README, re.M)} == codes


def test_the_readme_names_every_example() -> None:
    for path in (ROOT / "examples").glob("*.py"):
        assert path.name == "__init__.py" or f"(examples/{path.name})" in README, path.name


def test_no_document_names_a_host_of_a_package_registry() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "pyproject.toml", "tox.ini", ".ci/run"):
        assert not re.search(r"pypi\.org|pythonhosted|index-url", (ROOT / name).read_text(encoding="utf-8")), name
