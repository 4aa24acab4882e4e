"""Composers: order, nesting, chaining and error boundaries."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pyruntime import Bot, BotError, Composer, Context
from runner_c import ConfigError

Make = Callable[..., dict[str, Any]]


class Log(list[str]):
    """Handlers that note that they ran."""

    def end(self, name: str) -> Callable[[Any], None]:
        return lambda ctx: self.append(name)

    def go_on(self, name: str) -> Callable[[Any, Any], None]:
        def middleware(ctx: Any, next: Callable[[], Any]) -> None:
            self.append(name)
            next()
            self.append(f"/{name}")

        return middleware


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_handler_ends_the_update_and_middleware_goes_on(bot: Bot, log: Log, say: Make) -> None:
    bot.use(log.go_on("a"), log.go_on("b"))
    bot.use(log.end("c"))
    bot.use(log.end("never"))
    bot.handle_update(say("x"))
    assert log == ["a", "b", "c", "/b", "/a"]


def test_middleware_that_does_not_call_next_ends_the_update(bot: Bot, log: Log, say: Make) -> None:
    bot.use(lambda ctx, next: log.append("stop"))
    bot.use(log.end("never"))
    bot.handle_update(say("x"))
    assert log == ["stop"]


def test_next_can_be_called_once(bot: Bot, log: Log, say: Make) -> None:
    def greedy(ctx: Context, next: Callable[[], Any]) -> None:
        next()
        next()

    bot.use(greedy)
    bot.use(log.end("once"))
    with pytest.raises(RuntimeError, match=r"greedy called next\(\) twice"):
        bot.handle_update(say("x"))
    assert log == ["once"]


def test_every_method_works_as_a_decorator_and_leaves_the_function(bot: Bot, log: Log, say: Make, press: Make) -> None:
    @bot.command("start")
    def start(ctx: Context) -> None:
        log.append("start")

    @bot.hears(re.compile(r"h(.)y"))
    def hey(ctx: Context) -> None:
        log.append(ctx.match[1])

    @bot.callback_query("yes")
    def yes(ctx: Context) -> None:
        log.append(ctx.match)

    @bot.on("message:text")
    def text(ctx: Context) -> None:
        log.append("text")

    for update in (say("/start"), say("hey"), press("yes"), say("other"), press("no")):
        bot.handle_update(update)
    assert log == ["start", "e", "yes", "text"]
    start(None)
    assert log[-1] == "start"
    assert start.__name__ == "start"


def test_use_is_a_decorator_too(bot: Bot, log: Log, say: Make) -> None:
    @bot.use
    def note(ctx: Context, next: Callable[[], Any]) -> None:
        """Note it."""
        log.append("note")
        next()

    bot.use(log.end("end"))
    bot.handle_update(say("x"))
    assert log == ["note", "end"]
    assert note.__name__ == "note"
    assert note.__doc__ == "Note it."
    note(Context(say("x"), bot), log.go_on("unused").__class__ and (lambda: log.append("next")))
    assert log[2:] == ["note", "next"]


def test_composers_chain_and_nest(bot: Bot, log: Log, say: Make) -> None:
    bot.on("message").filter(lambda ctx: ctx.text == "a").use(log.go_on("a"))
    bot.on("message").on(":text", log.go_on("text")).command("go", log.end("go"))
    inner = Composer(log.go_on("inner"))
    inner.command("go", log.end("inner go"))
    bot.use(inner)
    bot.use(log.end("end"))
    bot.handle_update(say("a"))
    bot.handle_update(say("/go"))
    assert log == ["a", "text", "inner", "end", "/inner", "/text", "/a", "text", "go", "/text"]


def test_what_is_added_to_a_returned_composer_keeps_its_place(bot: Bot, log: Log, say: Make) -> None:
    first = bot.use(log.go_on("first"))
    bot.use(log.end("last"))
    first.use(log.go_on("between"))
    bot.handle_update(say("x"))
    assert log == ["first", "between", "last", "/between", "/first"]


def test_filters_narrow_one_after_the_other(bot: Bot, log: Log, say: Make, make: Make) -> None:
    bot.chat_type("private").on(":photo").filter(lambda ctx: ctx.from_user.id == 7, log.end("mine"))
    bot.chat_type(["group", "supergroup"], log.end("group"))
    photo = [{"file_id": "p"}]
    bot.handle_update(make("message", photo=photo))
    bot.handle_update(make("message", photo=photo, user=8))
    bot.handle_update(make("message", photo=photo, chat=-5))
    bot.handle_update(make("poll", chat=None, user=None))
    bot.handle_update(say("x"))
    assert log == ["mine", "group"]
    with pytest.raises(ConfigError, match="private, group"):
        bot.chat_type("groups")


def test_branch_takes_one_of_two_ways(bot: Bot, log: Log, say: Make) -> None:
    bot.branch(lambda ctx: ctx.text == "a", log.go_on("true"), [log.go_on("f1"), log.go_on("f2")])
    branch = bot.branch(lambda ctx: ctx.text == "a")

    @branch
    def yes(ctx: Context) -> None:
        log.append("yes")

    branch.false.use(log.go_on("no"))
    bot.use(log.end("end"))
    bot.handle_update(say("a"))
    assert log == ["true", "yes", "/true"]
    log.clear()
    bot.handle_update(say("b"))
    assert log == ["f1", "f2", "no", "end", "/no", "/f2", "/f1"]


def test_route_goes_by_key_else_falls_back_else_goes_on(bot: Bot, log: Log, say: Make) -> None:
    route = bot.route(lambda ctx: ctx.text, {"a": log.end("a"), "b": [log.go_on("b")]})

    @route.case("c")
    def c(ctx: Context) -> None:
        log.append("c")

    route.case("b", log.go_on("b2"))
    bot.route(lambda ctx: None, fallback=log.go_on("fallback"))
    bot.use(log.end("end"))
    for text in "abcd":
        bot.handle_update(say(text))
    b = ["b", "b2", "fallback", "end", "/fallback", "/b2", "/b"]
    assert log == ["a", *b, "c", "fallback", "end", "/fallback"]
    with pytest.raises(ConfigError, match="after the first update"):
        route.case("e")


def test_route_has_a_fallback_decorator(bot: Bot, log: Log, say: Make) -> None:
    route = bot.route(lambda ctx: "x")

    @route.fallback
    def other(ctx: Context) -> None:
        log.append("other")

    bot.handle_update(say("x"))
    assert log == ["other"]


def test_an_error_boundary_takes_the_errors_from_within(bot: Bot, log: Log, say: Make) -> None:
    caught: list[BotError] = []

    def fail(ctx: Context) -> None:
        raise KeyError("inside")

    boundary = bot.error_boundary(caught.append)
    boundary.command("fail", fail)
    boundary.use(log.go_on("in"))
    bot.use(lambda ctx: fail(ctx) if ctx.text == "late" else log.append("behind"))
    bot.handle_update(say("/fail"))
    assert isinstance(caught[0].error, KeyError)
    assert caught[0].ctx.text == "/fail"
    assert str(caught[0]).startswith("KeyError: 'inside' (update ")
    bot.handle_update(say("x"))
    assert log == ["in", "/in", "behind"]
    with pytest.raises(KeyError):
        bot.handle_update(say("late"))
    assert len(caught) == 1


def test_an_error_boundary_may_go_on(bot: Bot, log: Log, say: Make) -> None:
    def on_error(error: BotError, next: Callable[[], Any]) -> None:
        log.append("caught")
        next()

    bot.error_boundary(on_error, lambda ctx: 1 / 0)
    bot.use(log.end("end"))
    bot.handle_update(say("x"))
    assert log == ["caught", "end"]


def test_an_error_boundary_may_pass_the_error_outwards(bot: Bot, say: Make) -> None:
    outer: list[BotError] = []

    def on_error(error: BotError) -> None:
        raise error

    bot.error_boundary(outer.append).error_boundary(on_error, lambda ctx: 1 / 0)
    bot.handle_update(say("x"))
    assert isinstance(outer[0].error, ZeroDivisionError)
    assert isinstance(outer[0].__cause__, ZeroDivisionError)


def test_an_error_boundary_leaves_a_stop_alone(bot: Bot, say: Make) -> None:
    def stop(ctx: Context) -> None:
        raise KeyboardInterrupt

    bot.error_boundary(lambda error: None, stop)
    with pytest.raises(KeyboardInterrupt):
        bot.handle_update(say("x"))


def test_registering_after_the_first_update_is_an_error(bot: Bot, say: Make) -> None:
    child = bot.on("message")
    assert not bot.is_frozen
    bot.handle_update(say("x"))
    assert bot.is_frozen
    for register in (lambda: bot.command("x"), lambda: child.use(print), lambda: bot(print)):
        with pytest.raises(ConfigError, match="after the first update"):
            register()


def test_a_composer_in_itself_is_an_error(bot: Bot, say: Make) -> None:
    bot.on("message", bot)
    with pytest.raises(ConfigError, match="in itself"):
        bot.handle_update(say("x"))


def test_one_composer_serves_two_bots(bot: Bot, log: Log, say: Make) -> None:
    shared = Composer(log.go_on("shared"))
    other = Bot("2:T", me={"id": 2})
    bot.use(shared)
    bot.handle_update(say("x"))
    other.use(shared)
    other.use(log.end("other"))
    other.handle_update(say("x"))
    assert log == ["shared", "/shared", "shared", "other", "/shared"]


@pytest.mark.parametrize(
    ("register", "hint"),
    [
        (lambda bot: bot.command("/start"), "leave the slash out"),
        (lambda bot: bot.command("a b"), "letters"),
        (lambda bot: bot.command(""), "letters"),
        (lambda bot: bot.command([]), "the list is empty"),
        (lambda bot: bot.command([5]), "names without a slash"),
        (lambda bot: bot.command(lambda ctx: None), "command('start')"),
        (lambda bot: bot.hears(lambda ctx: None), "hears('yes')"),
        (lambda bot: bot.hears(re.compile(b"x")), "bytes"),
        (lambda bot: bot.callback_query([5]), "callback_query('yes')"),
        (lambda bot: bot.inline_query([]), "the list is empty"),
    ],
)
def test_what_cannot_match_is_refused_at_registration(bot: Bot, register: Any, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        register(bot)
    assert hint in str(caught.value)


def test_a_refused_handler_leaves_no_trace(bot: Bot) -> None:
    with pytest.raises(ConfigError):
        bot.command("start", lambda: None)
    assert bot.allowed_updates() == []


def test_hears_looks_at_texts_and_captions(bot: Bot, say: Make, make: Make) -> None:
    found: list[Any] = []
    bot.hears(["ping", re.compile("p(.)ng")], lambda ctx: found.append(ctx.match))
    bot.handle_update(say("ping"))
    bot.handle_update(make("message", caption="a pong b"))
    bot.handle_update(make("channel_post", text="ping", user=None))
    bot.handle_update(make("edited_message", text="ping"))
    bot.handle_update(make("message", photo=[]))
    assert found[0] == "ping"
    assert found[1][1] == "o"
    assert found[2] == "ping"
    assert len(found) == 3


def test_inline_queries_match_by_their_text(bot: Bot, make: Make) -> None:
    found: list[Any] = []
    bot.inline_query("cats", lambda ctx: found.append(ctx.match))
    bot.inline_query(re.compile("^d"), lambda ctx: found.append(ctx.match.string))
    for query in ("cats", "dogs", "birds", ""):
        bot.handle_update(make("inline_query", chat=None, id="1", query=query))
    assert found == ["cats", "dogs"]


def test_the_first_updates_may_come_from_many_threads(bot: Bot, say: Make) -> None:
    counts = [0] * 16
    for name in ("a", "b", "c"):
        bot.command(name, lambda ctx: counts.__setitem__(int(ctx.match), counts[int(ctx.match)] + 1))
    barrier = threading.Barrier(16)

    def run(number: int) -> None:
        barrier.wait()
        for name in ("a", "b", "c", "d"):
            bot.handle_update(say(f"/{name} {number}"))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [3] * 16


def nothing(ctx: Any) -> None: ...


@pytest.mark.parametrize(
    ("register", "hint"),
    [
        (lambda bot: bot.on(5), "on() takes a filter query first, for example on('message:text'), not 5"),
        (lambda bot: bot.on(None), "not None"),
        (lambda bot: bot.on(nothing), "on() takes a filter query first"),
        (lambda bot: bot.chat_type(5), "chat_type() takes private, group, supergroup or channel, not 5"),
        (lambda bot: bot.chat_type(nothing), "chat_type() takes private, group, supergroup or channel"),
        (lambda bot: bot.chat_type([[]]), "not [[]]"),
        (lambda bot: bot.chat_type([]), "not []"),
        (lambda bot: bot.filter(5), "filter: 5 is not callable; pass a function of ctx"),
        (lambda bot: bot.route(nothing, 5), "route() takes a dict of handlers by key"),
        (lambda bot: bot.route(nothing, [1]), "not [1]"),
        (lambda bot: bot.route(nothing).case([]), "case() takes one key that can be in a dict, not []"),
    ],
)
def test_an_argument_of_a_wrong_type_is_refused_with_what_it_can_be(
    bot: Bot, register: Callable[[Bot], object], hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        register(bot)
    assert hint in str(caught.value)


@pytest.mark.parametrize("method", ["filter", "branch", "error_boundary"])
def test_a_bare_decorator_is_told_of_before_the_first_update(
    bot: Bot, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    getattr(bot, method)(nothing)
    bot.filter(nothing).use(nothing)
    bot.error_boundary(nothing, nothing)
    bot.branch(nothing, false=nothing)
    bot.keyer()
    argument = "on_error" if method == "error_boundary" else "predicate"
    assert [record.getMessage() for record in caplog.records] == [
        f"{method}(nothing) has nothing registered behind it; a decorator is written @bot.{method}({argument})"
    ]
