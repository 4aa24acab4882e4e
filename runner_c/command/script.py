"""Scripts: targets that start the polling of their bot themselves, and are run as Python runs a script.

What a target is shows in its source, which is read before anything of it runs, so that it runs exactly once: as a
script with the name `__main__`, or imported as a module in which the bot is looked for. It is a script if it names
`polling` or `infinity_polling` and would get there when it is run: it has an ``if __name__ == "__main__"``, or does it,
or calls a function that does it, on its outermost level.
"""

import ast
import importlib.util
import os
import sys
from dataclasses import dataclass
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from runner_c.command.settings import UsageError
from runner_c.command.target import MODULE, put_on_path, run_code, split

__all__ = ["Script", "find_script"]

POLLING = ("polling", "infinity_polling")


@dataclass(frozen=True)
class Script:
    """A script that was found: the name to show for it, its file, and its place among the modules, if it has one."""

    name: str
    path: Path
    spec: ModuleSpec | None = None

    def execute(self) -> ModuleType:
        """Run the script in this thread as `__main__`, with nothing in `sys.argv` but its path; return its module.

        It stays `__main__` when it has ended: its threads go on, and what it pickles is looked for there.

        Raises: what the script raises.
        """
        module = ModuleType("__main__")
        module.__file__ = str(self.path)
        module.__spec__ = self.spec
        module.__loader__ = self.spec.loader if self.spec else None
        module.__package__ = self.spec.parent if self.spec else None
        sys.argv = [str(self.path)]
        sys.modules["__main__"] = module
        exec(compile(self.path.read_bytes(), str(self.path), "exec", dont_inherit=True), vars(module))
        return module


def find_script(text: str) -> Script | None:
    """Return the script that the target `text` names; None if it is none, or if it cannot be found at all.

    For a module the packages around it are imported.

    Raises: UsageError, if an attribute is asked for that only a script can give, or a package cannot be imported.
    """
    location, colon, _ = split(text)
    if location.endswith(".py"):
        path = Path(location)
        if not path.is_file() or not is_script(path):
            return None
        put_on_path(path.resolve().parent)
        found: Script | None = Script(location, path.resolve())
    else:
        found = _find_module(location)
    if found is not None and colon:
        if polls_when_imported(found.path):
            raise UsageError(f"{location} polls while it is imported, so nothing can be taken out of it: give it alone")
        return None
    return found


def _find_module(name: str) -> Script | None:
    if os.sep in name or not MODULE.fullmatch(name):
        return None
    put_on_path(Path.cwd())
    for full in (name, f"{name}.__main__"):
        try:
            spec = run_code(partial(importlib.util.find_spec, full), name)
        except UsageError:
            return None  # the import says it better
        if spec is None:
            return None
        if spec.origin and spec.origin.endswith(".py") and is_script(Path(spec.origin)):
            return Script(name, Path(spec.origin), spec)
        if spec.submodule_search_locations is None:
            return None
    return None


def is_script(path: Path) -> bool:
    """Tell whether a file would poll when it is run as a script."""
    tree = _tree(path)
    if tree is None or not _names(tree) & set(POLLING):
        return False
    return any(_is_guard(statement) for statement in tree.body) or _polls_outside(tree)


def polls_when_imported(path: Path) -> bool:
    """Tell whether a file would poll when it is imported as a module."""
    tree = _tree(path)
    return tree is not None and _polls_outside(tree)


def _tree(path: Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_bytes(), str(path))
    except (OSError, SyntaxError, ValueError):
        return None  # running it says where


def _polls_outside(tree: ast.Module) -> bool:
    """Tell whether a statement on the outermost level polls, itself or through functions of the file."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    polling = set(POLLING)
    while True:
        found = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, functions) and node.name not in polling and _names(node) & polling
        }
        if not found:
            break
        polling |= found
    outside = [node for node in tree.body if not isinstance(node, (*functions, ast.ClassDef)) and not _is_guard(node)]
    return any(_names(node) & polling for node in outside)


def _names(tree: ast.AST) -> set[str]:
    """Return the names that are read somewhere in a piece of code, attributes among them."""
    read = [node for node in ast.walk(tree) if isinstance(getattr(node, "ctx", None), ast.Load)]
    names = {node.attr for node in read if isinstance(node, ast.Attribute)}
    return names | {node.id for node in read if isinstance(node, ast.Name)}


def _is_guard(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.If):
        return False
    constants = {node.value for node in ast.walk(statement.test) if isinstance(node, ast.Constant)}
    return "__name__" in _names(statement.test) and "__main__" in constants
