"""Look after the dead letters of a store: `python -m runner_c dead-letters {list,show,retry,drop}`.

A dead letter is an update that was given up: its handler failed as often as it may, or it killed the process again and
again. The store may be in use by a runner meanwhile. Nothing is polled or run here, and no bot is imported.

Letters hold what users wrote and what errors said. On the way to the terminal tokens are taken out of it, and whatever
is no printable character is written as an escape such as `\\u001b`, so that no text can play with the terminal.
"""

import argparse
import json
import os
import re
import shlex
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, TextIO

from runner_c.command import exit_code
from runner_c.command.logs import Scrubber
from runner_c.command.settings import UsageError, resolve
from runner_c.errors import ConfigError, StoreDamaged, StoreError
from runner_c.store.base import DeadLetter, DeadLetters
from runner_c.store.url import check_url, open_dead_letters

__all__ = ["run"]

PROGRAM = "python -m runner_c dead-letters"
DESCRIPTION = (
    "Look after dead letters: updates that were given up, because their handler failed as often as --max-attempts "
    "allows or because they killed the process again and again. The runner of the store may run meanwhile."
)
EPILOG = (
    "Without --store the store is that of RUNNER_STORE or of the settings file in this folder. What looks like a bot "
    "token is shown as <token>. Exit codes: 0 ok, 2 a mistake in the call, a number that does not exist, or a store "
    "that cannot be used."
)
NAME_IT = (
    "name it with --store sqlite:PATH, RUNNER_STORE or `store` in runner_c.toml; it is the file that the runner names "
    "when it starts, by default <target>.runner.db"
)

NEXT = "taken up within a second if a runner has this store, else at its next start"

LINE_WIDTH = 160
"""Columns of a line of the list, about."""

KIND_WIDTH, KEYS_WIDTH, ERROR_WIDTH = 18, 24, 24
"""Columns of parts of it; the error has at least so many."""

BATCH = 500
"""Letters that are read, and with --all changed, in one step: few enough that a runner hardly has to wait."""

HIGHEST = 2**63 - 1


def run(arguments: Sequence[str], scrubber: Scrubber) -> int:
    """Do what the words after `dead-letters` ask for, and return the exit code.

    Args: scrubber, which takes tokens out of all that is printed.
    *Blocks* for a moment, and as long as a question is not answered.
    """
    screen = _Screen(scrubber)
    code = exit_code.OK
    try:
        try:
            _act(arguments, screen)
        except (ConfigError, StoreError) as error:
            code = exit_code.of_store(error) if isinstance(error, StoreError) else exit_code.USAGE
            screen.tell(f"runner_c: {error}")
        except (ValueError, RecursionError) as error:  # what a letter holds is no JSON
            code = exit_code.USAGE
            screen.tell(f"runner_c: a letter of this store is damaged and cannot be read: {error}")
        if sys.stdout:
            sys.stdout.flush()
    except BrokenPipeError:
        _let_go(sys.stdout, sys.stderr)
    except OSError as error:
        _let_go(sys.stdout)
        screen.tell(f"runner_c: the output cannot be written: {error.strerror}")
        code = exit_code.CRASHED
    return code


