"""A server that answers Bot API calls by a function of the test, and a stand-in for an update that is being handled."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pyruntime.api import ApiClient

TOKEN = "123456:SECRET-token_42"


class Call:
    """One request as the server got it."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.path = path
        self.method = path.rpartition("/")[2]
        self.headers = headers
        self.body = body

    @property
    def parameters(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded

    @property
    def parts(self) -> dict[str, tuple[str | None, bytes]]:
        """Parts of a multipart body: file name (None for a plain field) and content by name."""
        boundary = self.headers["Content-Type"].partition("boundary=")[2].encode()
        found = {}
        pieces = self.body.split(b"--" + boundary)
        assert pieces[0] == b""
        assert pieces[-1] == b"--\r\n"
        for piece in pieces[1:-1]:
            head, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
            text = head.decode()
            name = text.partition('name="')[2].partition('"')[0]
            filename = text.partition('filename="')[2].partition('"')[0] if "filename=" in text else None
            found[name] = (filename, content.removesuffix(b"\r\n"))
        return found


class BotServer:
    """Answer each call with what ``answer(call)`` returns: a result, or a whole reply as ``(status, body)``."""

    def __init__(self) -> None:
        self.answer: Callable[[Call], Any] = lambda call: True
        self.calls: list[Call] = []
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                if self.headers.get("Transfer-Encoding") == "chunked":
                    body = b""
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                else:
                    body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                call = Call(self.path, dict(self.headers), body)
                with outer._lock:
                    outer.calls.append(call)
                answer = outer.answer(call)
                status, reply = answer if isinstance(answer, tuple) else (200, {"ok": True, "result": answer})
                data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 512

            def handle_error(self, *args: Any) -> None:
                """Say nothing of clients that go away."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self.root = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.005,))
        self._thread.start()

    def methods(self) -> list[str]:
        return [call.method for call in self.calls]

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[BotServer]:
    server = BotServer()
    yield server
    server.stop()


@pytest.fixture
def make_client(server: BotServer) -> Iterator[Callable[..., ApiClient]]:
    """Make clients of the server; they are closed after the test."""
    made: list[ApiClient] = []

    def make(**options: Any) -> ApiClient:
        made.append(ApiClient(TOKEN, options.pop("api_root", server.root), **options))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(make_client: Callable[..., ApiClient]) -> ApiClient:
    return make_client()


class FakeDelivery:
    """Stand in for the update that the calling thread handles; ``stop`` is what a runner does that stops."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self.waits: list[float] = []

    def wait(self, timeout_s: float) -> bool:
        self.waits.append(timeout_s)
        return self._stopping.wait(timeout_s)

    def stop(self) -> None:
        self._stopping.set()


@pytest.fixture
def delivery(monkeypatch: pytest.MonkeyPatch) -> FakeDelivery:
    """Let every thread be in the middle of an update."""

    fake = FakeDelivery()
    monkeypatch.setattr("pyruntime.caller.current", lambda: fake)
    return fake


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pauses between attempts take no time."""
    monkeypatch.setattr("pyruntime.retry._FIRST_PAUSE_S", 0.001)


def too_many(retry_after: float) -> tuple[int, dict[str, Any]]:
    return 429, {
        "ok": False,
        "error_code": 429,
        "description": f"Too Many Requests: retry after {retry_after}",
        "parameters": {"retry_after": retry_after},
    }


@pytest.fixture(name="too_many")
def too_many_fixture() -> Callable[[float], tuple[int, dict[str, Any]]]:
    """Make replies that ask to come back later."""
    return too_many
