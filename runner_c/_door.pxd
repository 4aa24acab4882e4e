from libc.stdint cimport int64_t

from runner_c._ring cimport worker_t
from runner_c._sync cimport rc_mutex


cdef void ask_first() noexcept nogil
cdef void have_asked() noexcept nogil


cdef class Door:
    cdef rc_mutex _lock
    cdef worker_t *_first
    cdef worker_t *_last
    cdef int _asking
    # Atomic, as the ring's side and the door's read them without each other's lock.
    cdef int _returning
    cdef int _crowd
    cdef int _is_call_due
    cdef int64_t _due_ns

    cdef void approach(self, worker_t *worker) noexcept nogil
    cdef bint enter(self, int64_t waited_ns) noexcept
    cdef bint is_crowded(self, int share) noexcept nogil
    cdef bint is_overdue(self) noexcept nogil
    cdef void forgive(self) noexcept nogil
