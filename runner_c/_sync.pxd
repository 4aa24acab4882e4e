"""Declarations of _sync.h: mutex, parker (a condition variable with a memory of one), clock, atomics."""
from libc.stdint cimport int64_t


cdef extern from "_sync.h" nogil:
    ctypedef struct rc_mutex:
        pass
    ctypedef struct rc_parker:
        pass

    enum: RC_HAS_GIL
    int64_t rc_now_ns() noexcept
    void rc_mutex_init(rc_mutex *mutex) noexcept
    void rc_mutex_destroy(rc_mutex *mutex) noexcept
    void rc_lock_detached(rc_mutex *mutex) noexcept
    void rc_unlock(rc_mutex *mutex) noexcept
    void rc_parker_init(rc_parker *parker) noexcept
    void rc_parker_destroy(rc_parker *parker) noexcept
    bint rc_park_detached(rc_parker *parker, int64_t deadline_ns) noexcept
    void rc_unpark(rc_parker *parker) noexcept
    int rc_load(const int *place) noexcept
    void rc_store(int *place, int value) noexcept
    int rc_add_seen(int *place, int value) noexcept
    void rc_store_seen(int *place, int value) noexcept
    int rc_load_seen(const int *place) noexcept
    void rc_increment(int *place) noexcept
    bint rc_swap_if_64(int64_t *place, int64_t expected, int64_t value) noexcept
    void rc_store_64(int64_t *place, int64_t value) noexcept
    int rc_decrement(int *place) noexcept
    bint rc_swap_if(int *place, int expected, int value) noexcept
    void rc_name_thread(const char *name) noexcept

# These detach from the interpreter by themselves: call them attached (with the GIL) only.
cdef extern from "_sync.h":
    void rc_lock(rc_mutex *mutex) noexcept
    bint rc_park(rc_parker *parker, int64_t deadline_ns) noexcept
    void rc_yield() noexcept
