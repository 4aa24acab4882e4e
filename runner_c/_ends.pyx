"""Ends on their way to the store, attempts that wait, and marks of what runs: what a sink needs if it has a store.

Guarantees
    - Ends are queued under the lock in which the update leaves the table, before its keys are opened: their order is
      the order of release.
    - An update that waits for its next attempt keeps its place in the table and its lanes.
    - A mark is in place before the handler begins, and gone when its end is queued.
Assumes
    - One thread takes the ends and begins what is due; see _journal.pyx.

Locks: `_lock` of the intake, a leaf.
"""
from cpython.ref cimport Py_XDECREF
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

from runner_c._delivery cimport Delivery
from runner_c._intake cimport Intake
from runner_c._lanes cimport ADMITTED, UNFINISHED, record_t, ticket_t
from runner_c._pool cimport Worker
from runner_c._sync cimport (
    rc_increment,
    rc_lock,
    rc_now_ns,
    rc_parker_destroy,
    rc_parker_init,
    rc_store,
    rc_swap_if_64,
    rc_unlock,
    rc_unpark,
)
from runner_c._ticket cimport release_ticket


cdef void release_record(record_t *record):
    """Let go of a record and of the ticket that it holds. Runs destructors: hold no lock."""
    cdef ticket_t *ticket = record.ticket
    if record.is_own_block:
        Py_XDECREF(record.error)
        free(record)
    release_ticket(ticket)


cdef class Ends(Intake):
    """What of a sink serves the store; `Sink` completes it."""

    def __cinit__(self):
        rc_parker_init(&self._drain_parker)
        rc_parker_init(&self._record_parker)
        self._max_attempts = 1

    def __dealloc__(self):
        cdef record_t *record
        while self._first_record != NULL:
            record = self._first_record
            self._first_record = record.next
            release_record(record)
        rc_parker_destroy(&self._record_parker)
        rc_parker_destroy(&self._drain_parker)

    cdef bint _record(self, record_t *record, ticket_t *ticket) noexcept nogil:
        """Queue an end for the store; under the lock. True when who writes them is to be woken."""
        record.ticket = ticket
        record.next = NULL
        rc_increment(&ticket.holders)
        if self._last_record == NULL:
            self._first_record = record
        else:
            self._last_record.next = record
        self._last_record = record
        self._records += 1
        self._unwritten += 1
        return self._is_recorder_waiting and self._records >= self._record_mark

    cdef bint _delay(self, ticket_t *ticket) noexcept nogil:
        """Have a ticket wait until it is due; under the lock.

        When the run stops it is unfinished instead; true if a drain has to hear of it.
        """
        cdef ticket_t **place = &self._first_delayed
        if self._is_retry_over:
            self._count.put_back += 1
            rc_store(&ticket.state, UNFINISHED)
            return self._is_drain_awaited
        rc_store(&ticket.state, ADMITTED)
        if self._last_delayed != NULL and self._last_delayed.due_ns <= ticket.due_ns:
            place = &self._last_delayed.next
        else:
            while place[0] != NULL and place[0].due_ns <= ticket.due_ns:
                place = &place[0].next
        ticket.next = place[0]
        place[0] = ticket
        if ticket.next == NULL:
            self._last_delayed = ticket
        self._delayed += 1
        return False

    cdef bint _clear_suspect(self, ticket_t *ticket) noexcept nogil:
        """An update that had to run alone has; true when it was the last one. Under the lock."""
        if not ticket.is_suspect:
            return False
        ticket.is_suspect = False
        self._suspects -= 1
        return self._suspects == 0

    cdef bint _postpone(self, ticket_t *ticket) noexcept:
        """Let an update that failed wait for its next attempt, its keys held; false without memory for it."""
        cdef record_t *record = <record_t *> malloc(sizeof(record_t))
        cdef bint is_recorder_due
        cdef bint is_drain_due = False
        if record == NULL:
            return False
        record[0] = ticket.ending
        record.is_own_block = True
        ticket.ending.error = NULL
        if ticket.delivery != NULL:
            (<Delivery> <object> ticket.delivery).renew(ticket.attempt + 1)
        rc_lock(&self._lock)
        if self._timeout_ns:
            self._unlink_deadline(ticket)
        self._count.retried += 1
        is_recorder_due = self._clear_suspect(ticket)
        is_recorder_due |= self._record(record, ticket)
        ticket.failures += 1
        ticket.attempt += 1
        ticket.started_ns = 0
        ticket.is_overdue = False
        ticket.is_interrupted = False
        ticket.due_ns = rc_now_ns() + record.retry_ns
        is_drain_due = self._delay(ticket)
        # Who writes the records is also who looks after those that wait.
        is_recorder_due |= self._is_recorder_waiting
        rc_unlock(&self._lock)
        if is_recorder_due:
            rc_unpark(&self._record_parker)
        if is_drain_due:
            rc_unpark(&self._drain_parker)
        return True

    cdef void _mark(self, Worker worker, int64_t entry) noexcept nogil:
        """Note in the marks of the store what a worker runs (0: nothing); where there is no place left, nothing."""
        cdef int64_t _tries
        cdef int64_t place
        if worker.mark != NULL:
            # Its own entry only: the map may belong to a later life by now.
            rc_swap_if_64(worker.mark, worker.marked, 0)
            worker.mark = NULL
        if entry == 0 or self._marks == NULL:
            return
        # Each on a cache line of its own, as long as there are enough.
        place = <int64_t> worker.number * 8 % self._mark_count
        for _tries in range(self._mark_count):
            if rc_swap_if_64(&self._marks[place], 0, entry):
                worker.mark = &self._marks[place]
                worker.marked = entry
                return
            place += 1 if place + 1 < self._mark_count else 1 - self._mark_count

    cdef void _unlink_deadline(self, ticket_t *ticket) noexcept nogil:
        if ticket.earlier != NULL:
            ticket.earlier.later = ticket.later
        elif self._earliest == ticket:
            self._earliest = ticket.later
        if ticket.later != NULL:
            ticket.later.earlier = ticket.earlier
        elif self._latest == ticket:
            self._latest = ticket.earlier
        ticket.earlier = NULL
        ticket.later = NULL
