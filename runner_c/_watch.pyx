"""What is done to updates from outside of their workers: looked at, found overdue, interrupted, abandoned.

Guarantees
    - An update that is ended here is not ended by its worker, and the other way round; see `_claim` in _sink.pyx.
    - An exception is raised in a worker's thread only while that worker runs the very update it is meant for.
    - Looking changes nothing and stops nobody for longer than it takes to copy the table.
Assumes
    - One thread, the monitor, asks for what is overdue.

Locks: the sink's lock, a leaf. What is dropped is dropped after it is released.
"""
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF, Py_XINCREF
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free, malloc

from runner_c._delivery cimport Delivery
from runner_c._lanes cimport ABANDONED, INTERRUPTING, RUNNING, record_t, ticket_t
from runner_c._pool cimport Worker
from runner_c._sink cimport Sink
from runner_c._sync cimport (
    rc_increment,
    rc_load,
    rc_lock,
    rc_now_ns,
    rc_store,
    rc_swap_if,
    rc_unlock,
    rc_unpark,
)
from runner_c._ticket cimport release_ticket

cdef extern from "Python.h":
    int PyThreadState_SetAsyncExc(unsigned long thread, PyObject *exception)


cdef struct sight_t:
    PyObject *update
    int64_t sequence
    int64_t admitted_ns
    int64_t started_ns
    unsigned long thread
    int waits
    int state


cdef list look(Sink sink, bint is_overdue_wanted, int64_t started_before_ns):
    """Copy what is in flight, oldest first, or what runs since before a time and has not been reported."""
    cdef Py_ssize_t count = 0
    cdef Py_ssize_t index
    cdef Py_ssize_t room
    cdef sight_t *sights
    cdef ticket_t *ticket
    while True:
        room = sink._held + 64
        sights = <sight_t *> malloc(<size_t> room * sizeof(sight_t))
        if sights == NULL:
            raise MemoryError()
        rc_lock(&sink._lock)
        if sink._held <= room:
            break
        rc_unlock(&sink._lock)
        free(sights)
    ticket = sink._earliest if is_overdue_wanted else sink._oldest
    while ticket != NULL:
        if is_overdue_wanted and ticket.started_ns > started_before_ns:
            break
        if not (is_overdue_wanted and ticket.is_overdue):
            if is_overdue_wanted:
                ticket.is_overdue = True
                sink._count.overdue += 1
            # An owned reference more: an atomic add on free-threaded builds, and no code of anybody runs.
            Py_XINCREF(ticket.update)
            sights[count].update = ticket.update
            sights[count].sequence = ticket.sequence
            sights[count].admitted_ns = ticket.admitted_ns
            # The state first: a ticket that runs has its start written before.
            sights[count].state = rc_load(&ticket.state)
            sights[count].started_ns = ticket.started_ns
            sights[count].waits = rc_load(&ticket.waits)
            sights[count].thread = 0
            if sights[count].state in (RUNNING, INTERRUPTING):
                sights[count].thread = ticket.thread
            count += 1
        ticket = ticket.later if is_overdue_wanted else ticket.newer
    rc_unlock(&sink._lock)
    seen = []
    for index in range(count):
        seen.append((
            sights[index].sequence,
            <object> sights[index].update,
            sights[index].admitted_ns,
            sights[index].started_ns,
            sights[index].thread,
            sights[index].waits,
        ))
        Py_XDECREF(sights[index].update)
    free(sights)
    return seen


def snapshot(Sink sink):
    return [sight[1] for sight in look(sink, False, 0)]


def in_flight(Sink sink):
    table = []
    sights = look(sink, False, 0)
    cdef int64_t now_ns = rc_now_ns()
    for _, update, admitted_ns, started_ns, thread, waits in sights:
        if thread:
            state, since_ns = "running", started_ns
        else:
            state, since_ns = ("waiting" if waits else "ready"), admitted_ns
        table.append((update, state, (now_ns - since_ns) / 1e9, thread or None))
    return table


def size(Sink sink):
    return sink._held


def counts(Sink sink):
    cdef dict numbers
    rc_lock(&sink._lock)
    cdef int64_t held = sink._held
    count = sink._count
    rc_unlock(&sink._lock)
    numbers = dict(count)
    numbers["held"] = held
    rc_lock(&sink._ring._lock)
    ready = sink._ring._ready()
    running = sink._ring._running
    blocked = sink._ring._blocked
    idle = sink._ring._idle
    threads = sink._ring._threads
    rc_unlock(&sink._ring._lock)
    numbers.update(ready=ready, running=running, blocked=blocked, idle=idle, workers=threads)
    numbers["keys"] = sink._lanes.size()
    numbers["seen"] = len(sink._seen)
    return numbers


