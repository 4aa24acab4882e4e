"""What commands, `hears`, callback data and inline queries are matched against."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from runner_c import ConfigError

if TYPE_CHECKING:
    from pyruntime.context import Context

__all__ = ["Trigger", "command_names", "command_test", "exact_texts", "parse_triggers", "text_test"]

Trigger = str | re.Pattern[str]

_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")


def command_names(names: str | Iterable[str]) -> frozenset[str]:
    """Return the names of commands as a set.

    Raises:
        ConfigError: a name has a slash or anything else that Telegram takes for no command.
    """
    found: set[str] = set()
    for name in _listed(names, "command", "the name of a command, for example command('start')"):
        if not isinstance(name, str):
            raise ConfigError(f"command() takes names without a slash, for example command('start'), not {name!r}")
        if name.startswith("/"):
            raise ConfigError(f"command({name!r}): leave the slash out, command({name[1:]!r})")
        if not _NAME.fullmatch(name):
            raise ConfigError(f"command({name!r}): a command is 1 to 64 of the letters a-z, A-Z, digits and _")
        found.add(name)
    return frozenset(found)


def command_test(names: frozenset[str]) -> Callable[[Context], bool]:
    """Return the test for a command in `names`; it puts the arguments into ``ctx.match``."""

    def test(ctx: Context) -> bool:
        command = ctx._command
        if command is None or command.name not in names:
            return False
        ctx.match = command.arguments
        return True

    return test


def parse_triggers(triggers: Trigger | Iterable[Trigger], where: str) -> tuple[Trigger, ...]:
    """Return texts and compiled regular expressions as a tuple.

    Raises:
        ConfigError: nothing was given, or something else.
    """
    example = f"a text or re.compile(...), for example {where}('yes')"
    found = tuple(_listed(triggers, where, example))
    for trigger in found:
        if isinstance(trigger, re.Pattern):
            if isinstance(trigger.pattern, bytes):
                raise ConfigError(f"{where}(): the expression {trigger.pattern!r} matches bytes; texts are str")
        elif not isinstance(trigger, str):
            raise ConfigError(f"{where}() takes {example}, not {trigger!r}")
    return found


def exact_texts(triggers: tuple[Trigger, ...]) -> frozenset[str] | None:
    """Return the triggers as a set if all of them are plain texts, else None."""
    texts = frozenset(trigger for trigger in triggers if isinstance(trigger, str))
    return texts if all(isinstance(trigger, str) for trigger in triggers) else None


def text_test(triggers: tuple[Trigger, ...]) -> Callable[[Context], bool]:
    """Return the test for the text, data or query of an update; it puts the match into ``ctx.match``.

    A plain text must be equal and is the match itself; an expression may match anywhere (``search``) and leaves its
    `re.Match`. The first trigger that matches counts.
    """
    texts = exact_texts(triggers)
    if texts is not None:

        def is_one(ctx: Context) -> bool:
            said = ctx._trigger
            if said is None or said not in texts:
                return False
            ctx.match = said
            return True

        return is_one

    def test(ctx: Context) -> bool:
        said = ctx._trigger
        if said is None:
            return False
        for trigger in triggers:
            if isinstance(trigger, str):
                if trigger == said:
                    ctx.match = said
                    return True
            else:
                match = trigger.search(said)
                if match is not None:
                    ctx.match = match
                    return True
        return False

    return test


def _listed(given: object, where: str, example: str) -> Iterable[Any]:
    if isinstance(given, (str, re.Pattern)):
        return (given,)
    if callable(given) or not isinstance(given, Iterable):
        raise ConfigError(f"{where}() takes {example}, not {given!r}")
    listed = tuple(given)
    if not listed:
        raise ConfigError(f"{where}() takes {example}; the list is empty")
    return listed
