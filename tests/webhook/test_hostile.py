"""Strangers and broken clients: no crash, no growth, and nothing taken that should not be.

``FUZZ_REQUESTS=100000 pytest tests/webhook/test_hostile.py -m slow`` sends that many mutated requests.
"""

import contextlib
import json
import os
import random
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyruntime.testing import FakeBotApi
from tests.webhook.hostile import PATH, SECRET, acceptable, message, mutated, request

if TYPE_CHECKING:
    from tests.conftest import Program

BOT = """
import json, os, threading
from pyruntime import Bot

bot = Bot()
lock = threading.Lock()
handled = open("handled.jsonl", "a")

@bot.use
def note(ctx, next):
    with lock:
        handled.write(json.dumps(ctx.update) + "\\n")
        handled.flush()
"""
MOST_GROWTH_KB = 25_000


class Server:
    """The bot behind a webhook, in a process of its own."""

    def __init__(self, program: "Program", port: int, folder: Path) -> None:
        self.program = program
        self.port = port
        self.folder = folder

    def connect(self) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(("127.0.0.1", self.port), 20)

    def send(self, data: bytes) -> list[int]:
        """Send bytes over a connection of their own, end it, and return the statuses of what came back."""
        received = b""
        with self.connect() as connection, contextlib.suppress(ConnectionError):
            with contextlib.suppress(BrokenPipeError):
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                received += part
        return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]

    def handled(self) -> list[dict[str, Any]]:
        """Return the updates that were handled so far."""
        path = self.folder / "handled.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def resident_kb(self) -> int:
        """Return the memory of the process."""
        status = Path(f"/proc/{self.program.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])


@pytest.fixture
def server(launch: "Callable[..., Program]", tmp_path: Path) -> "Server":
    """Run the bot against a server of its own, which it needs at the start only."""
    with FakeBotApi("123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc") as api:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        (tmp_path / "shop.py").write_text(BOT)
        options = ("--webhook", f"http://127.0.0.1:{port}{PATH}", "--listen", f"127.0.0.1:{port}")
        variables = {"BOT_TOKEN": api.token, "BOT_API_ROOT": api.url, "WEBHOOK_SECRET": SECRET}
        program = launch("-m", "runner_c", "shop", *options, **variables)
        program.wait_for("stop with Ctrl-C")
        api.wait_for("setWebhook", timeout_s=20)
        return Server(program, port, tmp_path)


def fuzz(server: Server, requests: int, seed: int) -> None:
    """Send mutated requests from four threads, and compare what was handled with what an honest reader would take."""
    print(f"seed {seed}, {requests} requests")
    lock = threading.Lock()
    allowed: dict[str, int] = {}
    statuses: dict[int, int] = {}
    wrong: list[bytes] = []

    def send_some(first: int, count: int) -> None:
        rng = random.Random(seed + first)
        for number in range(first, first + count):
            sent = mutated(number, rng)
            found = acceptable(sent)
            answers = server.send(sent)
            with lock:
                for status in answers:
                    statuses[status] = statuses.get(status, 0) + 1
                if 200 in answers and found is None:
                    wrong.append(sent)
                if found is not None:
                    allowed[json.dumps(found, sort_keys=True)] = 1

    def send_all(first: int, count: int) -> None:
        quarter = count // 4
        threads = [threading.Thread(target=send_some, args=(first + n * quarter, quarter)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    send_all(1_000_000, requests // 2)
    before_kb = server.resident_kb()
    send_all(1_000_000 + requests, requests // 2)
    growth_kb = server.resident_kb() - before_kb
    assert server.send(request(json.dumps(message(5, random.Random(1))).encode())) == [200]
    assert server.program.stop() == 0
    handled = server.handled()
    print(f"{statuses}, {len(handled)} handled, grown by {growth_kb} kB from {before_kb} kB")
    assert wrong == [], b"\n\n".join(wrong[:10])
    unknown = [each for each in handled if each["update_id"] != 5 and json.dumps(each, sort_keys=True) not in allowed]
    assert unknown == []
    ids = [each["update_id"] for each in handled]
    assert len(ids) == len(set(ids))
    assert len(handled) > requests // 20
    assert {400, 401, 404, 405} <= set(statuses)
    assert not set(statuses) & {500, 502, 503}, "a request made the server stumble"
    assert growth_kb < MOST_GROWTH_KB
    assert "Traceback" not in server.program.err, server.program.err


def test_mutated_requests_do_no_harm(server: Server) -> None:
    fuzz(server, 2000, random.randrange(10**6))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_mutated_requests_do_no_harm(server: Server) -> None:
    seed = int(os.environ.get("FUZZ_SEED", random.randrange(10**6)))
    fuzz(server, int(os.environ.get("FUZZ_REQUESTS", "100000")), seed)


def test_clients_that_send_a_byte_now_and_then_keep_nobody_waiting(server: Server) -> None:
    before_kb = server.resident_kb()
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(server.connect()) for _ in range(500)]
        whole = request(json.dumps(message(1, random.Random(1))).encode())
        for at in range(3):
            for connection in slow:
                connection.sendall(whole[at : at + 1])
        for connection in slow[250:]:
            connection.sendall(whole[3:-1])  # up to the last byte of the body
        for number in range(2, 52):
            assert server.send(request(json.dumps(message(number, random.Random(1))).encode())) == [200]
        slow[-1].sendall(whole[-1:])
        assert slow[-1].recv(100).startswith(b"HTTP/1.1 200 ")
        assert server.resident_kb() - before_kb < MOST_GROWTH_KB
    assert server.program.stop() == 0
    assert sorted(each["update_id"] for each in server.handled()) == list(range(1, 52))


def test_a_body_without_an_end_is_cut_off(server: Server) -> None:
    before_kb = server.resident_kb()
    for head in (request(b"")[:-21], request(b"")[:-21] + b"Transfer-Encoding: chunked\r\n"):
        length = b"Content-Length: 1000000000000\r\n" if b"chunked" not in head else b""
        with server.connect() as connection:
            connection.sendall(head + length + b"\r\n")
            with contextlib.suppress(ConnectionError):
                for _ in range(64):
                    connection.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(100)
                assert not answer.startswith(b"HTTP/1.1 200 ")
    assert server.resident_kb() - before_kb < MOST_GROWTH_KB
    assert server.send(request(json.dumps(message(1, random.Random(1))).encode())) == [200]
    assert server.program.stop() == 0
    assert [each["update_id"] for each in server.handled()] == [1]
