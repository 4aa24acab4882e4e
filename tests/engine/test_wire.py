"""Workers on the wire: what they send and receive, and the door by which they come back to the interpreter."""

from __future__ import annotations

import errno
import socket
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from runner_c import exchange, exchange_reply, is_quiet, receive, receive_reply, wait_for_data

REPLY = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-length:  %d \r\nDate: y\r\n\r\n"


@pytest.fixture(name="pair")
def make_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets."""
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_what_is_sent_arrives_and_is_received_up_to_the_limit(pair: Any) -> None:
    one, other = pair
    one.sendall(b"hello world")
    assert receive(other.fileno(), 5) == b"hello"
    assert receive(other.fileno(), 100_000) == b" world"


def test_an_exchange_sends_and_returns_what_comes_back(pair: Any) -> None:
    one, other = pair
    for limit, expected in ((100, b"the reply"), (100_000, b"the reply"), (3, b"the")):
        thread = threading.Thread(target=lambda: other.sendall(b"the reply" if other.recv(100) == b"request" else b"?"))
        thread.start()
        assert exchange(one.fileno(), b"request", limit) == expected
        thread.join()


def test_an_exchange_of_a_large_reply_returns_all_of_it(pair: Any) -> None:
    one, other = pair
    reply = REPLY % 200_000 + bytes(200_000)

    def answer() -> None:
        assert other.recv(100) == b"request"
        for place in range(0, len(reply), 30_000):
            other.sendall(reply[place : place + 30_000])

    thread = threading.Thread(target=answer)
    thread.start()
    assert exchange_reply(one.fileno(), b"request", 1 << 18) == reply
    thread.join()
    sent = exchange_reply(one.fileno(), bytes(1 << 22), 100)
    assert isinstance(sent, int)
    assert 0 < sent < 1 << 22


def test_a_socket_is_quiet_until_something_or_the_end_has_come(pair: Any) -> None:
    one, other = pair
    assert is_quiet(one.fileno())
    other.sendall(b"x")
    assert not is_quiet(one.fileno())
    assert receive(one.fileno(), 10) == b"x"
    assert is_quiet(one.fileno())
    other.close()
    assert not is_quiet(one.fileno())


def test_an_exchange_that_the_system_does_not_take_whole_says_how_much_it_took(pair: Any) -> None:
    one, other = pair
    data = bytes(range(256)) * 4096
    sent = exchange(one.fileno(), data, 100)
    assert isinstance(sent, int)
    assert 0 < sent < len(data)
    assert exchange(one.fileno(), data, 100) == 0
    received = b""
    while len(received) < sent:
        received += receive(other.fileno(), 1 << 20)
    assert received == data[:sent]


def test_an_exchange_that_the_system_refuses_gives_the_reason(pair: Any) -> None:
    one, other = pair
    other.close()
    assert exchange(one.fileno(), b"x", 100) == -errno.EPIPE
    assert exchange(-1, b"x", 100) == -errno.EBADF


def test_errors_are_those_of_the_system(pair: Any) -> None:
    one, other = pair
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, (0).to_bytes(8, "little") + (20_000).to_bytes(8, "little"))
    for read in (receive, receive_reply):
        with pytest.raises(BlockingIOError):
            read(one.fileno(), 100)
    other.close()
    assert receive(one.fileno(), 100) == b""
    assert receive_reply(one.fileno(), 100) == b""
    with pytest.raises(OSError, match="Bad file descriptor"):
        receive(-1, 10)
    for read in (receive, receive_reply):
        with pytest.raises(ValueError, match="from 1 up, not -5"):
            read(one.fileno(), -5)


def test_data_the_end_and_an_error_end_the_wait_for_data_and_so_does_its_time(pair: Any) -> None:
    one, other = pair
    begun_s = time.monotonic()
    assert not wait_for_data(one.fileno(), 0.05)
    assert time.monotonic() - begun_s >= 0.05
    assert not wait_for_data(one.fileno(), -1.0)
    other.send(b"x")
    assert wait_for_data(one.fileno(), 1e300)
    assert receive(one.fileno(), 10) == b"x"
    other.close()
    assert wait_for_data(one.fileno(), 30.0)


def test_a_shutdown_from_another_thread_ends_the_wait(pair: Any) -> None:
    one, _ = pair
    got: list[bytes | bool] = []
    for read in (receive, receive_reply, wait_for_data):
        thread = threading.Thread(target=lambda read=read: got.append(read(one.fileno(), 10)))
        thread.start()
        one.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    assert got == [b"", b"", True]


def test_a_reply_is_received_whole_whatever_pieces_it_comes_in(pair: Any) -> None:
    one, other = pair
    body = b"z" * 5000
    whole = REPLY % len(body) + body
    for cut in (len(whole) - 1, len(whole) - 4999, len(whole) // 2):
        got: list[bytes] = []
        thread = threading.Thread(target=lambda got=got: got.append(receive_reply(other.fileno(), 1 << 18)))
        thread.start()
        one.sendall(whole[:cut])
        # The rest comes when the first part has been read.
        while not is_empty(other):
            pass
        one.sendall(whole[cut:])
        thread.join(10)
        rest = b"" if len(got[0]) == len(whole) else receive(other.fileno(), 1 << 18)
        # More than 50 ms between the parts, on a busy machine, may end it early; then the rest is still to come.
        assert got[0] + rest == whole


def is_empty(sock: socket.socket) -> bool:
    """Whether nothing can be read at once."""
    try:
        return not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True


@pytest.mark.parametrize(
    "odd",
    [
        b"no head at all",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
        b"\r\n\r\n",
        b"Content-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabcdef",
    ],
)
def test_an_odd_head_gives_what_is_there(pair: Any, odd: bytes) -> None:
    one, other = pair
    one.sendall(odd)
    one.shutdown(socket.SHUT_WR)
    got = b""
    while piece := receive_reply(other.fileno(), 64):
        assert len(piece) <= 64
        got += piece
    assert got == odd


def test_an_update_that_comes_while_there_is_a_crowd_at_the_door_is_begun_when_the_crowd_has_gone(
    queue_bot: Any, start: Any, patient_interpreter: None
) -> None:
    """Nobody is called while a hundred workers want the interpreter; all of them then block without coming back."""
    pairs = [socket.socketpair() for _ in range(100)]
    over = threading.Event()

    def work(update: Any) -> None:
        number = update["message"]["chat"]["id"]
        if number < len(pairs):
            assert receive(pairs[number][0].fileno(), 10) == b"go"
        over.wait(60)

    bot = queue_bot(work)
    bot.push(len(pairs), chat=lambda index: index)
    handle = start(bot, concurrency=110)
    bot.record.wait_for_begun(len(pairs))
    # From here on this thread keeps the GIL, if there is one, while the workers come to the door.
    for _, there in pairs:
        there.send(b"go")
    until = time.monotonic() + 0.2
    while time.monotonic() < until:
        pass
    for number in range(10):
        assert handle.offer({"update_id": 10_000 + number, "message": {"chat": {"id": 1000 + number}}})
    bot.record.wait_for_begun(110)
    over.set()
    bot.record.wait_for_ended(110)
    assert bot.record.breaches == []
    assert bot.errors == []
    for one, other in pairs:
        one.close()
        other.close()


@pytest.fixture(name="patient_interpreter")
def make_interpreter_patient() -> Iterator[None]:
    """Nobody takes the GIL from a thread that computes."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(10.0)
    yield
    sys.setswitchinterval(before)