# -- the monitor's side --------------------------------------------------------------------------------------------

def overdue(Sink sink):
    """Return (sequence, update, age_s, thread) of each handler that has passed its deadline, each once."""
    cdef int64_t now_ns = rc_now_ns()
    return [
        (sequence, update, (now_ns - started_ns) / 1e9, thread)
        for sequence, update, _, started_ns, thread, _ in look(sink, True, now_ns - sink._timeout_ns)
    ]


def next_deadline_s(Sink sink):
    """Return in how many seconds the next handler can be overdue; a new one cannot be sooner than the time-out."""
    cdef int64_t now_ns = rc_now_ns()
    cdef int64_t deadline_ns = now_ns + sink._timeout_ns
    cdef ticket_t *ticket
    rc_lock(&sink._lock)
    ticket = sink._earliest
    while ticket != NULL and ticket.is_overdue:
        ticket = ticket.later
    if ticket != NULL:
        deadline_ns = ticket.started_ns + sink._timeout_ns
    rc_unlock(&sink._lock)
    return max(0.0, (deadline_ns - now_ns) / 1e9)


cdef ticket_t *find(Sink sink, int64_t sequence) noexcept nogil:
    cdef ticket_t *ticket = sink._earliest
    while ticket != NULL and ticket.sequence != sequence:
        ticket = ticket.later
    return ticket


def is_running(Sink sink, int64_t sequence):
    """Tell whether the handler of an update, by its sequence, still runs."""
    cdef bint found
    rc_lock(&sink._lock)
    found = find(sink, sequence) != NULL
    rc_unlock(&sink._lock)
    return found


def interrupt(Sink sink, int64_t sequence, exception):
    """Raise an exception in the thread that runs an update; False when it has ended meanwhile."""
    cdef ticket_t *ticket
    cdef bint is_held
    rc_lock(&sink._lock)
    ticket = find(sink, sequence)
    is_held = ticket != NULL and rc_swap_if(&ticket.state, RUNNING, INTERRUPTING)
    rc_unlock(&sink._lock)
    if not is_held:
        return False
    raise_in(ticket, exception)
    return True


cdef void raise_in(ticket_t *ticket, object exception) noexcept:
    """Raise in the worker of a ticket that the caller has moved to INTERRUPTING; ends that state."""
    ticket.is_interrupted = True
    PyThreadState_SetAsyncExc(ticket.thread, <PyObject *> exception)
    rc_store(&ticket.state, RUNNING)


def abandon(Sink sink, int64_t sequence):
    """End an update whose handler hangs: free its slot and its keys, write its worker off. False: it has ended."""
    cdef ticket_t *ticket
    cdef Worker worker = None
    cdef ticket_t *ready
    cdef bint is_mine
    cdef PyObject *borrowed = NULL
    cdef Delivery delivery = None
    cdef record_t *record = <record_t *> calloc(1, sizeof(record_t))
    if record == NULL:
        raise MemoryError()
    rc_lock(&sink._lock)
    ticket = find(sink, sequence)
    is_mine = ticket != NULL and rc_swap_if(&ticket.state, RUNNING, ABANDONED)
    if is_mine:
        # The worker cannot leave before this lock is released: see _claim.
        rc_increment(&ticket.holders)
        borrowed = ticket.delivery
        Py_XINCREF(<PyObject *> ticket.worker)
        if borrowed != NULL:
            Py_XINCREF(borrowed)
        sink._unlink_deadline(ticket)
        sink._unlink(ticket)
        sink._count.abandoned += 1
        sink._clear_suspect(ticket)
        if sink._has_store:
            # Not the ticket's own: its worker, which runs on, may write an error there.
            record.is_own_block = True
            sink._record(record, ticket)
            record = NULL
    rc_unlock(&sink._lock)
    free(record)
    if not is_mine:
        return False
    worker = <Worker> ticket.worker
    Py_XDECREF(<PyObject *> worker)
    if borrowed != NULL:
        delivery = <Delivery> <object> borrowed
        Py_XDECREF(borrowed)
        delivery.settle()
    ready = sink._lanes.leave(ticket)
    # What became ready first: a drain that looks in between must not take the run for ended.
    sink._pool.obey(sink._ring.push(ready, True))
    sink._pool.obey(sink._ring.write_off(&worker.slot))
    release_ticket(ticket)
    rc_unpark(&sink._source_parker)
    rc_unpark(&sink._record_parker)
    rc_unpark(&sink._drain_parker)
    return True
