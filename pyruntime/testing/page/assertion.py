"""Write what a saved test asserts of a message of the bot."""

from collections.abc import Callable, Iterator
from typing import Final

from pyruntime.testing.message import Message
from pyruntime.testing.page.literal import literal, long_literal, quoted

FILE_KINDS: Final = ("photo", "document", "video", "audio", "voice", "animation", "video_note", "sticker")


def checks_of(message: Message) -> list[tuple[str, str]]:
    """Return what is asserted of a message of the bot: an expression on it, and what it equals ("" if it is true)."""
    checks: list[tuple[str, str]] = []
    for name in ("text", "caption", "contact", "location"):
        if name in message:
            checks.append(
                (name, long_literal(message[name]) if isinstance(message[name], str) else literal(message[name]))
            )
    for name in ("venue", "game", "invoice"):
        if name in message:
            checks.append((f'{name}["title"]', quoted(message[name]["title"])))
    if "poll" in message:
        checks.append(('poll["question"]', quoted(message["poll"]["question"])))
    if "dice" in message:
        checks.append(('dice["emoji"]', quoted(message["dice"]["emoji"])))
    for kind in FILE_KINDS:
        if kind in message:
            is_named = isinstance(message[kind], dict) and "file_name" in message[kind]
            value = quoted(message[kind]["file_name"]) if is_named else ""
            checks.append((f'{kind}["file_name"]' if is_named else kind, value))
    if message.buttons:
        checks.append(("buttons", literal([button["text"] for button in message.buttons])))
    if message.reply_keyboard is not None:
        checks.append(("reply_keyboard", literal(message.reply_keyboard)))
    return checks


def assert_lines(source: str, checks: list[tuple[str, str]], make_name: Callable[[], str]) -> Iterator[str]:
    """Yield the assertions on what `source` returns; it is evaluated once, under a name if it is needed twice."""
    is_call = source.endswith(")")
    if not checks:
        if is_call:
            yield source
        return
    if is_call and len(checks) > 1:
        name = make_name()
        yield f"{name} = {source}"
        source = name
    for expression, value in checks:
        if expression == "buttons":
            yield f'assert [button["text"] for button in {source}.buttons] == {value}'
        elif value:
            yield f"assert {source}.{expression} == {value}"
        else:
            yield f"assert {source}.{expression}"
