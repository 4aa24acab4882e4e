"""`python -m runner_c TARGET --webhook URL`: a bot that is served by a process of its own."""

import http.client
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import ujson

from pyruntime.testing import FakeBotApi
from tests.webhook.conftest import SECRET_HEADER, message

if TYPE_CHECKING:
    from tests.conftest import Program

BOT = """
import time
from pyruntime import Bot

bot = Bot()

@bot.on("message:text")
def answer(ctx):
    if ctx.text == "slow":
        time.sleep(1)
    ctx.reply("you said " + ctx.text)
"""
TOKEN = "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"
Run = Callable[..., "Program"]


@pytest.fixture
def api() -> Iterator[FakeBotApi]:
    """Serve the Bot API, with a token that looks like a real one."""
    with FakeBotApi(TOKEN, knows_any_chat=True) as server:
        yield server


@pytest.fixture
def port() -> int:
    """Return a port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def run(api: FakeBotApi, tmp_path: Path, port: int, launch: "Callable[..., Program]") -> Run:
    """Return a function that runs the bot behind a webhook on `port`."""

    def start(*options: str, **variables: Any) -> "Program":
        (tmp_path / "shop.py").write_text(BOT)
        return launch(
            "-m",
            "runner_c",
            "shop",
            "--webhook",
            f"http://127.0.0.1:{port}/hook",
            "--listen",
            f"127.0.0.1:{port}",
            *options,
            **{"BOT_TOKEN": api.token, "BOT_API_ROOT": api.url, **variables},
        )

    return start


def post(port: int, update: dict[str, Any], secret: str) -> int:
    """Post an update as Telegram does, and return the status of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    headers = {SECRET_HEADER: secret, "Content-Type": "application/json"}
    connection.request("POST", "/hook", ujson.dumps(update).encode(), headers)
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def test_it_sets_the_webhook_serves_it_and_drains_on_term(run: Run, api: FakeBotApi, port: int) -> None:
    program = run()
    call = api.wait_for("setWebhook", timeout_s=30)[0].parameters
    program.wait_for("stop with Ctrl-C")
    assert call["url"] == f"http://127.0.0.1:{port}/hook"
    assert call["max_connections"] == 40
    assert call["allowed_updates"] == ["message"]
    assert post(port, message(1, "hello"), call["secret_token"]) == 200
    assert post(port, message(2, "hello"), "wrong") == 401
    assert post(port, message(3, "slow"), call["secret_token"]) == 200
    assert program.stop() == 0
    assert [each.parameters["text"] for each in api.calls_of("sendMessage")] == ["you said hello", "you said slow"]
    assert not api.calls_of("deleteWebhook")
    assert not api.polls
    assert f"webhook http://127.0.0.1:{port}/hook, served on http://127.0.0.1:{port}" in program.err
    assert call["secret_token"] not in program.err + program.out
    assert TOKEN not in program.err + program.out


def test_the_secret_stays_the_same_over_restarts_and_can_be_given(run: Run, api: FakeBotApi) -> None:
    secrets = []
    for count, variables in enumerate(({}, {}, {"WEBHOOK_SECRET": "my-own"}), 1):
        program = run(**variables)
        secrets.append(api.wait_for("setWebhook", count, timeout_s=30)[-1].parameters["secret_token"])
        program.wait_for("stop with Ctrl-C")
        assert program.stop() == 0
    assert secrets[0] == secrets[1]
    assert len(secrets[0]) == 64
    assert TOKEN.partition(":")[2] not in secrets[0]
    assert secrets[2] == "my-own"


