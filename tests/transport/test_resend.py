"""Lost connections: a request is never sent twice unless it is certain that it did not arrive."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from pyruntime.errors import ConnectionLost, NetworkError

Serve = Callable[..., Any]
Connect = Callable[..., Any]

BODY = b'{"chat_id":1,"text":"hello"}'


def fails_first(fail: Callable[[Any], None], ok: bytes, warm: bool) -> Callable[[Any], None]:
    """A script that fails on the first connection, after a good reply if it is to be warm; later ones answer."""

    def script(peer: Any) -> None:
        if peer.number == 1:
            if warm:
                peer.read_request()
                peer.send(ok)
            fail(peer)
            return
        while True:
            peer.read_request()
            peer.send(ok)

    return script


def read_and_close(peer: Any) -> None:
    peer.read_request()
    peer.close()


def read_and_reset(peer: Any) -> None:
    peer.read_request()
    peer.reset()


def answer_half_and_close(peer: Any) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    peer.close()


def answer_half_and_reset(peer: Any) -> None:
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    peer.reset()


def answer_garbage(peer: Any) -> None:
    peer.read_request()
    peer.send(b"\0\1\2\3 what is this?")
    peer.wait_for_client_to_close()


@pytest.mark.parametrize("warm", [False, True], ids=["first request", "reused connection"])
@pytest.mark.parametrize(
    "fail", [read_and_close, read_and_reset, answer_half_and_close, answer_half_and_reset, answer_garbage]
)
def test_a_request_that_the_server_has_read_is_not_sent_again(
    fail: Callable[[Any], None], warm: bool, serve: Serve, connect: Connect, ok: bytes
) -> None:
    server = serve(fails_first(fail, ok, warm))
    transport = connect(server)
    if warm:
        transport.call("sendMessage", b'"warm"')
    with pytest.raises(NetworkError) as caught:
        transport.call("sendMessage", BODY)
    assert caught.value.may_have_arrived is True
    assert caught.value.method == "sendMessage"
    assert [body for _, _, body in server.requests].count(BODY) == 1
    assert transport.idle_count == 0
    # And the next call works.
    assert transport.call("sendMessage", b'"next"')[0] == 200


def test_a_connection_that_the_server_gave_up_is_replaced_without_anybody_noticing(
    serve: Serve, connect: Connect, ok: bytes
) -> None:
    closed = threading.Event()

    def close_idle(peer: Any) -> None:
        peer.close()
        closed.set()

    server = serve(fails_first(close_idle, ok, warm=True))
    transport = connect(server)
    transport.call("sendMessage", b'"warm"')
    assert closed.wait(10)
    # It has been idle for a moment only, so nobody looks: the request goes out, and is proven not to have arrived.
    assert transport.call("sendMessage", BODY)[0] == 200
    assert [body for _, _, body in server.requests].count(BODY) == 1
    assert server.connection_count == 2


def test_a_connection_given_up_long_ago_is_found_by_a_look_before_use(
    serve: Serve, connect: Connect, ok: bytes
) -> None:
    closed = threading.Event()

    def close_idle(peer: Any) -> None:
        peer.close()
        closed.set()

    server = serve(fails_first(close_idle, ok, warm=True))
    transport = connect(server)
    transport.call("sendMessage", b'"warm"')
    assert closed.wait(10)
    connection = transport._pool._idle[0]
    connection.idle_since -= 2
    assert connection.is_quiet() is False
    assert transport.call("sendMessage", BODY)[0] == 200
    assert not connection.is_open


def test_a_reset_of_an_idle_connection_is_found_as_well(serve: Serve, connect: Connect, ok: bytes) -> None:
    closed = threading.Event()

    def reset_idle(peer: Any) -> None:
        peer.reset()
        closed.set()

    server = serve(fails_first(reset_idle, ok, warm=True))
    transport = connect(server)
    transport.call("sendMessage", b'"warm"')
    assert closed.wait(10)
    assert transport.call("sendMessage", BODY)[0] == 200
    assert [body for _, _, body in server.requests].count(BODY) == 1


def test_a_request_that_could_not_be_sent_whole_goes_out_again_over_a_new_connection(
    serve: Serve, connect: Connect, ok: bytes
) -> None:
    body = b'"' + b"x" * (16 * 1024 * 1024) + b'"'

    def read_some_and_reset(peer: Any) -> None:
        peer.sock.recv(1000)
        peer.reset()

    server = serve(fails_first(read_some_and_reset, ok, warm=True))
    transport = connect(server)
    transport.call("sendMessage", b'"warm"')
    assert transport.call("sendMessage", body)[0] == 200
    assert [number for number, _, sent in server.requests if sent == body] == [2]


def test_on_a_fresh_connection_even_a_request_not_sent_whole_is_left_to_the_caller(
    serve: Serve, connect: Connect
) -> None:
    def read_some_and_reset(peer: Any) -> None:
        peer.sock.recv(1000)
        peer.reset()

    server = serve(read_some_and_reset)
    with pytest.raises(ConnectionLost) as caught:
        connect(server).call("sendMessage", b"x" * (16 * 1024 * 1024))
    assert caught.value.may_have_arrived is False
    assert server.connection_count == 1


def test_a_server_that_closes_every_connection_gets_a_request_at_most_twice(
    serve: Serve, connect: Connect, ok: bytes
) -> None:
    closed = threading.Event()

    def script(peer: Any) -> None:
        if peer.number == 1:
            peer.read_request()
            peer.send(ok)
            peer.close()
            closed.set()
        else:
            peer.reset()

    server = serve(script)
    transport = connect(server)
    transport.call("sendMessage", BODY)
    assert closed.wait(10)
    with pytest.raises(NetworkError):
        transport.call("sendMessage", BODY)
    assert server.connection_count == 2
