"""Proxies and sessions: calls that requests carries."""

import contextlib
import importlib.util
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import pytest

from pyruntime.api import ApiClient
from pyruntime.errors import ConnectFailed, Interrupted, ReadTimeout
from pyruntime.transport import DirectTransport, Endpoint, RequestsTransport, check_proxy, environment_proxy

TOKEN = "123456:SECRET-token_42"
NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class Proxy:
    """Connect clients to servers, by CONNECT or by the whole URL in the request line."""

    def __init__(self, refuse: bytes = b"") -> None:
        self._refuse = refuse
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.request_lines: list[bytes] = []
        self._is_stopping = False
        self._socks: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            self._socks.append(sock)
            if self._is_stopping:
                return
            self._start(self._serve, sock)

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            data = b""
            while b"\r\n\r\n" not in data:
                data += sock.recv(65536)
            line = data.partition(b"\r\n")[0]
            self.request_lines.append(line)
            if self._refuse:
                sock.sendall(self._refuse)
                sock.close()
                return
            verb, target, _ = line.split(b" ")
            if verb != b"CONNECT":
                target = target.split(b"/")[2]
            # Every name is this machine.
            other = socket.create_connection(("127.0.0.1", int(target.rpartition(b":")[2])))
            self._socks.append(other)
            if verb == b"CONNECT":
                sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                other.sendall(data)
            self._start(self._copy, other, sock)
            self._copy(sock, other)

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)

    def stop(self) -> None:
        self._is_stopping = True
        with socket.create_connection(self._listener.getsockname()):
            self._threads[0].join()
        for sock in self._socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in [*self._socks, self._listener]:
            sock.close()


@pytest.fixture
def make_proxy() -> Iterator[Callable[..., Proxy]]:
    made: list[Proxy] = []

    def make(refuse: bytes = b"") -> Proxy:
        made.append(Proxy(refuse))
        return made[-1]

    yield make
    for proxy in made:
        proxy.stop()


GOOD = b'{"ok":true,"result":[{"update_id":1}]}'


def answer_updates(peer: Any) -> None:
    while True:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(GOOD), GOOD))


@pytest.mark.parametrize("given", [True, False], ids=["given", "in the environment"])
def test_calls_go_through_the_proxy(given: bool, serve: Any, make_proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server, proxy = serve(answer_updates), make_proxy()
    if not given:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
    root = f"http://bot-api.example:{server.port}"
    client = ApiClient(TOKEN, root, proxy=proxy.url if given else None)
    assert client.send_message(chat_id=1, text="x") == [{"update_id": 1}]
    assert client.send_document(chat_id=1, document=b"x") == [{"update_id": 1}]
    assert client.get_updates(timeout=1) == [{"update_id": 1}]
    assert client.call_once("getMe") == [{"update_id": 1}]
    client.close()
    assert len(server.requests) == 4
    assert proxy.request_lines
    assert all(line.startswith(b"POST http://bot-api.example:") for line in proxy.request_lines)


def test_tls_goes_through_a_tunnel_and_is_checked_end_to_end(
    serve: Any, make_proxy: Any, make_certificate: Any
) -> None:
    certificate, key = make_certificate("DNS:localhost,IP:127.0.0.1")
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)
    server, proxy = serve(answer_updates, server_side), make_proxy()
    trusting = ssl.create_default_context(cafile=certificate)
    client = ApiClient(TOKEN, server.root, proxy=proxy.url, ssl_context=trusting)
    assert client.send_message(chat_id=1, text="x") == [{"update_id": 1}]
    client.close()
    assert [line.rpartition(b" ")[0] for line in proxy.request_lines] == [b"CONNECT 127.0.0.1:%d" % server.port]
    # The context of the client is not made to trust more than it did.
    assert len(trusting.get_ca_certs()) == 1
    stranger = ApiClient(TOKEN, server.root, proxy=proxy.url, max_retries=0)
    with pytest.raises(ConnectFailed, match="through the proxy: certificate not accepted: "):
        stranger.send_message(chat_id=1, text="x")
    stranger.close()


def test_uploads_without_a_proxy_check_certificates_as_well(serve: Any, make_certificate: Any) -> None:
    certificate, key = make_certificate("DNS:localhost,IP:127.0.0.1")
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)
    server = serve(answer_updates, server_side)
    for root, context, is_good in (
        (server.root, ssl.create_default_context(cafile=certificate), True),
        (server.root, None, False),
        (server.root.replace("127.0.0.1", "127.0.0.2"), ssl.create_default_context(cafile=certificate), False),
    ):
        client = ApiClient(TOKEN, root, ssl_context=context, max_retries=0)
        if is_good:
            assert client.send_document(chat_id=1, document=b"x") == [{"update_id": 1}]
        else:
            with pytest.raises(ConnectFailed):
                client.send_document(chat_id=1, document=b"x")
        client.close()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "refuse",
    [b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 502 No\r\n\r\n"],
)
def test_a_proxy_that_refuses_is_connect_failed(refuse: bytes, make_proxy: Any) -> None:
    client = ApiClient(TOKEN, "https://api.example", proxy=make_proxy(refuse).url, max_retries=0)
    with pytest.raises(ConnectFailed) as caught:
        client.send_message(chat_id=1, text="x")
    assert caught.value.may_have_arrived is False
    client.close()


