"""The HTTP parser, whatever way the bytes are cut."""

import socket
from typing import Any

import pytest

from pyruntime.testing.wire import MalformedRequest, Request, RequestParser

POST = b"POST /a?b=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: t\r\n\r\n"
)
GET = b"GET /g HTTP/1.1\r\nX-Thing:  Value \r\n\r\n"


def drain(parser: RequestParser) -> list[Request]:
    found = []
    while (request := parser.next()) is not None:
        found.append(request)
    return found


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_requests_come_out_whole_however_they_are_cut(step: int) -> None:
    stream = (POST + CHUNKED + GET) * 3
    parser = RequestParser()
    found = []
    for start in range(0, len(stream), step):
        parser.feed(stream[start : start + step])
        found += drain(parser)
    assert [(request.verb, request.path, request.body) for request in found] == [
        ("POST", "/a", b"hello"),
        ("POST", "/c", b"hello world"),
        ("GET", "/g", b""),
    ] * 3
    assert found[0].arguments() == {"b": "1"}
    assert found[2].header(b"x-thing") == "Value"
    assert parser.buffered_bytes == 0


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/3\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000, 431),
    ],
)
def test_malformed_requests_are_refused(data: bytes, status: int) -> None:
    parser = RequestParser()
    parser.feed(data)
    with pytest.raises(MalformedRequest) as caught:
        drain(parser)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("head", "keeps_alive"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", True),
    ],
)
def test_keep_alive_follows_version_and_header(head: bytes, keeps_alive: bool) -> None:
    parser = RequestParser()
    parser.feed(head)
    request = parser.next()
    assert request is not None
    assert request.keeps_alive is keeps_alive


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while part := sock.recv(65536):
        data += part
    return data


def test_pipelined_requests_are_answered_in_order(server: Any, raw_socket: socket.socket) -> None:
    server.chat(1)
    server.latency_by_method_s["sendMessage"] = 0.02
    requests = b""
    for number in range(5):
        body = b'{"chat_id":1,"text":"n%d"}' % number
        requests += (
            b"POST /bot%b/sendMessage HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (server.token.encode(), len(body), body)
        )
    raw_socket.sendall(requests + b"GET /bot%b/getMe HTTP/1.1\r\nConnection: close\r\n\r\n" % server.token.encode())
    data = read_all(raw_socket)
    places = [data.index(b'"text":"n%d"' % number) for number in range(5)]
    assert places == sorted(places)
    assert data.index(b'"can_join_groups"') > places[-1]
    assert [message.text for message in server.chat(1).messages] == [f"n{number}" for number in range(5)]


def test_a_client_that_asks_to_continue_is_told_to(server: Any, raw_socket: socket.socket) -> None:
    raw_socket.sendall(
        b"POST /bot%b/getMe HTTP/1.1\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
        % server.token.encode()
    )
    assert raw_socket.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    raw_socket.sendall(b"{}")
    assert b" 200 OK" in read_all(raw_socket)


def test_a_malformed_request_is_answered_and_the_connection_closed(raw_socket: socket.socket) -> None:
    raw_socket.sendall(b"what is this\r\n\r\n")
    assert read_all(raw_socket).startswith(b"HTTP/1.1 400 Bad Request\r\n")
