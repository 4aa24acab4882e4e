"""The sink: the way of an update through a worker, and its end.

Guarantees
    - Every admitted update ends exactly once: a worker, the monitor and a stop may all want to end it, and the one
      that moves its state out of RUNNING (or ADMITTED) does.
    - An exception of user code ends its own update only, after the error handler ran. Whatever is raised while a
      failure is dealt with, it stays a failure: it is tried again, or ends as a dead letter if there is a store.
    - Successors of an update are released by its end alone, and not at all when it is put back by a stop.
Assumes
    - What `_intake.pyx` guarantees: a ticket that comes here is in the table.

Who may move the state of an update is told beside `_claim`; the other side of it is in _watch.pyx (the monitor) and
_stop.pyx. Locks: `_lock` of the intake, which is a leaf.
"""
import logging

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.ref cimport Py_XDECREF
from libc.stdint cimport int64_t

from runner_c._delivery cimport Delivery
from runner_c._ends cimport Ends
from runner_c._event cimport StopEvent
from runner_c._fault cimport RC_HAS_FAULT_POINTS, fault_point
from runner_c._lanes cimport ABANDONED, ADMITTED, RUNNING, SETTLING, UNFINISHED, ticket_t
from runner_c._pool cimport Worker, current_worker, leave_if_forked
from runner_c._sync cimport (
    rc_load,
    rc_lock,
    rc_now_ns,
    rc_store,
    rc_swap_if,
    rc_unlock,
    rc_unpark,
    rc_yield,
)
from runner_c._ticket cimport release_ticket

from runner_c.errors import Stopped
from runner_c.secret import describe_error, traceback_of

cdef extern from "Python.h":
    int PyThreadState_SetAsyncExc(unsigned long thread, PyObject *exception)

logger = logging.getLogger("runner_c")

cdef int LONGEST_ERROR = 16_384

cdef str NOT_TOLD = "the handler failed, and something failed or cut in while that was dealt with"
cdef int64_t PLAIN_RETRY_NS = 1_000_000_000


def current():
    cdef Worker worker = current_worker()
    if worker is None or worker.ticket == NULL:
        return None
    return (<Sink> worker.runner).delivery_of(worker)


