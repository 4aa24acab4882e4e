"""The kinds of updates that a bot asks for, derived from its handlers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pyruntime import Bot, Composer, session
from pyruntime.kind import DEFAULT_KINDS
from runner_c import by_chat, sequentialize


def handler(ctx: Any) -> None: ...


def middleware(ctx: Any, next: Any) -> None: ...


def predicate(ctx: Any) -> bool:
    return True


CASES: list[tuple[Callable[[Bot], Any], list[str]]] = [
    (lambda bot: None, []),
    (lambda bot: bot.use(middleware), []),
    (lambda bot: (bot.use(session(dict)), bot.use(sequentialize(by_chat))), []),
    (lambda bot: bot.on("message", handler), ["message"]),
    (lambda bot: bot.on("message", middleware), ["message"]),
    (lambda bot: bot.on("message").use(middleware), ["message"]),
    (lambda bot: bot.on("message").use(session(dict)), []),
    (lambda bot: bot.on("message"), []),
    (lambda bot: bot.on("callback_query:data", handler), ["callback_query"]),
    (lambda bot: bot.on(["poll", "edit"], handler), ["edited_message", "edited_channel_post", "poll"]),
    (lambda bot: bot.command("a", handler), ["message", "channel_post"]),
    (lambda bot: bot.hears("a", handler), ["message", "channel_post"]),
    (lambda bot: bot.callback_query("a", handler), ["callback_query"]),
    (lambda bot: bot.inline_query("a", handler), ["inline_query"]),
    (lambda bot: (bot.use(session(dict)), bot.use(middleware), bot.on("poll", handler)), ["poll"]),
    (lambda bot: bot.on("message").filter(predicate, handler), ["message"]),
    (lambda bot: bot.on("message").on("poll", handler), []),
    (lambda bot: bot.on("message").command("a", handler), ["message"]),
    (lambda bot: bot.filter(predicate).on("poll", handler), ["poll"]),
    (lambda bot: bot.filter(predicate).use(middleware), []),
    (lambda bot: bot.chat_type("private").command("a", handler), ["message", "channel_post"]),
    (lambda bot: bot.use(Composer(middleware)).use(Composer()).on("poll", handler), ["poll"]),
    (lambda bot: bot.branch(predicate).true.on("poll", handler), ["poll"]),
    (lambda bot: bot.route(predicate).case(1).on("poll", handler), ["poll"]),
    (lambda bot: bot.error_boundary(handler).on("poll", handler), ["poll"]),
    (lambda bot: bot.use(handler), []),
    (lambda bot: (bot.on("poll", handler), bot.use(handler)), []),
    (lambda bot: bot.filter(predicate, handler), []),
    (lambda bot: bot.branch(predicate, middleware, handler), []),
    (lambda bot: bot.route(predicate, {1: handler}), []),
    (lambda bot: bot.route(predicate, fallback=handler), []),
    (lambda bot: bot.error_boundary(handler, handler), []),
    (lambda bot: bot.on("chat_member", handler), ["chat_member"]),
]


@pytest.mark.parametrize(("register", "expected"), CASES)
def test_the_kinds_come_from_the_handlers(bot: Bot, register: Callable[[Bot], Any], expected: list[str]) -> None:
    register(bot)
    assert bot.allowed_updates() == expected


def test_a_handler_of_everything_and_a_kind_on_request_give_the_default_set_and_that_kind(bot: Bot) -> None:
    bot.use(handler)
    bot.on("chat_member", handler)
    allowed = bot.allowed_updates()
    assert set(allowed) == {*DEFAULT_KINDS, "chat_member"}
    assert len(allowed) == len(set(allowed))
