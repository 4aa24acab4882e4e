"""Updates to feed a bot with, and an API client that records what the bot says."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyruntime import Bot
from pyruntime.testing import FakeBotApi

ME = {"id": 77, "is_bot": True, "first_name": "Tester", "username": "TesterBot"}

_numbers = itertools.count(1)


class RecordingApi:
    """Stand in for an ApiClient: keep every call, answer with what was asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        def call(**parameters: Any) -> Any:
            self.calls.append((name, parameters))
            return {"method": name, **parameters}

        return call

    def call_once(self, method: str, /, **parameters: Any) -> Any:
        self.calls.append((method, parameters))
        return dict(ME)


@pytest.fixture
def api() -> RecordingApi:
    return RecordingApi()


@pytest.fixture
def bot(api: RecordingApi) -> Bot:
    bot = Bot("123456:TEST", me=ME)
    bot.api = api
    return bot


@pytest.fixture
def make() -> Callable[..., dict[str, Any]]:
    """Make an update of any kind: ``make("message", text="hi", chat=5, user=7)``."""

    def make(kind: str = "message", *, chat: int | None = 1, user: int | None = 7, **fields: Any) -> dict[str, Any]:
        payload: dict[str, Any] = {}
        if chat is not None:
            payload["chat"] = {"id": chat, "type": "private" if chat > 0 else "supergroup"}
            payload["message_id"] = next(_numbers)
        if user is not None:
            payload["from"] = {"id": user, "is_bot": False, "first_name": "U"}
        return {"update_id": next(_numbers), kind: {**payload, **fields}}

    return make


@pytest.fixture
def say(make: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Make a message with a text; a command gets its entity, as Telegram gives it."""

    def say(text: str, **fields: Any) -> dict[str, Any]:
        if text.startswith("/") and "entities" not in fields:
            length = len(text.split()[0].encode("utf-16-le")) // 2
            fields["entities"] = [{"type": "bot_command", "offset": 0, "length": length}]
        return make("message", text=text, **fields)

    return say


@pytest.fixture
def press(make: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Make a press of an inline button under a message of the bot."""

    def press(data: str, *, chat: int = 1, user: int = 7, **fields: Any) -> dict[str, Any]:
        message = make("message", chat=chat, user=ME["id"], text="choose")["message"]
        return make("callback_query", chat=None, user=user, id="q1", data=data, message=message, **fields)

    return press


@pytest.fixture
def server() -> Iterator[FakeBotApi]:
    with FakeBotApi(knows_any_chat=True) as server:
        yield server


@pytest.fixture
def live(server: FakeBotApi) -> Iterator[Bot]:
    """A bot that talks to the fake server."""
    bot = Bot(server.token, server.url)
    yield bot
    bot.close()
