"""Sessions, with updates handed to the bot directly: what is read, written, refused, and never lost."""

from __future__ import annotations

import enum
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
import ujson

from pyruntime import Bot, BotError, Context, SessionError, session
from runner_c import ConfigError, MemoryStorage, by_user

Make = Callable[..., dict[str, Any]]


class RecordingStorage:
    """Remember every access, and fail when two of them overlap for one key."""

    def __init__(self, **values: Any) -> None:
        self.data = {key: ujson.dumps(value).encode() for key, value in values.items()}
        self.log: list[tuple[str, str]] = []

    def read(self, key: str) -> bytes | None:
        self.log.append(("read", key))
        return self.data.get(key)

    def write(self, key: str, data: bytes) -> None:
        self.log.append(("write", key))
        self.data[key] = data

    def delete(self, key: str) -> None:
        self.log.append(("delete", key))
        self.data.pop(key, None)


@pytest.fixture
def storage() -> RecordingStorage:
    return RecordingStorage()


def test_a_session_lives_from_update_to_update(bot: Bot, say: Make, storage: RecordingStorage) -> None:
    seen: list[int] = []
    bot.use(session(initial=dict, storage=storage))

    @bot.command("count")
    def count(ctx: Context) -> None:
        ctx.session["n"] = ctx.session.get("n", 0) + 1
        seen.append(ctx.session["n"])

    for chat in (1, 1, 2, 1):
        bot.handle_update(say("/count", chat=chat))
    assert seen == [1, 2, 1, 3]
    assert storage.data == {"1": b'{"n":3}', "2": b'{"n":1}'}


def test_a_session_nobody_touches_is_neither_read_nor_written(bot: Bot, say: Make, storage: RecordingStorage) -> None:
    bot.use(session(dict, storage=storage))
    bot.use(lambda ctx: None)
    bot.handle_update(say("x"))
    assert storage.log == []


def test_a_session_is_read_once_and_written_only_if_it_changed(bot: Bot, say: Make) -> None:
    storage = RecordingStorage(**{"1": {"a": [1, 2]}})
    bot.use(session(dict, storage=storage))

    @bot.command("read")
    def read(ctx: Context) -> None:
        assert ctx.session["a"] == [1, 2]
        assert ctx.session is ctx.session
        ctx.session["b"] = 1
        del ctx.session["b"]

    bot.command("deep", lambda ctx: ctx.session["a"].append(3))
    bot.handle_update(say("/read"))
    assert storage.log == [("read", "1")]
    bot.handle_update(say("/deep"))
    assert storage.log[1:] == [("read", "1"), ("write", "1")]
    assert storage.data["1"] == b'{"a":[1,2,3]}'


def test_an_initial_value_is_stored_when_it_was_changed(bot: Bot, say: Make, storage: RecordingStorage) -> None:
    bot.use(session(lambda: {"n": 0}, storage=storage))
    bot.command("read", lambda ctx: ctx.session["n"])
    bot.command("same", lambda ctx: setattr(ctx, "session", {"n": 0}))
    bot.handle_update(say("/read"))
    assert storage.data == {}
    bot.handle_update(say("/same"))
    assert storage.data == {"1": b'{"n":0}'}


def test_a_handler_that_fails_leaves_the_session_as_it_was(bot: Bot, say: Make) -> None:
    storage = RecordingStorage(**{"1": {"n": 1}})
    bot.use(session(dict, storage=storage))

    @bot.command("fail")
    def fail(ctx: Context) -> None:
        ctx.session["n"] = 2
        raise KeyError

    with pytest.raises(KeyError):
        bot.handle_update(say("/fail"))
    assert storage.log == [("read", "1")]
    assert storage.data == {"1": b'{"n":1}'}


def test_middleware_that_fails_after_the_handler_leaves_the_session_as_it_was(
    bot: Bot, say: Make, storage: RecordingStorage
) -> None:
    def outer(ctx: Context, next: Callable[[], Any]) -> None:
        next()
        raise KeyError

    bot.use(outer)
    bot.use(session(dict, storage=storage))
    bot.use(lambda ctx: ctx.session.update(n=1))
    with pytest.raises(KeyError):
        bot.handle_update(say("x"))
    assert storage.data == {}


def test_an_error_that_a_boundary_took_is_no_failure(bot: Bot, say: Make, storage: RecordingStorage) -> None:
    def fail(ctx: Context) -> None:
        ctx.session["n"] = 1
        raise KeyError

    bot.use(session(dict, storage=storage))
    bot.error_boundary(lambda error: error.ctx.session.update(failed=True), fail)
    bot.handle_update(say("x"))
    assert storage.data == {"1": b'{"n":1,"failed":true}'}


