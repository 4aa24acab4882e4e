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


cdef tuple keys_by(dict update, object keyer, PyObject **fault, bint *is_bypassed):
    """The keys of an update; what the key function raised comes back in `fault`, owned."""
    fault[0] = NULL
    is_bypassed[0] = False
    if keyer is None:
        return ()
    try:
        keys = keyer(update)
        if keys is bypass:
            is_bypassed[0] = True
            return ()
        distinct = keys_of(keys)
        for key in distinct:
            PyUnicode_AsUTF8AndSize(key, NULL)
        return distinct
    except BaseException as error:
        Py_INCREF(error)
        fault[0] = <PyObject *> error
        return ()


cdef ticket_t *ticket_with(
    dict update, int64_t update_id, tuple keys, PyObject *fault, bint is_bypassed
) except NULL:
    """A ticket with these keys; takes over `fault`."""
    cdef Py_ssize_t bytes_of_keys = 0
    cdef Py_ssize_t size
    cdef int index
    cdef ticket_t *ticket
    cdef link_t *link
    cdef char *place
    cdef const char *text
    for key in keys:
        PyUnicode_AsUTF8AndSize(key, &size)
        bytes_of_keys += size
    ticket = <ticket_t *> calloc(
        1, sizeof(ticket_t) + <size_t> len(keys) * sizeof(link_t) + <size_t> bytes_of_keys
    )
    if ticket == NULL:
        Py_XDECREF(fault)
        raise MemoryError()
    ticket.holders = 1
    ticket.attempt = 1
    ticket.update_id = update_id
    ticket.admitted_ns = rc_now_ns()
    ticket.state = ADMITTED
    ticket.is_bypassed = is_bypassed
    ticket.links = <int> len(keys)
    place = <char *> &ticket.link[ticket.links]
    for index in range(ticket.links):
        key = keys[index]
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
    ticket.fault = fault
    return ticket


cdef ticket_t *make_ticket(dict update, int64_t update_id, object keyer) except NULL:
    """A ticket with the keys that a key function gives."""
    cdef PyObject *fault
    cdef bint is_bypassed
    cdef tuple keys = keys_by(update, keyer, &fault, &is_bypassed)
    return ticket_with(update, update_id, keys, fault, is_bypassed)


cdef void release_ticket(ticket_t *ticket):
    """Let go of a ticket; the last holder frees it, and with it drops the update. Runs destructors: hold no lock."""
    if rc_decrement(&ticket.holders) > 0:
        return
    Py_XDECREF(ticket.delivery)
    Py_XDECREF(ticket.fault)
    Py_XDECREF(ticket.ending.error)
    Py_XDECREF(ticket.update)
    free(ticket)
