"""The adapter inside a program: what it takes, how it polls, what it changes on the bot."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import telebot
from telebot import apihelper, types

from pyruntime import BadReply, Conflict, NetworkError, RetryAfter, Unauthorized
from pyruntime.adapters.telebot import adapt
from pyruntime.testing import FakeBotApi
from pyruntime.testing.fault import FaultKind
from runner_c import ConfigError, current, run

TOKEN = "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"
HELPER = ("API_URL", "FILE_URL", "CUSTOM_REQUEST_SENDER", "proxy", "session", "ENABLE_MIDDLEWARE")


@pytest.fixture(autouse=True)
def helper(api: FakeBotApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Point telebot to the server, close its sessions, and put back afterwards what a test has set up in it."""
    for name in HELPER:
        monkeypatch.setattr(apihelper, name, getattr(apihelper, name))
    monkeypatch.setattr(apihelper, "SESSION_TIME_TO_LIVE", 3600)
    apihelper.API_URL = f"{api.url}/bot{{0}}/{{1}}"
    yield
    close_session()


def close_session() -> None:
    """Close the connections of this thread: telebot itself never does."""
    session = getattr(telebot.util.thread_local, "req_session", None)
    if session is not None:
        session.close()


def special_sender(method: str, url: str, **options: Any) -> Any:
    """Send a request as a bot does that has a sender of its own."""
    import requests

    options.pop("proxies", None)
    with requests.Session() as session:
        return session.request(method, url, **options)


def make_bot(**options: Any) -> Any:
    """Return a bot that answers in the thread that handles the update."""
    bot = telebot.TeleBot(TOKEN, **options)
    bot.answers = []
    return bot


