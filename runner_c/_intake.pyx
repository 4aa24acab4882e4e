"""The intake: admission, room, dedupe, and the table of what is in flight, by age.

Guarantees
    - `backlog` is hard: room is reserved before an update is looked at.
    - An update enters the table before it can be ready, so whatever is ready or runs is in the table.
    - What comes after the end of a run is refused, and its id forgotten.
Assumes
    - The source admits from one thread; `offer` may come from any.

Locks: `_lock` guards the two tables, the counters, `_held`, `_reserved` and the flags. It is a leaf, like the locks of
lanes, ring and seen ids: none of them is ever taken inside another.
"""
import logging

from libc.stdint cimport int64_t

from runner_c._lanes cimport Lanes, ticket_t
from runner_c._pool cimport Pool, TicketRunner
from runner_c._ring cimport Ring
from runner_c._seen cimport Seen
from runner_c._sync cimport (
    rc_lock,
    rc_mutex_destroy,
    rc_mutex_init,
    rc_now_ns,
    rc_park,
    rc_parker_destroy,
    rc_parker_init,
    rc_unlock,
    rc_unpark,
)
from runner_c._ticket cimport make_ticket, release_ticket

logger = logging.getLogger("runner_c")


cpdef bint is_update(object update) except -1:
    """A dict with an update_id that fits in 64 bits."""
    if type(update) is not dict or "update_id" not in <dict> update:
        return False
    number = (<dict> update)["update_id"]
    return type(number) is int and -0x8000000000000000 <= number <= 0x7FFFFFFFFFFFFFFF


cdef bint is_sound(object update) except -1:
    """Whether something from a source is an update; what is none is told of."""
    if is_update(update):
        return True
    logger.error(
        "the source gave something that is no update and was skipped: %.200r", update,
        extra={"action": "update.malformed"},
    )
    return False


cdef class Intake(TicketRunner):
    """The entrance of a run: what may come in, and the table of what has."""

    def __cinit__(self):
        rc_mutex_init(&self._lock)
        rc_parker_init(&self._source_parker)

    def __init__(self, *, keyer, seen, int concurrency, int64_t backlog, bint is_batchwise, name, idle_timeout_s):
        self._keyer = keyer
        self._declared = getattr(keyer, "declared", frozenset())
        self._seen = seen if seen is not None else Seen()
        self._backlog = backlog
        self._low_water = backlog - max(1, backlog // 4)
        self._is_batchwise = is_batchwise
        self.name = name
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
        rc_mutex_destroy(&self._lock)

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
        cdef bint is_last_known = False
        cdef bint is_source_due = False
        error = None
        try:
            for update in updates:
                if not is_sound(update):
                    malformed += 1
                    continue
                update_id = update["update_id"]
                is_last_known = self._seen.has(update_id)
                if is_last_known:
                    duplicates += 1
                    continue
                ticket = make_ticket(<dict> update, update_id, self._keyer)
                if not self._seen.add(update_id):
                    is_last_known = True
                    duplicates += 1
                    release_ticket(ticket)
                    continue
                ticket.is_polled = is_polled
                end[0] = ticket
                end = &ticket.next
        except BaseException as caught:
            error = caught
        if is_polled:
            self.is_last_known = is_last_known
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
        if self._is_source_waiting and self._held + self._reserved <= self._source_mark:
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
            self._await(self._low_water, False)
            rc_unlock(&self._lock)
            rc_park(&self._source_parker, -1)

    cdef void _await(self, int64_t mark, bint is_oldest_awaited) noexcept nogil:
        """Have the source unparked when no more than `mark` updates are held, or also when the oldest is settled."""
        self._source_mark = mark
        self._is_oldest_awaited = is_oldest_awaited
        self._is_source_waiting = True

    def wait_for_fewer(self, int64_t count, double timeout_s):
        """Wait while more than `count` updates are held, for `timeout_s` at most."""
        cdef int64_t deadline_ns = rc_now_ns() + <int64_t> (timeout_s * 1e9)
        while True:
            rc_lock(&self._lock)
            if not self._is_accepting or self._held + self._reserved <= count or rc_now_ns() >= deadline_ns:
                self._is_source_waiting = False
                rc_unlock(&self._lock)
                return
            self._await(count, False)
            rc_unlock(&self._lock)
            rc_park(&self._source_parker, deadline_ns)

    def wait_for_demand(self, int64_t plenty, double timeout_s):
        """Wait while more than `plenty` updates are ready and no worker has them, for `timeout_s` at most.

        What is fetched too early only grows cold in memory, and is lost by a kill.
        """
        cdef int64_t deadline_ns = rc_now_ns() + <int64_t> (timeout_s * 1e9)
        while self._is_accepting and self._ring.await_demand(plenty, &self._source_parker):
            if not rc_park(&self._source_parker, deadline_ns):
                return

    def wait_for_progress(self, oldest_id, double timeout_s):
        """Wait until another update than `oldest_id` is the oldest unfinished one, or for `timeout_s`."""
        cdef int64_t deadline_ns = rc_now_ns() + <int64_t> (timeout_s * 1e9)
        while self.oldest_unfinished() == oldest_id and rc_now_ns() < deadline_ns:
            rc_lock(&self._lock)
            if not self._is_accepting:
                rc_unlock(&self._lock)
                return
            self._await(-1, True)
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
