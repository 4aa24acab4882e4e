"""Find the settings of a run: command line over environment over file over default.

The file is `runner_c.toml` in the working directory or, without one, the table `[tool.runner_c]` of
`pyproject.toml` there. Every mistake is a `UsageError`: one line that names where the value came from and what
would be right.
"""

import argparse
import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from runner_c.command.option import OPTIONS, PLAYGROUND_DEFAULT, Option
from runner_c.errors import ConfigError

__all__ = ["Settings", "UsageError", "nearest", "parse", "resolve", "token_of"]

TOKEN = re.compile(r"\d{3,}:[A-Za-z0-9_-]{20,}")
TOKEN_OPTIONS = ("--token", "--bot-token")
NEEDED = {"replay_speed": "replay", "listen": "webhook", "webhook_connections": "webhook"}
"""Options that mean nothing without another one."""

ACTIONS = ("--check", "--print-config", "--version", "--help")

DESCRIPTION = "Run a synchronous Telegram bot at full concurrency, in order. The token comes from BOT_TOKEN."
EPILOG = (
    "Each option can also stand in the environment (RUNNER_POLL_TIMEOUT=10) or in runner_c.toml or [tool.runner_c] of "
    "pyproject.toml (poll_timeout = 10); the command line wins, then the environment. Signals: TERM and INT stop, "
    "a second one stops now, HUP restarts, USR1 prints all stacks. Exit codes: 0 ok, 1 crashed, 2 usage or import, "
    "3 unauthorized, 4 conflict, 5 stopped with handlers unfinished. Updates that were given up: see "
    "python -m runner_c dead-letters --help."
)


class UsageError(ConfigError):
    """Report a mistake in how the command was called or set up, in one line; ends the command with code 2."""


@dataclass(frozen=True)
class Settings:
    """Hold the settings of a run, and for each the source it came from (`sources`)."""

    target: str | None
    concurrency: int
    backlog: int
    store: str | None
    ack: str | None
    max_attempts: int
    allowed_updates: list[str] | None
    drop_pending: bool
    poll_timeout: int
    handler_timeout: float | None
    on_timeout: str
    grace: float
    api_root: str | None
    token_file: str | None
    playground: str | None
    webhook: str | None
    listen: str | None
    webhook_connections: int
    remove_webhook: bool
    record: str | None
    replay: str | None
    replay_speed: float
    log_level: str
    log_format: str
    log_file: str | None
    sources: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def store_url(self) -> str | None:
        """The store of the run; None: none. Without a setting it is a file named after the target, as it is for a
        bot that really runs; a playground has nothing to keep, and the other two ways to confirm need no store.
        """
        if self.store is not None:
            return None if self.store == "none" else self.store
        if self.playground or self.replay or self.ack in ("fetch", "done") or self.target is None:
            return None
        name = self.target.partition(":")[0] if not self.target.endswith(".py") else Path(self.target).stem
        return f"sqlite:{name}.runner.db"


