/* Threads, clock and atomics: the only place of the engine that knows pthreads.
 *
 * Guarantees
 *   - rc_lock never blocks while the calling thread is attached to the interpreter: it tries the mutex, and where
 *     that fails it detaches (releases the GIL) before it waits. A fork or a stop-the-world pause therefore never
 *     waits for a thread that waits for us.
 *   - A parker remembers one wake-up: an unpark before the park is not lost.
 *   - All times are int64 nanoseconds of CLOCK_MONOTONIC; waits use the same clock, so that a moved wall clock
 *     changes nothing.
 * Assumes
 *   - POSIX threads, and a compiler with the __atomic built-ins (gcc, clang).
 *   - No code that runs under an rc_mutex calls the Python API.
 */
#ifndef RUNNER_C_SYNC_H
#define RUNNER_C_SYNC_H

#include <Python.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef pthread_mutex_t rc_mutex;

typedef struct {
    pthread_mutex_t mutex; /* guards is_set */
    pthread_cond_t cond;
    pid_t pid; /* the process whose threads wait here */
    int is_set;
} rc_parker;

static inline int64_t rc_now_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * INT64_C(1000000000) + (int64_t)ts.tv_nsec;
}

static inline void rc_mutex_init(rc_mutex *mutex) { pthread_mutex_init(mutex, NULL); }
static inline void rc_mutex_destroy(rc_mutex *mutex) { pthread_mutex_destroy(mutex); }

/* Lock from a thread that is attached to the interpreter. */
static inline void rc_lock(rc_mutex *mutex) {
    if (pthread_mutex_trylock(mutex) == 0) return;
    PyThreadState *saved = PyEval_SaveThread();
    pthread_mutex_lock(mutex);
    PyEval_RestoreThread(saved);
}

/* Lock from a thread that is detached. */
static inline void rc_lock_detached(rc_mutex *mutex) { pthread_mutex_lock(mutex); }

static inline void rc_unlock(rc_mutex *mutex) { pthread_mutex_unlock(mutex); }

static inline void rc_parker_init(rc_parker *parker) {
    pthread_mutex_init(&parker->mutex, NULL);
#if defined(__APPLE__)
    pthread_cond_init(&parker->cond, NULL);
#else
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&parker->cond, &attributes);
    pthread_condattr_destroy(&attributes);
#endif
    parker->pid = getpid();
    parker->is_set = 0;
}

/* In a forked child nothing is destroyed: the copy still counts the parent's waiters, and destroying a condition
 * variable waits for its waiters, for ever. */
static inline void rc_parker_destroy(rc_parker *parker) {
    if (parker->pid != getpid()) return;
    pthread_cond_destroy(&parker->cond);
    pthread_mutex_destroy(&parker->mutex);
}

/* Wait until unparked or until deadline_ns (negative: no deadline). Returns 1 if unparked, 0 if late. The calling
 * thread is detached. */
static inline int rc_park_detached(rc_parker *parker, int64_t deadline_ns) {
    int was_set;
    pthread_mutex_lock(&parker->mutex);
    while (!parker->is_set) {
        if (deadline_ns < 0) {
            pthread_cond_wait(&parker->cond, &parker->mutex);
            continue;
        }
#if defined(__APPLE__)
        int64_t left_ns = deadline_ns - rc_now_ns();
        if (left_ns <= 0) break;
        struct timespec span = {(time_t)(left_ns / 1000000000), (long)(left_ns % 1000000000)};
        pthread_cond_timedwait_relative_np(&parker->cond, &parker->mutex, &span);
#else
        struct timespec until = {(time_t)(deadline_ns / 1000000000), (long)(deadline_ns % 1000000000)};
        if (pthread_cond_timedwait(&parker->cond, &parker->mutex, &until) == ETIMEDOUT) break;
#endif
    }
    was_set = parker->is_set;
    parker->is_set = 0;
    pthread_mutex_unlock(&parker->mutex);
    return was_set;
}

/* The same from a thread that is attached, and is again afterwards. */
static inline int rc_park(rc_parker *parker, int64_t deadline_ns) {
    PyThreadState *saved = PyEval_SaveThread();
    int was_set = rc_park_detached(parker, deadline_ns);
    PyEval_RestoreThread(saved);
    return was_set;
}

/* The parker's mutex is held for a few instructions only and never across a detach, so a plain lock is safe here. */
static inline void rc_unpark(rc_parker *parker) {
    pthread_mutex_lock(&parker->mutex);
    parker->is_set = 1;
    pthread_cond_signal(&parker->cond);
    pthread_mutex_unlock(&parker->mutex);
}

static inline int rc_load(const int *place) { return __atomic_load_n(place, __ATOMIC_ACQUIRE); }
static inline void rc_store(int *place, int value) { __atomic_store_n(place, value, __ATOMIC_RELEASE); }
/* Of two threads that each change one place and then read the other's, at least one sees the other's change. */
static inline int rc_add_seen(int *place, int value) { return __atomic_add_fetch(place, value, __ATOMIC_SEQ_CST); }
static inline void rc_store_seen(int *place, int value) { __atomic_store_n(place, value, __ATOMIC_SEQ_CST); }
static inline int rc_load_seen(const int *place) { return __atomic_load_n(place, __ATOMIC_SEQ_CST); }
static inline void rc_increment(int *place) { __atomic_add_fetch(place, 1, __ATOMIC_RELAXED); }
static inline int rc_swap_if_64(int64_t *place, int64_t expected, int64_t value) {
    return __atomic_compare_exchange_n(place, &expected, value, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}
static inline void rc_store_64(int64_t *place, int64_t value) { __atomic_store_n(place, value, __ATOMIC_RELEASE); }
static inline int rc_decrement(int *place) { return __atomic_sub_fetch(place, 1, __ATOMIC_ACQ_REL); }
static inline int rc_swap_if(int *place, int expected, int value) {
    return __atomic_compare_exchange_n(place, &expected, value, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* Whether this build has a GIL for which threads queue. */
#ifdef Py_GIL_DISABLED
#define RC_HAS_GIL 0
#else
#define RC_HAS_GIL 1
#endif

/* Step aside for another thread, detached. */
static inline void rc_yield(void) {
    Py_BEGIN_ALLOW_THREADS
    sched_yield();
    Py_END_ALLOW_THREADS
}

/* The name that top -H, gdb and perf show; the system keeps 15 characters. */
static inline void rc_name_thread(const char *name) {
    char short_name[16];
    strncpy(short_name, name, 15);
    short_name[15] = 0;
#if defined(__APPLE__)
    pthread_setname_np(short_name);
#elif defined(__linux__)
    pthread_setname_np(pthread_self(), short_name);
#endif
}

#endif
