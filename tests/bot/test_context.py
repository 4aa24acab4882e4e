"""What a context says of its update, and the calls that answer it."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import ujson

from pyruntime import Bot, Context, ContextError, SessionError
from pyruntime.kind import KINDS

Make = Callable[..., dict[str, Any]]


def test_a_message_answers_by_attributes(bot: Bot, say: Make) -> None:
    update = say("hello", chat=5, user=7)
    ctx = Context(update, bot)
    assert ctx.update is update
    assert ctx.update_id == update["update_id"]
    assert ctx.kind == "message"
    assert ctx.payload is update["message"]
    assert ctx.message is not None
    assert ctx.message.text == "hello"
    assert ctx.text == "hello"
    assert ctx.chat is not None
    assert ctx.chat.id == ctx.chat_id == 5
    assert ctx.from_user is not None
    assert ctx.from_user.id == 7
    assert ctx.match is None
    assert ctx.attempt == 1
    assert ctx.me.username == "TesterBot"
    assert ctx.api is bot.api
    assert repr(ctx) == f"<Context update {update['update_id']}, message>"


def test_every_kind_of_update_is_an_attribute(bot: Bot) -> None:
    for kind in KINDS:
        ctx = Context({"update_id": 1, kind: {"id": 3}}, bot)
        assert ctx.kind == kind
        for other in KINDS:
            if other != "message":
                assert (getattr(ctx, other) is not None) == (other == kind)
    assert Context({"update_id": 1, "poll": {"id": "p"}}, bot).poll.id == "p"


@pytest.mark.parametrize(
    "kind",
    [
        "message",
        "edited_message",
        "channel_post",
        "edited_channel_post",
        "business_message",
        "edited_business_message",
        "guest_message",
    ],
)
def test_message_is_the_message_of_every_kind_that_carries_one(bot: Bot, make: Make, kind: str) -> None:
    ctx = Context(make(kind, caption="c"), bot)
    assert ctx.message is not None
    assert ctx.message.caption == ctx.text == "c"


def test_a_callback_query_has_the_message_of_its_button(bot: Bot, press: Make) -> None:
    ctx = Context(press("yes", chat=5, user=7), bot)
    assert ctx.message is not None
    assert ctx.message.text == "choose"
    assert ctx.text is None
    assert ctx.chat_id == 5
    assert ctx.from_user is not None
    assert ctx.from_user.id == 7
    assert ctx.callback_query is not None
    assert ctx.callback_query.data == "yes"


@pytest.mark.parametrize(
    ("kind", "payload", "chat_id", "user_id"),
    [
        ("inline_query", {"from": {"id": 7}}, None, 7),
        ("poll", {"id": "p"}, None, None),
        ("poll_answer", {"user": {"id": 7}}, None, 7),
        ("message_reaction", {"chat": {"id": 1}, "user": {"id": 7}}, 1, 7),
        ("message_reaction_count", {"chat": {"id": 1}}, 1, None),
        ("my_chat_member", {"chat": {"id": 1}, "from": {"id": 7}}, 1, 7),
        ("chat_join_request", {"chat": {"id": 1}, "from": {"id": 7}, "user_chat_id": 9}, 1, 7),
        ("chat_boost", {"chat": {"id": 1}, "boost": {"source": {"user": {"id": 7}}}}, 1, 7),
        ("chat_boost", {"chat": {"id": 1}, "boost": {"source": {"source": "giveaway"}}}, 1, None),
        ("removed_chat_boost", {"chat": {"id": 1}, "source": {"user": {"id": 7}}}, 1, 7),
        ("business_connection", {"user": {"id": 7}, "user_chat_id": 9}, 9, 7),
        ("deleted_business_messages", {"chat": {"id": 1}}, 1, None),
        ("channel_post", {"chat": {"id": 1}}, 1, None),
        ("callback_query", {"from": {"id": 7}, "inline_message_id": "x"}, None, 7),
        ("purchased_paid_media", {"from": {"id": 7}}, None, 7),
        ("managed_bot", {"user": {"id": 7}}, None, 7),
        ("hologram", {"chat": {"id": 1}, "from": {"id": 7}}, 1, 7),
    ],
)
def test_chat_and_user_are_found_wherever_they_stand(
    bot: Bot, kind: str, payload: dict[str, Any], chat_id: int | None, user_id: int | None
) -> None:
    ctx = Context({"update_id": 1, kind: payload}, bot)
    assert ctx.chat_id == chat_id
    assert (ctx.from_user and ctx.from_user.id) == user_id


def test_an_empty_update_has_nothing_and_breaks_nothing(bot: Bot) -> None:
    ctx = Context({}, bot)
    assert (ctx.update_id, ctx.kind, ctx.message, ctx.text, ctx.chat, ctx.chat_id, ctx.from_user) == (None,) * 7
    bot.command("start", print)
    bot.hears("x", print)
    bot.handle_update({})
    bot.handle_update({"update_id": 1, "message": None})


def test_handlers_may_keep_attributes_of_their_own(bot: Bot, say: Make) -> None:
    found: list[Any] = []

    def middleware(ctx: Context, next: Callable[[], Any]) -> None:
        ctx.account = {"n": 1}
        next()

    bot.use(middleware)
    bot.use(lambda ctx: found.append(ctx.account))
    bot.handle_update(say("x"))
    assert found == [{"n": 1}]
    with pytest.raises(AttributeError, match="no attribute 'acount'"):
        _ = Context(say("x"), bot).acount


def test_reply_goes_to_where_the_message_came_from(bot: Bot, api: Any, make: Make, press: Make) -> None:
    def sent(update: dict[str, Any], **parameters: Any) -> dict[str, Any]:
        Context(update, bot).reply("hi", **parameters)
        name, call = api.calls.pop()
        assert name == "send_message"
        assert call.pop("text") == "hi"
        return dict(call)

    assert sent(make("message", chat=5)) == {"chat_id": 5}
    assert sent(make("message", chat=5), parse_mode="HTML", chat_id=6) == {"chat_id": 6, "parse_mode": "HTML"}
    assert sent(make("message", chat=-5, is_topic_message=True, message_thread_id=9)) == {
        "chat_id": -5,
        "message_thread_id": 9,
    }
    # A thread of replies in a group is no topic.
    assert sent(make("message", chat=-5, message_thread_id=9)) == {"chat_id": -5}
    assert sent(make("business_message", chat=5, business_connection_id="b")) == {
        "chat_id": 5,
        "business_connection_id": "b",
    }
    assert sent(make("message", chat=-5, direct_messages_topic={"topic_id": 4})) == {
        "chat_id": -5,
        "direct_messages_topic_id": 4,
    }
    update = press("x", chat=-5)
    update["callback_query"]["message"].update(is_topic_message=True, message_thread_id=9)
    assert sent(update) == {"chat_id": -5, "message_thread_id": 9}
    assert sent(make("business_connection", chat=None, user_chat_id=8)) == {"chat_id": 8}
    with pytest.raises(ContextError, match="inline_query comes from no chat"):
        Context(make("inline_query", chat=None), bot).reply("hi")
    with pytest.raises(ContextError, match="an empty update"):
        Context({}, bot).reply("hi")


def test_answer_is_the_call_that_the_query_asks_for(bot: Bot, api: Any, make: Make, press: Make) -> None:
    def answered(update: dict[str, Any], *args: Any, **parameters: Any) -> Any:
        Context(update, bot).answer(*args, **parameters)
        return api.calls.pop()

    def query(kind: str, **fields: Any) -> dict[str, Any]:
        return make(kind, chat=None, id="q", **fields)

    assert answered(press("x")) == ("answer_callback_query", {"callback_query_id": "q1"})
    assert answered(press("x"), "ok", show_alert=True) == (
        "answer_callback_query",
        {"callback_query_id": "q1", "text": "ok", "show_alert": True},
    )
    assert answered(query("inline_query"), [{"type": "article"}], cache_time=1) == (
        "answer_inline_query",
        {"inline_query_id": "q", "results": [{"type": "article"}], "cache_time": 1},
    )
    assert answered(query("inline_query"), results=[]) == (
        "answer_inline_query",
        {"inline_query_id": "q", "results": []},
    )
    assert answered(query("pre_checkout_query")) == (
        "answer_pre_checkout_query",
        {"pre_checkout_query_id": "q", "ok": True},
    )
    assert answered(query("pre_checkout_query"), "sold out") == (
        "answer_pre_checkout_query",
        {"pre_checkout_query_id": "q", "ok": False, "error_message": "sold out"},
    )
    assert answered(query("shipping_query"), shipping_options=[]) == (
        "answer_shipping_query",
        {"shipping_query_id": "q", "ok": True, "shipping_options": []},
    )
    assert answered(make("guest_message", guest_query_id="g"), {"type": "article"}) == (
        "answer_guest_query",
        {"guest_query_id": "g", "result": {"type": "article"}},
    )
    with pytest.raises(ContextError, match="message is no query"):
        Context(make("message"), bot).answer("x")


def test_edit_and_delete_mean_the_message_at_hand(bot: Bot, api: Any, make: Make, press: Make) -> None:
    update = press("x", chat=5)
    message_id = update["callback_query"]["message"]["message_id"]
    Context(update, bot).edit("new", reply_markup={})
    Context(update, bot).delete()
    Context(make("callback_query", chat=None, inline_message_id="i"), bot).edit("new")
    business = make("business_message", chat=5, business_connection_id="b")
    Context(business, bot).edit("new")
    Context(business, bot).delete()
    reaction = {"update_id": 1, "message_reaction": {"chat": {"id": 4}, "message_id": 3}}
    Context(reaction, bot).delete()
    business_id = business["business_message"]["message_id"]
    assert api.calls == [
        ("edit_message_text", {"chat_id": 5, "message_id": message_id, "text": "new", "reply_markup": {}}),
        ("delete_message", {"chat_id": 5, "message_id": message_id}),
        ("edit_message_text", {"inline_message_id": "i", "text": "new"}),
        (
            "edit_message_text",
            {"chat_id": 5, "message_id": business_id, "business_connection_id": "b", "text": "new"},
        ),
        ("delete_business_messages", {"business_connection_id": "b", "message_ids": [business_id]}),
        ("delete_message", {"chat_id": 4, "message_id": 3}),
    ]
    with pytest.raises(ContextError, match=r"edit\(\): .* is about no message"):
        Context(make("inline_query", chat=None), bot).edit("new")
    with pytest.raises(ContextError, match=r"delete\(\): .* is about no message"):
        Context(make("my_chat_member", message_id=None) | {"my_chat_member": {"chat": {"id": 1}}}, bot).delete()


def test_without_a_session_middleware_the_error_says_what_to_do(bot: Bot, say: Make) -> None:
    ctx = Context(say("x"), bot)
    with pytest.raises(SessionError, match=r"bot.use\(session\(initial=dict\)\)"):
        _ = ctx.session
    with pytest.raises(SessionError, match="no session here"):
        ctx.session = {}


def test_updates_stay_as_they_came(bot: Bot, say: Make) -> None:
    update = say("/start x")
    before = ujson.dumps(update)
    bot.command("start", lambda ctx: ctx.reply(ctx.message.text + ctx.from_user.first_name))
    bot.handle_update(update)
    assert ujson.dumps(update) == before


def test_a_context_is_dropped_when_its_update_is_done(bot: Bot, say: Make) -> None:
    contexts: list[weakref.ref[Context]] = []

    @bot.use
    def note(ctx: Context, next: Callable[[], Any]) -> None:
        contexts.append(weakref.ref(ctx))
        next()

    bot.command("fail", lambda ctx: 1 / 0)
    thread = threading.Thread(target=lambda: bot.handle_update(say("x")))
    thread.start()
    thread.join()
    with pytest.raises(ZeroDivisionError):
        bot.handle_update(say("/fail"))
    gc.collect()
    assert [context() for context in contexts] == [None, None]
