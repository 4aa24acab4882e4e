from libc.stdint cimport int64_t

from runner_c._lanes cimport ticket_t
from runner_c._ring cimport Ring, call_t, worker_t


cdef class TicketRunner
cdef class Pool


cdef class Worker:
    cdef worker_t slot
    cdef ticket_t *ticket           # what it runs now; the owner's only, but for the sink's lock
    cdef unsigned long thread
    cdef TicketRunner runner
    cdef Pool pool
    cdef int64_t *mark              # where it noted what it runs, for whoever comes after its process
    cdef int64_t marked
    cdef int forks
    cdef readonly int number


cdef class TicketRunner:
    cdef bint run(self, Worker worker, ticket_t *ticket) noexcept


cdef class Pool:
    cdef Ring _ring
    cdef TicketRunner _runner
    cdef str _name
    cdef object _lock
    cdef dict _threads
    cdef list _ended
    cdef int _started
    cdef bint _is_short
    cdef bint _is_over
    cdef public object on_starved

    cdef void _let_go(self)
    cdef void obey(self, call_t call) noexcept


cdef Worker current_worker()
cdef bint leave_if_forked(object error) except -1
