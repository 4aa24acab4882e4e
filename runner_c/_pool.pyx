"""The pool: worker threads that grow with need and go when they are idle.

Guarantees
    - A thread is started only when an update is ready, a slot is free and nobody is idle; the ring says so, one at a
      time, and the new worker has the next one started once it has taken its update.
    - No more threads than `concurrency`, plus one for each worker that is blocked at a key, plus those written off.
    - An exception never ends a worker; an update that cannot be run ends by itself.
    - A system that gives no more threads does not stop the pool as long as it has one.
Assumes
    - A handler that forks goes on in both processes; the child ends where the handler ends.
    - `runner.run` returns False only for a worker that was written off.

Workers are daemon threads that the runner joins (at the latest through the interpreter's exit hook), so only one
whose handler hangs is ever left to the interpreter's end.
"""
import _thread
import logging
import os
import sys
import threading
import time

from runner_c._ring cimport NOTHING, START_WORKER, Ring, call_t
from runner_c._sync cimport rc_name_thread, rc_parker_destroy, rc_parker_init

from runner_c.secret import traceback_of

logger = logging.getLogger("runner_c")

cdef extern from *:
    """
    /* The Worker of the calling thread: borrowed, NULL outside of a pool. */
    static __thread void *rc_own_worker = NULL;
    """
    void *rc_own_worker


cdef Worker current_worker():
    return <Worker> rc_own_worker if rc_own_worker != NULL else None


# Counts forks. In the child of a fork that a handler made, its worker is the only thread there is.
cdef int forks = 0


def count_fork():
    global forks
    forks += 1


os.register_at_fork(after_in_child=count_fork)


cdef bint leave_if_forked(object error) except -1:
    """End the process if it is the child of a fork that the handler made: nothing of the engine lives there."""
    cdef Worker worker = current_worker()
    if worker is None or worker.forks == forks:
        return False
    code = 0 if error is None else 1
    if isinstance(error, SystemExit):
        code = error.code if type(error.code) is int else int(error.code is not None)
    elif error is not None:
        sys.stderr.write(traceback_of(error) + "\n")
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            continue
    os._exit(code & 255)


cdef class Worker:
    """One worker thread."""

    def __cinit__(self, int number):
        rc_parker_init(&self.slot.parker)
        self.slot.is_called = True
        self.slot.is_urgent = True
        self.forks = forks
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
        self._lock = threading.Lock()  # guards _threads, _ended, _started, _is_over; a leaf
        self._threads = {}
        self._ended = []

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
        except KeyboardInterrupt:
            _thread.interrupt_main()  # it hit the main thread in here; let it arrive where it can be seen
        except BaseException as error:
            self._go_without(error)

    def _go_without(self, error):
        """With workers left this is a slower pool; with none the run has to end."""
        if self._ring.threads() == 0 and self.on_starved is not None:
            self.on_starved(error)
        elif not self._is_short:
            self._is_short = True
            logger.error(
                "the system gives no more threads (%s); %s goes on with %d workers",
                error, self._name, self._ring.threads(), extra={"action": "pool.short"},
            )

    def _start_worker(self):
        cdef Worker worker
        with self._lock:
            self._started += 1
            worker = Worker(self._started)
            self._reap()
        worker.runner = self._runner
        worker.pool = self
        thread = threading.Thread(
            target=self._work, args=(worker,), name=f"{self._name}-worker-{worker.number}", daemon=True
        )
        with self._lock:
            self._threads[worker.number] = (thread, worker)
        try:
            thread.start()
        except BaseException:
            # An interrupt may hit the wait for a thread that has begun: that one counts.
            if thread.ident is None:
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
            # The collector does not see into the sink: cut the circle sink - delivery - worker - sink here.
            worker.runner = None
            worker.pool = None
            with self._lock:
                self._ended.append(worker.number)
                if self._is_over and len(self._ended) == len(self._threads):
                    self._let_go()

    cdef void _let_go(self):
        """Drop what leads back to the sink, once no worker is left."""
        self._runner = None
        self.on_starved = None

    def _reap(self):
        """Drop threads that have ended; the caller holds the lock. One that is still on its last lines stays."""
        cdef list left = []
        for number in self._ended:
            if self._threads[number][0].is_alive():
                left.append(number)
            else:
                del self._threads[number]
        self._ended = left

    def join(self, deadline_s):
        """Wait until the workers are gone or `time.monotonic()` is past `deadline_s`; return how many are left.

        Those that were written off are counted but not waited for. No worker may be started any more.
        """
        own = threading.current_thread()
        while True:
            with self._lock:
                self._is_over = True
                self._reap()
                if not self._threads:
                    self._let_go()
                workers = [pair for pair in self._threads.values() if pair[0] is not own]
            awaited = [thread for thread, worker in workers if not (<Worker> worker).slot.is_written_off]
            if not awaited or time.monotonic() >= deadline_s:
                return len(workers)
            for thread in awaited:
                if thread.ident is None:
                    time.sleep(0.001)  # being started by somebody at this moment
                else:
                    thread.join(max(0.0, deadline_s - time.monotonic()))
