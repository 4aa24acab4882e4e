"""Bots run by the engine against the fake server: order, sessions, errors, start and stop."""

from __future__ import annotations

import logging
import random
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import ujson

from pyruntime import Bot, BotError, Context, Unauthorized, session
from pyruntime.testing import FakeBotApi
from runner_c import ConfigError, MemoryStorage, StopReport, by_chat, by_user, run, sequentialize

Launch = Callable[..., Any]


def passing(ctx: Context, next: Callable[[], Any]) -> None:
    next()


def message(text: str, chat: int, user: int) -> dict[str, Any]:
    return {
        "message": {
            "message_id": 1,
            "date": 1,
            "text": text,
            "chat": {"id": chat, "type": "supergroup"},
            "from": {"id": user, "is_bot": False, "first_name": "U"},
        }
    }


def stacks(storage: MemoryStorage) -> dict[str, Callable[[Bot], None]]:
    """The places at which a session can stand; its key is the user, while the default order is by chat."""
    sessions = session(lambda: {"n": 0}, key=by_user, storage=storage)

    def deep(bot: Bot) -> None:
        bot.use(passing)
        bot.use(sessions)

    def beside_a_bypass(bot: Bot) -> None:
        bot.use(sequentialize(by_chat, bypass=lambda ctx: ctx.update_id % 3 == 0))
        bot.use(sessions)

    return {"head": lambda bot: bot.use(sessions) and None, "deep": deep, "beside a bypass": beside_a_bypass}


@pytest.mark.parametrize("place", ["head", "deep", "beside a bypass"])
def test_no_session_write_is_lost_under_the_engine(live: Bot, server: FakeBotApi, place: str) -> None:
    storage = MemoryStorage()
    stacks(storage)[place](live)
    inside: dict[int, int] = defaultdict(int)
    lock = threading.Lock()
    overlaps: list[int] = []
    done = threading.Semaphore(0)
    pause = threading.Event()

    @live.on("message:text")
    def count(ctx: Context) -> None:
        user = ctx.from_user.id
        before = ctx.session["n"]
        with lock:
            inside[user] += 1
            if inside[user] > 1:
                overlaps.append(user)
        pause.wait(0.002)
        ctx.session["n"] = before + 1
        with lock:
            inside[user] -= 1
        done.release()

    chance = random.Random(7)
    server.push_many(message("x", -chance.randint(1, 40), chance.randint(1, 5)) for _ in range(500))
    with run(live, concurrency=32) as handle:
        for _ in range(500):
            assert done.acquire(timeout=60)
        report = handle.stop()
    assert report.drained
    assert report.handled == 500
    assert overlaps == []
    assert sum(ujson.loads(storage.read(str(user)) or b"")["n"] for user in range(1, 6)) == 500


def test_a_failed_update_changes_no_session_and_reaches_the_catch_handler(live: Bot, server: FakeBotApi) -> None:
    storage = MemoryStorage()
    caught: list[BotError] = []
    live.use(session(lambda: {"n": 0}, storage=storage))

    @live.use
    def mark(ctx: Context, next: Callable[[], Any]) -> None:
        ctx.mark = ctx.text
        next()

    @live.on("message:text")
    def count(ctx: Context) -> None:
        ctx.session["n"] += 1
        assert ctx.attempt == 1
        if ctx.text == "fail":
            raise KeyError(ctx.text)
        ctx.reply(str(ctx.session["n"]))

    @live.catch
    def on_error(error: BotError) -> None:
        caught.append(error)

    chat = server.chat(1)
    with run(live):
        for text, expected in (("a", "1"), ("fail", None), ("b", "2")):
            chat.send(text)
            if expected is not None:
                assert chat.reply().text == expected
    assert storage.read("1") == b'{"n":2}'
    (error,) = caught
    assert isinstance(error.error, KeyError)
    assert error.ctx.mark == "fail"


def test_replies_go_over_the_wire_with_views_as_parameters(live: Bot, server: FakeBotApi) -> None:
    markup = {"inline_keyboard": [[{"text": "yes", "callback_data": "y"}]]}

    @live.command("ask")
    def ask(ctx: Context) -> None:
        ctx.reply("sure?", reply_markup=markup)

    @live.callback_query("y")
    def yes(ctx: Context) -> None:
        ctx.answer("thanks")
        ctx.edit("sure!", reply_markup=ctx.message.reply_markup)

    chat = server.chat(1)
    with run(live):
        chat.send("/ask@" + live.me.username)
        chat.reply()
        query = chat.press("yes")
        edited = chat.next_edit()
    assert edited.text == "sure!"
    assert server.calls_of("editMessageText")[0].parameters["reply_markup"] == markup
    assert server.calls_of("answerCallbackQuery")[0].parameters["text"] == "thanks"
    assert query is not None


