"""TLS: certificates and names are checked, sessions are resumed, and all the rest works as without it."""

import contextlib
import ssl
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pyruntime.errors import ConnectFailed, ConnectionLost, Interrupted, ReadTimeout
from pyruntime.transport import TlsContext

Serve = Callable[..., Any]
Connect = Callable[..., Any]


@pytest.fixture(scope="module")
def certificate(make_certificate: Any) -> tuple[str, str]:
    """A certificate for this machine."""
    pair: tuple[str, str] = make_certificate("DNS:localhost,IP:127.0.0.1")
    return pair


def server_side(pair: tuple[str, str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    return context


def trusting(pair: tuple[str, str]) -> TlsContext:
    return TlsContext(ssl.create_default_context(cafile=pair[0]))


def test_a_call_over_tls_works_and_keeps_its_connection(
    serve: Serve, connect: Connect, answer_all: Any, certificate: Any
) -> None:
    server = serve(answer_all, server_side(certificate))
    transport = connect(server, tls=trusting(certificate))
    for _ in range(5):
        assert transport.call("getMe", b"{}")[0] == 200
    assert transport.call_guarded("getMe", b"{}")[0] == 200
    assert server.connection_count == 2
    # Session tickets have been read with the first reply: they do not look like an end of the stream.
    assert transport._pool._idle[0].is_quiet()


def test_a_reply_byte_by_byte_over_tls_is_read(serve: Serve, connect: Connect, ok: bytes, certificate: Any) -> None:
    def script(peer: Any) -> None:
        peer.read_request()
        peer.send_bytewise(ok)

    transport = connect(serve(script, server_side(certificate)), tls=trusting(certificate))
    assert transport.call("getMe", b"{}") == (200, b'{"ok":true,"result":true}')


def test_large_requests_and_replies_over_tls_are_whole(serve: Serve, connect: Connect, certificate: Any) -> None:
    big = b"x" * (3 * 1024 * 1024)

    def script(peer: Any) -> None:
        body = peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    transport = connect(serve(script, server_side(certificate)), tls=trusting(certificate))
    assert transport.call("getMe", big) == (200, big)


def test_a_certificate_of_an_unknown_authority_is_refused_by_default(
    serve: Serve, connect: Connect, answer_all: Any, certificate: Any
) -> None:
    server = serve(answer_all, server_side(certificate))
    with pytest.raises(ConnectFailed, match="certificate not accepted: self-signed") as caught:
        connect(server).call("sendMessage", b"{}")
    assert caught.value.may_have_arrived is False
    assert server.requests == []


def test_a_certificate_for_another_host_is_refused(
    serve: Serve, connect: Connect, answer_all: Any, make_certificate: Any
) -> None:
    pair = make_certificate("DNS:other.example")
    server = serve(answer_all, server_side(pair))
    for root in (server.root, server.root.replace("127.0.0.1", "localhost")):
        with pytest.raises(ConnectFailed, match=r"certificate not accepted: .*mismatch"):
            connect(root, tls=trusting(pair)).call("sendMessage", b"{}")
    assert server.requests == []


def test_a_context_of_the_user_decides(serve: Serve, connect: Connect, answer_all: Any, certificate: Any) -> None:
    careless = ssl.create_default_context()
    careless.check_hostname = False
    careless.verify_mode = ssl.CERT_NONE
    transport = connect(serve(answer_all, server_side(certificate)), tls=TlsContext(careless))
    assert transport.call("getMe", b"{}")[0] == 200


def test_a_new_connection_resumes_the_session_of_an_old_one(
    serve: Serve, connect: Connect, ok: bytes, certificate: Any
) -> None:
    def script(peer: Any) -> None:
        peer.read_request()
        peer.send(ok)
        peer.read_request()
        peer.send(ok.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))

    server = serve(script, server_side(certificate))
    transport = connect(server, tls=trusting(certificate))
    for _ in range(6):
        transport.call("getMe", b"{}")
    assert server.sessions_reused == [False, True, True]


def test_a_server_that_speaks_no_tls_is_connect_failed(serve: Serve, connect: Connect) -> None:
    def script(peer: Any) -> None:
        peer.sock.recv(1000)
        peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    server = serve(script)
    with pytest.raises(ConnectFailed):
        connect(f"https://127.0.0.1:{server.port}").call("getMe", b"{}")


def test_a_handshake_that_never_ends_is_given_up(serve: Serve, connect: Connect) -> None:
    server = serve(lambda peer: peer.wait_for_client_to_close())
    with pytest.raises(ConnectFailed, match="timed out"):
        connect(f"https://127.0.0.1:{server.port}", connect_timeout_s=0.2).call("getMe", b"{}")


def test_silence_over_tls_ends_in_a_read_timeout(serve: Serve, connect: Connect, certificate: Any) -> None:
    def script(peer: Any) -> None:
        peer.read_request()
        peer.wait_for_client_to_close()

    transport = connect(serve(script, server_side(certificate)), tls=trusting(certificate), timeout_s=0.3)
    with pytest.raises(ReadTimeout):
        transport.call("getMe", b"{}")


def test_a_long_poll_over_tls_is_cut_and_the_next_one_works(
    serve: Serve, connect: Connect, ok: bytes, certificate: Any
) -> None:
    arrived = threading.Event()

    def script(peer: Any) -> None:
        peer.read_request()
        if peer.number == 1:
            arrived.set()
            peer.wait_for_client_to_close()
        peer.send(ok)

    transport = connect(serve(script, server_side(certificate)), tls=trusting(certificate))
    outcome: list[Any] = []

    def poll() -> None:
        try:
            outcome.append(transport.call_guarded("getUpdates", b"{}", 30.0))
        except Interrupted as error:
            outcome.append(error)

    thread = threading.Thread(target=poll)
    thread.start()
    assert arrived.wait(10)
    transport.interrupt()
    thread.join(5)
    assert isinstance(outcome[0], Interrupted)
    assert transport.call_guarded("getUpdates", b"{}", 30.0)[0] == 200


@pytest.mark.parametrize("is_polite", [True, False], ids=["with an alert", "without"])
def test_a_connection_that_the_server_gave_up_is_replaced_over_tls_too(
    is_polite: bool, serve: Serve, connect: Connect, ok: bytes, certificate: Any
) -> None:
    closed = threading.Event()

    def script(peer: Any) -> None:
        peer.read_request()
        peer.send(ok)
        if peer.number == 1:
            if is_polite:
                # It says goodbye and does not wait for the answer.
                peer.sock.settimeout(0.01)
                with contextlib.suppress(OSError):
                    peer.sock.unwrap()
            peer.close()
            closed.set()

    server = serve(script, server_side(certificate))
    transport = connect(server, tls=trusting(certificate))
    transport.call("sendMessage", b'"warm"')
    assert closed.wait(10)
    assert transport.call("sendMessage", b'"hello"')[0] == 200
    assert [body for _, _, body in server.requests].count(b'"hello"') == 1


def test_a_request_that_was_read_is_not_sent_again_over_tls_either(
    serve: Serve, connect: Connect, ok: bytes, certificate: Any
) -> None:
    def script(peer: Any) -> None:
        peer.read_request()
        peer.send(ok)
        peer.read_request()
        peer.close()

    server = serve(script, server_side(certificate))
    transport = connect(server, tls=trusting(certificate))
    transport.call("sendMessage", b'"warm"')
    with pytest.raises(ConnectionLost) as caught:
        transport.call("sendMessage", b'"hello"')
    assert caught.value.may_have_arrived is True
    assert [body for _, _, body in server.requests].count(b'"hello"') == 1
