"""The end of a run: admit nothing more, drain, and at the deadline cut off.

Guarantees
    - What waits in the engine is woken at once: the source, handlers in `Delivery.wait`, workers at a gate.
    - After `cut_off` every update that was admitted has been handled or is in the list it returned; the ids in that
      list are forgotten, so that they can come again. What comes later is refused.
    - An exception is raised in a worker's thread only while that worker runs the very update it is meant for.
Assumes
    - One thread calls `drain` and `cut_off`.

Locks: the sink's lock, a leaf.
"""
import time

from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF, Py_XINCREF
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

from runner_c._delivery cimport Delivery
from runner_c._lanes cimport (
    ABANDONED,
    ADMITTED,
    INTERRUPTING,
    RUNNING,
    SETTLING,
    UNFINISHED,
    state_t,
    ticket_t,
)
from runner_c._pool cimport Worker, current_worker
from runner_c._sink cimport Sink
from runner_c._sync cimport (
    rc_increment,
    rc_load,
    rc_lock,
    rc_now_ns,
    rc_park,
    rc_swap_if,
    rc_unlock,
    rc_unpark,
)
from runner_c._watch cimport raise_in

from runner_c._watch import snapshot

cdef double SETTLING_WAIT_S = 1.0


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
    cdef list deliveries = []
    sink._ring.close()
    rc_lock(&sink._lock)
    sink._is_cut = True
    rc_unlock(&sink._lock)
    # First those that wait in the engine, and time to end for those that are about to: an exception that is raised
    # anywhere in a handler may leave a lock of the user's behind.
    for delivery in deliveries_of(sink):
        (<Delivery> delivery).cut()
    wait()
    tickets = seize(sink, INTERRUPTING, &count, deliveries)
    for index in range(count):
        raise_in(tickets[index], exception)
    free(tickets)
    if count:
        wait()
    wait_for_settlements(sink)
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
    unfinished = snapshot(sink)
    for update in unfinished:
        sink._seen.forget(update["update_id"])
    return unfinished, hanging


cdef void wait_for_settlements(Sink sink):
    """Let those that are writing their sessions, or being interrupted, come to an end; not for ever."""
    cdef double deadline_s = time.monotonic() + SETTLING_WAIT_S
    cdef ticket_t *ticket
    cdef bint found = True
    while found and time.monotonic() < deadline_s:
        found = False
        rc_lock(&sink._lock)
        ticket = sink._oldest
        while ticket != NULL and not found:
            found = rc_load(&ticket.state) in (SETTLING, INTERRUPTING)
            ticket = ticket.newer
        rc_unlock(&sink._lock)
        if found:
            time.sleep(0.001)


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
    # From here on nothing can be added: what an offer has in its hands is refused when it comes to the table.
    sink._is_sealed = sink._is_sealed or target == ABANDONED
    ticket = sink._oldest
    while ticket != NULL:
        if target == ABANDONED:
            rc_swap_if(&ticket.state, ADMITTED, UNFINISHED)
        if rc_swap_if(&ticket.state, RUNNING, target):
            if target == ABANDONED:
                rc_increment(&ticket.holders)
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


def is_worker_of(Sink sink):
    cdef Worker worker = current_worker()
    return worker is not None and worker.runner is sink
