"""Dedupe: the ids of accepted updates, as intervals.

Guarantees
    - An id added is known for at least `life_s`, and forgotten after at most twice that.
    - Consecutive ids cost one interval; an id next to the last one costs O(1), any other O(log n) and a memmove.
    - No watermark: an id lower than all known ones is as new as any other.
Assumes
    - Where memory runs out an id is forgotten rather than refused: twice is better than never.

Two generations: the young one takes new ids; when it is as old as `life_s` it becomes the old one.
Lock order: a leaf.
"""
from cpython.long cimport PyLong_AsLongLongAndOverflow
from libc.stdint cimport int64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memmove

from runner_c._sync cimport rc_lock, rc_mutex_destroy, rc_mutex_init, rc_now_ns, rc_unlock


cdef double LONGEST_LIFE_S = 9e9
cdef int64_t HIGHEST = 0x7FFFFFFFFFFFFFFFLL
cdef int64_t LOWEST = -0x7FFFFFFFFFFFFFFFLL - 1


cdef Py_ssize_t position(intervals_t *intervals, int64_t number) noexcept nogil:
    """The index of the first interval that ends at or after a number."""
    cdef Py_ssize_t low = 0
    cdef Py_ssize_t high = intervals.count
    cdef Py_ssize_t middle
    if high and intervals.items[high - 1].last < number:
        return high
    while low < high:
        middle = (low + high) // 2
        if intervals.items[middle].last < number:
            low = middle + 1
        else:
            high = middle
    return low


cdef bint holds(intervals_t *intervals, int64_t number) noexcept nogil:
    cdef Py_ssize_t index = position(intervals, number)
    return index < intervals.count and intervals.items[index].first <= number


cdef void insert(intervals_t *intervals, int64_t number) noexcept nogil:
    """Add a number that is not held yet."""
    cdef Py_ssize_t index = position(intervals, number)
    cdef interval_t *items = intervals.items
    cdef Py_ssize_t room
    cdef bint is_after = index > 0 and items[index - 1].last == number - 1
    cdef bint is_before = index < intervals.count and items[index].first == number + 1
    if is_after and is_before:
        items[index - 1].last = items[index].last
        intervals.count -= 1
        memmove(&items[index], &items[index + 1], <size_t> (intervals.count - index) * sizeof(interval_t))
        return
    if is_after:
        items[index - 1].last = number
        return
    if is_before:
        items[index].first = number
        return
    if intervals.count == intervals.room:
        room = intervals.room * 2 if intervals.room else 8
        items = <interval_t *> realloc(items, <size_t> room * sizeof(interval_t))
        if items == NULL:
            return
        intervals.items = items
        intervals.room = room
    memmove(&items[index + 1], &items[index], <size_t> (intervals.count - index) * sizeof(interval_t))
    items[index].first = number
    items[index].last = number
    intervals.count += 1


cdef void take_out(intervals_t *intervals, int64_t number) noexcept nogil:
    """Remove a number that is held. Without memory for one more interval it stays."""
    cdef Py_ssize_t index = position(intervals, number)
    cdef int64_t last = intervals.items[index].last
    if intervals.items[index].first == number:
        if last == number:
            intervals.count -= 1
            memmove(
                &intervals.items[index],
                &intervals.items[index + 1],
                <size_t> (intervals.count - index) * sizeof(interval_t),
            )
        else:
            intervals.items[index].first = number + 1
        return
    intervals.items[index].last = number - 1
    if last > number:
        # An interval of one that lies apart from its neighbours, then grown to the old end.
        insert(intervals, last)
        index = position(intervals, last)
        if holds(intervals, last):
            intervals.items[index].first = number + 1


