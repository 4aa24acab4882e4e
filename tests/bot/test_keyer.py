"""Keys at admission: which middleware counts as the head of a bot, and what it says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from pyruntime import Bot, Composer, Context, session
from runner_c import BYPASS, ConfigError, by_chat, by_chat_thread, by_user, sequentialize

Make = Callable[..., dict[str, Any]]


def passing(ctx: Any, next: Callable[[], Any]) -> None:
    next()


def keys_of(keyer: Any, update: dict[str, Any]) -> Any:
    keys = keyer(update)
    return [keys] if isinstance(keys, str) else keys


def test_without_a_head_the_default_is_used_as_it_is(bot: Bot) -> None:
    bot.use(passing)
    bot.use(sequentialize(by_user))
    for default in (by_chat, by_user, by_chat_thread):
        assert bot.keyer(default) is default


@dataclasses.dataclass
class KeyOf:
    """A key function that cannot be hashed."""

    field: str

    def __call__(self, ctx: Context) -> str:
        return f"{self.field}{ctx.chat.id}"


def test_a_key_function_need_not_be_hashable(bot: Bot, say: Make) -> None:
    key = KeyOf("c")
    assert keys_of(bot.keyer(key), say("x")) == ["c1"]
    other = Bot("1:T")
    other.use(session(dict, key))
    assert keys_of(other.keyer(KeyOf("d")), say("x")) == ["d1", "c1"]
    third = Bot("1:T")
    third.use(sequentialize(key))
    assert keys_of(third.keyer(), say("x")) == ["c1"]


def test_without_a_head_and_a_default_there_are_no_keys(bot: Bot, say: Make) -> None:
    assert bot.keyer(None)(say("x")) is None
    assert Bot("1:T").keyer()(say("x")) is None


def test_a_default_of_the_users_own_gets_a_context(bot: Bot, say: Make) -> None:
    seen: list[Any] = []

    def key(ctx: Context) -> list[Any]:
        seen.append(ctx)
        return [ctx.text, ctx.chat_id, None]

    keyer = bot.keyer(key)
    assert keyer(say("hi", chat=5)) == ["hi", "5"]
    assert isinstance(seen[0], Context)
    assert bot.keyer(lambda ctx: ctx.chat_id)(say("x", chat=5)) == ["5"]
    assert bot.keyer(lambda ctx: None)(say("x")) == []
    assert bot.keyer(lambda ctx: BYPASS)(say("x")) is BYPASS


def test_sequentialize_at_the_head_replaces_the_default(bot: Bot, say: Make) -> None:
    first, second = sequentialize(lambda ctx: f"t{ctx.text}"), sequentialize(by_user, by_chat)
    bot.use(first)
    bot.use(Composer(second))
    keyer: Any = bot.keyer(by_chat)
    assert keyer(say("a", chat=5, user=7)) == ["ta", "7", "5"]
    assert keyer(say("a", chat=7, user=7)) == ["ta", "7"]
    assert keyer.declared == {first, second}


def test_a_sequentialize_deeper_in_the_stack_leaves_the_default(bot: Bot, say: Make) -> None:
    head, deep = session(dict), sequentialize(by_user)
    bot.use(head)
    bot.use(passing)
    bot.use(deep)
    keyer: Any = bot.keyer(by_chat)
    assert keys_of(keyer, say("a", chat=5, user=7)) == ["5"]
    assert keyer.declared == {head}


def test_a_session_at_the_head_adds_its_key(bot: Bot, say: Make) -> None:
    by_text = session(dict, key=lambda ctx: ctx.text)
    of_user = session(dict, key=by_user, name="profile")
    bot.use(by_text, of_user)
    bot.on("message", print)
    keyer: Any = bot.keyer(by_chat)
    assert keyer(say("a", chat=5, user=7)) == ["5", "a", "7"]
    assert keyer.declared == {by_text, of_user}
    assert bot.keyer(None)(say("a", chat=5, user=7)) == ["a", "7"]


def test_a_session_by_chat_costs_no_context(bot: Bot, say: Make) -> None:
    head = session(dict)
    bot.use(head)
    keyer: Any = bot.keyer(by_chat)
    assert keyer(say("a", chat=5)) == "5"
    assert keyer.declared == {head}


def test_an_update_without_a_session_key_has_the_other_keys(bot: Bot, say: Make) -> None:
    bot.use(session(dict, key=lambda ctx: None))
    assert bot.keyer(by_chat)(say("a", chat=5)) == ["5"]


def test_a_bypass_at_the_head_takes_the_update_past_all_lanes(bot: Bot, say: Make) -> None:
    guarded = sequentialize(by_chat, bypass=lambda ctx: ctx.text == "/cancel")
    head = session(dict)
    bot.use(guarded, head)
    keyer: Any = bot.keyer(by_chat)
    assert keyer(say("/cancel")) is BYPASS
    assert keyer(say("x", chat=5)) == ["5"]
    # The session must take its turn at each access, because what goes past the lanes may use it too.
    assert keyer.declared == {guarded}


def test_the_order_of_sequentialize_and_session_does_not_matter(bot: Bot, say: Make) -> None:
    bot.use(session(dict, key=by_user))
    bot.use(sequentialize(by_chat_thread))
    assert bot.keyer(by_chat)(say("x", chat=5, user=7)) == ["5", "7"]


def test_a_filter_ends_the_head(bot: Bot, say: Make) -> None:
    bot.on("message").use(sequentialize(by_user))
    assert bot.keyer(by_chat) is by_chat


def test_what_a_key_function_raises_reaches_the_engine(bot: Bot, say: Make) -> None:
    bot.use(sequentialize(lambda ctx: ctx.nothing))
    with pytest.raises(AttributeError):
        bot.keyer(by_chat)(say("x"))


def test_asking_for_the_keyer_ends_registration(bot: Bot) -> None:
    bot.keyer(by_chat)
    with pytest.raises(ConfigError):
        bot.use(passing)
