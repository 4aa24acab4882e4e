"""The sink: admission, the tables of what is in flight, the end of each update, counters.

Guarantees
    - Every admitted update ends exactly once: a worker, the monitor and a stop may all want to end it, and the one
      that moves its state out of RUNNING (or ADMITTED) does.
    - `backlog` is hard: room is reserved before an update is looked at.
    - An exception of user code ends its own update only, after the error handler ran.
    - Successors of an update are released by its end alone, and not at all when it is put back by a stop.
Assumes
    - The source admits from one thread; `offer` may come from any.

Locks: `_lock` guards the two tables, the counters, `_held`, `_reserved` and the flags. It is a leaf, like the locks of
lanes, ring and seen ids: none of them is ever taken inside another.

Who may move the state of an update is told beside `_claim`; the other side of it, the monitor and the stop, is in
_watch.pyx. The file passes 400 lines because what may happen to an update between admission and end is one protocol.
"""
import logging
import threading

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t

from runner_c._delivery cimport Delivery
from runner_c._lanes cimport (
    ABANDONED,
    ADMITTED,
    RUNNING,
    SETTLING,
    UNFINISHED,
    Lanes,
    ticket_t,
)
from runner_c._pool cimport Pool, TicketRunner, Worker, current_worker
from runner_c._ring cimport Ring
from runner_c._seen cimport Seen
from runner_c._sync cimport (
    rc_load,
    rc_lock,
    rc_mutex_destroy,
    rc_mutex_init,
    rc_now_ns,
    rc_park,
    rc_parker_destroy,
    rc_parker_init,
    rc_store,
    rc_swap_if,
    rc_unlock,
    rc_unpark,
    rc_yield,
)
from runner_c._ticket cimport make_ticket, release_ticket

from runner_c.errors import Stopped

cdef extern from "Python.h":
    int PyThreadState_SetAsyncExc(unsigned long thread, PyObject *exception)

logger = logging.getLogger("runner_c")


cdef bint is_update(object update) except -1:
    """A dict with an update_id that fits in 64 bits."""
    if type(update) is not dict or "update_id" not in <dict> update:
        return False
    number = (<dict> update)["update_id"]
    return type(number) is int and -0x8000000000000000 <= number <= 0x7FFFFFFFFFFFFFFF


def current():
    cdef Worker worker = current_worker()
    if worker is None or worker.ticket == NULL:
        return None
    return (<Sink> worker.runner).delivery_of(worker)


