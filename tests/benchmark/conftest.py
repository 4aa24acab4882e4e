"""What the tests of the load server share: starting it, and calling it as a bot does."""

import contextlib
import http.client
import importlib.util
import json
import shutil
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import pytest

TOKEN = "424242:TEST"


class Caller:
    """Call the server as a bot does, over one connection that is kept."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        """Connect at the first call."""
        if context is None:
            self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        else:
            self.http = http.client.HTTPSConnection("localhost", port, timeout=30, context=context)

    def __enter__(self) -> "Caller":
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the connection."""
        self.http.close()

    def ask(self, method: str, **parameters: Any) -> None:
        """Send a call, and leave its answer for `hear`."""
        headers = {"Content-Type": "application/json"}
        self.http.request("POST", f"/bot{TOKEN}/{method}", json.dumps(parameters), headers)

    def hear(self) -> Any:
        """Read the answer: its result, or its error code."""
        body = json.loads(self.http.getresponse().read())
        return body["result"] if body["ok"] else body["error_code"]

    def call(self, method: str, **parameters: Any) -> Any:
        """Send a call and read its answer."""
        self.ask(method, **parameters)
        return self.hear()

    def poll(self, offset: int = 0, limit: int = 100, timeout: int = 10) -> list[dict[str, Any]]:
        """Fetch updates."""
        updates: list[dict[str, Any]] = self.call("getUpdates", offset=offset, limit=limit, timeout=timeout)
        return updates

    @staticmethod
    def answer_to(update: dict[str, Any], count: int | None = None) -> dict[str, Any]:
        """Return the parameters of the right answer to an update."""
        text = f"u{update['update_id']}" + ("" if count is None else f" {count}")
        return {"chat_id": update["message"]["chat"]["id"], "text": text}

    def ask_to_answer(self, update: dict[str, Any]) -> None:
        """Echo an update, and leave the answer for `hear`."""
        self.ask("sendMessage", **self.answer_to(update))

    def answer(self, update: dict[str, Any], count: int | None = None) -> Any:
        """Echo an update."""
        return self.call("sendMessage", **self.answer_to(update, count))

    def echo_all(self, count: int) -> None:
        """Answer `count` updates as a right bot does."""
        offset = 0
        while count:
            for update in self.poll(offset):
                self.answer(update)
                offset = update["update_id"] + 1
                count -= 1


@pytest.fixture(scope="session")
def build() -> ModuleType:
    """Return the module that builds and starts the load server; there must be a C compiler."""
    if shutil.which("cc") is None:
        pytest.skip("the load server needs a C compiler")
    file = Path(__file__).resolve().parents[2] / "benchmarks" / "load_server" / "build.py"
    spec = importlib.util.spec_from_file_location("load_server_build", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def start(build: ModuleType) -> Iterator[Callable[..., Any]]:
    """Start servers with the given options; they end with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda *options: stack.enter_context(build.LoadServer([str(option) for option in options]))


@pytest.fixture
def connect() -> Iterator[Callable[..., Caller]]:
    """Open connections to a server; they are closed with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda server, context=None: stack.enter_context(Caller(server.port, context))
