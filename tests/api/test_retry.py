"""What is tried again: see the table in the docstring of pyruntime.retry."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import runner_c
from pyruntime.api import ApiClient
from pyruntime.errors import BadReply, ConnectFailed, ConnectionLost, NetworkError, ReadTimeout, ServerError

pytestmark = pytest.mark.usefixtures("no_pauses")


def failing(times: int, code: int) -> Callable[[Any], Any]:
    """An answer that is an error so many times, and then good."""
    left = [times]

    def answer(call: Any) -> Any:
        left[0] -= 1
        return (code, {"ok": False, "error_code": code, "description": "D"}) if left[0] >= 0 else "done"

    return answer


@pytest.mark.parametrize("code", [500, 502, 503])
@pytest.mark.parametrize("name", ["get_chat", "send_message"])
def test_a_server_error_is_tried_again(code: int, name: str, client: ApiClient, server: Any) -> None:
    server.answer = failing(3, code)
    assert getattr(client, name)(chat_id=1) == "done"
    assert len(server.calls) == 4


def test_server_errors_without_end_are_raised(client: ApiClient, server: Any) -> None:
    server.answer = failing(99, 500)
    with pytest.raises(ServerError):
        client.send_message(chat_id=1, text="x")
    assert len(server.calls) == 4


def test_without_retries_nothing_is_tried_again(make_client: Any, server: Any) -> None:
    server.answer = failing(1, 500)
    with pytest.raises(ServerError):
        make_client(max_retries=0).send_message(chat_id=1, text="x")
    assert len(server.calls) == 1


def test_after_a_gateway_timeout_only_what_is_safe_is_tried_again(client: ApiClient, server: Any) -> None:
    server.answer = failing(1, 504)
    with pytest.raises(ServerError):
        client.send_message(chat_id=1, text="x")
    server.answer = failing(1, 504)
    assert client.get_chat(chat_id=1) == "done"


@pytest.mark.parametrize("code", [400, 401, 403, 404, 409])
def test_other_errors_are_not_tried_again(code: int, client: ApiClient, server: Any) -> None:
    server.answer = failing(1, code)
    with pytest.raises(Exception, match=f"getChat failed: {code}"):
        client.get_chat(chat_id=1)
    assert len(server.calls) == 1


def test_no_attempt_starts_after_the_time_of_a_call_is_over(make_client: Any, server: Any) -> None:
    release = threading.Event()
    server.answer = lambda call: release.wait(10)
    client = make_client(timeout_s=0.2)
    with pytest.raises(ReadTimeout):
        client.get_chat(chat_id=1)
    release.set()
    assert len(server.calls) == 1


class BrokenServer:
    """Break the first connections in the given way, after reading a request; answer on later ones."""

    def __init__(self, broken: int, how: Callable[[socket.socket], None]) -> None:
        self.requests = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.root = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._broken = broken
        self._how = how
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            with sock, contextlib.suppress(OSError):
                data = b""
                while not data.endswith(b"}"):
                    piece = sock.recv(65536)
                    if not piece:
                        break
                    data += piece
                if not data:
                    return
                self.requests += 1
                if self.requests <= self._broken:
                    self._how(sock)
                else:
                    body = b'{"ok":true,"result":"done"}'
                    sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 27\r\n\r\n" + body)

    def stop(self) -> None:
        with socket.create_connection(self._listener.getsockname()):
            pass
        self._thread.join()
        self._listener.close()


@pytest.fixture
def broken() -> Iterator[Callable[..., BrokenServer]]:
    made: list[BrokenServer] = []

    def make(times: int, how: Callable[[socket.socket], None]) -> BrokenServer:
        made.append(BrokenServer(times, how))
        return made[-1]

    yield make
    for server in made:
        server.stop()


def close(sock: socket.socket) -> None:
    """End the stream without a reply."""


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def half(sock: socket.socket) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{")


def garbage(sock: socket.socket) -> None:
    sock.sendall(b"what?")


def no_json(sock: socket.socket) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi!")


BREAKS = [(close, ConnectionLost), (reset, ConnectionLost), (half, BadReply), (garbage, BadReply), (no_json, BadReply)]


@pytest.mark.parametrize(("how", "kind"), BREAKS)
@pytest.mark.parametrize("road", ["direct", "requests"])
def test_a_message_whose_reply_got_lost_is_not_sent_twice(
    how: Any, kind: type[NetworkError], road: str, broken: Any, make_client: Any
) -> None:
    import requests

    server = broken(1, how)
    with requests.Session() as session:
        client = make_client(api_root=server.root, session=session if road == "requests" else None)
        with pytest.raises(NetworkError) as caught:
            client.send_message(chat_id=1, text="x")
    assert server.requests == 1
    assert caught.value.may_have_arrived is True
    assert type(caught.value) is kind


@pytest.mark.parametrize(("how", "kind"), BREAKS)
@pytest.mark.parametrize("road", ["direct", "requests"])
def test_a_question_whose_answer_got_lost_is_asked_again(
    how: Any, kind: type[NetworkError], road: str, broken: Any, make_client: Any
) -> None:
    import requests

    server = broken(3, how)
    with requests.Session() as session:
        client = make_client(api_root=server.root, session=session if road == "requests" else None)
        assert client.get_chat(chat_id=1) == "done"
    assert server.requests == 4


@pytest.mark.parametrize("road", ["direct", "requests"])
def test_a_server_that_comes_up_late_gets_the_message_once(
    road: str, server: Any, make_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import requests

    refused = 0
    connect = socket.socket.connect

    def refuse_twice(sock: socket.socket, address: Any) -> None:
        nonlocal refused
        if refused < 2:
            refused += 1
            raise ConnectionRefusedError(111, "Connection refused")
        connect(sock, address)

    monkeypatch.setattr(socket.socket, "connect", refuse_twice)
    with requests.Session() as session:
        client = make_client(session=session if road == "requests" else None)
        assert client.send_message(chat_id=1, text="x") is True
    assert refused == 2
    assert len(server.calls) == 1


def test_nobody_there_is_connect_failed_in_the_end(make_client: Any) -> None:
    client = make_client(api_root="http://127.0.0.2:9")
    with pytest.raises(ConnectFailed):
        client.send_message(chat_id=1, text="x")


def test_a_pause_ends_when_the_runner_stops(make_client: Any, delivery: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyruntime.retry._FIRST_PAUSE_S", 30.0)
    monkeypatch.setattr("pyruntime.retry._LONGEST_PAUSE_S", 30.0)
    delivery.stop()
    with pytest.raises(runner_c.Stopped):
        make_client(api_root="http://127.0.0.2:9").send_message(chat_id=1, text="x")
    assert 15 <= delivery.waits[0] <= 30


def test_a_pause_outside_a_runner_ends_when_the_client_is_closed(
    make_client: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyruntime.retry._FIRST_PAUSE_S", 30.0)
    monkeypatch.setattr("pyruntime.retry._LONGEST_PAUSE_S", 30.0)
    client = make_client()
    answered = threading.Event()

    def answer(call: Any) -> Any:
        answered.set()
        return 500, {"ok": False, "error_code": 500, "description": "D"}

    server.answer = answer
    outcome: list[BaseException] = []

    def send() -> None:
        try:
            client.send_message(chat_id=1, text="x")
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    assert answered.wait(10)
    while thread.is_alive():
        client.close()
        thread.join(0.02)
    assert isinstance(outcome[0], ServerError)
    server.answer = lambda call: True
    assert client.send_message(chat_id=1, text="x") is True
