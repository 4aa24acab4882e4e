from libc.stdint cimport int64_t

from runner_c._intake cimport Intake
from runner_c._lanes cimport record_t, ticket_t
from runner_c._pool cimport Worker
from runner_c._sync cimport rc_parker


cdef class Ends(Intake):
    cdef int64_t _timeout_ns
    cdef rc_parker _drain_parker
    cdef bint _is_drain_awaited
    # With a store: what has ended and the store does not know yet, oldest first.
    cdef bint _has_store
    cdef object _sessions
    cdef record_t *_first_record
    cdef record_t *_last_record
    cdef int64_t _records
    cdef int64_t _unwritten
    cdef rc_parker _record_parker
    cdef int64_t _record_mark
    cdef bint _is_recorder_waiting
    # What failed and waits for its next attempt, by time.
    cdef int _max_attempts
    cdef object _retry_delay_s
    cdef ticket_t *_first_delayed
    cdef ticket_t *_last_delayed
    cdef int64_t _delayed
    cdef bint _is_retry_over
    # Where workers note what they run, and how many updates have to run alone.
    cdef int64_t *_marks
    cdef int64_t _mark_count
    cdef object _marks_owner
    cdef int64_t _suspects

    cdef bint _record(self, record_t *record, ticket_t *ticket) noexcept nogil
    cdef bint _postpone(self, ticket_t *ticket) noexcept
    cdef bint _delay(self, ticket_t *ticket) noexcept nogil
    cdef bint _clear_suspect(self, ticket_t *ticket) noexcept nogil
    cdef void _mark(self, Worker worker, int64_t entry) noexcept nogil
    cdef void _unlink_deadline(self, ticket_t *ticket) noexcept nogil


cdef void release_record(record_t *record)
