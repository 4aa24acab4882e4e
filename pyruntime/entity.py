"""Message entities: where Telegram counts in UTF-16 code units and Python in characters."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

__all__ = ["Command", "find_command", "utf16_slice"]

_COMMAND: Final = re.compile(r"/([A-Za-z0-9_]{1,64})(?:@([A-Za-z0-9_]{1,64}))?(?![A-Za-z0-9_@])")


class Command(NamedTuple):
    """A bot command at the start of a message.

    Attributes:
        name: without the slash, as written.
        username: the bot it names after an ``@``, else None.
        arguments: the text after it, without leading white space; "" if there is none.
    """

    name: str
    username: str | None
    arguments: str


def utf16_slice(text: str, offset: int, length: int) -> str:
    """Return the part of `text` that an entity covers; `offset` and `length` count UTF-16 code units.

    An offset or length that cuts a character in half takes the whole character; one past the end takes what is there.

    >>> utf16_slice("🙂 /go", 3, 3)
    '/go'
    """
    start = _character_index(text, offset)
    return text[start : _character_index(text, offset + length, up=True)]


def find_command(message: dict[str, Any]) -> Command | None:
    """Return the command a message begins with, or None.

    A message with entities begins with a command if Telegram says so; one without any (a test's, another client's) if
    its text looks so.
    """
    if "text" not in message:
        return None
    text = message["text"]
    if not isinstance(text, str) or not text.startswith("/"):
        return None
    if "entities" not in message:
        found = _COMMAND.match(text)
        return None if found is None else _command(found.group(), text)
    for entity in message["entities"]:
        if entity["type"] == "bot_command" and entity["offset"] == 0:
            return _command(utf16_slice(text, 0, entity["length"]), text)
    return None


def _command(written: str, text: str) -> Command:
    name, at, username = written[1:].partition("@")
    return Command(name, username if at else None, text[len(written) :].lstrip())


def _character_index(text: str, units: int, *, up: bool = False) -> int:
    """Return the index of the character at which `units` UTF-16 code units have gone by."""
    if text.isascii():
        return units
    passed = 0
    for index, character in enumerate(text):
        if passed >= units:
            return index
        width = 2 if character > "\uffff" else 1
        if passed + width > units and not up:
            return index
        passed += width
    return len(text)
