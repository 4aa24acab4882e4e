"""Find the bot that TARGET names.

TARGET is `module[:attribute]` or `path/to/file.py[:attribute]`. Without an attribute the bot is the name `bot`, or the
only object of the module that a runner accepts (a bot of another framework is one if there is an adapter for it), or
what `create_bot()` returns. Each way in which this can fail is a `UsageError` of one line that says where to look; an
error raised by the user's code is shown with its place.
"""

import importlib
import importlib.util
import inspect
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from runner_c.adapter import adapted
from runner_c.command.settings import UsageError, nearest
from runner_c.errors import ConfigError

__all__ = ["Target", "is_accepted", "load", "put_on_path", "run_code", "search", "split"]

Result = TypeVar("Result")

NEEDED = ("get_updates", "handle_update")
OURS = tuple(str(Path(__file__).parents[1].with_name(package)) for package in ("runner_c", "pyruntime"))
"""The folders of engine and bot layer: a mistake shows up there, and is made by who called."""

MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class Target:
    """Hold the bot that was found and the name to show for it, such as `examples.echo:bot`."""

    bot: object
    name: str


def is_accepted(thing: object) -> bool:
    """Tell whether a runner accepts this object: it has get_updates and handle_update, or an adapter gives it them.

    Names that only `__getattr__` invents do not count, or every client that makes methods on the fly would be a bot.

    Raises: ConfigError, if an adapter refuses it.
    """
    if isinstance(thing, (type, ModuleType)) or inspect.getattr_static(thing, "get_updates", None) is None:
        return False
    return inspect.getattr_static(thing, "handle_update", None) is not None or adapted(thing, NEEDED) is not thing


def load(text: str) -> Target:
    """Import what `text` names and return the bot in it.

    The working directory (or the folder of the file) is put at the head of `sys.path`, as Python itself does for
    `-m` and for a script.

    Raises: UsageError. Its `__cause__` is the user's exception, if one was raised.
    """
    location, colon, attribute = split(text)
    if colon and not attribute:
        raise UsageError(f"{text}: a name must follow the colon, as in {location}:bot")
    if location.endswith(".py"):
        module = _import_file(Path(location))
    else:
        module = _import_module(location)
    if attribute:
        found = _attribute(module, attribute, location)
        return _accept(found, f"{location}:{attribute}")
    return search(module, location)


