from runner_c._lanes cimport ticket_t


cdef void raise_in(ticket_t *ticket, object exception) noexcept