class _Parser(argparse.ArgumentParser):
    """Turn argparse's usage block into one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def nearest(word: str, words: Iterable[str]) -> str:
    """Return `; did you mean X?` for the word most like `word`, or nothing if none is."""
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def parse(arguments: Sequence[str]) -> tuple[dict[str, str], str | None]:
    """Read the command line; return the raw values given, and the action asked for instead of a run, if any.

    Returns: raw values by option name, and `check`, `print_config`, `version` or None.
    Raises: UsageError. It never repeats a token that stands in the arguments.
    """
    _refuse_token(arguments)
    parser = _Parser(prog="python -m runner_c", description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False)
    for option in OPTIONS:
        _add(parser, option)
    doing = parser.add_mutually_exclusive_group()
    for flag, about in (
        ("--check", "import the target, check settings and token, and end"),
        ("--print-config", "print the settings in effect and where each comes from, and end"),
        ("--version", "print the version and end"),
    ):
        name = flag[2:].replace("-", "_")
        doing.add_argument(flag, dest="action", action="store_const", const=name, help=about)
    known, unknown = parser.parse_known_args(arguments)
    flags = [option.flag for option in OPTIONS if option.name != "target"] + list(ACTIONS)
    for word in unknown:
        if word.startswith("-"):
            raise UsageError(f"there is no option {word.split('=')[0]}{nearest(word.split('=')[0], flags)}")
        raise UsageError(f"there is one target, and {word} is another argument")
    given = {name: value for name, value in vars(known).items() if value is not None and name != "action"}
    _give_back_target(given)
    _check_playground(given)
    return given, known.action


def resolve(given: Mapping[str, str], environment: Mapping[str, str], folder: Path) -> Settings:
    """Put the settings together from the command line (`given`), the environment and the file in `folder`.

    Raises: UsageError that names the source of the wrong value.
    """
    file_name, table = _read_file(folder)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for option in OPTIONS:
        values[option.name], sources[option.name] = _value_of(option, given, environment, file_name, table)
    warnings = (*_mistyped_variables(environment), *_unread_options(values, sources))
    settings = Settings(**values, sources=sources, warnings=warnings)
    _check_together(settings, folder)
    return settings


def token_of(settings: Settings, environment: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the bot's token and where it comes from; None if there is none.

    The token file wins if the command line names it; else BOT_TOKEN wins over a token file named by the settings
    file. Both in the environment is a mistake.

    Raises: UsageError, if both are set in the environment or the file holds no token.
    """
    token = environment.get("BOT_TOKEN", "").strip()
    path, source = settings.token_file, settings.sources.get("token_file", "")
    if path and token and source.startswith(("RUNNER_", "BOT_")):
        raise UsageError(f"BOT_TOKEN and {source} are both set: keep one")
    if path and (source.startswith("--") or not token):
        try:
            content = Path(path).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise UsageError(f"{source}: cannot read {path}: {reason}") from None
        if not content or len(content.split()) != 1:
            raise UsageError(f"{source}: {path} must hold one token and nothing else")
        return content, path
    return (token, "BOT_TOKEN") if token else (None, "")


def _add(parser: argparse.ArgumentParser, option: Option) -> None:
    about = option.help
    if option.default not in (None, False):
        shown = f"{option.default:g}" if isinstance(option.default, float) else option.default
        about += f" (default {shown})"
    if option.more_variables:
        about += f" (in the environment also {', '.join(option.more_variables)})"
    if option.name == "target":
        parser.add_argument("target", nargs="?", metavar="TARGET", help=about)
    elif option.is_switch:
        parser.add_argument(option.flag, dest=option.name, action="store_const", const="true", help=about)
        off = option.off_flag
        parser.add_argument(
            off,
            dest=option.name,
            action="store_const",
            const="false",
            help=f"undo {option.flag} of the environment or the settings file",
        )
    elif option.name == "playground":
        parser.add_argument(
            option.flag, dest=option.name, nargs="?", const=PLAYGROUND_DEFAULT, metavar=option.metavar, help=about
        )
    else:
        parser.add_argument(option.flag, dest=option.name, metavar=option.metavar, help=about)


def _refuse_token(arguments: Sequence[str]) -> None:
    for argument in arguments:
        if argument.split("=")[0] in TOKEN_OPTIONS or TOKEN.search(argument):
            raise UsageError(
                "a token in the arguments can be read by every user of this machine: set BOT_TOKEN or use --token-file"
            )


def _give_back_target(given: dict[str, str]) -> None:
    """Read `--playground TARGET` as a bare `--playground` and a target."""
    address = given.get("playground")
    if address is not None and "target" not in given and address != PLAYGROUND_DEFAULT:
        port = address.rpartition(":")[2]
        if not port.isdigit():
            given["target"], given["playground"] = address, PLAYGROUND_DEFAULT


