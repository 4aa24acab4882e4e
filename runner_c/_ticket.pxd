from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from runner_c._lanes cimport ticket_t


cdef tuple keys_by(dict update, object keyer, PyObject **fault, bint *is_bypassed)
cdef ticket_t *ticket_with(
    dict update, int64_t update_id, tuple keys, PyObject *fault, bint is_bypassed
) except NULL
cdef ticket_t *make_ticket(dict update, int64_t update_id, object keyer) except NULL
cdef void release_ticket(ticket_t *ticket)
