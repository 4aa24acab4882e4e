"""Tell open pages what happens on a fake server, by server-sent events.

Guarantees: a page first gets a snapshot and then every change after it, in order; a page that does not read is dropped.
Assumes: the snapshot is taken with the server's lock held, under which the changes are told.
"""

from collections.abc import Callable
from typing import Any, Final

from pyruntime.testing.connection import Connection
from pyruntime.testing.loop import Loop
from pyruntime.testing.world import World

_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
    b"X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
)
_FLUSH_S: Final = 0.02
_PING_S: Final = 15.0
_MAX_EVENTS_AT_ONCE: Final = 2000
_MAX_UNSENT_BYTES: Final = 8 * 1024 * 1024


class EventStream:
    """Send events to all pages that listen."""

    def __init__(
        self,
        world: World,
        get_loop: Callable[[], Loop],
        snapshot: Callable[[], Any],
        closing: Callable[[], Any],
        encode: Callable[[Any], bytes],
    ) -> None:
        """Send `snapshot()` to a new page, and `closing()`, the state of the queue, after each bundle of events.

        `encode` makes the JSON of an event.
        """
        self._world = world
        self._get_loop = get_loop
        self._snapshot = snapshot
        self._closing = closing
        self._encode = encode
        # The world's lock guards both.
        self._pages: list[Connection] = []
        self._events: list[bytes] = []
        self._is_flush_due = False

    @property
    def is_watched(self) -> bool:
        """Tell whether a page listens: if none does, nothing needs to be told. Assumes: the world's lock is held."""
        return bool(self._pages)

    def open(self, connection: Connection) -> None:
        """Keep `connection` as a page. Thread-safety: the loop's thread."""
        with self._world.lock:
            is_first = not self._pages
            self._flush()
            self._pages.append(connection)
            connection.on_peer_closed = lambda: self._forget(connection)
            connection.send(_HEAD + self._event("snapshot", self._snapshot()))
        if is_first:
            self._ping()

    def tell(self, kind: str, content: Any) -> None:
        """Send an event soon. Assumes: the world's lock is held."""
        if not self._pages:
            return
        if len(self._events) < _MAX_EVENTS_AT_ONCE:
            self._events.append(self._event(kind, content))
        self.touch()

    def touch(self) -> None:
        """Send the state of the queue soon. Assumes: the world's lock is held."""
        if self._pages and not self._is_flush_due:
            self._is_flush_due = True
            loop = self._get_loop()
            # A bundle of events every 20 ms: thousands of calls a second are then a few packets for the page.
            loop.call_soon(lambda: self._flush_later(loop))

    def _flush_later(self, loop: Loop) -> None:
        loop.call_later(_FLUSH_S, self._flush)

    def _flush(self) -> None:
        with self._world.lock:
            self._is_flush_due = False
            if not self._pages:
                self._events.clear()
                return
            if len(self._events) >= _MAX_EVENTS_AT_ONCE:
                self._events = [self._event("snapshot", self._snapshot())]
            data = b"".join(self._events) + self._event("queue", self._closing())
            self._events.clear()
            for page in list(self._pages):
                if page.unsent_bytes > _MAX_UNSENT_BYTES:
                    page.close()
                else:
                    page.send(data)

    def _ping(self) -> None:
        with self._world.lock:
            if self._pages:
                self._flush()
                self._get_loop().call_later(_PING_S, self._ping)

    def _forget(self, connection: Connection) -> None:
        with self._world.lock:
            if connection in self._pages:
                self._pages.remove(connection)

    def _event(self, kind: str, content: Any) -> bytes:
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), self._encode(content))
