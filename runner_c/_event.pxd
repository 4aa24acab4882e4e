from runner_c._sync cimport rc_mutex, rc_parker


# A thread that waits; lives on its stack. Guarded by the event's lock, but the parker.
cdef struct sleeper_t:
    rc_parker parker
    sleeper_t *next
    sleeper_t *before


cdef class StopEvent:
    cdef rc_mutex _lock
    cdef sleeper_t *_first
    cdef int _is_set
