from libc.stdint cimport int64_t

from runner_c._pool cimport Pool, Worker
from runner_c._ring cimport Ring


cdef class Delivery:
    cdef readonly object update
    cdef readonly int attempt
    cdef readonly int64_t sequence
    cdef readonly bint bypassed
    cdef readonly frozenset declared
    cdef object _stopping
    cdef Ring _ring
    cdef Pool _pool
    cdef Worker _worker
    cdef object _sessions
    cdef dict _writes
    cdef list _stored
    cdef list _releases
    cdef object _cancel
    cdef bint _is_settled
    cdef bint _is_cut

    cdef void cut(self) noexcept
    cdef void settle(self) noexcept
    cdef object commit(self)
    cdef void renew(self, int attempt) noexcept


cdef class Blocked:
    cdef Delivery _delivery
    cdef object _cancel
