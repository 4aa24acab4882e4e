"""Idle connections, shared by all threads.

Guarantees: a connection is in the hands of one thread or in the pool, never both; at most ``max_idle`` wait in it; none
is handed out that has been idle for ``idle_s``, or that the server is known to have closed.

Assumes: ``list.append`` and ``list.pop`` are atomic, as they are with and without the GIL.
"""

from __future__ import annotations

import threading
from time import monotonic

from pyruntime.transport.connection import Connection

__all__ = ["Pool"]

# Younger ones are not looked at before use: the look costs a system call, a server does not close so soon, and if it
# does the exchange still finds out before anything can happen twice.
_LOOK_AFTER_S = 1.0
_PRUNE_EVERY_S = 5.0


class Pool:
    """Keep idle connections; the one used last goes out first, so that the rest can grow old.

    Args:
        max_idle: connections to keep at most; a further one is closed.
        idle_s: seconds after which an idle connection is given up. Should be under what the server allows.

    Thread-safety: any thread.
    """

    def __init__(self, max_idle: int, idle_s: float) -> None:
        self._idle: list[Connection] = []
        self._max_idle = max_idle
        self._idle_s = idle_s
        self._next_prune = 0.0
        # Guards the removal of old connections from the front of the list, and the epoch. Innermost lock.
        self._lock = threading.Lock()
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._idle)

    def __del__(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def take(self) -> Connection | None:
        """Return an idle connection that seems alive, or None."""
        idle = self._idle
        while idle:
            try:
                connection = idle.pop()
            except IndexError:
                break
            age_s = monotonic() - connection.idle_since
            if age_s < _LOOK_AFTER_S or (age_s < self._idle_s and connection.is_quiet()):
                return connection
            connection.close()
        return None

    def give(self, connection: Connection) -> None:
        """Take a connection back after a complete reply. One that is closed is dropped."""
        if not connection.is_open:
            return
        now = connection.idle_since = monotonic()
        if connection.epoch != self.epoch or len(self._idle) >= self._max_idle:
            connection.close()
            return
        self._idle.append(connection)
        if now >= self._next_prune:
            self._prune(now)
        if connection.epoch != self.epoch:
            # clear() came in between and may have missed it.
            self._drop_before(self.epoch)

    def clear(self) -> None:
        """Close the idle connections now and the busy ones when they come back."""
        with self._lock:
            self.epoch += 1
        self._drop_before(self.epoch)

    def renew_after_fork(self) -> None:
        """Give up everything inherited, in the child of a fork. The parent's connections stay as they are."""
        self._lock = threading.Lock()
        self.clear()

    def _prune(self, now: float) -> None:
        """Close what has been idle for too long: it is at the front."""
        with self._lock:
            self._next_prune = now + _PRUNE_EVERY_S
            old: list[Connection] = []
            while True:
                try:
                    # Others only take from the back, so that the front can only become empty meanwhile.
                    if self._idle[0].idle_since > now - self._idle_s:
                        break
                    old.append(self._idle.pop(0))
                except IndexError:
                    break
        for connection in old:
            connection.close()

    def _drop_before(self, epoch: int) -> None:
        """Close the idle connections of earlier epochs."""
        newer: list[Connection] = []
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            if connection.epoch < epoch:
                connection.close()
            else:
                newer.append(connection)
        self._idle.extend(newer)
