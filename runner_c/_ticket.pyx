"""Make a ticket of an update: its memory, its keys, its end.

Guarantees
    - Whatever the key function does (raises, returns rubbish, names a key twice), there is a ticket: a fault goes with
      it and ends the update in a worker, where the error handler runs.
    - Hash and bytes of each key are taken here, so that no Python code runs under a lock of the lanes.
    - A ticket is one block of memory, with its keys in it.
Assumes
    - The last of those who hold a ticket releases it attached to the interpreter, with no lock held.
"""
from cpython.object cimport PyObject, PyObject_Hash
from cpython.ref cimport Py_INCREF, Py_XDECREF
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from runner_c._keys cimport keys_of
from runner_c._lanes cimport ADMITTED, link_t, ticket_t
from runner_c._sync cimport rc_decrement, rc_now_ns

from runner_c._keys import BYPASS

cdef object bypass = BYPASS


cdef ticket_t *make_ticket(dict update, int64_t update_id, object keyer) except NULL:
    cdef object keys
    cdef object fault = None
    cdef tuple distinct = ()
    cdef bint is_bypassed = False
    cdef Py_ssize_t bytes_of_keys = 0
    cdef Py_ssize_t size
    cdef int index
    cdef ticket_t *ticket
    cdef link_t *link
    cdef char *place
    cdef const char *text
    if keyer is not None:
        try:
            keys = keyer(update)
            if keys is bypass:
                is_bypassed = True
            else:
                distinct = keys_of(keys)
            for key in distinct:
                PyUnicode_AsUTF8AndSize(key, &size)
                bytes_of_keys += size
        except BaseException as error:
            fault = error
            distinct = ()
            bytes_of_keys = 0
    ticket = <ticket_t *> calloc(
        1, sizeof(ticket_t) + <size_t> len(distinct) * sizeof(link_t) + <size_t> bytes_of_keys
    )
    if ticket == NULL:
        raise MemoryError()
    ticket.holders = 1
    ticket.update_id = update_id
    ticket.admitted_ns = rc_now_ns()
    ticket.state = ADMITTED
    ticket.is_bypassed = is_bypassed
    ticket.links = <int> len(distinct)
    place = <char *> &ticket.link[ticket.links]
    for index in range(ticket.links):
        key = distinct[index]
        text = PyUnicode_AsUTF8AndSize(key, &size)
        link = &ticket.link[index]
        memcpy(place, text, <size_t> size)
        link.owner = ticket
        link.key = place
        link.key_size = size
        link.hash = <uint64_t> PyObject_Hash(key)
        place += size
    Py_INCREF(update)
    ticket.update = <PyObject *> update
    if fault is not None:
        Py_INCREF(fault)
        ticket.fault = <PyObject *> fault
    return ticket


cdef void release_ticket(ticket_t *ticket):
    """Let go of a ticket; the last holder frees it, and with it drops the update. Runs destructors: hold no lock."""
    if rc_decrement(&ticket.holders) > 0:
        return
    Py_XDECREF(ticket.delivery)
    Py_XDECREF(ticket.fault)
    Py_XDECREF(ticket.update)
    free(ticket)
