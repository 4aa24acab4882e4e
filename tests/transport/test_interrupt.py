"""Cutting a call from another thread, wherever it waits."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import pytest

from pyruntime.errors import Interrupted

Serve = Callable[..., Any]
Connect = Callable[..., Any]


class Call:
    """A guarded call in a thread of its own."""

    def __init__(self, transport: Any) -> None:
        self.outcome: Any = None
        self._transport = transport
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.outcome = self._transport.call_guarded("getUpdates", b"{}", 30.0)
        except BaseException as error:
            self.outcome = error

    def join(self) -> float:
        """Wait for its end and return the seconds that took."""
        started = monotonic()
        self._thread.join(10)
        assert not self._thread.is_alive()
        return monotonic() - started

    def interrupt_until_it_ends(self) -> None:
        """Do as a runner that stops."""
        deadline = monotonic() + 10
        while self._thread.is_alive():
            assert monotonic() < deadline
            self._transport.interrupt()
            self._thread.join(0.02)


@pytest.fixture
def full_listener() -> Iterator[int]:
    """A port where connecting hangs: its queue is full and nobody takes from it."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_a_long_poll_is_cut_at_once_and_the_next_one_works(serve: Serve, connect: Connect, ok: bytes) -> None:
    arrived = threading.Semaphore(0)

    def script(peer: Any) -> None:
        while True:
            if peer.read_request() == b'"quick"':
                peer.send(ok)
            else:
                arrived.release()

    server = serve(script)
    transport = connect(server)
    for _ in range(10):
        call = Call(transport)
        assert arrived.acquire(timeout=10)
        transport.interrupt()
        assert call.join() < 0.5
        assert isinstance(call.outcome, Interrupted)
        assert str(call.outcome) == "getUpdates failed: interrupted"
        assert transport.call_guarded("getUpdates", b'"quick"', 30.0)[0] == 200
    assert server.connection_count == 11


def test_a_poll_in_the_middle_of_its_reply_is_cut(serve: Serve, connect: Connect, ok: bytes) -> None:
    def script(peer: Any) -> None:
        peer.read_request()
        peer.send(ok[:50])
        peer.wait_for_client_to_close()

    call = Call(connect(serve(script)))
    call.interrupt_until_it_ends()
    assert isinstance(call.outcome, Interrupted)


def test_a_poll_over_a_reused_connection_is_cut(serve: Serve, connect: Connect, ok: bytes) -> None:
    arrived = threading.Event()

    def script(peer: Any) -> None:
        peer.read_request()
        peer.send(ok)
        peer.read_request()
        arrived.set()
        peer.wait_for_client_to_close()

    server = serve(script)
    transport = connect(server)
    transport.call_guarded("getUpdates", b"{}", 30.0)
    call = Call(transport)
    assert arrived.wait(10)
    transport.interrupt()
    call.join()
    assert isinstance(call.outcome, Interrupted)
    assert server.connection_count == 1


def test_connecting_is_cut(connect: Connect, full_listener: int) -> None:
    started = monotonic()
    call = Call(connect(f"http://127.0.0.1:{full_listener}"))
    call.interrupt_until_it_ends()
    assert isinstance(call.outcome, Interrupted)
    assert call.outcome.may_have_arrived is False
    assert monotonic() - started < 2


def test_asking_the_name_service_is_cut(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow(*args: Any, **options: Any) -> list[Any]:
        asked.set()
        answer.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    transport = connect("http://slow.example")
    call = Call(transport)
    assert asked.wait(10)
    transport.interrupt()
    assert call.join() < 0.5
    assert isinstance(call.outcome, Interrupted)
    answer.set()


def test_a_tls_handshake_is_cut(connect: Connect, serve: Serve) -> None:
    arrived = threading.Event()

    def never_answer(peer: Any) -> None:
        peer.sock.recv(1)
        arrived.set()
        peer.wait_for_client_to_close()

    server = serve(never_answer)
    transport = connect(f"https://127.0.0.1:{server.port}")
    call = Call(transport)
    assert arrived.wait(10)
    transport.interrupt()
    assert call.join() < 0.5
    assert isinstance(call.outcome, Interrupted)


def test_interrupting_nothing_is_harmless_and_is_not_kept_for_later(
    serve: Serve, connect: Connect, answer_all: Any
) -> None:
    server = serve(answer_all)
    transport = connect(server)
    transport.interrupt()
    for _ in range(3):
        assert transport.call_guarded("getUpdates", b"{}", 30.0)[0] == 200
        transport.interrupt()
    assert server.connection_count == 1


def test_ordinary_calls_are_not_cut(serve: Serve, connect: Connect, ok: bytes) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def script(peer: Any) -> None:
        peer.read_request()
        arrived.set()
        go_on.wait(10)
        peer.send(ok)

    transport = connect(serve(script))
    outcome: list[Any] = []
    thread = threading.Thread(target=lambda: outcome.append(transport.call("sendMessage", b"{}")))
    thread.start()
    assert arrived.wait(10)
    transport.interrupt()
    go_on.set()
    thread.join()
    assert outcome == [(200, b'{"ok":true,"result":true}')]


def test_all_pending_calls_are_cut(serve: Serve, connect: Connect) -> None:
    arrived = threading.Semaphore(0)

    def script(peer: Any) -> None:
        peer.read_request()
        arrived.release()
        peer.wait_for_client_to_close()

    transport = connect(serve(script))
    calls = [Call(transport) for _ in range(5)]
    for _ in calls:
        assert arrived.acquire(timeout=10)
    transport.interrupt()
    for call in calls:
        call.join()
        assert isinstance(call.outcome, Interrupted)


def test_cuts_at_random_moments_end_in_a_result_or_in_interrupted(
    serve: Serve, connect: Connect, answer_all: Any
) -> None:
    transport = connect(serve(answer_all))
    done = threading.Event()

    def cut_all_the_time() -> None:
        while not done.is_set():
            transport.interrupt()

    cutter = threading.Thread(target=cut_all_the_time)
    cutter.start()
    outcomes = set()
    try:
        for _ in range(200):
            try:
                outcomes.add(transport.call_guarded("getUpdates", b"{}", 10.0)[0])
            except Interrupted:
                outcomes.add(-1)
    finally:
        done.set()
        cutter.join()
    assert outcomes <= {200, -1}
    assert transport.call_guarded("getUpdates", b"{}", 10.0)[0] == 200
