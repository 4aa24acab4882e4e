from libc.stdint cimport int64_t

from runner_c._lanes cimport Lanes, ticket_t
from runner_c._pool cimport Pool, TicketRunner
from runner_c._ring cimport Ring
from runner_c._seen cimport Seen
from runner_c._sync cimport rc_mutex, rc_parker


cdef struct counters_t:
    int64_t admitted
    int64_t duplicates
    int64_t refused
    int64_t succeeded
    int64_t failed
    int64_t skipped
    int64_t overdue
    int64_t abandoned
    int64_t put_back
    int64_t retried


cdef class Intake(TicketRunner):
    cdef object _keyer
    cdef frozenset _declared
    cdef int64_t _backlog
    cdef int64_t _low_water
    cdef bint _is_batchwise
    cdef readonly str name
    cdef Lanes _lanes
    cdef Ring _ring
    cdef Pool _pool
    cdef Seen _seen
    cdef rc_mutex _lock
    cdef rc_parker _source_parker
    # The in-flight table, by age, and the deadline table, by start.
    cdef ticket_t *_oldest
    cdef ticket_t *_newest
    cdef ticket_t *_earliest
    cdef ticket_t *_latest
    cdef int64_t _held
    cdef int64_t _reserved
    cdef int64_t _sequence
    cdef int64_t _last_ended
    cdef readonly bint is_last_known
    cdef bint _is_accepting
    cdef bint _is_full
    # What the source waits for, if it does.
    cdef bint _is_source_waiting
    cdef int64_t _source_mark
    cdef bint _is_oldest_awaited
    cdef bint _is_sealed
    cdef counters_t _count

    cdef int64_t _room(self) noexcept nogil
    cdef void _await(self, int64_t mark, bint is_oldest_awaited) noexcept nogil
    cdef int64_t _reserve(self, int64_t wanted) noexcept
    cdef bint _admit(self, list updates, bint is_polled) except -1
    cdef void _enlist(self, ticket_t *ticket) noexcept nogil
    cdef void _take_back(self, ticket_t *first) noexcept
    cdef bint _is_oldest_polled(self, ticket_t *ticket) noexcept nogil
    cdef void _unlink(self, ticket_t *ticket) noexcept nogil


cpdef bint is_update(object update) except -1
cdef bint is_sound(object update) except -1