cdef class Sink(Ends):
    """Everything between a source and the handlers of one run."""

    def __init__(
        self, consume, on_error, *, keyer=None, seen=None, int concurrency=500, int64_t backlog=10_000,
        handler_timeout_s=None, age_limits=None, bint is_batchwise=False, name="runner_c", idle_timeout_s=15.0,
    ):
        super().__init__(
            keyer=keyer, seen=seen, concurrency=concurrency, backlog=backlog, is_batchwise=is_batchwise, name=name,
            idle_timeout_s=idle_timeout_s,
        )
        self._consume = consume
        self._on_error = on_error
        self._timeout_ns = 0 if handler_timeout_s is None else <int64_t> (handler_timeout_s * 1e9)
        if age_limits is not None:
            self._age_limits_ns = {kind: int(limit_s * 1e9) for kind, limit_s in age_limits.items()}
        self.stopping = StopEvent()

    @property
    def on_starved(self):
        return self._pool.on_starved

    @on_starved.setter
    def on_starved(self, callback):
        self._pool.on_starved = callback

    def start(self):
        self._pool.start()

    cdef bint run(self, Worker worker, ticket_t *ticket) noexcept:
        """Run the handlers of an update and end it. False when somebody else ended it: the worker is written off."""
        cdef outcome_t outcome
        if not self._begin(worker, ticket):
            return True
        outcome = self._handle(ticket)
        if not self._claim(worker, ticket):
            worker.ticket = NULL
            self._mark(worker, 0)
            release_ticket(ticket)
            return False
        if ticket.delivery != NULL and outcome == SUCCEEDED:
            outcome = self._commit(ticket)
        worker.ticket = NULL
        if RC_HAS_FAULT_POINTS:
            fault_point("handled")
        if outcome != RETRY or not self._postpone(ticket):
            self._settle(ticket, FAILED if outcome == RETRY else outcome)
        self._mark(worker, 0)
        if RC_HAS_FAULT_POINTS:
            fault_point("recorded")
        return True

    cdef outcome_t _commit(self, ticket_t *ticket) noexcept:
        """Do the writes that the handlers staged; an error of the storage is an error of the update."""
        try:
            (<Delivery> <object> ticket.delivery).commit()
            return SUCCEEDED
        except BaseException as error:
            return self._fail(ticket, error)

    cdef bint _begin(self, Worker worker, ticket_t *ticket) noexcept:
        """Move a ticket from ADMITTED to RUNNING; false when a stop has taken it back."""
        cdef bint is_mine
        worker.ticket = ticket
        ticket.worker = <void *> worker
        ticket.thread = worker.thread
        if self._timeout_ns == 0:
            ticket.started_ns = rc_now_ns()
            is_mine = rc_swap_if(&ticket.state, ADMITTED, RUNNING)
        else:
            rc_lock(&self._lock)
            # Under the lock, so that the table stays in the order of the clock.
            ticket.started_ns = rc_now_ns()
            is_mine = rc_swap_if(&ticket.state, ADMITTED, RUNNING)
            if is_mine:
                ticket.earlier = self._latest
                if self._latest != NULL:
                    self._latest.later = ticket
                else:
                    self._earliest = ticket
                self._latest = ticket
            rc_unlock(&self._lock)
        if not is_mine:
            worker.ticket = NULL
        elif self._has_store:
            self._mark(worker, ticket.entry)
            if ticket.delivery != NULL:
                (<Delivery> <object> ticket.delivery)._worker = worker
        return is_mine

    cdef outcome_t _handle(self, ticket_t *ticket) noexcept:
        """Run the handlers; whatever is raised, in them or into this thread from outside, there is an outcome."""
        try:
            return self._handle_once(ticket)
        except BaseException:
            # An interrupt that hit between the handler's own end and what is done about it.
            return self._fail_plainly(ticket)

    cdef outcome_t _handle_once(self, ticket_t *ticket) except *:
        cdef object update = <object> ticket.update
        cdef int64_t age_ns
        try:
            if ticket.fault != NULL:
                raise <object> ticket.fault
            if self._age_limits_ns is not None:
                age_ns = ticket.started_ns - ticket.admitted_ns
                for kind in update:
                    if kind in self._age_limits_ns and age_ns > self._age_limits_ns[kind]:
                        return SKIPPED
            result = self._consume(update)
            leave_if_forked(None)
            if result is not None and hasattr(result, "__await__"):
                raise TypeError("the handler gave a coroutine, which nobody would run: write it with plain def")
            return SUCCEEDED
        except BaseException as error:
            leave_if_forked(error)
            if isinstance(error, Stopped) and rc_load(&self.stopping._is_set):
                return PUT_BACK
            return self._fail(ticket, error)

    cdef outcome_t _fail(self, ticket_t *ticket, object error) noexcept:
        """Deal with the failure of an update, whatever is raised while that is done."""
        try:
            return self._deal_with(ticket, error)
        except BaseException as second:
            # An interrupt, or what is asked there does not work: a filter of the log, an attribute of the error.
            try:
                logger.error(
                    "update %s failed with %s, and what was done about that failed with %s",
                    (<object> ticket.update)["update_id"], describe_error(error), describe_error(second),
                    extra={"action": "update.failed"},
                )
            except BaseException:
                pass
            return self._fail_plainly(ticket)

    cdef outcome_t _fail_plainly(self, ticket_t *ticket) noexcept:
        """Have an update that failed tried again, or end it, without asking anybody: nothing here can be interrupted.

        Without it a failure that nobody could describe would be the end of its update, as if it had been handled.
        """
        if rc_load(&self.stopping._is_set):
            return PUT_BACK
        if self._max_attempts == 1 or rc_load(&ticket.state) == ABANDONED:
            return FAILED
        if ticket.ending.error == NULL:
            Py_INCREF(NOT_TOLD)
            ticket.ending.error = <PyObject *> NOT_TOLD
        if ticket.failures + 1 < self._max_attempts:
            ticket.ending.retry_ns = PLAIN_RETRY_NS
            return RETRY
        ticket.ending.retry_ns = -1
        return FAILED

    cdef outcome_t _deal_with(self, ticket_t *ticket, object error) except *:
        """Have an update that failed tried again, or run its error handler."""
        cdef object update = <object> ticket.update
        if self._max_attempts > 1 and rc_load(&ticket.state) != ABANDONED:
            self._take_error(ticket, error)
            if ticket.failures + 1 < self._max_attempts:
                delay_s = self._retry_delay_s(ticket.failures + 1, error)
                ticket.ending.retry_ns = <int64_t> (delay_s * 1e9)
                logger.warning(
                    "update %s failed, attempt %d of %d; next one in %.1f s\n%s",
                    update["update_id"], ticket.failures + 1, self._max_attempts, delay_s, <object> ticket.ending.error,
                    extra={"action": "update.retried"},
                )
                return RETRY
            ticket.ending.retry_ns = -1
            logger.error(
                "update %s failed %d times and is a dead letter now", update["update_id"], ticket.failures + 1,
                extra={"action": "update.dead"},
            )
        try:
            self._on_error(error, update)
        except BaseException as second:
            if isinstance(second, Stopped) and rc_load(&self.stopping._is_set):
                return PUT_BACK
            logger.error(
                "the error handler failed on update %s\n%s", update["update_id"], traceback_of(second),
                extra={"action": "error_handler.failed"},
            )
        return FAILED

    cdef object _take_error(self, ticket_t *ticket, object error):
        """Keep why an update failed, as text, for the store."""
        cdef str text = traceback_of(error)[-LONGEST_ERROR:]
        Py_XDECREF(ticket.ending.error)
        Py_INCREF(text)
        ticket.ending.error = <PyObject *> text

    cdef bint _claim(self, Worker worker, ticket_t *ticket) noexcept:
        """Take the right to end a ticket, for its worker; false when it has been ended.

        Who moves the state: ADMITTED to RUNNING the worker, to UNFINISHED a stop; RUNNING to SETTLING the worker, to
        ABANDONED the monitor or a stop, to INTERRUPTING and back the monitor or a stop, while they raise an exception
        in the worker's thread. After the claim, won or lost, nobody raises there any more, and one that has not arrived
        yet is taken back, so that it cannot hit the next update.
        """
        cdef bint is_mine = self._try_claim(ticket)
        if ticket.is_interrupted:
            PyThreadState_SetAsyncExc(worker.thread, NULL)
        return is_mine

    cdef bint _try_claim(self, ticket_t *ticket) noexcept:
        cdef int state
        while not rc_swap_if(&ticket.state, RUNNING, SETTLING):
            state = rc_load(&ticket.state)
            if state == ABANDONED:
                # Whoever ended it still holds the lock while it takes what it needs of this worker.
                rc_lock(&self._lock)
                rc_unlock(&self._lock)
                return False
            rc_yield()
        return True

    cdef void _settle(self, ticket_t *ticket, outcome_t outcome) noexcept:
        """End a ticket that was claimed: account for it, open its keys, push what became ready."""
        cdef ticket_t *ready
        cdef bint is_source_due = False
        cdef bint is_drain_due = False
        cdef bint is_recorder_due = False
        if ticket.delivery != NULL:
            (<Delivery> <object> ticket.delivery).settle()
        rc_lock(&self._lock)
        if self._timeout_ns:
            self._unlink_deadline(ticket)
        is_recorder_due = self._clear_suspect(ticket)
        if outcome == PUT_BACK:
            # Keeps its place in the table and its lanes: its successors must not overtake it in this life.
            self._count.put_back += 1
            rc_store(&ticket.state, UNFINISHED)
            is_drain_due = self._is_drain_awaited
        else:
            if outcome == SUCCEEDED:
                self._count.succeeded += 1
            elif outcome == FAILED:
                self._count.failed += 1
            else:
                self._count.skipped += 1
            if self._has_store:
                # Before its keys are opened: the store hears of the ends of a key in their order.
                is_recorder_due |= self._record(&ticket.ending, ticket)
            if self._is_source_waiting and (
                self._held - 1 + self._reserved <= self._source_mark
                or (self._is_oldest_awaited and self._is_oldest_polled(ticket))
            ):
                self._is_source_waiting = False
                is_source_due = True
            self._unlink(ticket)
            is_drain_due = self._is_drain_awaited and (self._held == 0 or self._count.put_back > 0)
        rc_unlock(&self._lock)
        if is_source_due:
            rc_unpark(&self._source_parker)
        if is_recorder_due:
            rc_unpark(&self._record_parker)
        if outcome != PUT_BACK:
            ready = self._lanes.leave(ticket)
            self._ring.push(ready, False)
            release_ticket(ticket)
        if is_drain_due:
            rc_unpark(&self._drain_parker)

    cdef Delivery delivery_of(self, Worker worker):
        """What handlers see of the update that a worker runs; made on first use, by that worker."""
        cdef Delivery delivery
        cdef ticket_t *ticket = worker.ticket
        if ticket.delivery != NULL:
            return <Delivery> <object> ticket.delivery
        delivery = Delivery.__new__(Delivery)
        delivery.update = <object> ticket.update
        delivery.attempt = ticket.attempt
        delivery._sessions = self._sessions
        delivery.sequence = ticket.sequence
        delivery.bypassed = ticket.is_bypassed
        delivery.declared = self._declared
        delivery._stopping = self.stopping
        delivery._ring = self._ring
        delivery._pool = self._pool
        delivery._worker = worker
        delivery._releases = []
        Py_INCREF(delivery)
        rc_lock(&self._lock)
        ticket.delivery = <PyObject *> delivery
        delivery._is_settled = rc_load(&ticket.state) == ABANDONED
        delivery._is_cut = self._is_cut
        rc_unlock(&self._lock)
        return delivery