class _Screen:
    """Print what can be shown to anybody on any terminal. Thread-safety: the main thread only."""

    def __init__(self, scrubber: Scrubber) -> None:
        self._scrubber = scrubber

    def say(self, text: str) -> None:
        """Print a line of the answer, without tokens and control characters."""
        self._print(self.clean(text), sys.stdout)

    def say_json(self, value: Any, indent: str | None = None) -> None:
        """Print JSON: in one line of ASCII, or for people, with `indent` before each line.

        Tokens are taken out of the texts in it, not of the lines: those hold digits of escapes too.
        """
        if indent is None:
            self._print(json.dumps(self.scrub(value)), sys.stdout)
            return
        for line in json.dumps(self.scrub(value), ensure_ascii=False, indent=2).split("\n"):
            self._print(indent + _escaped(line), sys.stdout)

    def tell(self, text: str, end: str = "\n") -> None:
        """Print a line beside the answer."""
        self._print(self.clean(text), sys.stderr, end)

    def clean(self, text: str) -> str:
        """Return text without tokens, and with an escape for each character that is not printable."""
        return _escaped(self._scrubber.clean(text))

    def scrub(self, value: Any) -> Any:
        """Return a value of JSON with the tokens taken out of its texts."""
        if isinstance(value, str):
            return self._scrubber.clean(value)
        if isinstance(value, dict):
            return {self.scrub(name): self.scrub(item) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.scrub(item) for item in value]
        return value

    def _print(self, text: str, stream: TextIO | None, end: str = "\n") -> None:
        encoding = getattr(stream, "encoding", None) or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding), end=end, file=stream, flush=end != "\n")


