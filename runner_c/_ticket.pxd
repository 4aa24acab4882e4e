from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from runner_c._lanes cimport ticket_t


cdef ticket_t *make_ticket(dict update, int64_t update_id, object keyer) except NULL
cdef void release_ticket(ticket_t *ticket)
