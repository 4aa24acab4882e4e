from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t

from runner_c._sync cimport rc_mutex


# How far a ticket is on the way of an update.
cdef enum state_t:
    ADMITTED        # waits in its lanes or in the ring
    RUNNING         # a worker has it
    INTERRUPTING    # the monitor is raising an exception in its worker; back to RUNNING at once
    SETTLING        # its worker has ended it; nobody else may
    ABANDONED       # somebody else ended it; its worker, if it ever returns, must not
    UNFINISHED      # ended without being handled: goes to the stop report


# The place of a ticket in the lane of one key.
cdef struct link_t:
    ticket_t *owner
    link_t *follower        # the next ticket of the same key
    link_t *tail            # the last ticket of the lane; true in the head only
    link_t *chain           # the next head of the same bucket; true in the head only
    uint64_t hash
    const char *key         # UTF-8, inside the ticket's own memory
    Py_ssize_t key_size


# The end of an update, or of an attempt, on its way to the store.
cdef struct record_t:
    record_t *next
    ticket_t *ticket
    PyObject *error         # owned: why it failed, as text; NULL: it is done with
    int64_t retry_ns        # of a failure: after how long it is tried again; -1: it is given up
    bint is_own_block       # to be freed by itself; else it is part of its ticket


# One admitted update; see _ticket.pyx for its beginning and end, _sink.pyx for its way.
cdef struct ticket_t:
    PyObject *update        # owned
    PyObject *fault         # owned: the exception of a key function, or NULL
    PyObject *delivery      # owned, or NULL: what handlers see of this update; made on demand
    int64_t update_id
    int64_t sequence        # order of admission
    int64_t admitted_ns
    int64_t started_ns
    ticket_t *older         # in-flight table, by age
    ticket_t *newer
    ticket_t *earlier       # deadline table, by start
    ticket_t *later
    ticket_t *next          # in a list of tickets that became ready
    void *worker            # who runs it: a borrowed Worker
    unsigned long thread
    int64_t entry           # its number in the store; 0: no store
    int64_t token           # of the claim on it
    int64_t due_ns          # after a failure: not to be run before
    record_t ending
    int attempt             # 1 at the first delivery
    int failures
    int holders             # atomic; who lets go last frees it
    int state               # state_t, atomic
    int waits               # unsettled predecessors, atomic
    int links
    bint is_polled          # came through the source, so the offset depends on it
    bint is_bypassed
    bint is_suspect         # ran when the last process died; runs alone
    bint is_overdue         # its deadline has been reported
    bint is_interrupted     # an exception was raised in its worker
    link_t link[0]


cdef struct bucket_t:
    link_t *heads


# 128 bytes apart, so that two stripes never share a cache line (nor the pair that is fetched with it).
cdef struct stripe_t:
    rc_mutex lock
    bucket_t *buckets
    uint64_t bucket_mask
    Py_ssize_t lanes
    char padding[64]


cdef class Lanes:
    cdef stripe_t *_stripes

    cdef bint enter(self, ticket_t *ticket) except -1
    cdef ticket_t *leave(self, ticket_t *ticket) noexcept
    cdef Py_ssize_t size(self) noexcept
