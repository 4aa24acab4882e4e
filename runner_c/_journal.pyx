"""What a run and its store hand each other: updates one way, ends the other.

Guarantees
    - An update is in the table of the run before it can be ready, and in the store before that.
    - The store gets the ends in the order in which keys were opened by them.
Assumes
    - Whoever calls `append` and `admit` holds the lock of admission, so that lanes are entered in the order of the
      store. One thread calls the rest.

Locks: `_lock` of the intake, a leaf.
"""
from cpython.object cimport PyObject
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

from runner_c._delivery cimport Delivery
from runner_c._ends cimport release_record
from runner_c._intake cimport is_sound
from runner_c._lanes cimport UNFINISHED, record_t, ticket_t
from runner_c._sink cimport Sink
from runner_c._sync cimport (
    rc_lock,
    rc_now_ns,
    rc_park,
    rc_store,
    rc_unlock,
    rc_unpark,
)
from runner_c._ticket cimport keys_by, make_ticket, release_ticket, ticket_with

from runner_c.store.base import Arrival, Failure, Settlement

# What the named tuples do themselves, without their function in between.
cdef object new_tuple = tuple.__new__


def attach(Sink sink, sessions, marks, int max_attempts, retry_delay_s):
    """Tell a sink, before it starts, that there is a store."""
    cdef int64_t[::1] view
    sink._has_store = True
    sink._sessions = sessions
    sink._max_attempts = max_attempts
    sink._retry_delay_s = retry_delay_s
    if marks is not None:
        view = marks
        sink._marks_owner = marks
        sink._marks = &view[0]
        sink._mark_count = view.shape[0]


def room(Sink sink):
    """Return how many updates there is room for, and how many of them may wait for others in memory.

    The second half of the backlog is for updates that can run at once: one busy chat does not fill it.
    """
    cdef int64_t free_places
    cdef int64_t eager
    rc_lock(&sink._lock)
    free_places = max(0, sink._room())
    if sink._unwritten > 2 * sink._backlog + 1000:
        free_places = 0
    eager = (sink._backlog + 1) // 2 - sink._held
    rc_unlock(&sink._lock)
    return free_places, min(free_places, max(0, eager))


def append(Sink sink, store, list updates, offset, json=None):
    """Take a batch into the store, and as much of it into the run as there is room for.

    Return how many of it wait in the store; None when the run stops and nothing was taken. Raises what `Store.push`
    raises; then nothing was taken.
    """
    cdef ticket_t *first = NULL
    cdef ticket_t **end = &first
    cdef ticket_t *ticket
    cdef PyObject *fault
    cdef bint is_bypassed
    cdef tuple keys
    cdef list arrivals = []
    cdef list places
    cdef int64_t malformed = 0
    if not sink._is_accepting:
        return None
    try:
        for update in updates:
            if not is_sound(update):
                malformed += 1
                continue
            keys = keys_by(<dict> update, sink._keyer, &fault, &is_bypassed)
            ticket = ticket_with(<dict> update, update["update_id"], keys, fault, is_bypassed)
            end[0] = ticket
            end = &ticket.next
            arrivals.append(new_tuple(Arrival, (update, keys, is_bypassed)))
        limit, chain = room(sink)
        pushed = store.push(
            arrivals, offset=offset, limit=limit, chain=chain, json=None if malformed else json
        )
    except BaseException:
        drop(first)
        raise
    places = pushed.places
    returned = enter(sink, first, places, pushed.token, malformed)
    if returned:
        store.release(returned)
    return places.count(0)


cdef void drop(ticket_t *first):
    cdef ticket_t *ticket
    while first != NULL:
        ticket = first
        first = ticket.next
        release_ticket(ticket)