def test_what_was_taken_before_a_kill_is_handled_after_it(run: Run, api: FakeBotApi, port: int) -> None:
    program = run()
    secret = api.wait_for("setWebhook", timeout_s=30)[0].parameters["secret_token"]
    program.wait_for("stop with Ctrl-C")
    for number in range(1, 6):
        assert post(port, message(number, "slow" if number == 1 else f"number {number}"), secret) == 200
    program.send(signal.SIGKILL)
    program.wait()
    again = run()
    answers = api.wait_for("sendMessage", 5, timeout_s=30)
    assert [call.parameters["text"] for call in answers][-4:] == [f"you said number {number}" for number in range(2, 6)]
    again.wait_for("stop with Ctrl-C")
    assert post(port, message(3, "number 3"), secret) == 200
    assert again.stop() == 0
    assert sum(call.parameters["text"] == "you said number 3" for call in api.calls_of("sendMessage")) == 1


def test_it_removes_the_webhook_at_the_end_if_it_is_asked_to(run: Run, api: FakeBotApi) -> None:
    program = run("--remove-webhook")
    api.wait_for("setWebhook", timeout_s=30)
    program.wait_for("stop with Ctrl-C")
    assert program.stop() == 0
    assert len(api.calls_of("deleteWebhook")) == 1


def test_polling_removes_a_webhook_first_if_it_is_asked_to(
    api: FakeBotApi, tmp_path: Path, launch: "Callable[..., Program]"
) -> None:
    (tmp_path / "shop.py").write_text(BOT)
    api.chat(7).send("hello")
    variables = {"BOT_TOKEN": api.token, "BOT_API_ROOT": api.url}
    program = launch("-m", "runner_c", "shop", "--remove-webhook", **variables)
    assert api.wait_for("sendMessage", timeout_s=30)[0].parameters["text"] == "you said hello"
    assert program.stop() == 0
    assert next(call.method for call in api.calls) == "deleteWebhook"


def test_a_webhook_that_telegram_refuses_is_a_clear_error(run: Run, api: FakeBotApi) -> None:
    api.fault("error", "setWebhook", None, code=400, description="Bad Request: bad webhook: Failed to resolve host")
    program = run()
    assert program.wait() == 2
    assert "Telegram does not take the webhook: Bad Request: bad webhook: Failed to resolve host" in program.err
    assert "Traceback" not in program.err


def test_trouble_while_the_webhook_is_set_is_tried_again(run: Run, api: FakeBotApi, port: int) -> None:
    api.fault("error", "setWebhook", 2)
    program = run()
    secret = api.wait_for("setWebhook", 3, timeout_s=30)[2].parameters["secret_token"]
    assert post(port, message(1, "hello"), secret) == 200
    api.wait_for("sendMessage", timeout_s=30)
    assert program.stop() == 0


def test_a_refused_token_ends_it_with_code_3(run: Run, api: FakeBotApi) -> None:
    api.fault("unauthorized", times=None)
    assert run().wait() == 3


def test_a_start_waits_for_the_port_of_the_process_before_it(run: Run, api: FakeBotApi, port: int) -> None:
    first = run()
    first.wait_for("stop with Ctrl-C")
    second = run()
    second.wait_for("waiting up to 60 s for it")
    assert first.stop() == 0
    secret = api.wait_for("setWebhook", 2, timeout_s=30)[1].parameters["secret_token"]
    second.wait_for("stop with Ctrl-C")
    assert post(port, message(1, "hello"), secret) == 200
    assert second.stop() == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--webhook", "example.org/x"], "--webhook: 'example.org/x' is not possible: it expects an address"),
        (["--webhook", "https://u:p@example.org/x"], "expects an address"),
        (["--webhook", f"https://example.org/{TOKEN}"], "a token in the arguments"),
        (["--webhook", "https://example.org/x?y=1"], "expects an address"),
        (["--listen", "nowhere"], "expects HOST:PORT"),
        (["--webhook-connections", "101"], "1 to 100"),
    ],
)
def test_a_bad_option_is_a_clear_error(run: Run, options: list[str], said: str) -> None:
    program = run(*options)
    assert program.wait() == 2
    assert said in program.err
    assert TOKEN not in program.err
    assert program.err.count("\n") == 1
