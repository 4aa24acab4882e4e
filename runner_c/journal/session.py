"""Sessions of a store, as handlers see them: read from memory where they can be, written with the end of their update.

**Guarantees**

- What one update has put is what the next one of the key reads, before the store has it.
- A value that the store does not have yet is never dropped from memory.

**Assumes** that somebody gives the turns (lanes or a gate): a key is read and put by one update at a time. And that
nobody else writes these sessions while the store is open, which is what its lock is for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from runner_c.store.base import Store, Write

__all__ = ["StoredSessions"]

KEPT_SESSIONS = 20_000
KEPT_BYTES = 32 * 2**20
"""How many sessions the store has are kept in memory as well, at most, and how large they are together."""

_Known = tuple[int, bytes | None]


class StoredSessions:
    """The storage that `Delivery.storage` gives. Thread-safety: any thread. *Blocks* for a read of the file at most."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()  # guards the rest; a leaf
        # With each: how many of its changes the store does not have yet.
        self._fresh: dict[str, tuple[_Known, int]] = {}
        self._kept: dict[str, _Known] = {}
        self._kept_bytes = 0

    def read(self, key: str) -> bytes | None:
        """Return the value of a key, or None. Raises what the store raises."""
        return self._known(key)[1]

    def put(self, writes: Iterable[tuple[str, bytes | None]]) -> list[Write]:
        """Change values (None deletes) for whoever reads next; return what the store has to be told.

        Raises what the store raises; then nothing was changed.
        """
        changes = [(key, self._known(key)[0], value) for key, value in writes]
        with self._lock:
            for key, version, value in changes:
                pending = self._fresh[key][1] if key in self._fresh else 0
                self._fresh[key] = ((0 if value is None else version + 1, value), pending + 1)
        return [Write(*change) for change in changes]

    def written(self, writes: Sequence[Write]) -> None:
        """The store has these changes now."""
        with self._lock:
            for key, _, _ in writes:
                known, pending = self._fresh[key]
                if pending > 1:
                    self._fresh[key] = (known, pending - 1)
                else:
                    del self._fresh[key]
                    self._keep(key, known)

    def write(self, key: str, value: bytes) -> None:
        """Refuse: a session in a store is written with the end of the update that changed it."""
        raise TypeError("a session in the store is changed by a handler; stage it in its delivery")

    def delete(self, key: str) -> None:
        """Refuse, like `write`."""
        self.write(key, b"")

    def _known(self, key: str) -> _Known:
        with self._lock:
            # Not .get(): see _sessions.pyx.
            if key in self._fresh:
                return self._fresh[key][0]
            if key in self._kept:
                return self._kept[key]
        found = self._store.load([key])
        known: _Known = (found[key].version, found[key].value) if key in found else (0, None)
        with self._lock:
            self._keep(key, known)
        return known

    def _keep(self, key: str, known: _Known) -> None:
        if key in self._kept:
            self._kept_bytes -= _size(self._kept.pop(key))
        self._kept[key] = known
        self._kept_bytes += _size(known)
        while len(self._kept) > KEPT_SESSIONS or (self._kept_bytes > KEPT_BYTES and self._kept):
            oldest = next(iter(self._kept))
            self._kept_bytes -= _size(self._kept.pop(oldest))


def _size(known: _Known) -> int:
    return 100 if known[1] is None else 100 + len(known[1])
