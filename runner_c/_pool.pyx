"""The pool: worker threads that grow with need and go when they are idle.

Guarantees
    - A thread is started only when an update is ready, a slot is free and nobody is idle; the ring says so, one at a
      time, and the new worker has the next one started once it has taken its update.
    - No more threads than `concurrency`, plus one for each worker that is blocked at a key, plus those written off.
    - An exception never ends a worker; an update that cannot be run ends by itself.
    - A system that gives no more threads does not stop the pool as long as it has one.
Assumes
    - `runner.run` returns False only for a worker that was written off.

Workers are daemon threads that the runner joins (at the latest through the interpreter's exit hook), so only one
whose handler hangs is ever left to the interpreter's end.
"""
import logging
import threading
import time

from runner_c._ring cimport NOTHING, START_WORKER, Ring, call_t
from runner_c._sync cimport rc_name_thread, rc_parker_destroy, rc_parker_init

logger = logging.getLogger("runner_c")

cdef extern from *:
    """
    /* The Worker of the calling thread: borrowed, NULL outside of a pool. */
    static __thread void *rc_own_worker = NULL;
    """
    void *rc_own_worker


cdef Worker current_worker():
    return <Worker> rc_own_worker if rc_own_worker != NULL else None


cdef class Worker:
    """One worker thread."""

    def __cinit__(self, int number):
        rc_parker_init(&self.slot.parker)
        self.slot.is_called = True
        self.number = number

    def __dealloc__(self):
        rc_parker_destroy(&self.slot.parker)


cdef class TicketRunner:
    """What a worker does with a ticket."""

    cdef bint run(self, Worker worker, ticket_t *ticket) noexcept:
        return False


cdef class Pool:
    """Elastic set of worker threads around a ring."""

    def __init__(self, Ring ring, TicketRunner runner, str name):
        self._ring = ring
        self._runner = runner
        self._name = name
        self._lock = threading.Lock()  # guards _threads, _started; a leaf
        self._threads = {}

    def start(self):
        """Start the first worker. Raises RuntimeError when the system gives no thread at all."""
        self._ring.count_in()
        self._start_worker()

    cdef void obey(self, call_t call) noexcept:
        """Do what the ring asked for after it was unlocked."""
        if call == NOTHING:
            return
        try:
            self._start_worker()
        except Exception:
            # With workers left this is a slower pool, not a broken one; the monitor of the run looks at the count.
            if not self._is_short:
                self._is_short = True
                logger.exception(
                    "the system gives no more threads; %s goes on with %d workers",
                    self._name, self._ring.threads(), extra={"action": "pool.short"},
                )

    def _start_worker(self):
        cdef Worker worker
        with self._lock:
            self._started += 1
            worker = Worker(self._started)
        worker.runner = self._runner
        thread = threading.Thread(
            target=self._work, args=(worker,), name=f"{self._name}-worker-{worker.number}", daemon=True
        )
        with self._lock:
            self._threads[worker.number] = (thread, worker)
        try:
            thread.start()
        except BaseException:
            with self._lock:
                del self._threads[worker.number]
            self._ring.start_failed()
            raise

    def _work(self, Worker worker):
        global rc_own_worker
        cdef ticket_t *ticket
        cdef call_t call = NOTHING
        worker.thread = threading.get_ident()
        rc_own_worker = <void *> worker
        rc_name_thread(f"worker-{worker.number}".encode())
        try:
            while True:
                ticket = self._ring.take(&worker.slot, &call)
                if call == START_WORKER:
                    self.obey(call)
                if ticket == NULL or not self._runner.run(worker, ticket):
                    return
        finally:
            rc_own_worker = NULL
            with self._lock:
                self._threads.pop(worker.number, None)

    def size(self):
        """Return how many threads are there, with those written off."""
        with self._lock:
            return len(self._threads)

    def join(self, deadline_s):
        """Wait until the workers are gone or `time.monotonic()` is past `deadline_s`; return how many are left.

        Those that were written off are counted but not waited for.
        """
        own = threading.current_thread()
        with self._lock:
            workers = list(self._threads.values())
        for thread, worker in workers:
            if thread is not own and thread.ident is not None and not (<Worker> worker).slot.is_written_off:
                thread.join(max(0.0, deadline_s - time.monotonic()))
        return len([thread for thread, _ in workers if thread.is_alive() and thread is not own])