class _Parser(argparse.ArgumentParser):
    """Turn argparse's usage block into one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=PROGRAM, description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False)
    parser.add_argument("--store", metavar="URL", help="the store, sqlite:PATH")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions")

    def add(name: str, about: str, more: str) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=about, description=more, epilog=EPILOG, allow_abbrev=False)
        action.add_argument("--store", metavar="URL", default=argparse.SUPPRESS, help="the store, sqlite:PATH")
        return action

    action = add(
        "list",
        "print a line for each letter",
        "Print a line for each letter, the oldest first: number, update id, kind of the update, its keys, attempts, "
        "when it was given up, the last line of the error. The line on stderr says how many there are, and how to see "
        "the next page.",
    )
    action.add_argument("--after", type=_number(0), default=0, metavar="N", help="only letters with a number above N")
    action.add_argument("--limit", type=_number(1), default=100, metavar="N", help="at most N letters (default 100)")
    _add_json(action, "print each letter as one JSON object on one line, with update and traceback")
    action = add("show", "print all of one letter", "Print all of one letter: error, traceback and update.")
    action.add_argument("number", type=_number(1), metavar="NUMBER", help="the number of the letter in the list")
    _add_json(action, "print it as one JSON object on one line")
    action = add(
        "retry",
        "have letters tried again",
        "Have letters tried again. A runner that has the store takes them up within a second, else they wait for its "
        "next start. The update comes back as if it had just arrived, behind what waits for the same keys, with all "
        "its attempts. If a number does not exist, nothing is changed.",
    )
    _add_numbers(action, "have all letters tried again")
    about = "Forget letters: they and their updates are gone for good. If a number does not exist, nothing is changed."
    action = add("drop", "forget letters", about)
    _add_numbers(action, "forget all letters; asks first, and without a terminal needs --yes")
    action.add_argument("--yes", action="store_true", help="with --all: do not ask")
    return parser


def _add_json(action: argparse.ArgumentParser, about: str) -> None:
    action.add_argument("--json", action="store_true", dest="as_json", help=about)


def _add_numbers(action: argparse.ArgumentParser, about: str) -> None:
    action.add_argument("numbers", nargs="*", type=_number(1), metavar="NUMBER", help="numbers of letters in the list")
    action.add_argument("--all", action="store_true", dest="is_all", help=about)


def _number(lowest: int) -> Callable[[str], int]:
    """Return a reader of whole numbers that a store can hold."""

    def read(text: str) -> int:
        if re.fullmatch(r"[0-9]{1,19}", text) and lowest <= int(text) <= HIGHEST:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {lowest} on")

    return read


def _act(arguments: Sequence[str], screen: _Screen) -> None:
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.action is None:
        parser.print_usage(sys.stderr)
        raise UsageError("say what to do: list, show, retry or drop (see --help)")
    if asked.action in ("retry", "drop"):
        _check_numbers(asked)
    url = asked.store if asked.store is not None else _url_of_settings(screen)
    with _opened(url) as letters:
        if asked.action == "list":
            _list(letters, asked, screen)
        elif asked.action == "show":
            _show(letters, asked, screen)
        else:
            _change(letters, asked, url, screen)


def _check_numbers(asked: argparse.Namespace) -> None:
    if asked.is_all and asked.numbers:
        raise UsageError(f"{asked.action}: give numbers or --all, not both")
    if not asked.is_all and not asked.numbers:
        raise UsageError(f"{asked.action}: say which: the numbers of letters, or --all")
    if asked.action == "drop" and asked.is_all and not asked.yes and not (sys.stdin and sys.stdin.isatty()):
        raise UsageError("drop --all forgets all dead letters for good, and there is no terminal to ask: add --yes")


def _url_of_settings(screen: _Screen) -> str:
    """Return the store that a runner started here would use. Raises: UsageError, if that is not known."""
    settings = resolve({}, os.environ, Path())
    for warning in settings.warnings:
        screen.tell(f"runner_c: {warning}")
    if settings.store_url is not None:
        return settings.store_url
    if settings.store is not None:
        raise UsageError(f"{settings.sources['store']} says that there is no store; {NAME_IT}")
    raise UsageError(f"say which store; {NAME_IT}")


@contextmanager
def _opened(url: str) -> Iterator[DeadLetters]:
    """Open the dead letters of a store, and close them in the end."""
    path = Path(check_url(url).partition(":")[2])
    try:
        if url != "memory:" and path.is_file() and path.stat().st_size == 0:
            # SQLite would begin a file of its own in it.
            raise StoreDamaged(f"the file {path} is empty: it holds no store")
        letters = open_dead_letters(url)
    except OSError as error:
        raise StoreError(f"the store {path} cannot be read: {error.strerror}") from None
    try:
        yield letters
    finally:
        if hasattr(letters, "close"):
            letters.close()


def _pages(letters: DeadLetters, after: int, limit: int) -> Iterator[list[DeadLetter]]:
    """Yield up to `limit` letters above `after`, a batch at a time."""
    while limit > 0 and (page := letters.list(after=after, limit=min(limit, BATCH))):
        yield page
        after, limit = page[-1].number, limit - len(page)


def _list(letters: DeadLetters, asked: argparse.Namespace, screen: _Screen) -> None:
    last, shown = asked.after, 0
    for page in _pages(letters, asked.after, asked.limit):
        for letter in page:
            if asked.as_json:
                screen.say_json(letter._asdict())
            else:
                screen.say(_line(letter, screen))
        last, shown = page[-1].number, shown + len(page)
    if sys.stdout:
        sys.stdout.flush()
    total = letters.count()
    if shown == total:
        screen.tell(_counted(total))
    elif not letters.list(after=last, limit=1):
        screen.tell(f"{shown or 'none'} after number {asked.after}; {_counted(total)} in all")
    else:
        words = ["list", "--after", str(last), "--limit", str(asked.limit)]
        words += ["--json"] if asked.as_json else []
        words += ["--store", asked.store] if asked.store is not None else []
        screen.tell(f"{shown} of {_counted(total)}; the next page: {PROGRAM} {shlex.join(words)}")


def _line(letter: DeadLetter, screen: _Screen) -> str:
    """Return a letter as one line of the list."""
    mark = "  [retry asked for]" if letter.is_retried else ""
    parts = [
        f"{letter.number:>6}  update {letter.update_id:<11}",
        _clipped(screen.clean(_kind(letter)), KIND_WIDTH),
        _clipped(screen.clean(", ".join(letter.keys) or "-"), KEYS_WIDTH),
        f"{letter.attempts} attempt{'s' if letter.attempts != 1 else ' '}",
        _time(letter).strftime("%Y-%m-%d %H:%M:%S") + mark,
    ]
    head = "  ".join(parts) + "  "
    said = [line for line in letter.error.split("\n") if line.strip()]
    room = max(LINE_WIDTH - _width(head), ERROR_WIDTH)
    return (head + _clipped(screen.clean(said[-1].strip() if said else ""), room)).rstrip()


def _show(letters: DeadLetters, asked: argparse.Namespace, screen: _Screen) -> None:
    letter = letters.show(asked.number)
    if letter is None:
        raise UsageError(f"there is no dead letter {asked.number} (see {PROGRAM} list)")
    if asked.as_json:
        screen.say_json(letter._asdict())
        return
    screen.say(f"dead letter {letter.number}")
    screen.say(f"  update    {letter.update_id}, {_kind(letter)}")
    screen.say(f"  keys      {', '.join(letter.keys) or '-'}")
    screen.say(f"  attempts  {letter.attempts}")
    screen.say(f"  died      {_time(letter).isoformat(timespec='seconds')}")
    screen.say(f"  retry     {f'asked for: {NEXT}' if letter.is_retried else 'not asked for'}")
    # Each line of foreign text is indented, so that none can pass for one of ours.
    screen.say("error")
    for line in letter.error.split("\n"):
        screen.say(f"  {line.expandtabs()}")
    screen.say("update")
    screen.say_json(letter.update, indent="  ")


def _change(letters: DeadLetters, asked: argparse.Namespace, url: str, screen: _Screen) -> None:
    """Retry or drop the letters asked for. Numbers are changed in one step: all of them or none."""
    numbers = _numbers(letters, asked)
    if not numbers:
        screen.say("no dead letters")
        return
    is_retry = asked.action == "retry"
    if not is_retry and asked.is_all and not asked.yes and not _is_agreed(len(numbers), url, screen):
        return
    change = letters.retry if is_retry else letters.drop
    step = BATCH if asked.is_all else len(numbers)
    count = sum(change(numbers[place : place + step]) for place in range(0, len(numbers), step))
    screen.say(f"{_counted(count)} to be tried again: {NEXT}" if is_retry else f"{_counted(count)} dropped for good")


def _numbers(letters: DeadLetters, asked: argparse.Namespace) -> list[int]:
    """Return the numbers of the letters asked for, each once.

    All are those that are there now; a letter that comes back because its retry failed at once is none of them.

    Raises: UsageError, if a number does not exist.
    """
    if asked.is_all:
        return [letter.number for page in _pages(letters, 0, letters.count()) for letter in page]
    numbers = list(dict.fromkeys(asked.numbers))
    missing = [str(number) for number in numbers if letters.show(number) is None]
    if missing:
        raise UsageError(f"there is no dead letter {', '.join(missing)}; nothing was changed (see {PROGRAM} list)")
    return numbers


def _is_agreed(count: int, url: str, screen: _Screen) -> bool:
    """Ask on the terminal whether so many letters may be forgotten."""
    screen.tell(f"forget {_counted(count)} of {url} for good? [y/N] ", end="")
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    screen.tell("nothing was changed")
    return False


def _kind(letter: DeadLetter) -> str:
    return next((name for name in letter.update if name != "update_id"), "empty")


def _time(letter: DeadLetter) -> datetime:
    """Return when a letter died, in local time."""
    return datetime.fromtimestamp(letter.died_at).astimezone()


def _counted(count: int) -> str:
    return f"{count or 'no'} dead letter{'s' if count != 1 else ''}"


def _escaped(text: str) -> str:
    """Return text with an escape, as JSON has it, for each character that is not printable."""
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def _width(text: str) -> int:
    """Return the columns that a text takes on a terminal."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def _clipped(text: str, width: int) -> str:
    """Return text in exactly so many columns: cut off with dots, or filled up with blanks."""
    if _width(text) > width:
        while _width(text) > width - 3:
            text = text[: min(len(text) - 1, width - 3)]
        text += "..."
    return text + " " * (width - _width(text))


def _let_go(*streams: TextIO | None) -> None:
    """Send what is left in streams nowhere, so that the end of the process does not complain about them."""
    with open(os.devnull, "w") as nowhere:
        for stream in streams:
            if stream is not None:
                os.dup2(nowhere.fileno(), stream.fileno())