cdef class Seen:
    """A set of update ids with a life. Thread-safety: any thread."""

    def __cinit__(self, double life_s=48 * 3600.0):
        rc_mutex_init(&self._lock)
        self._life_ns = <int64_t> (min(life_s, LONGEST_LIFE_S) * 1e9)
        self._turned_ns = rc_now_ns()

    def __dealloc__(self):
        free(self._young.items)
        free(self._old.items)
        rc_mutex_destroy(&self._lock)

    cdef void _turn(self, int64_t now_ns) noexcept nogil:
        cdef intervals_t emptied
        if now_ns - self._turned_ns < self._life_ns:
            return
        emptied = self._old
        emptied.count = 0
        self._old = self._young
        self._young = emptied
        self._turned_ns = now_ns

    cdef bint has(self, int64_t update_id) noexcept:
        """Tell whether an id was added."""
        cdef bint found
        rc_lock(&self._lock)
        found = holds(&self._young, update_id) or holds(&self._old, update_id)
        rc_unlock(&self._lock)
        return found

    cdef bint add(self, int64_t update_id) noexcept:
        """Add an id; false when it was there already."""
        cdef bint found
        rc_lock(&self._lock)
        self._turn(rc_now_ns())
        found = holds(&self._young, update_id) or holds(&self._old, update_id)
        if not found:
            insert(&self._young, update_id)
        rc_unlock(&self._lock)
        return not found

    cdef void forget(self, int64_t update_id) noexcept:
        """Remove an id: its update was not handled and may come again."""
        rc_lock(&self._lock)
        if holds(&self._young, update_id):
            take_out(&self._young, update_id)
        if holds(&self._old, update_id):
            take_out(&self._old, update_id)
        rc_unlock(&self._lock)

    def fill(self, int64_t first, int64_t last):
        """Add all ids from the first to the last, both included. O(number of intervals)."""
        cdef Py_ssize_t low
        cdef Py_ssize_t high
        cdef interval_t *items
        if last < first:
            return
        rc_lock(&self._lock)
        # All intervals from low on, and before high, overlap the new one or lie right beside it: they become one.
        low = position(&self._young, first - 1 if first > LOWEST else first)
        high = low
        while high < self._young.count and (last == HIGHEST or self._young.items[high].first <= last + 1):
            high += 1
        if high == low:
            insert(&self._young, first)
            items = self._young.items
            if low < self._young.count and items[low].first == first:
                items[low].last = last
        else:
            items = self._young.items
            items[low].first = min(items[low].first, first)
            items[low].last = max(items[high - 1].last, last)
            memmove(&items[low + 1], &items[high], <size_t> (self._young.count - high) * sizeof(interval_t))
            self._young.count -= high - low - 1
        rc_unlock(&self._lock)

    def intervals(self):
        """Return the ids as pairs of first and last, in order; for a set that has not turned."""
        cdef Py_ssize_t index
        cdef list found = []
        cdef interval_t interval
        for index in range(len(self)):
            rc_lock(&self._lock)
            if index >= self._young.count:
                rc_unlock(&self._lock)
                break
            interval = self._young.items[index]
            rc_unlock(&self._lock)
            found.append((interval.first, interval.last))
        return found

    def drop(self, int64_t update_id):
        """Remove an id, if it is there."""
        self.forget(update_id)

    def accept(self, int64_t update_id):
        """Add an id; return False when it was there already."""
        return self.add(update_id)

    def accept_all(self, list update_ids):
        """Add ids; return those that were not there, each once. Raises TypeError, and adds none, for what is no id."""
        cdef list fresh = []
        cdef int overflow = 0
        for update_id in update_ids:
            if type(update_id) is int:
                PyLong_AsLongLongAndOverflow(update_id, &overflow)
            if overflow or type(update_id) is not int:
                raise TypeError(f"an update_id is an integer of 64 bits, not {update_id!r}")
        for update_id in update_ids:
            if self.add(<int64_t> update_id):
                fresh.append(update_id)
        return fresh

    def __contains__(self, int64_t update_id):
        return self.has(update_id)

    def __len__(self):
        """Return how many intervals are kept."""
        cdef Py_ssize_t count
        rc_lock(&self._lock)
        count = self._young.count + self._old.count
        rc_unlock(&self._lock)
        return count