def test_a_thread_that_keeps_the_interpreter_does_not_keep_updates_from_beginning(queue_bot: Any, start: Any) -> None:
    """While one handler computes without a pause, others come and go on the wire."""
    over = threading.Event()

    def work(update: Any) -> None:
        if update["message"]["chat"]["id"] == 0:
            while not over.is_set():
                sum(range(1000))
            return
        here, there = socket.socketpair()
        with here, there:
            for _ in range(3):
                there.send(b"x")
                assert receive(here.fileno(), 10) == b"x"

    bot = queue_bot(work)
    bot.push(301, chat=lambda index: index)
    start(bot, concurrency=100)
    bot.record.wait_for_ended(300)
    over.set()
    bot.record.wait_for_ended(301)
    assert bot.errors == []


@pytest.mark.skipif(bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="without the GIL there is no crowd")
def test_a_crowd_that_does_not_end_keeps_no_update_waiting(queue_bot: Any, start: Any) -> None:
    """Sixty handlers come back from the wire all the time, so that there is a crowd at the door until they end."""
    over = threading.Event()

    def work(update: Any) -> None:
        if update["message"]["chat"]["id"] >= 60:
            return
        here, there = socket.socketpair()
        with here, there:
            while not over.is_set():
                there.send(b"x")
                assert receive(here.fileno(), 10) == b"x"

    bot = queue_bot(work)
    bot.push(60, chat=lambda index: index)
    handle = start(bot, concurrency=100)
    bot.record.wait_for_begun(60)
    begun_s = time.monotonic()
    for number in range(30):
        assert handle.offer({"update_id": 10_000 + number, "message": {"chat": {"id": 100 + number}}})
        bot.record.wait_for_ended(number + 1)
    # It takes a second; where nothing makes up for the calls, it takes a minute, by the luck of a moment without crowd.
    assert time.monotonic() - begun_s < 20
    over.set()
    bot.record.wait_for_ended(90)
    assert bot.errors == []
