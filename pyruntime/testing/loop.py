"""Run sockets and timers of the fake server in one thread.

Guarantees: callbacks run one at a time in the loop's thread; timers fire in the order of their times; `stop()` returns
after the thread has ended and the loop's own sockets are closed.
Assumes: callbacks never block. An exception in one is logged and ends that callback only.

A loop of our own and not asyncio, because one request costs half as much this way, and load tests share the machine
with the bot under test.
"""

import contextlib
import heapq
import itertools
import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable

_log = logging.getLogger(__name__)

_READ = selectors.EVENT_READ
_WRITE = selectors.EVENT_WRITE


class Timer:
    """Stand for a callback that is due later."""

    __slots__ = ("_callback", "is_done")

    def __init__(self, callback: Callable[[], None]) -> None:
        """Remember what to call."""
        self._callback = callback
        self.is_done = False

    def cancel(self) -> None:
        """Make the timer do nothing. Thread-safety: the loop's thread only."""
        self.is_done = True

    def fire(self) -> None:
        """Call the callback unless cancelled."""
        if not self.is_done:
            self.is_done = True
            self._callback()


class Loop:
    """Watch sockets and timers in a named daemon thread."""

    def __init__(self, name: str, on_end: Callable[[], None]) -> None:
        """Make a loop; `start()` makes its thread, called `name`, whose last act is to call `on_end`."""
        self._name = name
        self._on_end = on_end
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._handed_in: deque[Callable[[], None]] = deque()
        self._is_stopping = False
        self._wake_is_sent = False
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        self._selector.register(self._wake_receiver, _READ, (self._on_wake, None))
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and release the sockets. Blocks until the running callback has returned."""
        self._is_stopping = True
        self._wake()
        if self._thread is not None:
            self._thread.join()
        self._selector.close()
        self._wake_receiver.close()
        self._wake_sender.close()

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run `callback` in the loop's thread. Thread-safety: any thread."""
        self._handed_in.append(callback)
        # A flag that is already up means that a byte is under way and that the loop will drain the queue after it
        # has lowered the flag; so one byte is enough for any number of callbacks.
        if not self._wake_is_sent:
            self._wake()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` after `delay_s`. Thread-safety: the loop's thread only."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (time.monotonic() + delay_s, next(self._order), timer))
        return timer

    def watch(self, sock: socket.socket, on_readable: Callable[[], None], on_writable: Callable[[], None]) -> None:
        """Call `on_readable` whenever `sock` has something to read. Thread-safety: the loop's thread only."""
        self._selector.register(sock, _READ, (on_readable, on_writable))

    def watch_writes(self, sock: socket.socket, is_wanted: bool) -> None:
        """Call the socket's `on_writable` too, or no longer. Thread-safety: the loop's thread only."""
        key = self._selector.get_key(sock)
        self._selector.modify(sock, _READ | _WRITE if is_wanted else _READ, key.data)

    def forget(self, sock: socket.socket) -> None:
        """Watch `sock` no longer. Thread-safety: the loop's thread only."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(sock)

    def _wake(self) -> None:
        self._wake_is_sent = True
        with contextlib.suppress(OSError):
            self._wake_sender.send(b"\0")

    def _on_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_receiver.recv(4096)
        self._wake_is_sent = False
        handed_in = self._handed_in
        while handed_in:
            _run_guarded(handed_in.popleft())

    def _run(self) -> None:
        timers = self._timers
        select = self._selector.select
        while not self._is_stopping:
            timeout = None
            while timers and timers[0][2].is_done:
                heapq.heappop(timers)
            if timers:
                timeout = max(0.0, timers[0][0] - time.monotonic())
            for key, mask in select(timeout):
                on_readable, on_writable = key.data
                if mask & _READ:
                    _run_guarded(on_readable)
                if mask & _WRITE and on_writable is not None:
                    _run_guarded(on_writable)
            if timers:
                now = time.monotonic()
                while timers and timers[0][0] <= now:
                    _run_guarded(heapq.heappop(timers)[2].fire)
        _run_guarded(self._on_end)


def _run_guarded(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:
        _log.exception("a callback of the fake server failed", extra={"action": "fake_server_callback_failed"})
