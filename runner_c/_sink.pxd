from runner_c._delivery cimport Delivery
from runner_c._ends cimport Ends
from runner_c._event cimport StopEvent
from runner_c._lanes cimport ticket_t
from runner_c._pool cimport Worker


cdef enum outcome_t:
    FAILED                  # zero: what a function that cannot raise returns when it does
    SUCCEEDED
    SKIPPED
    RETRY                   # it failed, and is tried again after a while
    PUT_BACK                # the runner stops: not handled


cdef class Sink(Ends):
    cdef object _consume
    cdef object _on_error
    cdef dict _age_limits_ns
    cdef readonly StopEvent stopping
    cdef bint _is_cut

    cdef bint run(self, Worker worker, ticket_t *ticket) noexcept
    cdef bint _begin(self, Worker worker, ticket_t *ticket) noexcept
    cdef bint _claim(self, Worker worker, ticket_t *ticket) noexcept
    cdef bint _try_claim(self, ticket_t *ticket) noexcept
    cdef outcome_t _handle(self, ticket_t *ticket) noexcept
    cdef outcome_t _handle_once(self, ticket_t *ticket) except *
    cdef outcome_t _fail(self, ticket_t *ticket, object error) noexcept
    cdef outcome_t _fail_plainly(self, ticket_t *ticket) noexcept
    cdef outcome_t _deal_with(self, ticket_t *ticket, object error) except *
    cdef object _take_error(self, ticket_t *ticket, object error)
    cdef outcome_t _commit(self, ticket_t *ticket) noexcept
    cdef void _settle(self, ticket_t *ticket, outcome_t outcome) noexcept
    cdef Delivery delivery_of(self, Worker worker)
