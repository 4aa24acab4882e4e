"""Cut a pending call from another thread."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from pyruntime.errors import Interrupted

__all__ = ["Guard"]


class Guard:
    """Stand beside one call and end whatever it waits in when ``cut()`` is called.

    The call tells its guard what it is about to wait in: a socket, or a function that wakes it. The last one told
    is the one that is woken. A call that was cut cannot start another wait: telling the guard raises.

    Thread-safety: ``cut`` from any thread, the rest from the thread of the call.
    """

    __slots__ = ("_is_cut", "_lock", "_wake")

    def __init__(self) -> None:
        # Guards both fields. The owner also leaves a socket under it before closing, so that a cut never reaches a
        # file descriptor that has been given to somebody else meanwhile. Innermost lock.
        self._lock = threading.Lock()
        self._is_cut = False
        self._wake: Callable[[], object] | None = None

    @property
    def is_cut(self) -> bool:
        """Whether the call has been cut."""
        return self._is_cut

    def watch(self, sock: socket.socket) -> None:
        """Name the socket that the call waits in from now on.

        Raises:
            Interrupted: the call has been cut already.
        """
        self.watch_wait(lambda: _shut(sock))

    def watch_wait(self, wake: Callable[[], object]) -> None:
        """Name the function that ends the wait of the call from now on.

        Raises:
            Interrupted: the call has been cut already.
        """
        with self._lock:
            if self._is_cut:
                # Each call names its socket before it sends anything.
                raise Interrupted(detail="interrupted", may_have_arrived=False)
            self._wake = wake

    def leave(self) -> None:
        """Forget what the call waited in. To be called before the socket is closed."""
        with self._lock:
            self._wake = None

    def cut(self) -> None:
        """End the call: its wait returns within about a millisecond."""
        with self._lock:
            self._is_cut = True
            if self._wake is not None:
                self._wake()


def _shut(sock: socket.socket) -> None:
    """Shut a socket down both ways.

    The method of the base class: the one of SSLSocket takes the TLS layer away from under the thread that reads.
    Closing instead would not wake that thread.
    """
    # It fails when the socket is not connected yet, and on Linux wakes the thread that connects all the same.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