def test_importing_us_imports_no_telebot_and_needs_none() -> None:
    program = (
        "import sys; sys.modules['telebot'] = None\nimport pyruntime, runner_c, pyruntime.adapters.telebot as t\n"
        "assert t.adapt(object()) is None\ntry:\n    runner_c.run(object())\nexcept runner_c.ConfigError as e: print(e)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "has no get_updates()" in done.stdout, done.stderr


def test_one_bot_has_one_adapter_and_derived_classes_have_one_too() -> None:
    class Shop(telebot.TeleBot):
        pass

    bot = Shop(TOKEN, threaded=False)
    assert adapt(bot) is adapt(bot) is not None
    assert adapt(Shop) is None
    assert adapt(types.User(1, False, "x")) is None
    assert TOKEN not in repr(adapt(bot))


def test_an_async_bot_is_refused_with_the_reason() -> None:
    from telebot.async_telebot import AsyncTeleBot

    with pytest.raises(ConfigError, match="runner_c runs synchronous bots"):
        run(AsyncTeleBot(TOKEN))


def test_a_bot_runs_embedded_keeps_the_order_and_ends_its_pool(api: FakeBotApi) -> None:
    bot = make_bot(num_threads=3)
    workers = bot.worker_pool.workers
    seen: list[tuple[str, int, str]] = []
    done = threading.Event()

    @bot.message_handler(content_types=["text"])
    def note(message: types.Message) -> None:
        delivery = current()
        assert delivery is not None
        seen.append((message.text, delivery.attempt, threading.current_thread().name))
        if len(seen) == 50:
            done.set()

    with run(bot) as handle:
        for number in range(50):
            api.chat(1).send(str(number))
        assert done.wait(20)
        assert handle.is_running()
        with pytest.raises(Exception, match="run already"):
            run(bot)
    assert [text for text, _, _ in seen] == [str(number) for number in range(50)]
    assert {attempt for _, attempt, _ in seen} == {1}
    assert all(name.startswith("runner_c-worker") for _, _, name in seen)
    for worker in workers:
        worker.join(10)
        assert not worker.is_alive()
    assert bot.threaded is False


@pytest.mark.parametrize("is_special", [False, True], ids=["our client", "telebot's own sender"])
def test_a_stop_cuts_the_poll_on_both_roads_and_loses_nothing(api: FakeBotApi, is_special: bool) -> None:
    if is_special:
        apihelper.CUSTOM_REQUEST_SENDER = special_sender
    bot = make_bot()
    seen: list[str] = []
    arrived = threading.Semaphore(0)

    @bot.message_handler()
    def note(message: types.Message) -> None:
        seen.append(message.text)
        arrived.release()

    for text in ("one", "two"):
        handle = run(bot, poll_timeout_s=50)
        api.wait_until_polled(timeout_s=20)
        api.chat(1).send(text)
        assert arrived.acquire(timeout=20)
        api.wait_until_polled(timeout_s=20)
        begun_s = time.monotonic()
        report = handle.stop(10)
        assert time.monotonic() - begun_s < 5
        assert report.drained
        assert api.pending_count() == 0
    assert seen == ["one", "two"]


@pytest.mark.parametrize("is_special", [False, True], ids=["our client", "telebot's own sender"])
def test_errors_of_polling_carry_what_the_engine_reads_and_no_token(api: FakeBotApi, is_special: bool) -> None:
    if is_special:
        apihelper.CUSTOM_REQUEST_SENDER = special_sender
    bot = make_bot()
    adapter = adapt(bot)
    assert adapter is not None
    faults: list[tuple[FaultKind, type[Exception]]] = [
        ("unauthorized", Unauthorized),
        ("conflict", Conflict),
        ("retry_after", RetryAfter),
        ("garbage", BadReply),
    ]
    for fault, kind in faults:
        api.fault(fault, "getUpdates", seconds=7)
        with pytest.raises(kind) as caught:
            adapter.get_updates(offset=1, limit=10, timeout=0)
        if kind is RetryAfter:
            assert caught.value.retry_after == 7  # type: ignore[attr-defined]
    api.stop()
    with pytest.raises(NetworkError) as failed:
        adapter.get_updates(offset=1, limit=10, timeout=0)
    assert TOKEN not in str(failed.value)
    assert TOKEN.replace(":", "%3A") not in str(failed.value)
    adapter.close()


def test_the_road_is_chosen_by_what_the_bot_has_set_up(api: FakeBotApi) -> None:
    adapter = adapt(make_bot(threaded=False))
    assert adapter is not None
    assert repr(adapter.api) == f"ApiClient(bot 123456789 at {api.url})"
    apihelper.API_URL = f"{api.url}/bot{{0}}/test/{{1}}"
    assert repr(adapter.api) == "TelebotRoad(bot 123456789)"
    adapter.configure(api_root="http://127.0.0.1:1/prefix/")
    assert repr(adapter.api) == "ApiClient(bot 123456789 at http://127.0.0.1:1/prefix)"
    assert apihelper.FILE_URL.format("T", "f") == "http://127.0.0.1:1/prefix/file/botT/f"
    apihelper.proxy = {"https": "http://127.0.0.1:1"}
    assert repr(adapter.api) == "TelebotRoad(bot 123456789)"


def test_the_address_in_the_environment_is_taken_if_the_program_gives_none(
    api: FakeBotApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    apihelper.API_URL = None
    monkeypatch.setitem(os.environ, "BOT_API_ROOT", api.url)
    with run(make_bot()):
        api.wait_until_polled(timeout_s=20)


def test_kinds_that_telegram_sends_on_request_only_are_asked_for_if_there_is_a_handler() -> None:
    bot = make_bot(threaded=False)
    adapter = adapt(bot)
    assert adapter is not None
    bot.register_message_handler(lambda message: None)
    assert adapter.allowed_updates() is None
    bot.register_chat_member_handler(lambda member: None)
    kinds = adapter.allowed_updates()
    assert kinds is not None
    assert {"chat_member", "message", "callback_query"} <= set(kinds)
    assert "message_reaction" not in kinds


UPDATES: list[tuple[str, dict[str, Any]]] = [
    ("inline_handler", {"inline_query": {"id": "1", "query": "q", "offset": ""}}),
    ("chosen_inline_handler", {"chosen_inline_result": {"result_id": "1", "query": "q"}}),
    ("callback_query_handler", {"callback_query": {"id": "1", "chat_instance": "1", "data": "x"}}),
    ("pre_checkout_query_handler", {"pre_checkout_query": {"id": "1", "currency": "EUR", "total_amount": 1}}),
    (
        "shipping_query_handler",
        {
            "shipping_query": {
                "id": "1",
                "invoice_payload": "p",
                "shipping_address": {
                    "country_code": "DE",
                    "state": "",
                    "city": "",
                    "street_line1": "",
                    "street_line2": "",
                    "post_code": "",
                },
            }
        },
    ),
    ("edited_message_handler", {"edited_message": {"text": "x"}}),
    ("channel_post_handler", {"channel_post": {"text": "x"}}),
    ("edited_channel_post_handler", {"edited_channel_post": {"text": "x"}}),
    ("poll_answer_handler", {"poll_answer": {"poll_id": "1", "option_ids": [0], "option_persistent_ids": ["a"]}}),
    ("chat_join_request_handler", {"chat_join_request": {"user_chat_id": 5, "date": 1}}),
    (
        "poll_handler",
        {
            "poll": {
                "id": "1",
                "question": "?",
                "options": [{"text": "a", "voter_count": 0, "persistent_id": "a", "text_entities": []}],
                "total_voter_count": 0,
                "is_closed": False,
                "is_anonymous": True,
                "type": "regular",
                "allows_multiple_answers": False,
            }
        },
    ),
]


@pytest.mark.parametrize(("handler", "update"), UPDATES, ids=[name for name, _ in UPDATES])
def test_each_kind_of_update_reaches_its_handler_and_the_update_stays_as_it_was(
    handler: str, update: dict[str, Any]
) -> None:
    user = {"id": 7, "is_bot": False, "first_name": "Ada"}
    chat = {"id": 5, "type": "private", "first_name": "Ada"}
    ((kind, payload),) = update.items()
    if kind != "poll":
        payload = {"from": user, "user": user, "invoice_payload": "p", **payload}
    if "message" in kind or "post" in kind or kind == "chat_join_request":
        payload = {"message_id": 1, "date": 1, "chat": chat, **payload}
    whole = {"update_id": 1, kind: payload}
    before = repr(whole)
    bot = make_bot(threaded=False)
    seen: list[Any] = []
    getattr(bot, handler)(func=lambda thing: True)(seen.append)
    adapter = adapt(bot)
    assert adapter is not None
    adapter.handle_update(whole)
    assert len(seen) == 1
    assert repr(whole) == before
    adapter.close()


def test_reactions_reach_their_handler() -> None:
    bot = make_bot(threaded=False)
    if not hasattr(bot, "message_reaction_handler"):
        pytest.skip("this release of telebot knows no reactions")
    seen: list[Any] = []
    bot.message_reaction_handler(func=lambda thing: True)(seen.append)
    adapter = adapt(bot)
    assert adapter is not None
    reaction = {
        "chat": {"id": 5, "type": "private"},
        "user": {"id": 7, "is_bot": False, "first_name": "Ada"},
        "message_id": 1,
        "date": 1,
        "old_reaction": [],
        "new_reaction": [{"type": "emoji", "emoji": "x"}],
    }
    adapter.handle_update({"update_id": 1, "message_reaction": reaction})
    assert len(seen) == 1
    adapter.close()


def test_the_fixtures_of_pytest_take_a_telebot_bot(bot_api: FakeBotApi, run_bot: Any) -> None:
    bot = make_bot()

    @bot.message_handler(commands=["start"])
    def start(message: Any) -> None:
        bot.send_message(message.chat.id, "Hello")
        close_session()

    run_bot(bot)
    chat = bot_api.chat(1)
    chat.send("/start")
    assert chat.reply().text == "Hello"
