"""Filter queries: what they match, and what is refused at registration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyruntime import Bot, Context
from pyruntime.filter_table import FIELD_SHORTCUTS, KIND_SHORTCUTS, QUERIES
from pyruntime.filters import parse_filter
from pyruntime.kind import KINDS
from runner_c import ConfigError

BOT = Bot("1:T", me={"id": 77, "username": "TesterBot"})


def matches(query: str | list[str], update: dict[str, Any]) -> bool:
    kinds, check = parse_filter(query)
    ctx = Context(update, BOT)
    return ctx.kind in kinds and (check is None or check(ctx))


MESSAGE = {
    "message_id": 1,
    "text": "see https://x.org",
    "entities": [{"type": "url", "offset": 4, "length": 13}],
    "sticker": {"is_video": False, "is_animated": True},
    "new_chat_members": [{"id": 1, "is_bot": True}, {"id": 77}],
    "forward_origin": {"type": "channel"},
    "forum_topic_closed": {},
    "has_media_spoiler": False,
    "sender_boost_count": 0,
    "photo": [{"file_id": "x"}],
}


@pytest.mark.parametrize(
    "query",
    [
        "message",
        "message:text",
        "message:entities",
        "message:entities:url",
        "::url",
        "message::url",
        ":text",
        "msg",
        "msg:text",
        ":photo",
        ":media",
        ":file",
        "message:sticker:is_animated",
        "message:new_chat_members:me",
        "message:new_chat_members:is_bot",
        ":forward_origin:channel",
        "message:forum_topic_closed",
        "message:sender_boost_count",
        ["edited_message", "message:text"],
        ["message:caption", "message:text"],
    ],
)
def test_a_query_matches_what_it_describes(query: str | list[str]) -> None:
    assert matches(query, {"update_id": 1, "message": MESSAGE})


@pytest.mark.parametrize(
    "query",
    [
        "edited_message",
        "message:caption",
        "message:entities:mention",
        "::mention",
        "edit",
        "edit:text",
        "message:sticker:is_video",
        "message:new_chat_members:is_premium",
        ":forward_origin:user",
        "message:has_media_spoiler",
        "message:left_chat_member:me",
        "callback_query:data",
        ["edited_message", "message:caption"],
    ],
)
def test_a_query_matches_nothing_else(query: str | list[str]) -> None:
    assert not matches(query, {"update_id": 1, "message": MESSAGE})


def test_other_kinds_have_their_own_fields() -> None:
    assert matches("callback_query:data", {"update_id": 1, "callback_query": {"data": "x"}})
    assert not matches("callback_query:data", {"update_id": 1, "callback_query": {"game_short_name": "x"}})
    assert matches("edit:text", {"update_id": 1, "edited_channel_post": {"text": "x"}})
    reaction = {"old_reaction": [], "new_reaction": [{"type": "emoji", "emoji": "👍"}]}
    assert matches("message_reaction:new_reaction:emoji", {"update_id": 1, "message_reaction": reaction})
    assert not matches("message_reaction:old_reaction", {"update_id": 1, "message_reaction": reaction})
    counted = {"reactions": [{"type": {"type": "paid"}, "total_count": 2}]}
    assert matches("message_reaction_count:reactions:paid", {"update_id": 1, "message_reaction_count": counted})
    assert matches("my_chat_member:from:is_bot", {"update_id": 1, "my_chat_member": {"from": {"is_bot": True}}})
    assert not matches("business_connection:is_enabled", {"update_id": 1, "business_connection": {"is_enabled": False}})


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("mesage:text", "did you mean 'message:text'?"),
        ("message:txt", "did you mean 'message:text'?"),
        ("message:entities:ulr", "did you mean 'message:entities:url'?"),
        ("::urll", "did you mean '::url'?"),
        ("message:phto", "did you mean 'message:photo'?"),
        ("photo", "did you mean 'message:photo'?"),
        ("text", "did you mean 'message:text'?"),
        ("media", "did you mean 'message:media'?"),
        (5, "on('message:text'), not 5"),
        ("message:text:bold", "nothing further"),
        ("zzz", "the kinds are"),
        ("message:zzzzzzzzzzzz", "it can be"),
        ("message:entities:zzzzzzzzzzzz", "it can be"),
        ("a:b:c:d", "kind:field:detail"),
        ("", "kind:field:detail"),
        ("message:", "did you mean 'message'?"),
        (":", "did you mean 'message'?"),
        ([], "needs a filter query"),
        (["message", 5], "a string such as"),
        ("callback_query:dta", "did you mean 'callback_query:data'?"),
        (":media:url", "nothing further"),
    ],
)
def test_a_misspelt_query_is_refused_with_the_nearest_name(query: Any, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_filter(query)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_kind_of_update_can_be_asked_for() -> None:
    assert set(QUERIES) == set(KINDS)


def test_every_query_of_the_table_is_accepted() -> None:
    for kind, fields in QUERIES.items():
        parse_filter(kind)
        for field, detail in fields.items():
            parse_filter(f"{kind}:{field}")
            for name in detail.names if detail else ():
                parse_filter(f"{kind}:{field}:{name}")
    for kind in KIND_SHORTCUTS:
        for field in FIELD_SHORTCUTS:
            parse_filter(f"{kind}:{field}" if field else f"{kind}::url")


# A second, simpler reading of queries, to compare with.


def _expanded(query: str) -> list[list[str]]:
    parts = query.split(":")
    kinds = KIND_SHORTCUTS.get(parts[0], (parts[0],))
    if len(parts) == 1:
        return [[kind] for kind in kinds]
    fields = FIELD_SHORTCUTS.get(parts[1], (parts[1],))
    return [[kind, field, *parts[2:]] for kind in kinds for field in fields]


def _holds(part: list[str], update: dict[str, Any]) -> bool:
    value = update.get(part[0])
    if value is None:
        return False
    if len(part) == 1:
        return True
    value = value.get(part[1])
    if value is None or value is False or value == []:
        return False
    if len(part) == 2:
        return True
    return any(
        item.get("type") == part[2] or bool(item.get(part[2]))
        for item in (value if isinstance(value, list) else [value])
    )


_plain = st.sampled_from(["text", "caption", "photo", "video", "voice", "dice"])
_query = st.one_of(
    st.sampled_from(
        ["message", "edited_message", "msg", "edit", "channel_post", "callback_query", "callback_query:data"]
    ),
    st.builds("{}:{}".format, st.sampled_from(["message", "", "msg", "edit", "channel_post"]), _plain),
    st.builds("{}:{}".format, st.sampled_from(["message", "", "edit"]), st.sampled_from(["media", "file"])),
    st.builds(
        "{}:{}:{}".format,
        st.sampled_from(["message", "", "edit"]),
        st.sampled_from(["entities", "caption_entities", ""]),
        st.sampled_from(["url", "bold", "mention"]),
    ),
)
_entities = st.lists(st.fixed_dictionaries({"type": st.sampled_from(["url", "bold", "mention"])}), max_size=3)
_payload = st.fixed_dictionaries(
    {},
    optional={
        "text": st.text(),
        "caption": st.text(),
        "photo": st.lists(st.just({"file_id": "x"}), max_size=2),
        "video": st.just({}),
        "voice": st.just({}),
        "dice": st.just({"value": 1}),
        "data": st.text(),
        "entities": _entities,
        "caption_entities": _entities,
    },
)
_update = st.builds(
    lambda kind, payload: {"update_id": 1, kind: payload},
    st.sampled_from(["message", "edited_message", "channel_post", "edited_channel_post", "callback_query"]),
    _payload,
)


@given(st.lists(_query, min_size=1, max_size=4), _update)
def test_compiled_queries_agree_with_a_plain_reading_of_them(queries: list[str], update: dict[str, Any]) -> None:
    expected = any(_holds(part, update) for query in queries for part in _expanded(query))
    assert matches(queries, update) is expected


def test_on_takes_a_query_first(bot: Bot) -> None:
    with pytest.raises(ConfigError, match="filter query first"):
        bot.on(lambda ctx: None)


def test_an_unknown_kind_of_update_passes_through(bot: Bot, make: Callable[..., Any]) -> None:
    seen: list[Any] = []
    bot.on("message", lambda ctx: seen.append("message"))
    bot.filter(lambda ctx: "hologram" in ctx.update, lambda ctx: seen.append((ctx.kind, ctx.payload["depth"])))
    bot.handle_update({"update_id": 3, "hologram": {"depth": 4}, "odd": 1})
    bot.handle_update({"update_id": 4})
    assert seen == [("hologram", 4)]
