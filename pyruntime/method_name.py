"""Names of Bot API methods: ``send_message`` in Python, ``sendMessage`` on the wire.

This is the place where names are checked. The generated table of methods, when it is there, is looked up in
``method_name`` (a name that is not in it is an AttributeError that tells the nearest one); nothing else has to know it.
"""

from __future__ import annotations

import re

__all__ = ["method_name", "snake_case"]

# Every method has two words at least; but for "close", whose name ApiClient needs for itself.
_SNAKE_CASE = re.compile(r"[a-z]+(_[a-z0-9]+)+")


def method_name(name: str) -> str:
    """Return the Bot API's spelling of a snake_case method name.

    Raises:
        AttributeError: it cannot be the name of a method.

    >>> method_name("answer_callback_query")
    'answerCallbackQuery'
    """
    if not _SNAKE_CASE.fullmatch(name):
        snake = snake_case(name)
        hint = f"; did you mean {snake}?" if snake != name and _SNAKE_CASE.fullmatch(snake) else ""
        raise AttributeError(f"{name!r} is not the snake_case name of a Bot API method{hint}")
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def snake_case(name: str) -> str:
    """Return a method's name as Python spells it.

    >>> snake_case("sendMessage")
    'send_message'
    """
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: "_" + match[1].lower(), name)
