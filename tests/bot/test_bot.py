"""The bot itself: token, identity, errors, and what the engine asks of it."""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pyruntime import Bot, BotError, Composer, Context, session
from runner_c import ConfigError, MemoryStorage

Make = Callable[..., dict[str, Any]]
TOKEN = "123456:SECRET-secret"


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOT_TOKEN", raising=False)
    monkeypatch.delenv("BOT_API_ROOT", raising=False)


@pytest.mark.usefixtures("no_environment")
def test_a_bot_without_a_token_can_be_built_and_tested_but_not_used(say: Make) -> None:
    bot = Bot()
    seen: list[str] = []
    bot.command("start", lambda ctx: seen.append(ctx.match))
    bot.handle_update(say("/start x"))
    assert seen == ["x"]
    assert bot.token is None
    for use in (bot.init, lambda: bot.api, lambda: bot.me, lambda: bot.get_updates(timeout=0)):
        with pytest.raises(ConfigError, match="no bot token: set BOT_TOKEN or pass"):
            use()
    bot.interrupt()
    bot.close()


def test_the_environment_is_read_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOT_TOKEN", "")
    bot = Bot()
    assert bot.token is None
    monkeypatch.setenv("BOT_TOKEN", TOKEN)
    monkeypatch.setenv("BOT_API_ROOT", "http://127.0.0.1:9")
    assert bot.token == TOKEN
    assert bot.api_root == "http://127.0.0.1:9"
    assert "127.0.0.1:9" in repr(bot.api)
    bot.configure(token="1:OTHER", api_root="http://127.0.0.1:8")
    assert bot.token == "1:OTHER"
    assert "127.0.0.1:8" in repr(bot.api)
    bot.close()


@pytest.mark.usefixtures("no_environment")
def test_a_token_that_cannot_be_one_is_a_clear_error_without_the_token() -> None:
    with pytest.raises(ConfigError) as caught:
        _ = Bot("not a token\n").api
    assert "not a token" not in str(caught.value)


def test_the_token_is_not_shown(bot: Bot) -> None:
    assert repr(Bot(TOKEN)) == "<Bot>"
    assert repr(bot) == "<Bot @TesterBot>"
    assert "SECRET" not in repr(Bot(TOKEN).api)


def test_init_asks_once(api: Any) -> None:
    bot = Bot(TOKEN)
    bot.api = api
    bot.init()
    bot.init()
    assert bot.me.username == bot.me["username"] == "TesterBot"
    assert api.calls == [("getMe", {})]


def test_the_engine_reaches_the_client(bot: Bot, api: Any) -> None:
    bot.get_updates(offset=5, limit=10, timeout=1, allowed_updates=["message"])
    bot.interrupt()
    bot.close()
    assert api.calls == [
        ("get_updates", {"offset": 5, "limit": 10, "timeout": 1, "allowed_updates": ["message"]}),
        ("interrupt", {}),
        ("close", {}),
    ]


def test_a_failed_update_raises_and_the_catch_handler_gets_its_context(bot: Bot, say: Make) -> None:
    caught: list[BotError] = []

    @bot.use
    def mark(ctx: Context, next: Callable[[], Any]) -> None:
        ctx.mark = "same"
        next()

    @bot.command("fail")
    def fail(ctx: Context) -> None:
        raise KeyError("x")

    @bot.catch
    def on_error(error: BotError) -> None:
        caught.append(error)

    update = say("/fail")
    with pytest.raises(KeyError) as raised:
        bot.handle_update(update)
    assert caught == []
    bot.handle_error(raised.value, update)
    (error,) = caught
    assert isinstance(error, Exception)
    assert error.error is raised.value
    assert error.ctx.mark == "same"
    assert str(error) == f"KeyError: 'x' (update {update['update_id']}, message)"
    # An error that comes from elsewhere gets a context of its own.
    other = say("y")
    bot.handle_error(ValueError("two\nlines"), other)
    assert caught[1].ctx.update is other
    assert "\n" not in str(caught[1])
    bot.handle_error(error, other)
    assert caught[2] is error


def test_a_bot_error_pickles_without_its_context(bot: Bot, say: Make) -> None:
    error = pickle.loads(pickle.dumps(BotError(KeyError("x"), Context(say("x"), bot))))
    assert str(error) == "KeyError: 'x'"
    assert error.ctx is None
    assert str(BotError(RuntimeError(), Context({}, bot))) == "RuntimeError (update None, None)"


