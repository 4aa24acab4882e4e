from libc.stdint cimport int64_t

from runner_c._sync cimport rc_mutex


cdef struct interval_t:
    int64_t first
    int64_t last


# Sorted, disjoint, not adjacent.
cdef struct intervals_t:
    interval_t *items
    Py_ssize_t count
    Py_ssize_t room


cdef class Seen:
    cdef rc_mutex _lock
    cdef intervals_t _young
    cdef intervals_t _old
    cdef int64_t _turned_ns
    cdef int64_t _life_ns

    cdef bint has(self, int64_t update_id) noexcept
    cdef void forget(self, int64_t update_id) noexcept
    cdef bint add(self, int64_t update_id) noexcept
    cdef void _turn(self, int64_t now_ns) noexcept nogil