def test_the_engine_asks_for_the_kinds_that_handlers_want(live: Bot, server: FakeBotApi) -> None:
    live.command("x", passing)
    live.on("chat_member", passing)
    with run(live):
        server.wait_until_polled()
    assert server.polls[0].parameters["allowed_updates"] == ["message", "channel_post", "chat_member"]


def start_in_a_thread(bot: Bot, **options: Any) -> tuple[threading.Thread, list[BaseException]]:
    errors: list[BaseException] = []

    def start() -> None:
        try:
            bot.start(**options)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    return thread, errors


def test_start_handles_one_update_at_a_time_until_stop(live: Bot, server: FakeBotApi) -> None:
    active: list[int] = []
    most: list[int] = []
    texts: list[str] = []

    @live.on("message")
    def handle(ctx: Context) -> None:
        active.append(1)
        most.append(len(active))
        texts.append(ctx.text)
        ctx.reply("ok")
        active.pop()

    server.push_many(message(str(number), -number, 5) for number in range(1, 21))
    for _ in range(2):
        thread, errors = start_in_a_thread(live)
        server.wait_for("sendMessage", 20)
        server.wait_until_polled()
        with pytest.raises(ConfigError, match="started already"):
            live.start()
        report = live.stop()
        thread.join(10)
        assert isinstance(report, StopReport)
        assert report.drained
        assert errors == []
        assert live.stop() is None
    assert max(most) == 1
    assert texts == [str(number) for number in range(1, 21)]


def test_a_handler_may_stop_the_bot(live: Bot, server: FakeBotApi) -> None:
    handled: list[str] = []

    @live.on("message")
    def handle(ctx: Context) -> None:
        handled.append(ctx.text)
        if ctx.text == "stop":
            assert live.stop() is not None

    thread, errors = start_in_a_thread(live)
    server.chat(1).send("go")
    server.chat(1).send("stop")
    thread.join(10)
    assert not thread.is_alive()
    assert errors == []
    assert handled == ["go", "stop"]


def test_start_raises_what_ended_the_run(server: FakeBotApi) -> None:
    bot = Bot("1:WRONG", server.url)
    with pytest.raises(Unauthorized):
        bot.start()
    assert bot.stop() is None
    bot.close()


def test_a_failed_handler_without_catch_is_logged_and_the_bot_goes_on(
    live: Bot, server: FakeBotApi, caplog: pytest.LogCaptureFixture
) -> None:
    @live.on("message")
    def handle(ctx: Context) -> None:
        if ctx.text == "fail":
            raise RuntimeError("oh")
        ctx.reply("fine")

    with caplog.at_level(logging.ERROR, "pyruntime"), run(live):
        server.chat(1).send("fail")
        server.chat(1).send("x")
        assert server.chat(1).reply().text == "fine"
    assert "RuntimeError: oh" in caplog.text
    assert [record.name for record in caplog.records] == ["pyruntime"]


PROGRAM = """
import sys
from pyruntime import Bot
bot = Bot()

@bot.on("message")
def handle(ctx):
    ctx.reply("got it")

print("starting", file=sys.stderr)
bot.start()
print("stopped", file=sys.stderr)
"""


def test_ctrl_c_stops_a_started_bot_gracefully(launch: Launch, server: FakeBotApi, tmp_path: Any) -> None:
    (tmp_path / "bot.py").write_text(PROGRAM)
    program = launch("bot.py", BOT_TOKEN=server.token, BOT_API_ROOT=server.url)
    server.chat(1).send("hi")
    assert server.chat(1).reply(30).text == "got it"
    program.send(signal.SIGINT)
    program.wait_for("stopped")
    assert program.wait() == 0
    server.wait_until_confirmed()


@pytest.mark.skipif("free-threading" not in sys.version, reason="needs a free-threaded build")
def test_a_running_bot_keeps_the_gil_off(live: Bot, server: FakeBotApi) -> None:
    live.use(session(dict))
    live.on("message", lambda ctx: ctx.reply(str(sys._is_gil_enabled())))
    with run(live):
        server.chat(1).send("x")
        assert server.chat(1).reply().text == "False"
    assert not sys._is_gil_enabled()
