"""The event of a stop: handlers, the poller and its waits sleep on it.

Guarantees
    - `set` wakes all who wait, and whoever comes later does not wait.
    - While a thread waits no Python code runs in it: an exception that is raised in the thread of a handler arrives
      when the wait is over, and leaves no lock behind. (threading.Event is Python code around locks: an exception
      that hits it may release a lock that it does not hold.)
Assumes
    - Not for the main thread: a signal is not seen while it waits here.

Locks: `_lock` guards the list of sleepers; a parker's own lock is taken inside it, nothing else.
"""
from libc.stdint cimport int64_t

from runner_c._sync cimport (
    rc_load,
    rc_lock,
    rc_mutex_destroy,
    rc_mutex_init,
    rc_now_ns,
    rc_park,
    rc_parker_destroy,
    rc_parker_init,
    rc_store,
    rc_unlock,
    rc_unpark,
)


cdef class StopEvent:
    """Set once, for good. Thread-safety: any thread."""

    def __cinit__(self):
        rc_mutex_init(&self._lock)

    def __dealloc__(self):
        rc_mutex_destroy(&self._lock)

    def is_set(self):
        return rc_load(&self._is_set) != 0

    def set(self):
        cdef sleeper_t *sleeper
        rc_lock(&self._lock)
        rc_store(&self._is_set, 1)
        # Under the lock: a sleeper takes it before it leaves, so none is gone yet.
        sleeper = self._first
        while sleeper != NULL:
            rc_unpark(&sleeper.parker)
            sleeper = sleeper.next
        rc_unlock(&self._lock)

    def wait(self, timeout_s=None):
        cdef sleeper_t sleeper
        cdef int64_t deadline_ns = -1
        if timeout_s is not None:
            deadline_ns = rc_now_ns() + <int64_t> (max(0.0, min(timeout_s, 1e9)) * 1e9)
        if rc_load(&self._is_set):
            return True
        rc_parker_init(&sleeper.parker)
        rc_lock(&self._lock)
        if not rc_load(&self._is_set):
            sleeper.before = NULL
            sleeper.next = self._first
            if self._first != NULL:
                self._first.before = &sleeper
            self._first = &sleeper
            rc_unlock(&self._lock)
            rc_park(&sleeper.parker, deadline_ns)
            rc_lock(&self._lock)
            if sleeper.before != NULL:
                sleeper.before.next = sleeper.next
            else:
                self._first = sleeper.next
            if sleeper.next != NULL:
                sleeper.next.before = sleeper.before
        rc_unlock(&self._lock)
        rc_parker_destroy(&sleeper.parker)
        return rc_load(&self._is_set) != 0
