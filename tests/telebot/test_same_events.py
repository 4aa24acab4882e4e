"""The same script, run by telebot itself and by us: the same calls in each chat, in the same order."""

from collections.abc import Callable
from typing import Any

import pytest

from pyruntime.testing import FakeBotApi
from pyruntime.testing.message import Message
from runner_c.command import exit_code

Start = Callable[..., Any]
Talk = Callable[[FakeBotApi], None]


def say(api: FakeBotApi, chat_id: int, text: str, answers: int = 1, **fields: Any) -> list[Message]:
    """Send a text and wait for the answers to it."""
    chat = api.chat(chat_id)
    chat.send(text, **fields)
    return [chat.reply(timeout_s=20) for _ in range(answers)]


def wait_for_action(api: FakeBotApi, chat_id: int, action: str) -> None:
    """Wait until the bot has shown an action in a chat."""
    api.wait_for(lambda call: call.chat_id == chat_id and call.parameters.get("action") == action, timeout_s=20)


def talk_with_classy(api: FakeBotApi) -> None:
    """Go through everything that classy.py can do."""
    for chat_id in (1, 2):
        say(api, chat_id, "hello")
        say(api, chat_id, "/order")
        say(api, chat_id, "tea")
        api.chat(chat_id).send("ignore me")
        say(api, chat_id, "12")
        say(api, chat_id, "hello fail!", 3)
        say(api, chat_id, "no handler")
        say(api, chat_id, "/order")
        say(api, chat_id, "/cancel")
        say(api, chat_id, "buttons please")
        assert api.chat(chat_id).press("one").answer(timeout_s=20)
        api.wait_for(lambda call, of=chat_id: call.method == "editMessageText" and call.chat_id == of, timeout_s=20)
        message = api.chat(chat_id).send("nobody answers this")
        api.chat(chat_id).edit(message, "changed")
        assert [api.chat(chat_id).reply(timeout_s=20)["text"] for _ in range(2)] == ["edited: changed", "post: edited"]
        photo = [{"file_id": "a", "file_unique_id": "b", "width": 1, "height": 1}]
        api.chat(chat_id).send(None, photo=photo)
        assert api.chat(chat_id).reply(timeout_s=20)["text"] == "1 sizes"


def talk_with_typed(api: FakeBotApi) -> None:
    """Go through everything that typed.py can do, but for what breaks telebot's own polling."""
    for chat_id in (1, -5):
        say(api, chat_id, "be quiet", user=chat_id * 100 if chat_id > 0 else 7)
        say(api, chat_id, "/name")
        say(api, chat_id, "Ada")
        say(api, chat_id, "many")
        say(api, chat_id, "36")
        (asked,) = say(api, chat_id, "/ask")
        wait_for_action(api, chat_id, "find_location")
        say(api, chat_id, "because", 2, reply_to=asked)
        say(api, chat_id, "once more", reply_to=asked)
        say(api, chat_id, "/handled")
        say(api, chat_id, "listener", 1)
        wait_for_action(api, chat_id, "typing")


def events(api: FakeBotApi) -> dict[Any, list[str]]:
    """Return the calls that were made for each chat, as text."""
    found: dict[Any, list[str]] = {}
    for call in api.calls:
        if call.method in ("getMe", "deleteWebhook"):
            continue
        parameters = {name: str(value) for name, value in sorted(call.parameters.items()) if name != "timeout"}
        parameters.pop("callback_query_id", None)
        found.setdefault(call.chat_id, []).append(f"{call.method} {parameters}")
    return found


def record(start: Start, name: str, how: str, talk: Talk) -> dict[Any, list[str]]:
    """Run a script, talk with it, and return what it did."""
    with FakeBotApi(token="123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc", seed=1) as api:
        program = start(name, how, server=api)
        api.wait_until_polled(timeout_s=20)
        talk(api)
        if how == "us":
            assert program.stop() == exit_code.OK
        else:
            program.process.kill()
            program.wait()
        return events(api)


@pytest.mark.parametrize(("name", "talk"), [("classy.py", talk_with_classy), ("typed.py", talk_with_typed)])
def test_a_script_makes_the_same_calls_under_telebot_and_under_us(start: Start, name: str, talk: Talk) -> None:
    ours = record(start, name, "us", talk)
    theirs = record(start, name, "telebot", talk)
    assert ours.keys() == theirs.keys()
    for chat_id, calls in theirs.items():
        assert ours[chat_id] == calls
        assert len(calls) > 8 or chat_id is None
