"""Which callables are handlers, which are middleware, and which are refused."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from unittest import mock

import pytest

from pyruntime import Bot, Composer, session
from runner_c import ConfigError, by_chat, sequentialize


class Handling:
    def __call__(self, ctx: Any) -> None: ...

    def method(self, ctx: Any) -> None: ...

    def between(self, ctx: Any, next: Callable[[], Any]) -> None: ...

    @staticmethod
    def static(ctx: Any) -> None: ...

    @classmethod
    def of_class(cls, ctx: Any, next: Any) -> None: ...


class Between:
    def __call__(self, ctx: Any, next: Callable[[], Any]) -> None: ...


def swallow(*args: Any, **kwargs: Any) -> None: ...


def with_default(ctx: Any, times: int = 3) -> None: ...


def with_next_default(ctx: Any, next: Any = None) -> None: ...


def three(prefix: str, ctx: Any, next: Any) -> None: ...


HANDLERS = [
    lambda ctx: None,
    Handling(),
    Handling().method,
    Handling.static,
    functools.partial(three, "p", next=None),
    functools.partial(with_default, times=2),
    with_default,
    swallow,
    print,
    [].append,
    mock.Mock(),
    staticmethod(lambda ctx: None),
]

MIDDLEWARE = [
    lambda ctx, next: next(),
    Between(),
    Handling().between,
    Handling.of_class,
    functools.partial(three, "p"),
    with_next_default,
    sequentialize(by_chat),
]


@pytest.mark.parametrize("function", HANDLERS)
def test_what_takes_one_argument_is_a_handler(function: Any) -> None:
    from pyruntime.signature import takes_next

    assert takes_next(function, "use") is False


@pytest.mark.parametrize("function", MIDDLEWARE)
def test_what_takes_next_is_middleware(function: Any) -> None:
    from pyruntime.signature import takes_next

    assert takes_next(function, "use") is True


def test_a_wrapper_is_what_it_wraps() -> None:
    from pyruntime.signature import takes_next

    @functools.wraps(Between().__call__)
    def wrapper(*args: Any) -> None: ...

    assert takes_next(wrapper, "use") is True


async def asynchronous(ctx: Any) -> None: ...


async def asynchronous_generator(ctx: Any) -> AsyncIterator[int]:
    yield 1


def generator(ctx: Any) -> Iterator[int]:
    yield 1


class AsyncCall:
    async def __call__(self, ctx: Any) -> None: ...

    async def method(self, ctx: Any) -> None: ...

    @staticmethod
    async def static(ctx: Any) -> None: ...


@pytest.mark.parametrize(
    "function",
    [
        asynchronous,
        asynchronous_generator,
        AsyncCall(),
        AsyncCall().method,
        AsyncCall.static,
        staticmethod(asynchronous),
        functools.partial(asynchronous),
        functools.partial(functools.partial(AsyncCall())),
        mock.AsyncMock(),
    ],
)
def test_what_is_async_is_refused_with_a_hint_in_one_line(bot: Bot, function: Any) -> None:
    for register in (
        lambda: bot.use(function),
        lambda: bot.command("start", function),
        lambda: bot.on("message")(function),
        lambda: bot.filter(function),
        lambda: bot.branch(function),
        lambda: bot.route(function),
        lambda: bot.error_boundary(function),
        lambda: bot.catch(function),
        lambda: Composer(function),
    ):
        with pytest.raises(ConfigError) as caught:
            register()
        assert "is async" in str(caught.value)
        assert "write `def`" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (lambda: None, "takes no arguments"),
        (three, "takes 3 arguments; a handler takes (ctx), a middleware (ctx, next)"),
        (generator, "is a generator"),
        (Handling, "is a class; pass an instance"),
        (5, "is not callable"),
        (None, "is not callable"),
        ("text", "is not callable"),
    ],
)
def test_what_cannot_be_called_with_a_context_is_refused(bot: Bot, function: Any, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        bot.use(function)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("factory", "call"), [(sequentialize, "use(sequentialize(by_chat))"), (session, "use(session(dict))")]
)
def test_what_makes_middleware_must_be_called_first(bot: Bot, factory: Any, call: str) -> None:
    with pytest.raises(ConfigError) as caught:
        bot.use(factory)
    assert f"is to be called first, as in {call}" in str(caught.value)


def test_a_required_keyword_is_refused(bot: Bot) -> None:
    def handler(ctx: Any, *, db: Any) -> None: ...

    with pytest.raises(ConfigError, match="keyword argument db"):
        bot.use(handler)


def test_the_error_names_the_place_and_the_function(bot: Bot) -> None:
    with pytest.raises(ConfigError, match=r"command: asynchronous is async"):
        bot.command("start", asynchronous)


@pytest.mark.parametrize("register", ["filter", "branch", "route"])
def test_a_predicate_takes_one_argument(bot: Bot, register: str) -> None:
    with pytest.raises(ConfigError, match=rf"{register}: .* takes 2 arguments; it gets \(ctx\)"):
        getattr(bot, register)(lambda ctx, next: None)


def test_a_handler_that_returns_a_coroutine_is_an_error(bot: Bot, say: Callable[..., Any]) -> None:
    bot.use(lambda ctx: asynchronous(ctx))
    with pytest.raises(TypeError, match="returned a coroutine"):
        bot.handle_update(say("x"))


async def yes(ctx: Any) -> bool:
    return True


@pytest.mark.parametrize(
    "register",
    [
        lambda bot, seen: bot.filter(lambda ctx: yes(ctx)).use(seen.append),
        lambda bot, seen: bot.branch(lambda ctx: yes(ctx), true=seen.append),
        lambda bot, seen: bot.route(lambda ctx: yes(ctx), fallback=seen.append),
        lambda bot, seen: bot.error_boundary(lambda error: yes(error), lambda ctx: 1 / 0),
    ],
)
def test_a_coroutine_is_no_answer_of_a_predicate_or_error_handler(
    bot: Bot, say: Callable[..., Any], register: Callable[[Bot, list[Any]], object]
) -> None:
    seen: list[Any] = []
    register(bot, seen)
    with pytest.raises(TypeError, match="returned a coroutine"):
        bot.handle_update(say("x"))
    assert seen == []


def test_a_coroutine_is_no_answer_of_the_catch_handler(bot: Bot, say: Callable[..., Any]) -> None:
    bot.catch(lambda error: yes(error))
    with pytest.raises(TypeError, match="returned a coroutine"):
        bot.handle_error(ValueError("x"), say("x"))


def test_the_error_of_a_decorated_function_names_the_method(bot: Bot) -> None:
    with pytest.raises(ConfigError, match=r"^command: asynchronous is async"):
        bot.command("start")(asynchronous)
    with pytest.raises(ConfigError, match=r"^route: asynchronous is async"):
        bot.route(lambda ctx: 1).case(1)(asynchronous)