def test_without_a_catch_handler_the_error_is_logged_without_the_token(
    say: Make, caplog: pytest.LogCaptureFixture
) -> None:
    bot = Bot(TOKEN, me={"id": 1})

    def fail(ctx: Context) -> None:
        raise RuntimeError(f"cannot reach https://x/bot{TOKEN}/y")

    bot.command("plain", lambda ctx: 1 / 0)
    bot.use(fail)
    with caplog.at_level(logging.ERROR, "pyruntime"):
        for text in ("/plain", "token"):
            update = say(text)
            with pytest.raises((ZeroDivisionError, RuntimeError)) as raised:
                bot.handle_update(update)
            bot.handle_error(raised.value, update)
    plain, hidden = caplog.records
    assert plain.name == "pyruntime"
    assert plain.exc_info is not None
    assert "ZeroDivisionError" in caplog.text
    assert "in fail" in hidden.getMessage()
    assert "bot<token>/y" in hidden.getMessage()
    assert TOKEN not in caplog.text


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_error_whose_text_cannot_be_read_is_logged_with_its_update(
    bot: Bot, say: Make, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(ctx: Any) -> None:
        raise Mute

    bot.use(handler)
    update = say("x")
    with pytest.raises(Mute) as caught:
        bot.handle_update(update)
    bot.handle_error(caught.value, update)
    (record,) = caplog.records
    told = f"a handler failed: Mute: <str() failed> (update {update['update_id']}, message)"
    assert record.getMessage() == told


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ({"token": 5}, "token is a string or None, not int"),
        ({"token": b"1:x"}, "token is a string or None, not bytes"),
        ({"token": "1:x", "api_root": 5}, "api_root is a string or None, not int"),
        ({"me": 5}, "me is a dict such as getMe returns, not 5"),
    ],
)
def test_a_bot_is_made_of_strings_and_the_error_names_what_is_none(arguments: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Bot(**arguments)
    assert hint in str(caught.value)
    if "me" not in arguments:
        with pytest.raises(ConfigError):
            Bot().configure(**arguments)


def test_a_bot_without_a_name_shows_none() -> None:
    assert repr(Bot(me={})) == "<Bot>"


def test_forgetting_sessions_empties_those_in_memory_only_however_deep_they_are(bot: Bot, say: Make) -> None:
    seen: list[tuple[Any, Any]] = []
    storage = MemoryStorage()

    def visit(ctx: Any) -> None:
        for memory in (ctx.session, ctx.lasting):
            memory["n"] = memory.get("n", 0) + 1
        seen.append((ctx.session["n"], ctx.lasting["n"]))

    inner = Composer(session(dict), session(dict, storage=storage, name="lasting"), visit)
    bot.branch(lambda ctx: True, true=inner)
    bot.handle_update(say("x"))
    bot.handle_update(say("x"))
    bot.forget_sessions()
    bot.handle_update(say("x"))
    assert seen == [(1, 1), (2, 2), (1, 3)]


def test_catch_takes_a_plain_function_of_one_argument(bot: Bot) -> None:
    with pytest.raises(ConfigError, match=r"it gets \(error\)"):
        bot.catch(lambda error, ctx: None)


def test_stop_without_start_returns_none(bot: Bot) -> None:
    assert bot.stop() is None


def test_start_is_for_one_update_at_a_time(bot: Bot) -> None:
    with pytest.raises(ConfigError, match="one update at a time"):
        bot.start(concurrency=5)


def test_importing_the_bot_layer_keeps_the_gil_off() -> None:
    code = (
        "import sys, pyruntime; b = pyruntime.Bot('1:T', me={'id': 1}); b.use(pyruntime.session(dict)); "
        "b.command('x', lambda ctx: ctx.session.update(n=1)); "
        "b.handle_update({'update_id': 1, 'message': {'chat': {'id': 1}, 'text': '/x'}}); "
        "print(getattr(sys, '_is_gil_enabled', lambda: None)())"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    is_free_threaded = "free-threading" in sys.version
    assert ran.stdout.strip() == ("False" if is_free_threaded else "True" if sys.version_info >= (3, 13) else "None")
