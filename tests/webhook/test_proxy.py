"""Behind a reverse proxy with TLS, as it is meant to be."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyruntime.testing import FakeBotApi
from tests.webhook.conftest import SECRET

if TYPE_CHECKING:
    from tests.conftest import Program

CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream bot {{ server 127.0.0.1:{behind}; keepalive 32; }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    location = /telegram {{
      proxy_pass http://bot;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
  }}
}}
"""
BOT = """
from pyruntime import Bot

bot = Bot()

@bot.on("message:text")
def answer(ctx):
    ctx.reply(ctx.text)
"""

pytestmark = pytest.mark.skipif(
    shutil.which("nginx") is None or shutil.which("openssl") is None, reason="nginx and openssl are not installed"
)


def free_port() -> int:
    """Return a port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def proxied(
    launch: "Callable[..., Program]", make_certificate: Callable[[str], tuple[str, str]], tmp_path: Path
) -> Iterator[tuple[FakeBotApi, "Program"]]:
    """Run a bot from the command line behind nginx; return server and bot."""
    port, behind = free_port(), free_port()
    certificate, key = make_certificate("DNS:localhost")
    configuration = tmp_path / "nginx.conf"
    paths = {"folder": tmp_path, "certificate": certificate, "key": key}
    configuration.write_text(CONFIGURATION.format(behind=behind, port=port, **paths))
    (tmp_path / "shop.py").write_text(BOT)
    with FakeBotApi("123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc", knows_any_chat=True) as api:
        options = ("--webhook", f"https://localhost:{port}/telegram", "--listen", f"127.0.0.1:{behind}")
        variables = {"BOT_TOKEN": api.token, "BOT_API_ROOT": api.url, "WEBHOOK_SECRET": SECRET}
        program = launch("-m", "runner_c", "shop", *options, **variables)
        program.wait_for("stop with Ctrl-C")
        with subprocess.Popen(
            ["nginx", "-c", str(configuration), "-p", str(tmp_path)], stderr=subprocess.PIPE
        ) as nginx:
            try:
                deadline = time.monotonic() + 20
                while time.monotonic() < deadline and nginx.poll() is None:
                    try:
                        socket.create_connection(("127.0.0.1", port), 1).close()
                        break
                    except OSError:
                        continue
                assert nginx.poll() is None, nginx.stderr.read() if nginx.stderr else ""
                yield api, program
            finally:
                nginx.terminate()


def test_updates_come_through_a_proxy_in_order(proxied: "tuple[FakeBotApi, Program]") -> None:
    api, program = proxied
    for number in range(25):
        for chat_id in range(1, 13):
            api.chat(chat_id).send(str(number))
    answers = api.wait_for("sendMessage", 300, timeout_s=30)
    for chat_id in range(1, 13):
        assert [call.parameters["text"] for call in answers if call.chat_id == chat_id] == [str(n) for n in range(25)]
    api.wait_until_delivered(300)
    assert {delivery.status for delivery in api.deliveries} == {200}
    assert program.stop() == 0
