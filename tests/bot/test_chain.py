"""The compiled chain: its table of handlers against a plain walk through the list of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pyruntime import Bot

_entry = st.one_of(
    st.tuples(st.just("command"), st.sampled_from(["a", "b", "c"])),
    st.tuples(st.just("hears"), st.sampled_from(["a", "/a", "b", "x"])),
    st.tuples(st.just("hears_re"), st.sampled_from(["a", "b"])),
    st.tuples(st.just("callback_query"), st.sampled_from(["a", "b"])),
    st.tuples(st.just("on"), st.sampled_from(["message", ":text", "callback_query", "edited_message", "msg"])),
    st.tuples(st.just("use"), st.just("")),
    st.tuples(st.just("nested"), st.sampled_from(["a", "b"])),
)


@given(
    st.lists(st.tuples(_entry, st.booleans()), max_size=12),
    st.lists(
        st.tuples(
            st.sampled_from(["message", "edited_message", "callback_query", "channel_post"]),
            st.sampled_from(["a", "b", "/a", "/b", "/c d", "x", ""]),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_the_table_runs_what_a_walk_through_the_list_would(
    entries: list[tuple[tuple[str, str], bool]], updates: list[tuple[str, str]]
) -> None:
    bot = Bot("1:T", me={"id": 1})
    ran: list[int] = []

    def noting(number: int, ends: bool) -> Callable[..., Any]:
        if ends:
            return lambda ctx: ran.append(number)

        def middleware(ctx: Any, next: Callable[[], Any]) -> None:
            ran.append(number)
            next()

        return middleware

    for number, ((what, name), ends) in enumerate(entries):
        handler = noting(number, ends)
        if what == "command":
            bot.command(name, handler)
        elif what == "hears":
            bot.hears(name, handler)
        elif what == "hears_re":
            bot.hears(re.compile(name), handler)
        elif what == "callback_query":
            bot.callback_query(name, handler)
        elif what == "on":
            bot.on(name, handler)
        elif what == "nested":
            bot.on("message").command([name, "c"]).use(handler)
        else:
            bot.use(handler)

    def wants(what: str, name: str, kind: str, said: str) -> bool:
        new = kind in ("message", "channel_post")
        if what == "command":
            return new and said.split(" ")[0] == "/" + name
        if what == "hears":
            return new and said == name
        if what == "hears_re":
            return new and name in said
        if what == "callback_query":
            return kind == "callback_query" and said == name
        if what == "on":
            return kind == name or (name in (":text", "msg") and new)
        if what == "nested":
            return kind == "message" and said.split(" ")[0] in ("/" + name, "/c")
        return True

    for number, (kind, said) in enumerate(updates):
        ran.clear()
        bot.handle_update({"update_id": number, kind: {"data" if kind == "callback_query" else "text": said}})
        expected = []
        for place, ((what, name), ends) in enumerate(entries):
            if wants(what, name, kind, said):
                expected.append(place)
                if ends:
                    break
        assert ran == expected
