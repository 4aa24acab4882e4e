"""What is done to updates from outside of their workers: looked at, found overdue, ended by a deadline or by a stop.

Guarantees
    - An update that is ended here is not ended by its worker, and the other way round; see `_claim` in _sink.pyx.
    - An exception is raised in a worker's thread only while that worker runs the very update it is meant for.
    - After `cut_off` every update that was admitted has been handled or is in the list it returned.
Assumes
    - One thread calls `drain` and `cut_off`, after the source has stopped admitting.

Locks: the sink's lock, a leaf. What is dropped is dropped after it is released.
"""
import time

from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF, Py_XINCREF
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

from runner_c._delivery cimport Delivery
from runner_c._lanes cimport ABANDONED, ADMITTED, INTERRUPTING, RUNNING, UNFINISHED, state_t, ticket_t
from runner_c._pool cimport Worker
from runner_c._sink cimport Sink
from runner_c._sync cimport (
    rc_load,
    rc_lock,
    rc_now_ns,
    rc_park,
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
    PyObject *delivery
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
            sights[count].started_ns = ticket.started_ns
            sights[count].waits = rc_load(&ticket.waits)
            sights[count].state = rc_load(&ticket.state)
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
    cdef int64_t now_ns = rc_now_ns()
    table = []
    for _, update, admitted_ns, started_ns, thread, waits in look(sink, False, 0):
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
    rc_lock(&sink._lock)
    ticket = find(sink, sequence)
    is_mine = ticket != NULL and rc_swap_if(&ticket.state, RUNNING, ABANDONED)
    if is_mine:
        # The worker cannot leave before this lock is released: see _claim.
        ticket.holders += 1
        borrowed = ticket.delivery
        Py_XINCREF(<PyObject *> ticket.worker)
        if borrowed != NULL:
            Py_XINCREF(borrowed)
        sink._unlink_deadline(ticket)
        sink._unlink(ticket)
        sink._count.abandoned += 1
    rc_unlock(&sink._lock)
    if not is_mine:
        return False
    worker = <Worker> ticket.worker
    Py_XDECREF(<PyObject *> worker)
    if borrowed != NULL:
        delivery = <Delivery> <object> borrowed
        Py_XDECREF(borrowed)
        delivery.settle()
    ready = sink._lanes.leave(ticket)
    sink._pool.obey(sink._ring.write_off(&worker.slot))
    sink._pool.obey(sink._ring.push(ready, True))
    release_ticket(ticket)
    rc_unpark(&sink._source_parker)
    rc_unpark(&sink._drain_parker)
    return True


# -- stop ----------------------------------------------------------------------------------------------------------

def stop_admitting(Sink sink):
    """Take nothing more in; wake the source if it waits for room, and every handler that waits in the engine."""
    rc_lock(&sink._lock)
    sink._is_accepting = False
    rc_unlock(&sink._lock)
    rc_unpark(&sink._source_parker)
    sink.stopping.set()


def wake_drain(Sink sink):
    """Have `drain` look at its deadline again."""
    rc_unpark(&sink._drain_parker)


def drain(Sink sink, deadline):
    """Wait until nothing is in flight, or nothing can go on; return whether all has been handled.

    Args:
        deadline: called before each wait; returns the latest time in ns of the monotonic clock, negative for none.
    """
    cdef int64_t until_ns
    cdef int64_t pause_ns
    cdef bint is_empty
    cdef bint is_partial
    while True:
        rc_lock(&sink._lock)
        is_empty = sink._held == 0 and sink._reserved == 0
        is_partial = sink._count.put_back > 0 or sink._reserved > 0
        sink._is_drain_awaited = True
        rc_unlock(&sink._lock)
        if is_empty:
            return True
        if is_partial and is_quiet(sink):
            return False
        until_ns = deadline()
        if 0 <= until_ns <= rc_now_ns():
            return False
        if is_partial:
            # What was put back holds up its successors for good: look whether the rest has come to an end.
            pause_ns = rc_now_ns() + 5_000_000
            until_ns = pause_ns if until_ns < 0 or pause_ns < until_ns else until_ns
        rc_park(&sink._drain_parker, until_ns)


cdef bint is_quiet(Sink sink) noexcept:
    """Nothing runs, nothing can run."""
    cdef bint quiet
    rc_lock(&sink._ring._lock)
    quiet = sink._ring._running == 0 and sink._ring._blocked == 0 and sink._ring._ready() == 0
    rc_unlock(&sink._ring._lock)
    rc_lock(&sink._lock)
    quiet = quiet and sink._reserved == 0
    rc_unlock(&sink._lock)
    return quiet


def cut_off(Sink sink, exception, wait):
    """End the run: start nothing more, interrupt what runs on, and take back what has not ended by then.

    Args:
        exception: what is raised in the threads of handlers that run on.
        wait: called before that and after it; returns when the workers are gone or have had long enough.

    Returns:
        The updates that were not handled, oldest first, and (update, age_s, thread) of each handler that still runs.
    """
    cdef ticket_t **tickets
    cdef Py_ssize_t count
    cdef Py_ssize_t index
    cdef int64_t now_ns
    sink._ring.close()
    rc_lock(&sink._lock)
    sink._is_cut = True
    rc_unlock(&sink._lock)
    # First those that wait in the engine, and time to end for those that are about to: an exception that is raised
    # anywhere in a handler may leave a lock of the user's behind.
    for delivery in deliveries_of(sink):
        (<Delivery> delivery).cut()
    wait()
    cdef list deliveries = []
    tickets = seize(sink, INTERRUPTING, &count, deliveries)
    for index in range(count):
        raise_in(tickets[index], exception)
    free(tickets)
    if count:
        wait()
    deliveries = []
    tickets = seize(sink, ABANDONED, &count, deliveries)
    for delivery in deliveries:
        (<Delivery> delivery).settle()
    now_ns = rc_now_ns()
    hanging = [
        (<object> tickets[index].update, (now_ns - tickets[index].started_ns) / 1e9, tickets[index].thread)
        for index in range(count)
    ]
    free(tickets)
    return snapshot(sink), hanging


cdef list deliveries_of(Sink sink):
    """The deliveries of running handlers."""
    cdef Py_ssize_t count
    cdef list deliveries = []
    free(seize(sink, RUNNING, &count, deliveries))
    return deliveries


def close(Sink sink, double timeout_s):
    sink._ring.close()
    return sink._pool.join(time.monotonic() + timeout_s)


def pause(Sink sink, bint is_paused):
    sink._pool.obey(sink._ring.pause(is_paused))


cdef ticket_t **seize(Sink sink, state_t target, Py_ssize_t *count, list deliveries) except NULL:
    """Move every running ticket to another state: for good (ABANDONED, and what has not begun to UNFINISHED), for a
    moment (INTERRUPTING), or not at all (RUNNING).

    The tickets keep their places in the table, which holds them until the sink goes.
    """
    cdef ticket_t *ticket
    cdef ticket_t **found
    cdef PyObject **theirs
    cdef Py_ssize_t room
    cdef Py_ssize_t index
    count[0] = 0
    while True:
        room = sink._held + 64
        found = <ticket_t **> malloc(<size_t> room * sizeof(ticket_t *))
        theirs = <PyObject **> malloc(<size_t> room * sizeof(PyObject *))
        if found == NULL or theirs == NULL:
            free(found)
            free(theirs)
            raise MemoryError()
        rc_lock(&sink._lock)
        if sink._held <= room:
            break
        rc_unlock(&sink._lock)
        free(found)
        free(theirs)
    ticket = sink._oldest
    while ticket != NULL:
        if target == ABANDONED:
            rc_swap_if(&ticket.state, ADMITTED, UNFINISHED)
        if rc_swap_if(&ticket.state, RUNNING, target):
            if target == ABANDONED:
                ticket.holders += 1
            found[count[0]] = ticket
            theirs[count[0]] = ticket.delivery
            if ticket.delivery != NULL:
                Py_XINCREF(ticket.delivery)
            count[0] += 1
        ticket = ticket.newer
    rc_unlock(&sink._lock)
    for index in range(count[0]):
        if theirs[index] != NULL:
            deliveries.append(<object> theirs[index])
            Py_XDECREF(theirs[index])
    free(theirs)
    return found