def test_none_deletes_and_a_value_replaces(bot: Bot, say: Make) -> None:
    storage = RecordingStorage(**{"1": {"n": 1}})
    bot.use(session(dict, storage=storage))
    values: dict[str, Any] = {"none": None, "new": {"x": "é"}}
    bot.hears(list(values), lambda ctx: setattr(ctx, "session", values[ctx.match]))
    bot.hears("read none", lambda ctx: (ctx.session, setattr(ctx, "session", None)))
    bot.handle_update(say("none"))
    assert storage.data == {}
    bot.handle_update(say("new"))
    assert storage.data == {"1": '{"x":"é"}'.encode()}
    assert storage.log == [("delete", "1"), ("write", "1")]
    bot.handle_update(say("read none"))
    assert storage.data == {}
    storage.log.clear()
    # There is nothing to delete any more.
    bot.handle_update(say("read none"))
    assert storage.log == [("read", "1")]


def test_without_a_key_the_session_is_an_error_only_when_it_is_used(bot: Bot, make: Make, say: Make) -> None:
    bot.use(session(dict, key=lambda ctx: None))
    bot.hears("use", lambda ctx: ctx.session)
    bot.hears("set", lambda ctx: setattr(ctx, "session", 1))
    bot.use(lambda ctx: None)
    bot.handle_update(say("leave it"))
    for text in ("use", "set"):
        with pytest.raises(SessionError, match=r"this update \(message\) has no session key"):
            bot.handle_update(say(text))


def test_the_key_may_be_a_number_but_nothing_odd(bot: Bot, say: Make, storage: RecordingStorage) -> None:
    keys: list[Any] = [5, enum.IntEnum("N", "A").A, True, 1.5, ["a"]]
    middleware = session(dict, key=lambda ctx: keys[int(ctx.text)], storage=storage)
    bot.use(middleware)
    bot.use(lambda ctx: ctx.session.update(n=1))
    bot.handle_update(say("0"))
    assert storage.data == {"5": b'{"n":1}'}
    for number in (2, 3, 4):
        with pytest.raises(SessionError, match="returns a string or None"):
            bot.handle_update(say(str(number)))


def test_after_the_handlers_the_session_can_be_read_but_not_changed(
    bot: Bot, say: Make, storage: RecordingStorage
) -> None:
    seen: list[Any] = []

    def outer(ctx: Context, next: Callable[[], Any]) -> None:
        next()
        if ctx.text == "untouched":
            with pytest.raises(SessionError, match="after its handlers are done"):
                _ = ctx.session
        else:
            seen.append(ctx.session["n"])
        with pytest.raises(SessionError, match="after its handlers are done"):
            ctx.session = {}

    bot.use(outer)
    bot.use(session(dict, storage=storage))
    bot.hears("touch", lambda ctx: ctx.session.update(n=1))
    bot.handle_update(say("touch"))
    bot.handle_update(say("untouched"))
    assert seen == [1]


def test_the_catch_handler_sees_the_session_of_the_failed_handler(bot: Bot, say: Make) -> None:
    seen: list[Any] = []
    bot.use(session(dict))
    bot.use(lambda ctx: ctx.session.update(n=1) or 1 / 0)

    @bot.catch
    def on_error(error: BotError) -> None:
        seen.append(error.ctx.session)

    update = say("x")
    with pytest.raises(ZeroDivisionError) as raised:
        bot.handle_update(update)
    bot.handle_error(raised.value, update)
    assert seen == [{"n": 1}]


def test_several_sessions_have_names(bot: Bot, say: Make, storage: RecordingStorage) -> None:
    seen: list[Any] = []
    bot.use(session(dict, storage=storage))
    bot.use(session(lambda: {"seen": 0}, key=by_user, storage=storage, name="profile"))

    @bot.command("both")
    def both(ctx: Context) -> None:
        ctx.session["n"] = 1
        ctx.profile["seen"] += 1

    bot.command("replace", lambda ctx: setattr(ctx, "profile", {"new": True}))
    bot.command("delete", lambda ctx: setattr(ctx, "profile", None))
    bot.command("show", lambda ctx: seen.append((ctx.session, ctx.profile)))
    bot.handle_update(say("/both", chat=-1, user=5))
    bot.handle_update(say("/both", chat=-2, user=5))
    bot.handle_update(say("/show", chat=-2, user=5))
    assert seen == [({"n": 1}, {"seen": 2})]
    assert set(storage.data) == {"-1", "-2", "profile:5"}
    bot.handle_update(say("/replace", user=5))
    assert storage.data["profile:5"] == b'{"new":true}'
    bot.handle_update(say("/delete", user=5))
    assert "profile:5" not in storage.data
    with pytest.raises(AttributeError):
        _ = Context(say("x"), bot).profile


