"""The door: workers that come back from a wait in the system and want the interpreter.

Guarantees
    - Not more than `WIDTH` of them ask for the interpreter at a time, the others sleep, in their order. Whoever waits
      for the GIL wakes every 5 ms to demand it: with hundreds of threads there, that is all the machine does.
    - The ring can ask whether it is crowded here, and then need not call further workers, which would only wait too.
      No call is lost by that: the worker that ends the crowd makes up for it, and where the crowd does not end, one
      that comes PATIENCE_NS later.
    - A thread that is no worker, and that all of them depend on, can go in first.
Assumes
    - A worker that has entered will come to the ring, or here again, or wait for something else without the GIL.

Without the GIL nobody would ever wait here, and nobody comes. Locks: `_lock` guards the queue and `_asking`; a leaf.
"""
from libc.stdint cimport int64_t

from runner_c._sync cimport (
    rc_add_seen,
    rc_load_seen,
    rc_lock,
    rc_lock_detached,
    rc_mutex_destroy,
    rc_mutex_init,
    rc_now_ns,
    rc_park_detached,
    rc_store_seen,
    rc_unlock,
    rc_unpark,
)

cdef extern from "<sched.h>" nogil:
    int sched_yield()

# At 30 to 100 us a turn, the last of so many has its turn within the 5 ms.
cdef int WIDTH = 32
# Workers that return at the same time and make a crowd, as long as turns are short: with two of them there is somebody
# to go on when the first one leaves, and each further one is a switch of threads more. Where somebody keeps the
# interpreter for long, each worker that asks for it is a share of it: then many may ask.
cdef int CROWD = 2
cdef int64_t LONG_WAIT_NS = 3_000_000
cdef int64_t PATIENCE_NS = 10_000_000
cdef int64_t COURTESY_NS = 1_000_000  # how long a worker lets others go first


# How many threads that are no workers are about to attach, so that no worker goes in before them: the poller, on whose
# turn all of them depend. Atomic.
cdef int first_askers = 0


cdef void ask_first() noexcept nogil:
    """Have workers wait at their doors until `have_asked`, which has to follow as soon as the caller is attached."""
    rc_add_seen(&first_askers, 1)


cdef void have_asked() noexcept nogil:
    rc_add_seen(&first_askers, -1)


cdef class Door:
    """Where workers wait for their turn to ask for the interpreter."""

    def __cinit__(self):
        rc_mutex_init(&self._lock)
        self._crowd = CROWD

    def __dealloc__(self):
        rc_mutex_destroy(&self._lock)

    cdef void approach(self, worker_t *worker) noexcept nogil:
        """Come back from the system, detached; return when it is this worker's turn to attach. `enter` must follow."""
        cdef int64_t until_ns
        rc_add_seen(&self._returning, 1)
        if rc_load_seen(&first_askers):
            until_ns = rc_now_ns() + COURTESY_NS
            while rc_load_seen(&first_askers) and rc_now_ns() < until_ns:
                sched_yield()
        rc_lock_detached(&self._lock)
        if self._asking < WIDTH:
            self._asking += 1
            rc_unlock(&self._lock)
            return
        worker.next = NULL
        if self._last == NULL:
            self._first = worker
        else:
            self._last.next = worker
        self._last = worker
        rc_unlock(&self._lock)
        rc_park_detached(&worker.parker, -1)  # whoever unparks it leaves it their place

    cdef bint enter(self, int64_t waited_ns) noexcept:
        """Be attached, after `waited_ns`: let the next one ask. True if the ring has to make up for a call."""
        cdef worker_t *following
        cdef int returning = rc_add_seen(&self._returning, -1)
        rc_lock(&self._lock)
        following = self._first
        if following == NULL:
            self._asking -= 1
        else:
            self._first = following.next
            if self._first == NULL:
                self._last = NULL
            following.next = NULL
        rc_unlock(&self._lock)
        if following != NULL:
            rc_unpark(&following.parker)
        rc_store_seen(&self._crowd, WIDTH if waited_ns > LONG_WAIT_NS else CROWD)
        if not rc_load_seen(&self._is_call_due):
            return False
        return returning < rc_load_seen(&self._crowd) or self.is_overdue()

    cdef bint is_crowded(self, int share) noexcept nogil:
        """Tell whether `share` times as many workers as make a crowd are here; if so, one of them will tell the ring.

        Either this sees that the last of them has gone, or that one sees that a call is due.
        """
        cdef int crowd = share * rc_load_seen(&self._crowd)
        if rc_load_seen(&self._returning) < crowd:
            return False
        if not rc_load_seen(&self._is_call_due):
            self._due_ns = rc_now_ns()
        rc_store_seen(&self._is_call_due, True)
        return rc_load_seen(&self._returning) >= crowd

    cdef bint is_overdue(self) noexcept nogil:
        """Tell whether a call has been due for so long that it has to be made in spite of the crowd."""
        return rc_load_seen(&self._is_call_due) and rc_now_ns() - self._due_ns > PATIENCE_NS

    cdef void forgive(self) noexcept nogil:
        """Forget the call that is due: the ring makes it now."""
        rc_store_seen(&self._is_call_due, False)
