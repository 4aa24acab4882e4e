"""What the tests of the fake server share: a bare HTTP client that knows nothing of the product."""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyruntime.testing import FakeBotApi, Playground
from tests.testing.playground_client import Events, PageClient


class BareClient:
    """Call methods over one keep-alive connection of the standard library."""

    def __init__(self, server: FakeBotApi) -> None:
        self.server = server
        self.connection = http.client.HTTPConnection(server.host, server.port, timeout=20)

    def request(self, verb: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        self.connection.request(verb, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        reply = self.connection.getresponse()
        return reply.status, reply.read()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method with a JSON body; return the reply with its HTTP status as "status"."""
        path = f"/bot{self.server.token}/{method}"
        status, body = self.request("POST", path, json.dumps(parameters).encode(), Content_Type="application/json")
        return {"status": status, **json.loads(body)}

    def updates(self, **parameters: Any) -> list[dict[str, Any]]:
        """Return the result of getUpdates."""
        reply = self.call("getUpdates", **parameters)
        assert reply["ok"], reply
        return list(reply["result"])

    def ids(self, **parameters: Any) -> list[int]:
        """Return the ids that getUpdates delivers."""
        return [update["update_id"] for update in self.updates(**parameters)]

    def close(self) -> None:
        self.connection.close()


class Background:
    """Run a call in a thread and keep its result."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.result: Any = None
        self.duration_s = 0.0
        self._function = function
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        started = time.monotonic()
        self.result = self._function()
        self.duration_s = time.monotonic() - started

    def join(self) -> Any:
        self._thread.join(20)
        assert not self._thread.is_alive(), "the call did not come back"
        return self.result


class FakeTime:
    """Stand for the time of day."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def day_time() -> FakeTime:
    """Return a clock that moves only by hand."""
    return FakeTime()


@pytest.fixture
def server(day_time: FakeTime) -> Iterator[FakeBotApi]:
    """Start a server whose first update has the id 1000."""
    with FakeBotApi(first_update_id=1000, clock=day_time) as started:
        yield started


@pytest.fixture
def new_client(server: FakeBotApi) -> Iterator[Callable[[], BareClient]]:
    """Return a function that makes clients; they are closed after the test."""
    with contextlib.ExitStack() as stack:

        def make() -> BareClient:
            client = BareClient(server)
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture
def client(new_client: Callable[[], BareClient]) -> BareClient:
    """Return a client of the server."""
    return new_client()


@pytest.fixture
def in_background() -> Callable[[Callable[[], Any]], Background]:
    """Return a function that runs a call in a thread."""
    return Background


@pytest.fixture
def raw_socket(server: FakeBotApi) -> Iterator[socket.socket]:
    """Return a bare connection to the server."""
    with socket.create_connection((server.host, server.port), timeout=10) as sock:
        yield sock


def make_message(chat_id: int = 1, text: str = "hi") -> dict[str, Any]:
    """Return an update with a message."""
    return {
        "message": {
            "message_id": 1,
            "from": {"id": chat_id, "is_bot": False, "first_name": "A"},
            "chat": {"id": chat_id, "type": "private", "first_name": "A"},
            "date": 1_700_000_000,
            "text": text,
        }
    }


@pytest.fixture
def message() -> Callable[..., dict[str, Any]]:
    """Return a function that makes updates with a message."""
    return make_message


@pytest.fixture
def playground() -> Iterator[Playground]:
    """Start a playground on a free port."""
    with Playground(port=0) as started:
        yield started


@pytest.fixture
def page(playground: Playground) -> Iterator[PageClient]:
    """Return what does what the page does."""
    client = PageClient(playground)
    yield client
    client.close()


@pytest.fixture
def events(playground: Playground) -> Iterator[Events]:
    """Return the stream of events of a page."""
    stream = Events(playground)
    yield stream
    stream.close()
