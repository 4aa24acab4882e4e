"""Calls over raw sockets: requests, odd replies, addresses, time limits."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

from pyruntime.errors import BadReply, ConnectFailed, ConnectionLost, ReadTimeout

Serve = Callable[..., Any]
Connect = Callable[..., Any]

BODY = b'{"chat_id":1,"text":"hello"}'


def test_a_call_is_one_well_formed_request(serve: Serve, connect: Connect, answer_all: Any) -> None:
    server = serve(answer_all)
    transport = connect(f"{server.root}/a/prefix/")
    assert transport.call("sendMessage", BODY) == (200, b'{"ok":true,"result":true}')
    _, head, body = server.requests[0]
    assert body == BODY
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /a/prefix/bot123456:SECRET-token_42/sendMessage HTTP/1.1"
    fields = dict(line.split(": ") for line in lines[1:])
    assert fields["Host"] == f"127.0.0.1:{server.port}"
    assert fields["Content-Type"] == "application/json"
    assert fields["Content-Length"] == str(len(BODY))


def test_calls_one_after_another_share_a_connection(serve: Serve, connect: Connect, answer_all: Any) -> None:
    server = serve(answer_all)
    transport = connect(server)
    for _ in range(20):
        transport.call("sendMessage", BODY)
    assert server.connection_count == 1
    assert transport.idle_count == 1


def test_calls_at_the_same_time_have_connections_of_their_own(serve: Serve, connect: Connect, ok: bytes) -> None:
    all_in = threading.Barrier(8)

    def script(peer: Any) -> None:
        while True:
            peer.read_request()
            all_in.wait(10)
            peer.send(ok)

    server = serve(script)
    transport = connect(server)
    threads = [threading.Thread(target=transport.call, args=("sendMessage", BODY)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.connection_count == 8
    assert transport.idle_count == 8


REPLIES = {
    "content length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    "interim first": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
}


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_that_comes_byte_by_byte_is_read_and_the_connection_used_again(
    name: str, serve: Serve, connect: Connect
) -> None:
    def script(peer: Any) -> None:
        while True:
            peer.read_request()
            peer.send_bytewise(REPLIES[name])

    server = serve(script)
    transport = connect(server)
    for _ in range(3):
        assert transport.call("getMe", b"{}") == (200, b"hello")
    assert server.connection_count == 1


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more",
    ],
)
def test_a_connection_that_cannot_be_used_again_is_not(reply: bytes, serve: Serve, connect: Connect) -> None:
    def script(peer: Any) -> None:
        peer.read_request()
        peer.send(reply)
        if b"Length" not in reply:
            peer.close()
        else:
            peer.wait_for_client_to_close()

    server = serve(script)
    transport = connect(server)
    for _ in range(3):
        assert transport.call("getMe", b"{}") == (200, b"hello")
    assert server.connection_count == 3
    assert transport.idle_count == 0


def test_a_reply_of_several_megabytes_is_read(serve: Serve, connect: Connect) -> None:
    body = b'"' + b"x" * (4 * 1024 * 1024) + b'"'

    def script(peer: Any) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    assert connect(serve(script)).call("getUpdates", b"{}") == (200, body)


def test_a_request_of_several_megabytes_is_sent_to_a_slow_reader(serve: Serve, connect: Connect, ok: bytes) -> None:
    body = b'"' + b"x" * (8 * 1024 * 1024) + b'"'

    def script(peer: Any) -> None:
        peer.read_request()
        peer.send(ok)

    server = serve(script)
    connect(server).call("sendMessage", body)
    assert server.requests[0][2] == body


def test_a_reply_over_the_limit_is_refused(serve: Serve, connect: Connect, answer_all: Any) -> None:
    transport = connect(serve(answer_all), max_reply_bytes=24)
    with pytest.raises(BadReply, match="sendMessage failed: the reply is larger than 24 bytes"):
        transport.call("sendMessage", BODY)
    assert transport.idle_count == 0


def test_nobody_listening_is_connect_failed(connect: Connect, serve: Serve, answer_all: Any) -> None:
    server = serve(answer_all)
    root = server.root.replace("127.0.0.1", "127.0.0.2")
    with pytest.raises(ConnectFailed, match="refused") as caught:
        connect(root).call("sendMessage", BODY)
    assert caught.value.may_have_arrived is False
    assert caught.value.method == "sendMessage"


def test_a_name_that_does_not_exist_is_connect_failed(connect: Connect) -> None:
    for root in ("http://no-such-host.invalid", "http://" + "a" * 70 + ".invalid", "http://a..b"):
        with pytest.raises(ConnectFailed):
            connect(root).call("sendMessage", BODY)
        with pytest.raises(ConnectFailed):
            connect(root).call_guarded("getMe", b"{}")


def test_each_address_of_a_name_is_tried(
    serve: Serve, connect: Connect, answer_all: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    server = serve(answer_all)
    addresses = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", server.port, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", server.port)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: addresses)
    transport = connect(f"http://three.example:{server.port}")
    tried: list[Any] = []
    really = socket.socket.connect

    def noting(sock: socket.socket, address: Any) -> None:
        tried.append(address[0])
        really(sock, address)

    monkeypatch.setattr(socket.socket, "connect", noting)
    assert transport.call("getMe", b"{}")[0] == 200
    assert tried == ["::1", "127.0.0.2", "127.0.0.1"]
    tried.clear()
    # From then on the kind of address that worked comes first.
    assert transport.call_guarded("getMe", b"{}")[0] == 200
    assert tried == ["127.0.0.2", "127.0.0.1"]


def test_silence_ends_in_a_read_timeout(serve: Serve, connect: Connect) -> None:
    def script(peer: Any) -> None:
        peer.read_request()
        peer.wait_for_client_to_close()

    server = serve(script)
    transport = connect(server, timeout_s=0.2)
    started = monotonic()
    with pytest.raises(ReadTimeout, match=r"sendMessage failed: no complete reply within 0\.2 s"):
        transport.call("sendMessage", BODY)
    assert 0.15 < monotonic() - started < 2
    assert transport.idle_count == 0
    assert len(server.requests) == 1


def test_a_trickle_of_bytes_does_not_extend_the_time_limit(serve: Serve, connect: Connect) -> None:
    stop = threading.Event()

    def script(peer: Any) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nX: ")
        while not stop.wait(0.02):
            peer.send(b"x")

    transport = connect(serve(script), timeout_s=0.4)
    started = monotonic()
    with pytest.raises(ReadTimeout):
        transport.call("getMe", b"{}")
    assert 0.3 < monotonic() - started < 2
    stop.set()


def test_the_time_limit_is_whole_again_after_a_slow_reply(serve: Serve, connect: Connect, ok: bytes) -> None:
    wait = threading.Event()

    def script(peer: Any) -> None:
        peer.read_request()
        peer.send(ok[:40])
        wait.wait(0.5)
        peer.send(ok[40:])
        peer.read_request()
        wait.wait(0.7)
        peer.send(ok)

    server = serve(script)
    transport = connect(server, timeout_s=1.0)
    transport.call("getMe", b"{}")
    transport.call("getMe", b"{}")
    assert server.connection_count == 1


def test_a_server_that_takes_no_data_is_given_up(serve: Serve, connect: Connect) -> None:
    release = threading.Event()
    server = serve(lambda peer: release.wait(10))
    transport = connect(server, timeout_s=0.3)
    with pytest.raises(ConnectionLost, match="took no data") as caught:
        transport.call("sendMessage", b"x" * (64 * 1024 * 1024))
    assert caught.value.may_have_arrived is False
    release.set()


def test_words_of_the_server_that_repeat_the_token_are_scrubbed(serve: Serve, connect: Connect) -> None:
    def script(peer: Any) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: 3456:SECRET\r\n\r\n")

    with pytest.raises(BadReply) as caught:
        connect(serve(script)).call("getMe", b"{}")
    assert "SECRET" not in str(caught.value) + repr(caught.value.args)
