"""What a handler can ask of the engine about the update that it runs.

Guarantees
    - What was staged is written once, after the handler has succeeded and before another update gets its keys; never
      when it failed, nor after somebody else ended the update (abandoned, stopped).
    - Callbacks of `on_settled` run once, whoever ends the update.
Assumes
    - `stage` and `wait` are called by the thread that runs the handler.

`_is_settled`, `_releases`, `_cancel` and `_is_cut` are reached by two threads, the worker and whoever ends the update
in its place: critical sections of this object guard them.
"""
import logging

cimport cython

from runner_c.errors import Stopped

logger = logging.getLogger("runner_c")


cdef class Delivery:
    """One update on its way through the handlers."""

    @property
    def is_stopping(self):
        return self._stopping.is_set()

    def wait(self, timeout_s):
        return self._stopping.wait(timeout_s)

    @property
    def storage(self):
        return self._sessions

    def stage(self, storage, str key, value):
        if self._writes is None:
            self._writes = {}
        self._writes[(id(storage), key)] = (storage, key, value)

    def on_settled(self, release):
        cdef bint is_late
        with cython.critical_section(self):
            is_late = self._is_settled
            if not is_late:
                self._releases.append(release)
        if is_late:
            release()
            raise Stopped("this update has been ended meanwhile")

    def blocked(self, cancel):
        cdef Blocked blocked = Blocked.__new__(Blocked)
        blocked._delivery = self
        blocked._cancel = cancel
        return blocked

    cdef object commit(self):
        """Do the staged writes; raises what a storage raises."""
        if self._writes is None:
            return None
        writes = self._writes
        self._writes = None
        mine = []
        for storage, key, value in writes.values():
            if storage is self._sessions:
                mine.append((key, value))
            elif value is None:
                storage.delete(key)
            else:
                storage.write(key, value)
        if mine:
            # Visible to who comes next at once; in the store together with the end of this update.
            self._stored = self._sessions.put(mine)
        return None

    cdef void renew(self, int attempt) noexcept:
        """Begin another attempt: nothing is staged, keys that were taken stay held."""
        self.attempt = attempt
        self._writes = None
        self._stored = None

    cdef void settle(self) noexcept:
        """Mark the update as ended and run the releases."""
        with cython.critical_section(self):
            self._is_settled = True
            releases = self._releases
            self._releases = []
        for release in releases:
            try:
                release()
            except BaseException:
                logger.exception("a callback of on_settled failed", extra={"action": "settle.failed"})

    cdef void cut(self) noexcept:
        """End a wait at a key, now or whenever it begins."""
        with cython.critical_section(self):
            self._is_cut = True
            cancel = self._cancel
        if cancel is not None:
            cancel()


cdef class Blocked:
    """While the block runs, its worker holds no slot."""

    def __enter__(self):
        cdef Delivery delivery = self._delivery
        cdef bint is_cut
        with cython.critical_section(delivery):
            delivery._cancel = self._cancel
            is_cut = delivery._is_cut
        delivery._pool.obey(delivery._ring.block(&delivery._worker.slot))
        if is_cut:
            self._cancel()

    def __exit__(self, *error):
        cdef Delivery delivery = self._delivery
        with cython.critical_section(delivery):
            delivery._cancel = None
        delivery._pool.obey(delivery._ring.unblock(&delivery._worker.slot))