cdef list enter(Sink sink, ticket_t *first, list places, int64_t token, int64_t malformed):
    """Let those tickets in that the store gave out; the others are dropped. Return claims that came too late."""
    cdef ticket_t *given = NULL
    cdef ticket_t **end = &given
    cdef ticket_t *ticket
    cdef int64_t duplicates = 0
    cdef int64_t place
    for number in places:
        place = number
        ticket = first
        first = ticket.next
        ticket.next = NULL
        if place <= 0:
            duplicates += place < 0
            release_ticket(ticket)
            continue
        ticket.entry = place
        ticket.token = token
        end[0] = ticket
        end = &ticket.next
    rc_lock(&sink._lock)
    sink._count.duplicates += duplicates
    sink._count.refused += malformed
    rc_unlock(&sink._lock)
    return let_in(sink, given)


cdef list let_in(Sink sink, ticket_t *first):
    """Enlist tickets, lead them into their lanes, and push those that are ready."""
    cdef ticket_t *ticket
    cdef ticket_t *ready = NULL
    cdef ticket_t **end = &ready
    cdef bint is_sealed
    cdef list late = []
    rc_lock(&sink._lock)
    is_sealed = sink._is_sealed
    if not is_sealed:
        ticket = first
        while ticket != NULL:
            sink._enlist(ticket)
            sink._suspects += ticket.is_suspect
            ticket = ticket.next
    rc_unlock(&sink._lock)
    while first != NULL:
        ticket = first
        first = ticket.next
        ticket.next = NULL
        if is_sealed:
            late.append((ticket.entry, ticket.token))
            release_ticket(ticket)
        elif sink._lanes.enter(ticket):
            if ticket.due_ns:
                rc_lock(&sink._lock)
                sink._delay(ticket)
                rc_unlock(&sink._lock)
            else:
                end[0] = ticket
                end = &ticket.next
    sink._pool.obey(sink._ring.push(ready, True))
    return late


def admit(Sink sink, list claims):
    """Take in what the store gives out. Return pairs of number and token of those that came too late for the run."""
    cdef ticket_t *first = NULL
    cdef ticket_t **end = &first
    cdef ticket_t *ticket
    for claim in claims:
        ticket = make_ticket(claim.update, claim.update["update_id"], sink._keyer)
        ticket.entry = claim.seq
        ticket.token = claim.token
        ticket.attempt = claim.attempt
        ticket.failures = claim.failures
        ticket.is_suspect = claim.is_suspect
        if claim.retry_in_s > 0:
            ticket.due_ns = rc_now_ns() + <int64_t> (claim.retry_in_s * 1e9)
        end[0] = ticket
        end = &ticket.next
    return let_in(sink, first)


# -- ends ------------------------------------------------------------------------------------------------------------

def wait(Sink sink, int64_t mark, int64_t deadline_ns):
    """Wait until `mark` ends are there for the store, somebody calls `wake`, or a time of the monotonic clock in ns.

    Retries that become due and the end of the last suspect wake too.
    """
    rc_lock(&sink._lock)
    if sink._records >= mark:
        rc_unlock(&sink._lock)
        return
    if sink._first_delayed != NULL and sink._first_delayed.due_ns < deadline_ns:
        deadline_ns = sink._first_delayed.due_ns
    sink._record_mark = mark
    sink._is_recorder_waiting = True
    rc_unlock(&sink._lock)
    rc_park(&sink._record_parker, deadline_ns)
    rc_lock(&sink._lock)
    sink._is_recorder_waiting = False
    rc_unlock(&sink._lock)


def wake(Sink sink):
    """Wake whoever is in `wait`."""
    rc_unpark(&sink._record_parker)


def take_ends(Sink sink, int64_t most):
    """Return up to `most` ends, oldest first, each a `Settlement` or a `Failure`; `written` says when they are safe."""
    cdef record_t *first
    cdef record_t *last
    cdef record_t *record
    cdef ticket_t *ticket
    cdef int64_t count = 0
    cdef list ends = []
    rc_lock(&sink._lock)
    first = sink._first_record
    last = NULL
    record = first
    while record != NULL and count < most:
        count += 1
        last = record
        record = record.next
    sink._first_record = record
    if record == NULL:
        sink._last_record = NULL
    sink._records -= count
    rc_unlock(&sink._lock)
    if last == NULL:
        return ends
    last.next = NULL
    while first != NULL:
        record = first
        first = record.next
        ticket = record.ticket
        if record.error != NULL:
            retry_in_s = None if record.retry_ns < 0 else record.retry_ns / 1e9
            ends.append(Failure(ticket.entry, ticket.token, <object> record.error, retry_in_s))
        elif ticket.delivery != NULL and (<Delivery> <object> ticket.delivery)._stored is not None:
            stored = (<Delivery> <object> ticket.delivery)._stored
            ends.append(new_tuple(Settlement, (ticket.entry, ticket.token, stored)))
        else:
            ends.append(new_tuple(Settlement, (ticket.entry, ticket.token, ())))
        release_record(record)
    return ends


