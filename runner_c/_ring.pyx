"""The ring: ready updates on one side, workers that want one on the other.

Guarantees
    - Updates are taken in the order in which they became ready, those of the control lane first.
    - Never more than `limit` workers have a slot; what is blocked or written off has none.
    - No lost wake-up: while an update is ready and a slot is free, some worker is awake, being woken or being started,
      or there is a crowd at the door (_door.pyx), whose end calls one.
    - At most one worker is on its way at any time (`_is_calling`); once it has taken an update it calls the next. A
      burst therefore wakes as many workers as there is work for, and never a herd.
    - Idle workers sleep detached from the interpreter, on a parker of their own, and the last that fell asleep is the
      first to be woken, so that the rest grow cold and time out.
Assumes
    - No more tickets than `capacity` are pushed before they are taken (the sink's backlog sees to it).
    - A worker wakes with the interpreter attached and only then takes: with the GIL on, a woken worker starts when
      another one lets go of the GIL, and one that never lets go empties the ring alone.

Lock order: the ring's lock is a leaf. Parkers are unparked after it is released; a worker that was taken off the stack
or out of the queue waits for its unpark before it does anything else, so the pointer stays good until then.
"""
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free

from runner_c._door cimport Door
from runner_c._sync cimport (
    rc_lock,
    rc_mutex_destroy,
    rc_mutex_init,
    rc_now_ns,
    rc_park,
    rc_parker,
    rc_unlock,
    rc_unpark,
)


cdef inline void unpark_all(worker_t *woken) noexcept:
    cdef worker_t *following
    while woken != NULL:
        following = woken.next
        woken.next = NULL
        rc_unpark(&woken.parker)
        woken = following


