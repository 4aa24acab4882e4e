"""What a session may hold: exactly what JSON gives back, and a clear error for everything else."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyruntime import Bot, BotError, SessionError, session
from pyruntime.session_value import check_value, decode, encode
from runner_c import MemoryStorage

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def storage() -> MemoryStorage:
    storage = MemoryStorage()
    storage.write("1", b'{"n":1}')
    return storage


class Color(enum.StrEnum):
    RED = "red"


class WithJson:
    def __json__(self) -> str:
        return "1"


class WithDict:
    def toDict(self) -> dict[str, int]:
        return {"a": 1}


endless: list[Any] = []
endless.append(endless)
deep: Any = None
for _ in range(2000):
    deep = [deep]


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ({"a": {1, 2}}, "ctx.session['a'] is a set; JSON has no sets: store a list"),
        ({"a": [0, b"x"]}, "ctx.session['a'][1] is a bytes"),
        ({"a": (1, 2)}, "ctx.session['a'] is a tuple; JSON has no tuples: store a list"),
        ({"a": {1: 2}}, "ctx.session['a'] has the key 1; keys in JSON are strings"),
        ({None: 1}, "has the key None"),
        ({"a": float("nan")}, "ctx.session['a'] is nan; JSON has only finite numbers"),
        ([float("inf")], "ctx.session[0] is inf"),
        ({"a": defaultdict(int)}, "is a defaultdict; a plain dict would come back"),
        ({"a": Color.RED}, "is a Color; a plain str would come back"),
        ({"a": WithJson()}, "is a WithJson; JSON has no such thing"),
        ({"a": WithDict()}, "is a WithDict; JSON has no such thing"),
        ({"a": object()}, "is an object; JSON has no such thing"),
        ({"a": "\ud83d"}, "half of a surrogate pair"),
        (endless, "contains itself"),
        (deep, "nested more than"),
    ],
)
def test_what_json_would_change_is_refused_with_its_place(
    bot: Bot, say: Make, storage: MemoryStorage, value: Any, hint: str
) -> None:
    bot.use(session(dict, storage=storage))
    bot.use(lambda ctx: setattr(ctx, "session", value))
    with pytest.raises(SessionError) as caught:
        bot.handle_update(say("x"))
    assert hint in str(caught.value)
    assert storage.read("1") == b'{"n":1}'


def test_a_view_is_refused_with_advice(bot: Bot, say: Make) -> None:
    bot.use(session(dict))
    bot.hears("view", lambda ctx: ctx.session.update(message=ctx.message))
    bot.hears("raw", lambda ctx: ctx.session.update(message=ctx.message.raw))
    with pytest.raises(SessionError, match=r"is a View; store its .raw"):
        bot.handle_update(say("view"))
    bot.handle_update(say("raw"))


def test_the_error_for_a_bad_session_passes_error_boundaries(bot: Bot, say: Make) -> None:
    caught: list[BotError] = []
    inside = bot.error_boundary(caught.append)
    inside.use(session(dict))
    inside.use(lambda ctx: ctx.session.update(a={1}))
    bot.handle_update(say("x"))
    assert isinstance(caught[0].error, SessionError)


def test_a_storage_with_something_else_is_a_clear_error(bot: Bot, say: Make, storage: MemoryStorage) -> None:
    storage.write("1", b"{not json")
    bot.use(session(dict, storage=storage))
    bot.use(lambda ctx: ctx.session)
    with pytest.raises(SessionError, match="the storage holds no JSON"):
        bot.handle_update(say("x"))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=5)
    ),
    max_leaves=30,
)


def typed(value: Any) -> Any:
    """Make 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return type(value), value


@given(json_values)
def test_every_json_value_comes_back_exactly(value: Any) -> None:
    check_value(value, "session")
    data = encode(value, "session")
    assert typed(decode(data, "session")) == typed(value)
    assert encode(decode(data, "session"), "session") == data