def written(Sink sink, int64_t count):
    """Say that so many ends are in the store."""
    rc_lock(&sink._lock)
    sink._unwritten -= count
    rc_unlock(&sink._lock)


def unwritten(Sink sink):
    """Return how many ends are not in the store yet."""
    return look_at(sink, &sink._unwritten)


cdef int64_t look_at(Sink sink, int64_t *number) noexcept:
    """A number of the sink, read under its lock."""
    cdef int64_t value
    rc_lock(&sink._lock)
    value = number[0]
    rc_unlock(&sink._lock)
    return value


# -- attempts --------------------------------------------------------------------------------------------------------

def begin_due(Sink sink):
    """Push those that have waited long enough for their next attempt."""
    cdef ticket_t *ready = NULL
    cdef ticket_t **end = &ready
    cdef ticket_t *ticket
    cdef int64_t now_ns = rc_now_ns()
    rc_lock(&sink._lock)
    while sink._first_delayed != NULL and sink._first_delayed.due_ns <= now_ns:
        ticket = sink._first_delayed
        sink._first_delayed = ticket.next
        sink._delayed -= 1
        ticket.next = NULL
        end[0] = ticket
        end = &ticket.next
    if sink._first_delayed == NULL:
        sink._last_delayed = NULL
    rc_unlock(&sink._lock)
    sink._pool.obey(sink._ring.push(ready, True))


def end_retries(Sink sink):
    """The run stops: nothing waits for another attempt any more; it is unfinished."""
    cdef ticket_t *ticket
    rc_lock(&sink._lock)
    sink._is_retry_over = True
    while sink._first_delayed != NULL:
        ticket = sink._first_delayed
        sink._first_delayed = ticket.next
        ticket.next = NULL
        sink._delayed -= 1
        sink._count.put_back += 1
        rc_store(&ticket.state, UNFINISHED)
    sink._last_delayed = NULL
    rc_unlock(&sink._lock)
    rc_unpark(&sink._drain_parker)


def set_alone(Sink sink, bint is_alone, int concurrency):
    """Let one handler run at a time, or as many as usual."""
    sink._pool.obey(sink._ring.set_limit(1 if is_alone else concurrency))


def suspects(Sink sink):
    """Return how many updates have to run alone and have not ended."""
    return look_at(sink, &sink._suspects)


def delayed(Sink sink):
    """Return how many updates wait for their next attempt."""
    return look_at(sink, &sink._delayed)


def unfinished(Sink sink):
    """Return (number, token, whether a handler had begun it) of the updates that are held, after a stop."""
    cdef ticket_t *ticket
    cdef list found = []
    cdef int64_t count = 0
    cdef int64_t held
    cdef int64_t *rows
    rc_lock(&sink._lock)
    held = sink._held
    rc_unlock(&sink._lock)
    rows = <int64_t *> malloc(<size_t> (3 * held + 3) * sizeof(int64_t))
    if rows == NULL:
        raise MemoryError()
    rc_lock(&sink._lock)
    ticket = sink._oldest
    while ticket != NULL and count < held:
        rows[3 * count] = ticket.entry
        rows[3 * count + 1] = ticket.token
        rows[3 * count + 2] = ticket.started_ns != 0
        count += 1
        ticket = ticket.newer
    rc_unlock(&sink._lock)
    for held in range(count):
        found.append((rows[3 * held], rows[3 * held + 1], bool(rows[3 * held + 2])))
    free(rows)
    return found
