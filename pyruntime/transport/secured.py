"""What a connection sends and receives over TLS.

Guarantees: nothing waits longer than until the deadline; a wait for a reply is one of the engine's, as it is over plain
TCP, so that workers come back to the interpreter in turn.

Assumes: one thread uses it at a time; the socket is not closed meanwhile, only shut down.

The socket itself never waits. One that has a time limit of Python's would ask the system before each write whether it
may, and again before each read, and let go of the interpreter each time.
"""

from __future__ import annotations

import select
import ssl
from time import monotonic

from runner_c import wait_for_data

__all__ = ["SecuredSocket"]


class SecuredSocket:
    """Send and receive on a TLS socket, which must have shaken hands.

    Attributes:
        deadline: ``time.monotonic()`` until which to wait.
    """

    __slots__ = ("_fileno", "_recv", "_send", "deadline")

    def __init__(self, sock: ssl.SSLSocket) -> None:
        sock.setblocking(False)
        self._fileno = sock.fileno
        self._send = sock.send
        self._recv = sock.recv
        self.deadline = 0.0

    def send(self, data: bytes | memoryview) -> int:
        """Send some of the data and return how many bytes it was. *Blocks* while there is no room.

        Raises:
            OSError: as of ``ssl.SSLSocket.send``; TimeoutError at the deadline.
        """
        while True:
            try:
                return self._send(data)
            except ssl.SSLWantWriteError:
                self._wait_for_room()
            except ssl.SSLWantReadError:
                self._wait()

    def receive_first(self, limit: int) -> bytes:
        """Do as `receive` does, where nothing can be here yet."""
        self._wait()
        return self.receive(limit)

    def receive(self, limit: int) -> bytes:
        """Return what comes next. *Blocks* until there is something.

        Raises:
            OSError: as of ``ssl.SSLSocket.recv``; TimeoutError at the deadline.
        """
        while True:
            try:
                return self._recv(limit)
            except ssl.SSLWantReadError:
                # A part of a record, or one that is not ours to see: a session ticket, for one.
                self._wait()
            except ssl.SSLWantWriteError:
                self._wait_for_room()

    def _wait(self) -> None:
        if not wait_for_data(self._fileno(), self.deadline - monotonic()):
            raise TimeoutError("timed out")

    def _wait_for_room(self) -> None:
        look = select.poll()
        look.register(self._fileno(), select.POLLOUT)
        if not look.poll(max(0.0, self.deadline - monotonic()) * 1000):
            raise TimeoutError("timed out")
