"""The pool: last in, first out; bounded; nothing old; nothing lost between threads."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import pytest

from pyruntime.transport.connection import Connection
from pyruntime.transport.pool import Pool


@pytest.fixture
def make() -> Iterator[Callable[..., Connection]]:
    """Make connections to nobody in particular."""
    others: list[socket.socket] = []
    made: list[Connection] = []

    def make(pool: Pool) -> Connection:
        ours, other = socket.socketpair()
        others.append(other)
        made.append(Connection(ours, 1000, pool.epoch))
        return made[-1]

    yield make
    for other in others:
        other.close()
    for connection in made:
        connection.close()


def test_the_connection_used_last_goes_out_first(make: Any) -> None:
    pool = Pool(10, 60.0)
    one, two = make(pool), make(pool)
    assert pool.take() is None
    pool.give(one)
    pool.give(two)
    assert pool.take() is two
    assert pool.take() is one
    assert pool.take() is None


def test_more_than_the_limit_are_closed(make: Any) -> None:
    pool = Pool(2, 60.0)
    connections = [make(pool) for _ in range(3)]
    for connection in connections:
        pool.give(connection)
    assert [connection.is_open for connection in connections] == [True, True, False]
    assert len(pool) == 2


def test_a_closed_connection_is_not_taken_back(make: Any) -> None:
    pool = Pool(2, 60.0)
    connection = make(pool)
    connection.close()
    pool.give(connection)
    assert len(pool) == 0


def test_old_connections_are_closed_when_others_come_back(make: Any) -> None:
    pool = Pool(10, 60.0)
    old, new = make(pool), make(pool)
    pool.give(old)
    old.idle_since -= 100
    pool._next_prune = 0.0
    pool.give(new)
    assert not old.is_open
    assert pool.take() is new


def test_an_old_connection_is_not_handed_out(make: Any) -> None:
    pool = Pool(10, 60.0)
    old = make(pool)
    pool.give(old)
    old.idle_since = monotonic() - 61
    assert pool.take() is None
    assert not old.is_open


def test_a_quiet_connection_that_is_not_young_is_handed_out(make: Any) -> None:
    pool = Pool(10, 60.0)
    connection = make(pool)
    pool.give(connection)
    connection.idle_since -= 10
    assert pool.take() is connection


def test_clearing_closes_the_idle_now_and_the_busy_when_they_come_back(make: Any) -> None:
    pool = Pool(10, 60.0)
    idle, busy = make(pool), make(pool)
    pool.give(idle)
    pool.clear()
    assert not idle.is_open
    assert busy.is_open
    pool.give(busy)
    assert not busy.is_open
    later = make(pool)
    pool.give(later)
    assert pool.take() is later


def test_a_pool_that_is_dropped_closes_its_connections(make: Any) -> None:
    pool = Pool(10, 60.0)
    connection = make(pool)
    pool.give(connection)
    del pool
    assert not connection.is_open


def test_no_connection_is_in_two_hands(make: Any) -> None:
    pool = Pool(10, 60.0)
    held: set[int] = set()
    lock = threading.Lock()
    start = threading.Barrier(8)
    doubles: list[int] = []

    def use() -> None:
        start.wait(10)
        for turn in range(500):
            connection = pool.take() or make(pool)
            with lock:
                if id(connection) in held:
                    doubles.append(id(connection))
                held.add(id(connection))
            with lock:
                held.discard(id(connection))
            pool.give(connection)
            if turn % 100 == 0:
                pool.clear()

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert doubles == []
    assert len(pool) <= 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_leaves_the_connections_of_its_parent_alone(
    serve: Any, answer_all: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyruntime.api import ApiClient

    server = serve(answer_all)
    client = ApiClient("123456:SECRET", server.root)
    client.send_message(chat_id=1, text="parent")
    # Held by a thread that the child does not have.
    client._caller.transport._lock.acquire()  # type: ignore[union-attr]
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert client.send_message(chat_id=1, text="child") is True
            assert client.call_once("getMe") is True
            code = 0
        finally:
            os._exit(code)
    client._caller.transport._lock.release()  # type: ignore[union-attr]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    client.send_message(chat_id=1, text="parent")
    client.close()
    numbers = {body: number for number, _, body in server.requests}
    assert numbers[b'{"chat_id":1,"text":"parent"}'] == 1
    assert numbers[b'{"chat_id":1,"text":"child"}'] != 1
