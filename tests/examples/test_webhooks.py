"""The examples with a webhook, each started for real under its server and spoken to over HTTP."""

import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runner_c
from pyruntime.testing import FakeBotApi

Start = Callable[..., Any]

SECRET = "a-secret_1"
INSTALLED_IN = str(Path(next(iter(runner_c.__path__))).parent)


class Site:
    """A server that was started, and its program."""

    def __init__(self, program: Any, port: int) -> None:
        self.program = program
        self.port = port

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        """Send a request and return status and body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def post(self, path: str, update: object, secret: str = SECRET) -> int:
        """Post an update as Telegram does."""
        body = update if isinstance(update, bytes) else json.dumps(update).encode()
        headers = {"X_Telegram_Bot_Api_Secret_Token": secret, "Content_Type": "application/json"}
        return self.ask("POST", path, body, **headers)[0]


def message(update_id: int, text: str, chat_id: int = 7) -> dict[str, Any]:
    """Return an update with a message of a private chat."""
    person = {"id": chat_id, "is_bot": False, "first_name": "Ann"}
    chat = {"id": chat_id, "type": "private", "first_name": "Ann"}
    content: dict[str, Any] = {"message_id": update_id, "date": 1, "chat": chat, "from": person, "text": text}
    if text.startswith("/"):
        content["entities"] = [{"type": "bot_command", "offset": 0, "length": len(text)}]
    return {"update_id": update_id, "message": content}


@pytest.fixture
def serve(launch: Start, api: FakeBotApi, tmp_path: Path) -> Callable[..., Site]:
    """Return a function that starts a server, `{port}` in its arguments being a free port, and waits for it."""

    def start(*arguments: str, **variables: str) -> Site:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        places = os.pathsep.join([INSTALLED_IN, str(tmp_path)])
        program = launch(
            *(argument.format(port=port) for argument in arguments),
            BOT_TOKEN=api.token,
            BOT_API_ROOT=api.url,
            WEBHOOK_SECRET=SECRET,
            PYTHONPATH=places,
            PORT=str(port),
            **variables,
        )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and program.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return Site(program, port)
            except OSError:
                program.process.poll()
        raise AssertionError(f"nothing listens on {port}:\n{program.err}\n{program.out}")

    return start


def check_the_gate(site: Site, path: str) -> None:
    """A request that is not Telegram's is refused with the right status, through whatever framework is before it."""
    update = message(900, "/start")
    assert site.post(path, update, secret="wrong") == 401
    assert site.post(path, b"{") == 400
    assert site.post(path, b"x" * (1024 * 1024 + 1)) == 413
    assert site.ask("GET", path, X_Telegram_Bot_Api_Secret_Token=SECRET)[0] == 405


def test_plain_wsgi_under_gunicorn_keeps_order_and_stops_with_everything_handled(
    serve: Callable[..., Site], api: FakeBotApi
) -> None:
    site = serve(
        "-m", "gunicorn", "--workers", "1", "--threads", "8", "--bind", "127.0.0.1:{port}", "examples.webhook:app"
    )
    api.chat(7)
    for number in range(1, 31):
        assert site.post("/", message(number, f"text {number}")) == 200
    assert site.post("/", message(7, "again")) == 200
    check_the_gate(site, "/")
    assert site.program.stop() == 0
    assert [call.parameters["text"] for call in api.calls_of("sendMessage")] == [f"message {n}" for n in range(1, 31)]


def test_gunicorn_with_two_workers_is_a_clear_error_and_nothing_is_taken(
    serve: Callable[..., Site], api: FakeBotApi
) -> None:
    site = serve("-m", "gunicorn", "--workers", "2", "--bind", "127.0.0.1:{port}", "examples.webhook:app")
    assert site.post("/", message(1, "text")) == 503
    site.program.wait_for("the order of a chat needs one: use one worker with threads")
    site.program.stop()
    assert not api.calls_of("sendMessage")


def test_gunicorn_that_loads_the_app_before_it_forks_is_fine(serve: Callable[..., Site], api: FakeBotApi) -> None:
    options = ("--preload", "--workers", "1", "--threads", "4", "--bind", "127.0.0.1:{port}")
    site = serve("-m", "gunicorn", *options, "examples.webhook:app")
    api.chat(7)
    assert site.post("/", message(1, "text")) == 200
    assert api.wait_for("sendMessage", timeout_s=20)[0].parameters["text"] == "message 1"
    assert site.program.stop() == 0


