from libc.stdint cimport int64_t

from runner_c._delivery cimport Delivery
from runner_c._event cimport StopEvent
from runner_c._intake cimport Intake
from runner_c._lanes cimport ticket_t
from runner_c._pool cimport Worker
from runner_c._sync cimport rc_parker


cdef enum outcome_t:
    FAILED                  # zero: what a function that cannot raise returns when it does
    SUCCEEDED
    SKIPPED
    PUT_BACK                # the runner stops: not handled


cdef class Sink(Intake):
    cdef object _consume
    cdef object _on_error
    cdef dict _age_limits_ns
    cdef int64_t _timeout_ns
    cdef readonly StopEvent stopping
    cdef rc_parker _drain_parker
    cdef bint _is_drain_awaited
    cdef bint _is_cut

    cdef bint run(self, Worker worker, ticket_t *ticket) noexcept
    cdef bint _begin(self, Worker worker, ticket_t *ticket) noexcept
    cdef bint _claim(self, Worker worker, ticket_t *ticket) noexcept
    cdef bint _try_claim(self, ticket_t *ticket) noexcept
    cdef outcome_t _handle(self, ticket_t *ticket) noexcept
    cdef outcome_t _handle_once(self, ticket_t *ticket) except *
    cdef outcome_t _fail(self, object error, object update) except *
    cdef outcome_t _commit(self, ticket_t *ticket) noexcept
    cdef void _settle(self, ticket_t *ticket, outcome_t outcome) noexcept
    cdef void _unlink_deadline(self, ticket_t *ticket) noexcept nogil
    cdef Delivery delivery_of(self, Worker worker)