cdef class Sink(TicketRunner):
    """Everything between a source and the handlers of one run."""

    def __cinit__(self):
        rc_mutex_init(&self._lock)
        rc_parker_init(&self._source_parker)
        rc_parker_init(&self._drain_parker)

    def __init__(
        self, consume, on_error, *, keyer=None, seen=None, int concurrency=500, int64_t backlog=10_000,
        handler_timeout_s=None, age_limits=None, bint is_batchwise=False, name="runner_c", idle_timeout_s=15.0,
    ):
        self._consume = consume
        self._on_error = on_error
        self._keyer = keyer
        self._declared = getattr(keyer, "declared", frozenset())
        self._seen = seen if seen is not None else Seen()
        self._backlog = backlog
        self._low_water = backlog - max(1, backlog // 4)
        self._timeout_ns = 0 if handler_timeout_s is None else <int64_t> (handler_timeout_s * 1e9)
        if age_limits is not None:
            self._age_limits_ns = {kind: int(limit_s * 1e9) for kind, limit_s in age_limits.items()}
        self._is_batchwise = is_batchwise
        self.name = name
        self.stopping = threading.Event()
        self._lanes = Lanes()
        self._ring = Ring(backlog, concurrency, idle_timeout_s)
        self._pool = Pool(self._ring, self, name)
        self._is_accepting = True

    def __dealloc__(self):
        cdef ticket_t *ticket
        while self._oldest != NULL:
            ticket = self._oldest
            self._oldest = ticket.newer
            release_ticket(ticket)
        rc_parker_destroy(&self._source_parker)
        rc_parker_destroy(&self._drain_parker)
        rc_mutex_destroy(&self._lock)

    @property
    def on_starved(self):
        return self._pool.on_starved

    @on_starved.setter
    def on_starved(self, callback):
        self._pool.on_starved = callback

    def start(self):
        self._pool.start()

    # -- admission -----------------------------------------------------------------------------------------------

    cdef int64_t _room(self) noexcept nogil:
        cdef int64_t taken = self._held + self._reserved
        if not self._is_accepting or (self._is_batchwise and taken):
            return 0
        return self._backlog - taken

    cdef int64_t _reserve(self, int64_t wanted) noexcept:
        cdef int64_t room
        rc_lock(&self._lock)
        room = min(self._room(), wanted)
        self._reserved += room
        if room < wanted:
            self._is_full = True
        rc_unlock(&self._lock)
        return room

    def offer(self, update):
        if not is_update(update):
            raise TypeError("an update is a dict with an integer update_id")
        if self._reserve(1) > 0 and self._admit([update], False):
            return True
        rc_lock(&self._lock)
        self._count.refused += 1
        rc_unlock(&self._lock)
        return False

    def admit(self, list updates):
        """Admit the head of a batch as far as there is room; return how many updates of it were taken."""
        cdef int64_t room = self._reserve(len(updates))
        if room > 0 and self._admit(updates if room == len(updates) else updates[:room], True):
            return room
        return 0

    cdef bint _admit(self, list updates, bint is_polled) except -1:
        """Admit updates for which room is reserved, in their order; false when the run has been closed meanwhile."""
        cdef ticket_t *first = NULL
        cdef ticket_t **end = &first
        cdef ticket_t *ticket
        cdef ticket_t *ready = NULL
        cdef ticket_t **ready_end = &ready
        cdef int64_t update_id
        cdef int64_t duplicates = 0
        cdef int64_t malformed = 0
        cdef int64_t reserved = len(updates)
        cdef bint is_sealed
        cdef bint is_source_due = False
        error = None
        try:
            for update in updates:
                if not is_update(update):
                    malformed += 1
                    logger.error(
                        "the source gave something that is no update and was skipped: %.200r", update,
                        extra={"action": "update.malformed"},
                    )
                    continue
                update_id = update["update_id"]
                if self._seen.has(update_id):
                    duplicates += 1
                    continue
                ticket = make_ticket(<dict> update, update_id, self._keyer)
                if not self._seen.add(update_id):
                    duplicates += 1
                    release_ticket(ticket)
                    continue
                ticket.is_polled = is_polled
                end[0] = ticket
                end = &ticket.next
        except BaseException as caught:
            error = caught
        rc_lock(&self._lock)
        self._reserved -= reserved
        is_sealed = self._is_sealed
        if not is_sealed:
            self._count.duplicates += duplicates
            self._count.refused += malformed
            ticket = first
            while ticket != NULL:
                self._enlist(ticket)
                ticket = ticket.next
        # Room that was reserved for duplicates is free again, and nobody will settle it.
        if self._is_source_waiting and self._held + self._reserved <= self._low_water:
            self._is_source_waiting = False
            is_source_due = True
        rc_unlock(&self._lock)
        if is_source_due:
            rc_unpark(&self._source_parker)
        if is_sealed:
            self._take_back(first)
            return False
        while first != NULL:
            ticket = first
            first = ticket.next
            ticket.next = NULL
            if self._lanes.enter(ticket):
                ready_end[0] = ticket
                ready_end = &ticket.next
        self._pool.obey(self._ring.push(ready, True))
        if error is not None:
            raise error
        return True

    cdef void _enlist(self, ticket_t *ticket) noexcept nogil:
        self._sequence += 1
        ticket.sequence = self._sequence
        ticket.older = self._newest
        if self._newest != NULL:
            self._newest.newer = ticket
        else:
            self._oldest = ticket
        self._newest = ticket
        self._held += 1
        self._count.admitted += 1

    cdef void _take_back(self, ticket_t *first) noexcept:
        """Drop tickets that came too late for a run that has ended, as if they had never come."""
        cdef ticket_t *ticket
        while first != NULL:
            ticket = first
            first = ticket.next
            self._seen.forget(ticket.update_id)
            release_ticket(ticket)

    def has_seen(self, int64_t update_id):
        """Tell whether an id was accepted before."""
        return self._seen.has(update_id)

    def wait_for_room(self):
        """Return how many updates there is room for.

        Blocks while the backlog is full, then until it is down at the low watermark; returns 0 when the run stops.
        """
        cdef int64_t room
        while True:
            rc_lock(&self._lock)
            room = self._room()
            if self._is_full and self._held + self._reserved <= self._low_water:
                self._is_full = False
            if not self._is_accepting or (room > 0 and not self._is_full):
                self._is_source_waiting = False
                rc_unlock(&self._lock)
                return room
            self._is_full = True
            self._is_source_waiting = True
            rc_unlock(&self._lock)
            rc_park(&self._source_parker, -1)

    def wait_for_progress(self, oldest_id, double timeout_s):
        """Wait until another update than `oldest_id` is the oldest unfinished one, or for `timeout_s`."""
        cdef int64_t deadline_ns = rc_now_ns() + <int64_t> (timeout_s * 1e9)
        while self.oldest_unfinished() == oldest_id and rc_now_ns() < deadline_ns:
            rc_lock(&self._lock)
            if not self._is_accepting:
                rc_unlock(&self._lock)
                return
            self._is_source_waiting = True
            rc_unlock(&self._lock)
            if self.oldest_unfinished() != oldest_id:
                return
            rc_park(&self._source_parker, deadline_ns)

    def oldest_unfinished(self):
        """Return the id of the oldest polled update that has not been handled, or None."""
        cdef ticket_t *ticket
        cdef int64_t update_id = 0
        rc_lock(&self._lock)
        ticket = self._oldest
        while ticket != NULL and not ticket.is_polled:
            ticket = ticket.newer
        if ticket != NULL:
            update_id = ticket.update_id
        rc_unlock(&self._lock)
        return None if ticket == NULL else update_id

    def first_not_begun(self):
        """Return the id of the oldest polled update such that neither it nor any later one has been begun, or None."""
        cdef ticket_t *ticket
        cdef int64_t update_id = 0
        cdef bint found = False
        rc_lock(&self._lock)
        ticket = self._newest
        while ticket != NULL and (not ticket.is_polled or ticket.started_ns == 0):
            if ticket.is_polled:
                if ticket.sequence < self._last_ended:
                    break
                update_id = ticket.update_id
                found = True
            ticket = ticket.older
        rc_unlock(&self._lock)
        return update_id if found else None

    # -- the way of a ticket through a worker ---------------------------------------------------------------------

    cdef bint run(self, Worker worker, ticket_t *ticket) noexcept:
        """Run the handlers of an update and end it. False when somebody else ended it: the worker is written off."""
        cdef outcome_t outcome
        cdef object update = <object> ticket.update
        if not self._begin(worker, ticket):
            return True
        outcome = self._handle(ticket)
        if not self._claim(worker, ticket):
            worker.ticket = NULL
            release_ticket(ticket)
            return False
        if ticket.delivery != NULL and outcome == SUCCEEDED:
            try:
                (<Delivery> <object> ticket.delivery).commit()
            except BaseException as error:
                outcome = self._fail(error, update)
        worker.ticket = NULL
        self._settle(ticket, outcome)
        return True

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
        return is_mine

    cdef outcome_t _handle(self, ticket_t *ticket) noexcept:
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
            self._consume(update)
            return SUCCEEDED
        except BaseException as error:
            if isinstance(error, Stopped) and self.stopping.is_set():
                return PUT_BACK
            return self._fail(error, update)

    cdef outcome_t _fail(self, object error, object update) noexcept:
        """Run the error handler of an update that failed."""
        try:
            self._on_error(error, update)
        except BaseException as second:
            if isinstance(second, Stopped) and self.stopping.is_set():
                return PUT_BACK
            logger.exception(
                "the error handler failed on update %s", update["update_id"], extra={"action": "error_handler.failed"}
            )
        return FAILED

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
        if ticket.delivery != NULL:
            (<Delivery> <object> ticket.delivery).settle()
        rc_lock(&self._lock)
        if self._timeout_ns:
            self._unlink_deadline(ticket)
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
            if self._is_source_waiting and (
                self._held - 1 + self._reserved <= self._low_water or self._is_oldest_polled(ticket)
            ):
                self._is_source_waiting = False
                is_source_due = True
            self._unlink(ticket)
            is_drain_due = self._is_drain_awaited and (self._held == 0 or self._count.put_back > 0)
        rc_unlock(&self._lock)
        if is_source_due:
            rc_unpark(&self._source_parker)
        if outcome != PUT_BACK:
            ready = self._lanes.leave(ticket)
            self._ring.push(ready, False)
            release_ticket(ticket)
        if is_drain_due:
            rc_unpark(&self._drain_parker)

    cdef bint _is_oldest_polled(self, ticket_t *ticket) noexcept nogil:
        cdef ticket_t *older = ticket.older
        while older != NULL and not older.is_polled:
            older = older.older
        return ticket.is_polled and older == NULL

    cdef void _unlink(self, ticket_t *ticket) noexcept nogil:
        if ticket.is_polled and ticket.sequence > self._last_ended:
            self._last_ended = ticket.sequence
        if ticket.older != NULL:
            ticket.older.newer = ticket.newer
        else:
            self._oldest = ticket.newer
        if ticket.newer != NULL:
            ticket.newer.older = ticket.older
        else:
            self._newest = ticket.older
        self._held -= 1

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

    cdef Delivery delivery_of(self, Worker worker):
        """What handlers see of the update that a worker runs; made on first use, by that worker."""
        cdef Delivery delivery
        cdef ticket_t *ticket = worker.ticket
        if ticket.delivery != NULL:
            return <Delivery> <object> ticket.delivery
        delivery = Delivery.__new__(Delivery)
        delivery.update = <object> ticket.update
        delivery.attempt = 1
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