def test_what_gunicorn_took_before_a_kill_is_handled_by_the_next_one(
    serve: Callable[..., Site], api: FakeBotApi, tmp_path: Path
) -> None:
    arguments = (
        "-m",
        "gunicorn",
        "--workers",
        "1",
        "--threads",
        "8",
        "--bind",
        "127.0.0.1:{port}",
        "examples.webhook:app",
    )
    api.chat(7)
    api.latency_by_method_s["sendMessage"] = 0.2
    site = serve(*arguments, STORE=f"sqlite:{tmp_path}/bot.db")
    for number in range(1, 11):
        assert site.post("/", message(number, "text")) == 200
    worker = int(
        (Path("/proc") / str(site.program.process.pid) / "task")
        .joinpath(str(site.program.process.pid), "children")
        .read_text()
        .split()[0]
    )
    site.program.send(signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    site.program.wait()
    api.latency_by_method_s.clear()
    site = serve(*arguments, STORE=f"sqlite:{tmp_path}/bot.db")
    assert site.post("/", message(11, "text")) == 200
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        texts = [call.parameters["text"] for call in api.calls_of("sendMessage")]
        if texts and texts[-1] == "message 11":
            break
        api.wait_for("sendMessage", len(texts) + 1, timeout_s=20)
    assert sorted(set(texts), key=lambda text: int(text.split()[1])) == [f"message {n}" for n in range(1, 12)]
    assert site.program.stop() == 0


def test_flask_has_its_pages_and_the_webhook(serve: Callable[..., Site], api: FakeBotApi) -> None:
    site = serve("-m", "examples.webhook_flask")
    api.chat(7)
    assert site.post("/telegram", message(1, "/start")) == 200
    assert api.wait_for("sendMessage", timeout_s=20)[0].parameters["text"] == "hello from Flask"
    check_the_gate(site, "/telegram")
    status, body = site.ask("GET", "/health")
    assert (status, json.loads(body)["running"]) == (200, True)
    site.program.stop(signal.SIGINT)


def test_fastapi_has_its_routes_and_the_webhook(serve: Callable[..., Site], api: FakeBotApi) -> None:
    site = serve("-m", "uvicorn", "--port", "{port}", "examples.webhook_fastapi:app")
    api.chat(7)
    assert site.post("/telegram/", message(1, "/start")) == 200
    assert api.wait_for("sendMessage", timeout_s=20)[0].parameters["text"] == "hello from FastAPI"
    check_the_gate(site, "/telegram/")
    status, body = site.ask("GET", "/health")
    assert (status, json.loads(body)["running"]) == (200, True)
    site.program.stop()
    site.program.wait_for("Application shutdown complete")


@pytest.mark.parametrize("server", ["runserver", "gunicorn"])
def test_django_has_its_pages_and_the_webhook(serve: Callable[..., Site], api: FakeBotApi, server: str) -> None:
    if server == "runserver":
        site = serve("-m", "examples.django_site.manage", "runserver", "--noreload", "127.0.0.1:{port}")
    else:
        options = ("--workers", "1", "--threads", "8", "--bind", "127.0.0.1:{port}")
        site = serve("-m", "gunicorn", *options, "examples.django_site.wsgi")
    api.chat(7)
    for number in (1, 2, 3):
        assert site.post("/telegram/", message(number, "/start")) == 200
    answers = api.wait_for("sendMessage", 3, timeout_s=20)
    assert [call.parameters["text"] for call in answers] == ["visit 1", "visit 2", "visit 3"]
    check_the_gate(site, "/telegram/")
    status, body = site.ask("GET", "/health/")
    assert (status, json.loads(body)) == (200, {"running": True})
    site.program.stop(signal.SIGINT)


def test_djangos_runbot_polls_with_the_options_of_the_command_line(
    launch: Start, api: FakeBotApi, tmp_path: Path
) -> None:
    places = os.pathsep.join([INSTALLED_IN, str(tmp_path)])
    variables = {"BOT_TOKEN": api.token, "BOT_API_ROOT": api.url, "PYTHONPATH": places}
    chat = api.chat(7)
    chat.send("/start")
    program = launch("-m", "examples.django_site.manage", "runbot", "--", "--concurrency", "7", **variables)
    assert chat.reply(timeout_s=20)["text"] == "visit 1"
    program.wait_for("concurrency 7, ack journal, store sqlite:")
    assert program.stop() == 0
    assert (tmp_path / "site.runner.db").exists()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("{}", 'set RUNNER_C = {"TARGET"'),
        ("{'TARGET': 'examples.django_site.bott'}", "cannot be imported"),
        ("{'TARGET': 'examples.django_site.bot', 'STORE': 'x'}", "has no key STORE"),
        ("{'TARGET': 'examples.django_site.bot', 'OPTIONS': 5}", "cannot be int"),
    ],
)
def test_djangos_check_says_what_is_wrong_with_the_setting(
    launch: Start, tmp_path: Path, setting: str, said: str
) -> None:
    (tmp_path / "wrong.py").write_text(f"from examples.django_site.settings import *\nRUNNER_C = {setting}\n")
    variables = {"PYTHONPATH": os.pathsep.join([INSTALLED_IN, str(tmp_path)]), "DJANGO_SETTINGS_MODULE": "wrong"}
    program = launch("-m", "examples.django_site.manage", "check", **variables)
    assert program.wait() == 1
    assert said in program.err
    assert "Traceback" not in program.err


def test_a_worker_is_started_looked_after_and_stopped_by_its_own_process(
    launch: Start, api: FakeBotApi, tmp_path: Path
) -> None:
    places = os.pathsep.join([INSTALLED_IN, str(tmp_path)])
    program = launch("-m", "examples.worker", BOT_TOKEN=api.token, BOT_API_ROOT=api.url, PYTHONPATH=places)
    chat = api.chat(7)
    chat.send("/start")
    assert chat.reply(timeout_s=20)["text"] == "hello from the worker"
    assert program.stop() == 0
    assert "stopped: 1 handled, 0 unfinished" in program.out


def test_a_worker_ends_when_its_bot_cannot_go_on(launch: Start, api: FakeBotApi, tmp_path: Path) -> None:
    api.fault("unauthorized", times=None)
    places = os.pathsep.join([INSTALLED_IN, str(tmp_path)])
    program = launch("-m", "examples.worker", BOT_TOKEN=api.token, BOT_API_ROOT=api.url, PYTHONPATH=places)
    assert program.wait() == 1