def _check_playground(given: dict[str, str]) -> None:
    """Read a number behind `--playground` as a port, and refuse the words for yes and no, which files may have."""
    address = given.get("playground", PLAYGROUND_DEFAULT)
    if address.isdigit():
        given["playground"] = ":" + address
    elif address != PLAYGROUND_DEFAULT and address.strip().lower() in ("true", "false", "yes", "no", "on", "off"):
        raise UsageError(f"--playground: {address!r} is not possible: it expects HOST:PORT; leave it out for none")


def _read_file(folder: Path) -> tuple[str, dict[str, object]]:
    for name in ("runner_c.toml", "pyproject.toml"):
        path = folder / name
        if not path.is_file():
            continue
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{name}: {error}") from None
        except OSError as error:
            raise UsageError(f"{name}: {error.strerror}") from None
        table: object = content
        if name == "pyproject.toml":
            tool = content.get("tool", {})
            table = tool.get("runner_c") if isinstance(tool, dict) else None
            if table is None:
                continue
            if not isinstance(table, dict):
                raise UsageError(f"{name}: tool.runner_c must be a table")
        return name, _known_keys(name, table)
    return "", {}


def _known_keys(name: str, table: object) -> dict[str, object]:
    found: dict[str, object] = {}
    known = [option.name for option in OPTIONS]
    for key, value in dict(table).items() if isinstance(table, dict) else ():
        plain = key.replace("-", "_")
        if plain == "tool" and name == "runner_c.toml":
            raise UsageError(f"{name}: [tool.runner_c] is for pyproject.toml; here settings stand without a table")
        if plain in found:
            raise UsageError(f"{name}: {plain} stands there twice, with a dash and with an underscore: keep one")
        if plain == "token":
            raise UsageError(f"{name}: the token does not belong into a settings file: set BOT_TOKEN or use token_file")
        if plain not in known:
            raise UsageError(f"{name}: there is no setting {key}{nearest(plain, known)}")
        found[plain] = value
    return found


def _value_of(
    option: Option,
    given: Mapping[str, str],
    environment: Mapping[str, str],
    file_name: str,
    table: Mapping[str, object],
) -> tuple[object, str]:
    raw: object = option.default
    source = "default"
    if option.name in given:
        raw = given[option.name]
        source = option.off_flag if option.is_switch and raw == "false" else option.flag
    elif variable := next((name for name in option.variables if environment.get(name, "") != ""), None):
        raw, source = environment[variable], variable
    elif option.name in table:
        raw, source = table[option.name], f"{file_name}: {option.name}"
    if source == "default":
        return raw, source
    try:
        return option.read(raw), source
    except ValueError as error:
        shown = re.sub(r"//[^/@]*@", "//<user>@", TOKEN.sub("<token>", str(raw)))
        raise UsageError(f"{source}: {shown!r} is not possible: it {error}") from None


def _check_together(settings: Settings, folder: Path) -> None:
    """Refuse settings of which each is possible, and both are not."""
    if settings.replay and settings.webhook:
        raise UsageError("--replay and --webhook are two ways to get updates: keep one")
    if (
        settings.replay
        and settings.record
        and (folder / settings.replay).resolve() == (folder / settings.record).resolve()
    ):
        raise UsageError(
            f"--record {settings.record} would append to the recording that is replayed: name another file"
        )


def _unread_options(values: Mapping[str, Any], sources: Mapping[str, str]) -> tuple[str, ...]:
    """Warn of options of the command line that mean nothing without another one."""
    return tuple(
        f"{sources[name]} is not read without --{needed}"
        for name, needed in NEEDED.items()
        if sources[name].startswith("--") and values[needed] is None
    )


def _mistyped_variables(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Warn of RUNNER_ variables that look like a slip; others may belong to another program (RUNNER_OS)."""
    known = [variable for option in OPTIONS for variable in option.variables]
    found = []
    for variable in environment:
        if variable.startswith("RUNNER_") and variable not in known:
            close = difflib.get_close_matches(variable, known, n=1, cutoff=0.88)
            if close:
                found.append(f"the environment variable {variable} is not read; did you mean {close[0]}?")
    return tuple(found)
