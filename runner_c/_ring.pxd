from libc.stdint cimport int64_t

from runner_c._door cimport Door
from runner_c._lanes cimport ticket_t
from runner_c._sync cimport rc_mutex, rc_parker


# What the caller has to do once the ring is unlocked.
cdef enum call_t:
    NOTHING
    START_WORKER            # nobody is idle: a thread was counted in, start it


# A worker as the ring sees it. Its thread keeps it alive; all but the parker is guarded by the ring's lock.
cdef struct worker_t:
    rc_parker parker
    worker_t *above         # the idle worker that fell asleep after this one
    worker_t *below
    worker_t *next          # in the queue of those that want their slot back, or in a list to unpark
    bint is_idle            # stands in the stack of idle workers
    bint has_slot           # counts as running
    bint is_urgent          # is new, or was called in spite of a crowd: takes an update in spite of it
    bint is_called          # was woken or started for work and has not come to the ring since
    bint is_written_off


cdef class Ring:
    cdef rc_mutex _lock
    cdef ticket_t **_slots
    cdef int64_t _mask
    cdef int64_t _head
    cdef int64_t _tail
    cdef ticket_t *_control_first
    cdef ticket_t *_control_last
    cdef int64_t _controls
    cdef worker_t *_idle_top
    cdef worker_t *_resumer_first
    cdef worker_t *_resumer_last
    cdef bint _is_calling
    cdef bint _is_closed
    cdef bint _is_paused
    cdef bint _is_urgent
    cdef int _idle
    cdef int _threads
    cdef int _running
    cdef int _blocked
    cdef int _limit
    cdef int64_t _idle_timeout_ns
    cdef Door door
    # The source rests until no more than so many updates are ready; -1: it does not.
    cdef int64_t _demand_mark
    cdef rc_parker *_demand_parker

    cdef call_t push(self, ticket_t *ready, bint is_call_wanted) noexcept
    cdef ticket_t *take(self, worker_t *worker, call_t *call) noexcept
    cdef call_t block(self, worker_t *worker) noexcept
    cdef call_t unblock(self, worker_t *worker) noexcept
    cdef call_t write_off(self, worker_t *worker) noexcept
    cdef call_t recall(self) noexcept
    cdef call_t pause(self, bint is_paused) noexcept
    cdef call_t set_limit(self, int limit) noexcept
    cdef void count_in(self) noexcept
    cdef void start_failed(self) noexcept
    cdef void close(self) noexcept
    cdef int threads(self) noexcept
    cdef bint await_demand(self, int64_t plenty, rc_parker *parker) noexcept

    cdef int64_t _ready(self) noexcept nogil
    cdef void _append(self, ticket_t *ready) noexcept nogil
    cdef ticket_t *_pop(self) noexcept nogil
    cdef void _sleep_on_stack(self, worker_t *worker) noexcept nogil
    cdef void _leave_stack(self, worker_t *worker) noexcept nogil
    cdef void _serve_resumers(self, worker_t **woken) noexcept nogil
    cdef call_t _give_out(self, worker_t **woken) noexcept nogil
    cdef call_t _hand_out(self) noexcept
