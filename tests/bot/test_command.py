"""Commands and entities, counted in UTF-16 as Telegram does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyruntime import Bot
from pyruntime.entity import find_command, utf16_slice

Make = Callable[..., dict[str, Any]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/start", ("start", "")),
        ("/start deep link", ("start", "deep link")),
        ("/start   two  spaces", ("start", "two  spaces")),
        ("/start\nnext line", ("start", "next line")),
        ("/START", None),
        ("/help", ("help", "")),
        ("/h", None),
        ("/start@TesterBot x", ("start", "x")),
        ("/start@testerbot x", ("start", "x")),
        ("/start@OtherBot x", None),
        ("start", None),
        ("please /start", None),
        ("/startle", None),
        ("", None),
        ("/", None),
        ("/start 🙂 x", ("start", "🙂 x")),
    ],
)
@pytest.mark.parametrize("has_entities", [True, False])
def test_commands_and_their_arguments(
    bot: Bot, say: Make, make: Make, text: str, expected: tuple[str, str] | None, has_entities: bool
) -> None:
    found: list[tuple[str, str]] = []
    bot.command("start", lambda ctx: found.append(("start", ctx.match)))
    bot.command(["help", "h2"], lambda ctx: found.append(("help", ctx.match)))
    is_command = len(text) > 1 and text.startswith("/")
    bot.handle_update(say(text) if has_entities and is_command else make("message", text=text))
    assert found == ([] if expected is None else [expected])


def test_entities_say_what_is_a_command(bot: Bot, make: Make) -> None:
    found: list[str] = []
    bot.command("start", lambda ctx: found.append(ctx.match))
    command = {"type": "bot_command", "offset": 0, "length": 6}
    bot.handle_update(make("message", text="/start x", entities=[]))
    bot.handle_update(make("message", text="/start x", entities=[{**command, "type": "code"}]))
    bot.handle_update(make("message", text="x /start", entities=[{**command, "offset": 2}]))
    bot.handle_update(make("message", caption="/start x", caption_entities=[command]))
    assert found == []
    bot.handle_update(make("message", text="/start-x", entities=[{**command, "type": "bold"}, command]))
    bot.handle_update(make("channel_post", text="/start y", entities=[command], user=None))
    bot.handle_update(make("edited_message", text="/start z", entities=[command]))
    assert found == ["-x", "y"]


def test_the_name_of_the_bot_is_asked_for_once_and_late(api: Any, make: Make) -> None:
    bot = Bot("1:T")
    bot.api = api
    found: list[str] = []
    bot.command("start", lambda ctx: found.append(ctx.match))
    bot.handle_update(make("message", text="/start x"))
    assert api.calls == []
    for text in ("/start@TesterBot y", "/start@TesterBot z", "/start@Stranger q"):
        bot.handle_update(make("message", text=text))
    assert found == ["x", "y", "z"]
    assert api.calls == [("getMe", {})]


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("🙂🇩🇪👩‍🚀é\u0301"), max_size=20)


@given(texts, texts, texts)
def test_entities_cover_what_telegram_means(before: str, covered: str, after: str) -> None:
    assert utf16_slice(before + covered + after, units(before), units(covered)) == covered


@given(texts, st.integers(0, 50), st.integers(0, 50))
def test_entities_that_cut_characters_never_fail(text: str, offset: int, length: int) -> None:
    covered = utf16_slice(text, offset, length)
    assert covered in text
    if offset + length <= units(text):
        assert units(covered) >= length


@given(st.from_regex(r"[A-Za-z0-9_]{1,32}", fullmatch=True), st.none() | st.sampled_from(["Bot", "x_bot"]), texts)
def test_a_command_is_found_whatever_follows_it(name: str, username: str | None, rest: str) -> None:
    written = f"/{name}" if username is None else f"/{name}@{username}"
    entity = {"type": "bot_command", "offset": 0, "length": units(written)}
    found = find_command({"text": f"{written} {rest}", "entities": [entity]})
    assert found == (name, username, rest.lstrip())
    assert find_command({"text": f"{written} {rest}"}) == found