def test_two_sessions_of_one_name_are_an_error(bot: Bot, say: Make) -> None:
    same = session(dict)
    bot.use(same)
    bot.use(same)
    bot.hears("x", lambda ctx: ctx.session.update(n=1))
    bot.use(session(dict))
    bot.use(print)
    bot.handle_update(say("x"))
    with pytest.raises(SessionError, match="give one another name="):
        bot.handle_update(say("y"))


@pytest.mark.parametrize(
    "arguments",
    [
        {"initial": {}},
        {"initial": dict, "key": lambda: None},
        {"initial": dict, "storage": {}},
        {"initial": dict, "name": 5},
        {"initial": dict, "name": "two words"},
        {"initial": dict, "name": "_hidden"},
        {"initial": dict, "name": "reply"},
        {"initial": dict, "name": "poll"},
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        session(**arguments)


@pytest.mark.parametrize("key", [None, 5])
def test_what_is_no_key_function_is_called_so(key: Any) -> None:
    with pytest.raises(ConfigError, match=r"key.* function of ctx") as caught:
        session(dict, key)
    assert "handler" not in str(caught.value)


def test_a_key_that_is_no_text_is_a_session_error(bot: Bot, say: Make) -> None:
    bot.use(session(dict, key=lambda ctx: "\ud800"))
    bot.use(lambda ctx: ctx.session)
    with pytest.raises(SessionError, match="half of a surrogate pair"):
        bot.handle_update(say("x"))


def test_a_storage_that_gives_no_bytes_is_a_session_error(bot: Bot, say: Make) -> None:
    class Odd:
        def read(self, key: str) -> Any:
            return 5

        write = delete = read

    bot.use(session(dict, storage=Odd()))  # type: ignore[arg-type]
    bot.use(lambda ctx: ctx.session)
    with pytest.raises(SessionError, match="the storage holds no JSON"):
        bot.handle_update(say("x"))


async def asynchronous() -> dict[str, Any]:
    return {}


def test_an_async_initial_is_refused() -> None:
    with pytest.raises(ConfigError, match="initial is async"):
        session(asynchronous)


@pytest.mark.parametrize("place", ["head", "deep"])
def test_a_hundred_threads_lose_no_write(bot: Bot, say: Make, place: str) -> None:
    storage = MemoryStorage()
    if place == "deep":
        bot.use(lambda ctx, next: next())
    bot.use(session(lambda: {"n": 0}, storage=storage))

    @bot.command("count")
    def count(ctx: Context) -> None:
        before = ctx.session["n"]
        pauses[before % len(pauses)].wait(0.0002)
        ctx.session["n"] = before + 1

    pauses = [threading.Event() for _ in range(3)]
    barrier = threading.Barrier(100)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        barrier.wait()
        try:
            for turn in range(20):
                bot.handle_update(say("/count", chat=1 + (number + turn) % 4))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sum(ujson.loads(storage.read(str(chat)) or b"")["n"] for chat in range(1, 5)) == 2000


def test_random_histories_end_as_if_handled_one_by_one(bot: Bot, say: Make) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    storage = MemoryStorage()
    bot.use(session(lambda: {"n": 0}, storage=storage))

    @bot.hears(["add", "fail", "read", "delete"])
    def act(ctx: Context) -> None:
        if ctx.match == "delete":
            ctx.session = None
        elif ctx.match != "read":
            ctx.session["n"] += 1
        if ctx.match == "fail":
            raise KeyError

    # Deletions have a chat of their own, since their place in the order is open.
    plans = [[(chance.choice(["add", "fail", "read"]), chance.randint(1, 3)) for _ in range(60)] for _ in range(8)]
    expected = {chat: sum((("add", chat) == step) for plan in plans for step in plan) for chat in (1, 2, 3)}
    barrier = threading.Barrier(len(plans))

    def work(plan: list[tuple[str, int]]) -> None:
        barrier.wait()
        for text, chat in plan:
            try:
                bot.handle_update(say(text, chat=chat))
            except KeyError:
                assert text == "fail"
            bot.handle_update(say("add", chat=9))
            bot.handle_update(say("delete", chat=9))

    threads = [threading.Thread(target=work, args=(plan,)) for plan in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bot.handle_update(say("delete", chat=9))
    assert storage.read("9") is None
    for chat, count in expected.items():
        assert ujson.loads(storage.read(str(chat)) or b'{"n":0}')["n"] == count


def test_keys_are_let_go_of_when_the_update_is_done(bot: Bot, say: Make) -> None:
    middleware = session(dict)
    bot.use(middleware)
    bot.use(lambda ctx: ctx.session["missing"])
    for _ in range(2):
        with pytest.raises(KeyError):
            bot.handle_update(say("x"))
    assert len(middleware._gate) == 0
