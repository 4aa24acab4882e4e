"""Many connections, restarts, and the stand-alone process with its control endpoint."""

import json
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pyruntime.testing
from pyruntime.testing import FakeBotApi

ROOT = Path(pyruntime.testing.__file__).parents[2]


@pytest.fixture
def many_files() -> Iterator[None]:
    """Allow this process the descriptors of both ends of 500 connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, enough), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_500_connections_are_served_together(server: Any) -> None:
    server.chat(1)
    body = b'{"chat_id":1,"text":"x"}'
    request = b"POST /bot%b/sendMessage HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        server.token.encode(),
        len(body),
        body,
    )
    sockets = [socket.create_connection((server.host, server.port), timeout=20) for _ in range(500)]
    try:
        for _ in range(4):
            for sock in sockets:
                sock.sendall(request)
            for sock in sockets:
                assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK")
        assert server.counters()["connections"] == 500
        assert len(server.wait_for("sendMessage", count=2000)) == 2000
        ids = [message.id for message in server.chat(1).messages]
        assert ids == list(range(1, 2001))
    finally:
        for sock in sockets:
            sock.close()


def test_pushes_from_many_threads_are_each_delivered_once(server: Any, client: Any, message: Any) -> None:
    barrier = threading.Barrier(8)

    def push_some() -> None:
        barrier.wait()
        for _ in range(50):
            server.push(message())

    threads = [threading.Thread(target=push_some) for _ in range(8)]
    for thread in threads:
        thread.start()
    seen: list[int] = []
    while len(seen) < 400:
        seen += client.ids(offset=seen[-1] + 1 if seen else 0, timeout=5)
    for thread in threads:
        thread.join()
    assert seen == list(range(1000, 1400))


def test_a_stopped_server_refuses_connections_and_goes_on_after_a_restart(
    server: Any, client: Any, message: Any
) -> None:
    server.push(message())
    assert client.ids() == [1000]
    port = server.port
    server.stop()
    server.stop()
    with pytest.raises(OSError, match=r"."):
        socket.create_connection((server.host, port), timeout=1)
    server.push(message())
    server.start()
    client.close()
    assert server.port == port
    assert client.ids(offset=1001) == [1001]


def test_stopping_cuts_long_polls(server: Any, client: Any, in_background: Any) -> None:
    def poll() -> str:
        try:
            client.call("getUpdates", timeout=20)
        except (OSError, ValueError) as error:
            return type(error).__name__
        return "answered"

    waiting = in_background(poll)
    server.wait_until_polled()
    server.stop()
    assert waiting.join() == "RemoteDisconnected"


def test_connections_can_be_dropped(server: Any, client: Any, raw_socket: socket.socket) -> None:
    client.call("getMe")
    server.drop_connections()
    assert raw_socket.recv(10) == b""


def test_the_threads_of_stopped_servers_are_gone() -> None:
    before = threading.active_count()
    for _ in range(5):
        with FakeBotApi() as server:
            assert any(thread.name == f"fake-bot-api-{server.port}" for thread in threading.enumerate())
    assert threading.active_count() == before


@pytest.fixture
def process() -> Any:
    """Start a stand-alone server and return its address and process."""
    started = subprocess.Popen(
        [sys.executable, "-m", "pyruntime.testing", "--port", "0", "--token", "1:A", "--latency-ms", "1"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    try:
        yield started.stdout.readline().strip(), started
    finally:
        started.kill()
        started.wait()
        started.stdout.close()


def ask(url: str, body: Any = None, **headers: str) -> Any:
    sent = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, sent), timeout=20) as reply:
        return json.loads(reply.read())["result"]


def test_another_process_drives_a_stand_alone_server(process: Any, message: Any) -> None:
    url, started = process
    assert ask(f"{url}/control/push", message())["pushed"] == 1
    assert ask(f"{url}/control/push", [message(), message()])["pushed"] == 2
    pushed = ask(f"{url}/control/flood", {"count": 1000, "chats": 10, "text": "n{n}"})
    assert pushed["last"] - pushed["first"] == 999
    assert ask(f"{url}/control/confirmed") == {"confirmed_offset": 0, "pending": 1003, "is_polled": False}
    updates = ask(f"{url}/bot1:A/getUpdates", {"offset": pushed["first"]})
    assert updates[0]["message"]["text"] == "n0"
    assert ask(f"{url}/control/confirmed")["pending"] == 1000
    ask(f"{url}/bot1:A/sendMessage", {"chat_id": 3, "text": "x"})
    reached = ask(f"{url}/control/wait?method=sendMessage&count=1")
    assert reached == {"method": "sendMessage", "count": 1, "is_reached": True}
    assert ask(f"{url}/control/wait?method=getMe&count=1&timeout_s=0.01")["is_reached"] is False
    [call] = ask(f"{url}/control/calls?method=sendMessage")
    assert (call["parameters"]["text"], call["status"]) == ("x", 200)
    assert ask(f"{url}/control/calls?since={call['number']}") == []
    assert ask(f"{url}/control/counters")["calls"]["sendMessage"] == 1
    ask(f"{url}/control/fault", {"kind": "error", "method": "getMe", "times": 1})
    with pytest.raises(urllib.error.HTTPError, match="500"):
        ask(f"{url}/bot1:A/getMe")
    ask(f"{url}/control/fault", {"kind": None})
    ask(f"{url}/control/clear", {})
    assert ask(f"{url}/control/calls") == []
    ask(f"{url}/control/latency", {"latency_s": 0.05, "method": "getMe"})
    before = time.monotonic()
    ask(f"{url}/bot1:A/getMe")
    assert time.monotonic() - before >= 0.05
    started.send_signal(signal.SIGTERM)
    assert started.wait(10) == 0


def test_a_stand_alone_server_can_have_a_playground() -> None:
    command = [sys.executable, "-m", "pyruntime.testing", "--token", "1:A", "--playground"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        api_root, page = started.stdout.readline().strip(), started.stdout.readline().strip()
        try:
            assert page == f"{api_root}/"
            with urllib.request.urlopen(page, timeout=20) as reply:
                assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
        finally:
            started.send_signal(signal.SIGINT)
        assert started.wait(10) == 0


def test_a_wait_over_http_ends_with_the_call(server: Any, client: Any, in_background: Any) -> None:
    waiting = in_background(lambda: ask(f"{server.url}/control/wait?method=getMe&count=2"))
    client.call("getMe")
    client.call("getMe")
    assert waiting.join()["count"] == 2


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_other_web_pages_cannot_reach_the_control_endpoint(
    server: Any, client: Any, headers: dict[str, str], status: int
) -> None:
    sent = {"Content-Type": "application/json", **headers}
    assert client.request("POST", "/control/push", b'{"message":{}}', **sent)[0] == status
    assert server.pending_count() == 0
    if status == 403:
        assert client.request("GET", "/control/calls", **headers)[0] == 403
        assert client.request("GET", "/control/wait", **headers)[0] == 403


def test_bad_control_requests_are_refused(client: Any) -> None:
    for path, body in (("push", b"{"), ("push", b"{}"), ("flood", b"{}"), ("fault", b'{"kind":"x"}'), ("push", b"[1]")):
        status, reply = client.request("POST", f"/control/{path}", body, Content_Type="application/json")
        assert status == 400, reply
    assert client.request("GET", "/control/push")[0] == 404


def test_a_port_in_use_is_one_line_of_error(server: Any) -> None:
    command = [sys.executable, "-m", "pyruntime.testing", "--port", str(server.port)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert f"cannot listen on 127.0.0.1:{server.port}" in result.stderr


@pytest.mark.parametrize(
    ("option", "hint"),
    [(["--max-calls", "-5"], "'-5' is not a whole number"), (["--token", "a b"], "a token consists of letters")],
)
def test_the_server_program_refuses_an_option_that_cannot_work(option: list[str], hint: str) -> None:
    command = [sys.executable, "-m", "pyruntime.testing", *option]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert hint in result.stderr
    assert "Traceback" not in result.stderr


def test_the_id_of_a_chat_is_a_number() -> None:
    server: Any = FakeBotApi()
    with pytest.raises(TypeError, match="the id of a chat is a number"):
        server.chat("x")