cdef class Ring:
    """Bounded queue of ready updates, with the workers that wait for them."""

    def __cinit__(self, int64_t capacity, int limit, double idle_timeout_s):
        cdef int64_t size = 16
        while size < capacity:
            size *= 2
        rc_mutex_init(&self._lock)
        self._slots = <ticket_t **> calloc(<size_t> size, sizeof(ticket_t *))
        if self._slots == NULL:
            raise MemoryError()
        self._mask = size - 1
        self._limit = limit
        self._idle_timeout_ns = <int64_t> (idle_timeout_s * 1e9)
        self.door = Door()
        self._demand_mark = -1

    def __dealloc__(self):
        free(self._slots)
        rc_mutex_destroy(&self._lock)

    # -- under the lock ------------------------------------------------------------------------------------------

    cdef int64_t _ready(self) noexcept nogil:
        return self._controls + self._tail - self._head

    cdef void _append(self, ticket_t *ready) noexcept nogil:
        cdef ticket_t *following
        while ready != NULL:
            following = ready.next
            ready.next = NULL
            if ready.is_bypassed:
                if self._control_last == NULL:
                    self._control_first = ready
                else:
                    self._control_last.next = ready
                self._control_last = ready
                self._controls += 1
            else:
                self._slots[self._tail & self._mask] = ready
                self._tail += 1
            ready = following

    cdef ticket_t *_pop(self) noexcept nogil:
        cdef ticket_t *ticket
        if self._controls:
            ticket = self._control_first
            self._control_first = ticket.next
            if ticket.next == NULL:
                self._control_last = NULL
            ticket.next = NULL
            self._controls -= 1
            return ticket
        ticket = self._slots[self._head & self._mask]
        self._head += 1
        return ticket

    cdef void _sleep_on_stack(self, worker_t *worker) noexcept nogil:
        worker.is_idle = True
        worker.above = NULL
        worker.below = self._idle_top
        if self._idle_top != NULL:
            self._idle_top.above = worker
        self._idle_top = worker
        self._idle += 1

    cdef void _leave_stack(self, worker_t *worker) noexcept nogil:
        if worker.above != NULL:
            worker.above.below = worker.below
        else:
            self._idle_top = worker.below
        if worker.below != NULL:
            worker.below.above = worker.above
        worker.is_idle = False
        self._idle -= 1

    cdef void _serve_resumers(self, worker_t **woken) noexcept nogil:
        """Give free slots to workers that were blocked; collect in `woken` whom to unpark."""
        cdef worker_t *worker
        while self._resumer_first != NULL and (self._running < self._limit or self._is_closed):
            worker = self._resumer_first
            self._resumer_first = worker.next
            if self._resumer_first == NULL:
                self._resumer_last = NULL
            if not worker.is_written_off:
                worker.has_slot = True
                self._running += 1
            worker.next = woken[0]
            woken[0] = worker

    cdef call_t _give_out(self, worker_t **woken) noexcept nogil:
        """Give free slots to those that were blocked, then call one worker for what is ready.

        To be called after every change that frees a slot, adds a ready update or ends a call.
        """
        cdef worker_t *worker
        self._serve_resumers(woken)
        if self._is_calling or self._is_closed or self._is_paused:
            return NOTHING
        if self._ready() == 0 or self._running >= self._limit:
            return NOTHING
        if not self._is_urgent and self._controls == 0 and self.door.is_crowded(1):
            return NOTHING
        if self._idle_top != NULL:
            worker = self._idle_top
            self._leave_stack(worker)
            worker.is_called = True
            worker.is_urgent = self._is_urgent
            self._is_calling = True
            worker.next = woken[0]
            woken[0] = worker
        elif self._threads < self._limit + self._blocked:
            self._threads += 1
            self._is_calling = True
            return START_WORKER
        return NOTHING

    cdef call_t _hand_out(self) noexcept:
        """Give out what can be, and unlock."""
        cdef worker_t *woken = NULL
        cdef call_t call = self._give_out(&woken)
        rc_unlock(&self._lock)
        unpark_all(woken)
        return call

    # -- producers -----------------------------------------------------------------------------------------------

    cdef call_t push(self, ticket_t *ready, bint is_call_wanted) noexcept:
        """Append a list of ready tickets. A worker that comes to take next itself wants no call."""
        cdef call_t call = NOTHING
        cdef worker_t *woken = NULL
        if ready == NULL:
            return NOTHING
        rc_lock(&self._lock)
        self._append(ready)
        if is_call_wanted:
            call = self._give_out(&woken)
        rc_unlock(&self._lock)
        unpark_all(woken)
        return call

    # -- workers -------------------------------------------------------------------------------------------------

    cdef ticket_t *take(self, worker_t *worker, call_t *call) noexcept:
        """Give back the slot of the last update and wait for the next; NULL sends the worker home.

        Blocks until an update is ready and a slot is free, the ring closes, or the worker was idle for too long.
        """
        cdef ticket_t *ticket = NULL
        cdef worker_t *woken = NULL
        cdef bint is_unparked
        cdef bint is_demand_due = False
        rc_lock(&self._lock)
        if worker.has_slot:
            worker.has_slot = False
            self._running -= 1
        while True:
            if worker.is_called:
                worker.is_called = False
                self._is_calling = False
            if self._is_closed or self._threads > self._limit + self._blocked:
                break
            self._serve_resumers(&woken)  # what was begun goes on before anything new begins
            if woken != NULL:
                rc_unlock(&self._lock)
                unpark_all(woken)
                woken = NULL
                rc_lock(&self._lock)
                continue
            if not self._is_paused and self._running < self._limit and self._ready() > 0:
                if worker.is_urgent or self._controls or not self.door.is_crowded(4):
                    worker.is_urgent = False
                    ticket = self._pop()
                    self._running += 1
                    worker.has_slot = True
                    break
            self._sleep_on_stack(worker)
            rc_unlock(&self._lock)
            is_unparked = rc_park(&worker.parker, rc_now_ns() + self._idle_timeout_ns)
            rc_lock(&self._lock)
            if worker.is_idle:
                self._leave_stack(worker)
                if self._threads > 1:
                    break
            elif not is_unparked:
                rc_unlock(&self._lock)
                rc_park(&worker.parker, -1)
                rc_lock(&self._lock)
        if ticket == NULL:
            self._threads -= 1
        call[0] = self._give_out(&woken)
        if self._demand_mark >= 0 and self._ready() <= self._demand_mark:
            self._demand_mark = -1
            is_demand_due = True
        rc_unlock(&self._lock)
        unpark_all(woken)
        if is_demand_due:
            rc_unpark(self._demand_parker)
        return ticket

    cdef call_t block(self, worker_t *worker) noexcept:
        """Give the slot back while a handler waits for a key; another worker may be started in its place."""
        rc_lock(&self._lock)
        if worker.has_slot:
            worker.has_slot = False
            self._running -= 1
        self._blocked += 1
        return self._hand_out()

    cdef call_t unblock(self, worker_t *worker) noexcept:
        """Take a slot again, ahead of ready updates. Blocks until one is free or the ring closes."""
        cdef call_t call
        cdef worker_t *woken = NULL
        rc_lock(&self._lock)
        self._blocked -= 1
        worker.next = NULL
        if self._resumer_last == NULL:
            self._resumer_first = worker
        else:
            self._resumer_last.next = worker
        self._resumer_last = worker
        call = self._give_out(&woken)
        rc_unlock(&self._lock)
        unpark_all(woken)
        rc_park(&worker.parker, -1)
        return call

    # -- the pool and the monitor --------------------------------------------------------------------------------

    cdef void count_in(self) noexcept:
        """Count the first worker in, before anything is ready."""
        rc_lock(&self._lock)
        self._threads += 1
        self._is_calling = True
        rc_unlock(&self._lock)

    cdef void start_failed(self) noexcept:
        """The system gave no thread: those who run go on with what there is."""
        rc_lock(&self._lock)
        self._threads -= 1
        self._is_calling = False
        rc_unlock(&self._lock)

    cdef call_t write_off(self, worker_t *worker) noexcept:
        """Release the slot and the place of a worker that hangs; it leaves for good if it ever comes back."""
        rc_lock(&self._lock)
        worker.is_written_off = True
        if worker.has_slot:
            worker.has_slot = False
            self._running -= 1
        self._threads -= 1
        return self._hand_out()

    cdef call_t recall(self) noexcept:
        """Make up for a call that was held back while there was a crowd at the door."""
        cdef call_t call
        cdef worker_t *woken = NULL
        rc_lock(&self._lock)
        self._is_urgent = self.door.is_overdue()
        self.door.forgive()
        call = self._give_out(&woken)
        self._is_urgent = False
        rc_unlock(&self._lock)
        unpark_all(woken)
        return call

    cdef call_t pause(self, bint is_paused) noexcept:
        """Let no further update start, or go on."""
        rc_lock(&self._lock)
        self._is_paused = is_paused
        return self._hand_out()

    cdef call_t set_limit(self, int limit) noexcept:
        """Change how many workers may have a slot; those that have one keep it."""
        rc_lock(&self._lock)
        self._limit = limit
        return self._hand_out()

    cdef void close(self) noexcept:
        """Send every worker home; those that run leave when they come back."""
        cdef worker_t *woken = NULL
        cdef worker_t *worker
        rc_lock(&self._lock)
        self._is_closed = True
        self._give_out(&woken)
        while self._idle_top != NULL:
            worker = self._idle_top
            self._leave_stack(worker)
            worker.next = woken
            woken = worker
        rc_unlock(&self._lock)
        unpark_all(woken)

    # -- the source ----------------------------------------------------------------------------------------------

    cdef bint await_demand(self, int64_t plenty, rc_parker *parker) noexcept:
        """Tell whether more than `plenty` updates are ready; if so, unpark when no more than half of them are."""
        cdef bint is_plenty
        rc_lock(&self._lock)
        is_plenty = self._ready() > plenty
        self._demand_mark = plenty // 2 if is_plenty else -1
        self._demand_parker = parker
        rc_unlock(&self._lock)
        return is_plenty

    cdef int threads(self) noexcept:
        """How many workers there are, without those written off."""
        cdef int threads
        rc_lock(&self._lock)
        threads = self._threads
        rc_unlock(&self._lock)
        return threads
