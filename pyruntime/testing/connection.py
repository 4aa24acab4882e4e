"""Serve one keep-alive connection of the fake server."""

import contextlib
import socket
from collections.abc import Callable

from pyruntime.testing.loop import Loop
from pyruntime.testing.wire import MalformedRequest, Request, RequestParser, build_reply

_RECEIVE_BYTES = 256 * 1024
_MAX_BUFFERED_BYTES = 128 * 1024 * 1024


class Connection:
    """Read requests one after the other and write one reply to each, in order.

    A request that comes before the reply to the one before it (pipelining) waits.
    Thread-safety: everything here runs in the loop's thread.
    """

    __slots__ = (
        "_handle",
        "_has_request",
        "_is_pumping",
        "_keeps_alive",
        "_loop",
        "_on_close",
        "_parser",
        "_socket",
        "_unsent",
        "closes_after_send",
        "is_open",
        "on_peer_closed",
    )

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        handle: Callable[["Connection", Request], None],
        on_close: Callable[["Connection"], None],
    ) -> None:
        """Take over `sock`; `handle` gets each request and must see to it that `reply` or `close` is called."""
        self._loop = loop
        self._socket = sock
        self._handle = handle
        self._on_close = on_close
        self._parser = RequestParser()
        self._has_request = False
        self._keeps_alive = True
        self._is_pumping = False
        self._unsent = b""
        self.is_open = True
        self.closes_after_send = False
        self.on_peer_closed: Callable[[], None] | None = None
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop.watch(sock, self._on_readable, self._on_writable)

    def reply(self, data: bytes) -> None:
        """Send a whole reply to the request in hand, then take the next one."""
        if not self._has_request:
            return
        self._has_request = False
        self.on_peer_closed = None
        if not self._keeps_alive:
            self.closes_after_send = True
        self.send(data)
        if self.is_open and not self._is_pumping:
            self._pump()

    def send(self, data: bytes) -> None:
        """Send raw bytes, the rest later if the peer is slow; with `closes_after_send` set, close after them."""
        if not self.is_open:
            return
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        if sent < len(data):
            self._unsent = data[sent:]
            self._loop.watch_writes(self._socket, True)
        elif self.closes_after_send:
            self.close()

    def close(self) -> None:
        """Close the connection at once; tells whoever waits in `on_peer_closed`."""
        if not self.is_open:
            return
        self.is_open = False
        self._loop.forget(self._socket)
        self._socket.close()
        if self.on_peer_closed is not None:
            self.on_peer_closed()
        self._on_close(self)

    @property
    def unsent_bytes(self) -> int:
        """Count the bytes that the peer has not taken yet."""
        return len(self._unsent)

    def _on_readable(self) -> None:
        if not self.is_open:
            return
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or self._parser.buffered_bytes > _MAX_BUFFERED_BYTES:
            self.close()
            return
        self._parser.feed(data)
        if not self._has_request:
            self._pump()

    def _pump(self) -> None:
        self._is_pumping = True
        try:
            while self.is_open and not self._has_request and not self.closes_after_send:
                request = self._parser.next()
                if request is None:
                    if self._parser.wants_continue:
                        self._parser.wants_continue = False
                        self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                    return
                self._has_request = True
                self._keeps_alive = request.keeps_alive
                self._handle(self, request)
        except MalformedRequest as error:
            body = b'{"ok":false,"error_code":%d,"description":"%b"}' % (error.status, error.description.encode())
            self.closes_after_send = True
            self.send(build_reply(error.status, body, keeps_alive=False))
        finally:
            self._is_pumping = False

    def _on_writable(self) -> None:
        if not self.is_open or not self._unsent:
            return
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self._loop.watch_writes(self._socket, False)
            if self.closes_after_send:
                self.close()