@pytest.mark.parametrize(
    ("environment", "url", "expected"),
    [
        ({}, "https://api.telegram.org", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://api.telegram.org", "http://p:1"),
        ({"https_proxy": "http://p:1"}, "https://api.telegram.org", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "https://api.telegram.org", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://10.0.0.1:8081", "http://p:1"),
        ({"ALL_PROXY": "socks5h://p:1"}, "https://api.telegram.org", "socks5h://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "telegram.org"}, "https://api.telegram.org", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, "https://api.telegram.org", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, "http://10.0.0.1:8081", None),
        ({"ALL_PROXY": "http://p:1"}, "http://localhost:8081", None),
        ({"ALL_PROXY": "http://p:1"}, "http://127.0.0.1:8081", None),
        ({"ALL_PROXY": "http://p:1"}, "http://[::1]:8081", None),
        ({"NO_PROXY": "telegram.org"}, "https://api.telegram.org", None),
        ({"HTTPS_PROXY": ""}, "https://api.telegram.org", None),
    ],
)
def test_the_environment_names_the_proxy(
    environment: dict[str, str], url: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert environment_proxy(url) == expected


def test_without_a_proxy_calls_take_the_direct_road(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(ApiClient(TOKEN)._caller.transport, DirectTransport)
    monkeypatch.setenv("HTTPS_PROXY", "http://p:1")
    assert isinstance(ApiClient(TOKEN)._caller.transport, RequestsTransport)
    monkeypatch.setenv("NO_PROXY", "api.telegram.org")
    assert isinstance(ApiClient(TOKEN)._caller.transport, DirectTransport)


def test_a_socks_proxy_without_its_package_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"requests\[socks\]"):
        ApiClient(TOKEN, proxy="socks5h://127.0.0.1:1080")


@pytest.mark.parametrize("proxy", ["ftp://p:1", "http://", "://"])
def test_what_is_no_proxy_is_refused(proxy: str) -> None:
    with pytest.raises(ValueError, match="not a proxy"):
        check_proxy(proxy)


def test_a_proxy_without_a_scheme_is_an_http_proxy() -> None:
    assert check_proxy("10.0.0.1:3128") == "http://10.0.0.1:3128"


def test_a_poll_through_requests_is_cut_at_once_and_the_next_one_works(serve: Any, make_proxy: Any) -> None:
    arrived = threading.Event()

    def script(peer: Any) -> None:
        peer.read_request()
        if not arrived.is_set():
            arrived.set()
            peer.wait_for_client_to_close()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(GOOD), GOOD))

    server, proxy = serve(script), make_proxy()
    client = ApiClient(TOKEN, server.root, proxy=proxy.url)
    outcome: list[Any] = []

    def poll() -> None:
        try:
            outcome.append(client.get_updates(timeout=30))
        except Interrupted as error:
            outcome.append(error)

    thread = threading.Thread(target=poll)
    thread.start()
    assert arrived.wait(10)
    cut = monotonic()
    client.interrupt()
    thread.join(5)
    assert monotonic() - cut < 0.5
    assert str(outcome[0]) == "getUpdates failed: interrupted"
    client.interrupt()
    assert client.get_updates(timeout=30) == [{"update_id": 1}]
    client.close()


def test_silence_through_requests_ends_in_a_read_timeout(serve: Any) -> None:
    import requests

    def script(peer: Any) -> None:
        peer.read_request()
        peer.wait_for_client_to_close()

    with requests.Session() as session:
        transport = RequestsTransport(Endpoint(TOKEN, serve(script).root), session=session, timeout_s=0.2)
        with pytest.raises(ReadTimeout):
            transport.call("getMe", b"{}")
        with pytest.raises(ReadTimeout):
            transport.call_guarded("getMe", b"{}", 0.1)


def test_a_session_of_the_user_is_used_and_never_closed(serve: Any) -> None:
    import requests

    closed = []

    class Session(requests.Session):
        def close(self) -> None:
            closed.append(True)
            super().close()

    session = Session()
    client = ApiClient(TOKEN, serve(answer_updates).root, session=session)
    assert client.send_message(chat_id=1, text="x") == [{"update_id": 1}]
    client.close()
    assert closed == []
    session.close()
