"""The runner behind a webhook: when it starts, what it is told, and what is wrong with it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ujson

from pyruntime import Bot
from pyruntime.testing import FakeBotApi
from pyruntime.webhook import webhook_app
from runner_c import ConfigError
from tests.webhook.conftest import SECRET, Site, message

Serve = Callable[..., Site]


def test_it_starts_with_the_first_request_or_when_it_is_told_to(serve: Serve) -> None:
    site = serve()
    assert site.app.handle is None
    assert site.app.stop() is None
    handle = site.app.start()
    assert handle.is_running()
    assert site.app.start() is handle
    assert site.post(message(1))[0] == 200
    assert site.app.handle is handle


def test_leaving_the_block_stops_it(api: FakeBotApi) -> None:
    with webhook_app(Bot(api.token, api.url), secret_token=SECRET) as app:
        assert app.handle is not None
        assert app.handle.is_running()
    assert not app.handle.is_running()
    assert app.receive(b'{"update_id": 5}', SECRET).status == 503


def test_it_starts_again_after_a_stop_when_it_is_told_to_and_not_by_a_request(serve: Serve) -> None:
    site = serve()
    first = site.app.start()
    assert site.post(message(1))[0] == 200
    site.app.stop()
    assert site.post(message(2))[0] == 503
    assert not first.is_running()
    assert site.app.start().is_running()
    assert site.post(message(2))[0] == 200
    with site.app as again:
        assert again.handle is not None
        assert again.handle.is_running()
    assert [update["update_id"] for update in site.handled] == [1, 2]


def test_an_object_of_another_framework_is_adapted_when_the_app_is_made(api: FakeBotApi) -> None:
    telebot = pytest.importorskip("telebot")
    bot = telebot.TeleBot(api.token)
    handled: list[str] = []
    bot.message_handler()(lambda message: handled.append(message.text))
    telebot.apihelper.API_URL = api.url + "/bot{0}/{1}"
    try:
        with webhook_app(bot, secret_token=SECRET, url=f"{api.url}/hook") as app:
            api.wait_for("setWebhook", timeout_s=20)
            assert app.receive(ujson.dumps(message(7, "to telebot")), SECRET).status == 200
    finally:
        telebot.apihelper.API_URL = None
    assert handled == ["to telebot"]


def test_a_framework_of_any_kind_hands_in_body_and_header(api: FakeBotApi) -> None:
    with webhook_app(Bot(api.token, api.url), secret_token=SECRET) as app:
        assert app.receive(b'{"update_id": 5}', SECRET) == (200, [], b"")
        assert app.receive(b'{"update_id": 5}', None).status == 401
        assert app.receive(b"{", SECRET).status == 400
        assert app.receive(b" " * 2_000_000, SECRET).status == 413
        for body in (bytearray(b'{"update_id": 6}'), memoryview(b'{"update_id": 6}'), '{"update_id": 6}'):
            assert app.receive(body, SECRET.encode()).status == 200
        assert app.receive(b"{}", b"\xff\xfe").status == 401


def test_order_of_a_chat_holds_when_its_updates_come_over_many_connections(serve: Serve) -> None:
    seen: list[int] = []
    running: list[int] = []
    overlaps: list[int] = []

    def handle(ctx: Any) -> None:
        running.append(1)
        if len(running) > 1:
            overlaps.append(1)
        seen.append(ctx.update["update_id"])
        running.pop()

    site = serve(handle, threads=16)
    taken: list[int] = []
    lock = threading.Lock()

    def post(update_id: int) -> None:
        with lock:  # so that there is an order of arrival to compare with
            assert site.post(message(update_id))[0] == 200
            taken.append(update_id)

    threads = [threading.Thread(target=post, args=(number,)) for number in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    site.wait_for_handled(60)
    assert seen == taken
    assert not overlaps


def test_what_was_taken_is_in_the_store_before_the_answer(serve: Serve, tmp_path: Path) -> None:
    go = threading.Event()
    site = serve(lambda ctx: go.wait(20), store=f"sqlite:{tmp_path}/bot.db", concurrency=1)
    for update_id in (1, 2, 3):
        assert site.post(message(update_id, chat_id=update_id))[0] == 200
    report_of: list[Any] = []
    stopping = threading.Thread(target=lambda: report_of.append(site.app.stop(0)))
    stopping.start()
    stopping.join(20)
    go.set()
    assert sorted(update["update_id"] for update in report_of[0].unfinished) == [1, 2, 3]
    again = serve(store=f"sqlite:{tmp_path}/bot.db")
    again.app.start()
    assert sorted(update["update_id"] for update in again.wait_for_handled(3)) == [1, 2, 3]
    assert again.post(message(2))[0] == 200
    assert again.post(message(4, chat_id=2))[0] == 200
    assert [update["update_id"] for update in again.wait_for_handled(4) if update["update_id"] in (2, 4)] == [2, 4]


def test_a_server_with_several_processes_is_told_what_to_do_and_takes_nothing(
    api: FakeBotApi, caplog: pytest.LogCaptureFixture
) -> None:
    app = webhook_app(Bot(api.token, api.url), secret_token=None)
    answers: list[str] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": "0",
        "wsgi.input": None,
        "wsgi.multiprocess": True,
    }
    for _ in range(3):
        list(app(environ, lambda status, headers: answers.append(f"{status} {dict(headers).get('Retry-After')}")))
    assert answers == ["503 Service Unavailable 2"] * 3
    assert caplog.text.count("several processes") == 1
    assert app.handle is None


def test_a_bot_that_cannot_run_is_answered_with_503_and_said_once(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = serve(store=f"sqlite:{tmp_path}/not/there/bot.db")
    for update_id in (1, 2, 3):
        status, headers, _ = site.post(message(update_id))
        assert (status, headers["Retry-After"]) == (503, "2")
    assert caplog.text.count("the runner cannot start") == 1
    (tmp_path / "not" / "there").mkdir(parents=True)
    assert site.post(message(1))[0] == 200
    site.wait_for_handled(1)


def test_a_refused_token_ends_the_runner_and_takes_nothing(
    serve: Serve, api: FakeBotApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.fault("unauthorized", times=None)
    site = serve()
    with pytest.raises(Exception, match="Unauthorized"):
        site.app.start().wait(20)
    assert [site.post(message(number))[0] for number in (1, 2)] == [503, 503]
    assert caplog.text.count("the runner has ended by an error") == 1


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_runner_that_was_started_before_a_fork_is_a_clear_error_in_the_child(api: FakeBotApi) -> None:
    app = webhook_app(Bot(api.token, api.url), secret_token=None)
    started = webhook_app(Bot(api.token, api.url), secret_token=None)
    with started:
        reader, writer = multiprocessing.Pipe(duplex=False)
        pid = os.fork()
        if not pid:
            try:
                status = started.receive(b'{"update_id": 5}').status
                fresh = app.receive(b'{"update_id": 5}').status
                writer.send((status, started.handle is None, fresh))
                app.stop(5)
            finally:
                os._exit(0)
        try:
            assert reader.poll(20)
            assert reader.recv() == (503, True, 200)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            reader.close()
            writer.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"secret_token": ""}, "secret_token is 1 to 256"),
        ({"secret_token": "a b"}, "secret_token is 1 to 256"),
        ({"secret_token": 5}, "secret_token is 1 to 256"),
        ({"path": "telegram"}, "begins with a slash"),
        ({"retry_after_s": 0}, "retry_after_s"),
        ({"retry_after_s": 3601}, "3600 at most"),
        ({"max_connections": 101, "url": "https://x.org"}, "max_connections is 100 at most"),
        ({"max_connections": 4}, "give url too"),
        ({"remove_at_end": True}, "give url too"),
        ({"reply_timeout_s": 0}, "reply_timeout_s"),
        ({"reply_in_response": "send_message"}, "names of methods"),
        ({"reply_in_response": ["get_me"]}, "getMe"),
        ({"reply_in_response": ["sendmessage"]}, "not the snake_case name"),
        ({"source": []}, "leave source out"),
        ({"ack": "done"}, "ack"),
        ({"concurency": 4}, "neither webhook_app\\(\\) nor run\\(\\) has an option concurency"),
        ({"drop_pending": True}, "drop_pending is for setWebhook: give url too"),
        ({"allowed_updates": ["message"]}, "allowed_updates is for setWebhook: give url too"),
    ],
)
def test_a_bad_option_is_a_clear_error(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        webhook_app(Bot("1:a"), **options)


def test_a_bad_option_of_the_runner_shows_at_the_start(api: FakeBotApi) -> None:
    app = webhook_app(Bot(api.token, api.url), concurrency=0)
    with pytest.raises(ConfigError, match="concurrency"):
        app.start()
    assert app.receive(b'{"update_id": 5}').status == 503