def split(text: str) -> tuple[str, str, str]:
    """Return what a target consists of: module or file, the colon or nothing, the attribute or nothing."""
    head, colon, tail = text.rpartition(":")
    if colon and not tail.endswith(".py") and os.sep not in tail and (len(head) > 1 or not head.isalpha()):
        return head, colon, tail
    return text, "", ""


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        others = [str(other) for other in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise UsageError(f"there is no file {path}{nearest(str(path), others)}")
    path = path.resolve()
    root, names = path.parent, [path.stem]
    while (root / "__init__.py").is_file() and root.parent != root:
        names.insert(0, root.name)
        root = root.parent
    if len(names) > 1 and MODULE.fullmatch(".".join(names)):
        put_on_path(root)
        return run_code(lambda: importlib.import_module(".".join(names)), str(path))
    put_on_path(path.parent)
    name = path.stem if path.stem not in sys.modules else f"runner_c_target_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    loader = spec.loader
    sys.modules[name] = module
    run_code(lambda: loader.exec_module(module), str(path))
    return module


def _import_module(name: str) -> ModuleType:
    if os.sep in name or not MODULE.fullmatch(name):
        hint = f"; for a file give its whole name, {name}.py" if Path(f"{name}.py").is_file() else ""
        raise UsageError(f"{name} is neither a module (package.module) nor a .py file{hint}")
    put_on_path(Path.cwd())
    try:
        return run_code(lambda: importlib.import_module(name), name)
    except UsageError as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and cause.name and (name + ".").startswith(cause.name + "."):
            folder = Path.cwd()
            others = [path.stem for path in folder.glob("*.py")] if "." not in name else []
            raise UsageError(
                f"there is no module {cause.name} (looked in {folder} too){nearest(name, others)}"
            ) from cause
        raise


def put_on_path(folder: Path) -> None:
    """Let modules in a folder be imported, before those of all others."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def run_code(call: Callable[[], Result], name: str) -> Result:
    """Call user code; turn whatever it raises into one line with the place in the user's own files."""
    try:
        return call()
    except SystemExit as error:
        raise UsageError(f"{_place(error, name)}: the module ended the program by sys.exit({error.code!r})") from error
    except UsageError:
        raise
    except Exception as error:
        try:
            message = " ".join(str(error).split())
        except Exception:  # what the module raised has a __str__ that fails
            message = "<str() failed>"
        kind = type(error).__name__
        if isinstance(error, SyntaxError):
            message = error.msg
        raise UsageError(f"{_place(error, name)}: {kind}{': ' if message else ''}{message}") from error


def _place(error: BaseException, fallback: str) -> str:
    """Return `file:line` of the innermost frame that is neither Python's, nor installed, nor ours."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_short(error.filename)}:{error.lineno}"
    paths = sysconfig.get_paths()
    foreign = (paths["stdlib"], paths["purelib"], paths["platlib"], *OURS)
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame
        for frame in frames
        if not frame.filename.startswith("<frozen")
        and not frame.filename.startswith(tuple(p + os.sep for p in foreign))
    ]
    return f"{_short(own[-1].filename)}:{own[-1].lineno}" if own else fallback


def _short(filename: str) -> str:
    relative = os.path.relpath(filename)
    return filename if relative.startswith("..") else relative


def _attribute(module: ModuleType, attribute: str, location: str) -> object:
    found: object = module
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            names = [known for known in dir(found) if not known.startswith("_")]
            raise UsageError(f"{location} has no {attribute}{nearest(name, names)}") from None
    return found


def search(module: ModuleType, location: str) -> Target:
    """Find the bot in a module that was imported.

    Raises: UsageError, if there is none, or more than one.
    """
    public = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    if "bot" in public and not isinstance(public["bot"], ModuleType):
        return _accept(public["bot"], f"{location}:bot")
    accepted = {name: value for name, value in public.items() if is_accepted(value)}
    different = {id(value): name for name, value in reversed(accepted.items())}
    if len(different) == 1:
        name = next(iter(different.values()))
        return _accept(accepted[name], f"{location}:{name}")
    if different:
        found = ", ".join(name for name in accepted if name in different.values())
        first = next(iter(accepted))
        raise UsageError(f"{location} has more than one bot: {found}; say which, as in {location}:{first}")
    if callable(public.get("create_bot")):
        return _accept(public["create_bot"], f"{location}:create_bot")
    raise UsageError(
        f"{location} has no bot: neither a name `bot`, nor an object with get_updates and handle_update, "
        "nor a function create_bot()"
    )


def _accept(found: object, name: str) -> Target:
    """Return the target, calling `found` first if it is a function that makes the bot."""
    if inspect.iscoroutinefunction(found):
        raise UsageError(f"{name} is an async function: runner_c runs synchronous bots")
    if inspect.isroutine(found):
        made = found
        found = run_code(lambda: made(), name)
        name += "()"
    if not isinstance(found, type):
        try:
            found = adapted(found, NEEDED)
        except ConfigError as error:
            raise UsageError(f"{name}: {error}") from error
    missing = [needed for needed in NEEDED if not callable(getattr(found, needed, None))]
    if isinstance(found, type):
        raise UsageError(f"{name} is a class: give an object of it, or a function that makes one")
    if missing:
        kind = type(found).__name__
        raise UsageError(f"{name} ({kind}) cannot be run: it has no method {' and no method '.join(missing)}")
    return Target(found, name)
