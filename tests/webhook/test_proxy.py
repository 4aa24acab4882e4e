"""Behind a reverse proxy with TLS, as it is meant to be."""

import http.client
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import ujson

from pyruntime.testing import FakeBotApi
from tests.webhook.conftest import SECRET, SECRET_HEADER, message

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
    ssl_certificate {folder}/certificate.pem;
    ssl_certificate_key {folder}/key.pem;
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
def proxied(launch: "Callable[..., Program]", tmp_path: Path) -> Iterator[tuple[FakeBotApi, "Program", int]]:
    """Run a bot from the command line behind nginx; return server, bot and the port of nginx."""
    port, behind = free_port(), free_port()
    files = ("-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "certificate.pem"))
    make = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost")
    subprocess.run([*make, *files], check=True, capture_output=True)
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=tmp_path, behind=behind, port=port))
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
                yield api, program, port
            finally:
                nginx.terminate()


def test_updates_come_through_a_proxy_in_order(
    proxied: "tuple[FakeBotApi, Program, int]",
) -> None:
    api, program, port = proxied
    tls = ssl.create_default_context()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    statuses: list[int] = []

    def talk(chat_id: int) -> None:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=tls)
        headers = {SECRET_HEADER: SECRET, "Content-Type": "application/json"}
        for number in range(25):
            update: dict[str, Any] = message(chat_id * 1000 + number, str(number), chat_id)
            connection.request("POST", "/telegram", ujson.dumps(update).encode(), headers)
            reply = connection.getresponse()
            reply.read()
            statuses.append(reply.status)
        connection.close()

    threads = [threading.Thread(target=talk, args=(chat_id,)) for chat_id in range(1, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == [200] * 300
    answers = api.wait_for("sendMessage", 300, timeout_s=30)
    for chat_id in range(1, 13):
        assert [call.parameters["text"] for call in answers if call.chat_id == chat_id] == [str(n) for n in range(25)]
    assert program.stop() == 0
