"""Lanes: which update waits behind which.

A lane is the queue of the admitted, unsettled updates of one key. An update is ready when it heads every lane it
stands in, which is when the number of updates it waits for has come down to zero.

Guarantees
    - An update enters all its lanes in one step: no other update gets between them, so two updates with several keys
      in common stand in the same order in each of those lanes, and there is no circle to deadlock in.
    - Each ticket becomes ready exactly once.
    - Entering and leaving cost O(number of its keys). A lane without updates does not exist: it costs no memory, and
      the bucket arrays shrink again.
Assumes
    - The keys of one ticket are distinct.
    - Only a ticket that heads all its lanes leaves them (the engine runs no other).

Lock order: the stripes of one ticket, all together, by index. Taken one after the other they deadlock as soon as two
threads admit updates with two keys each. Leaving takes one stripe at a time and holds never two.
"""
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp

from runner_c._sync cimport (
    rc_decrement,
    rc_lock,
    rc_mutex_destroy,
    rc_mutex_init,
    rc_unlock,
)

cdef enum:
    STRIPES = 64            # one bit each in a uint64
    FIRST_BUCKETS = 8


cdef extern from *:
    int lowest_bit "__builtin_ctzll" (uint64_t bits) noexcept nogil


cdef inline unsigned int stripe_of(uint64_t hash) noexcept nogil:
    return <unsigned int> ((hash * <uint64_t> 0x9E3779B97F4A7C15ULL) >> 58)


cdef inline bint is_same_key(link_t *one, link_t *other) noexcept nogil:
    return (
        one.hash == other.hash
        and one.key_size == other.key_size
        and memcmp(one.key, other.key, <size_t> one.key_size) == 0
    )


cdef link_t **place_of(stripe_t *stripe, link_t *link) noexcept nogil:
    """The pointer that points, or would point, at the head of a link's lane."""
    cdef link_t **place = &stripe.buckets[link.hash & stripe.bucket_mask].heads
    while place[0] != NULL and not is_same_key(place[0], link):
        place = &place[0].chain
    return place


cdef void resize(stripe_t *stripe, uint64_t buckets) noexcept nogil:
    """Rehash to another number of buckets (a power of two); without memory for it, stay as it is."""
    cdef bucket_t *fresh = <bucket_t *> calloc(buckets, sizeof(bucket_t))
    cdef link_t *head
    cdef link_t *following
    cdef uint64_t index
    if fresh == NULL:
        return
    for index in range(stripe.bucket_mask + 1):
        head = stripe.buckets[index].heads
        while head != NULL:
            following = head.chain
            head.chain = fresh[head.hash & (buckets - 1)].heads
            fresh[head.hash & (buckets - 1)].heads = head
            head = following
    free(stripe.buckets)
    stripe.buckets = fresh
    stripe.bucket_mask = buckets - 1


cdef class Lanes:
    """The lock-striped key table."""

    def __cinit__(self):
        cdef int index
        self._stripes = <stripe_t *> calloc(STRIPES, sizeof(stripe_t))
        if self._stripes == NULL:
            raise MemoryError()
        for index in range(STRIPES):
            rc_mutex_init(&self._stripes[index].lock)
        for index in range(STRIPES):
            self._stripes[index].buckets = <bucket_t *> calloc(FIRST_BUCKETS, sizeof(bucket_t))
            if self._stripes[index].buckets == NULL:
                raise MemoryError()
            self._stripes[index].bucket_mask = FIRST_BUCKETS - 1

    def __dealloc__(self):
        cdef int index
        if self._stripes == NULL:
            return
        for index in range(STRIPES):
            free(self._stripes[index].buckets)
            rc_mutex_destroy(&self._stripes[index].lock)
        free(self._stripes)

    cdef bint enter(self, ticket_t *ticket) except -1:
        """Queue a ticket behind the last of each of its keys; true when it is ready at once."""
        cdef uint64_t mask = 0
        cdef uint64_t left
        cdef int number
        cdef int waits = 0
        cdef stripe_t *stripe
        cdef link_t *link
        cdef link_t **place
        if ticket.links == 0:
            return True
        for number in range(ticket.links):
            mask |= <uint64_t> 1 << stripe_of(ticket.link[number].hash)
        left = mask
        while left:
            rc_lock(&self._stripes[lowest_bit(left)].lock)
            left &= left - 1
        for number in range(ticket.links):
            link = &ticket.link[number]
            stripe = &self._stripes[stripe_of(link.hash)]
            place = place_of(stripe, link)
            link.follower = NULL
            if place[0] == NULL:
                link.tail = link
                link.chain = NULL
                place[0] = link
                stripe.lanes += 1
                if stripe.lanes > <Py_ssize_t> (2 * (stripe.bucket_mask + 1)):
                    resize(stripe, 4 * (stripe.bucket_mask + 1))
            else:
                place[0].tail.follower = link
                place[0].tail = link
                waits += 1
        # Written under the locks: whoever settles a predecessor needs one of them to count it down.
        ticket.waits = waits
        left = mask
        while left:
            rc_unlock(&self._stripes[lowest_bit(left)].lock)
            left &= left - 1
        return waits == 0

    cdef ticket_t *leave(self, ticket_t *ticket) noexcept:
        """Take a settled ticket out of its lanes; return the list of those that became ready by it."""
        cdef ticket_t *ready = NULL
        cdef ticket_t **end = &ready
        cdef int number
        cdef stripe_t *stripe
        cdef link_t *link
        cdef link_t *follower
        cdef link_t **place
        for number in range(ticket.links):
            link = &ticket.link[number]
            stripe = &self._stripes[stripe_of(link.hash)]
            rc_lock(&stripe.lock)
            place = place_of(stripe, link)
            follower = link.follower
            if follower == NULL:
                place[0] = link.chain
                stripe.lanes -= 1
                if stripe.bucket_mask >= FIRST_BUCKETS and stripe.lanes * 8 < <Py_ssize_t> stripe.bucket_mask:
                    resize(stripe, (stripe.bucket_mask + 1) // 4)
            else:
                follower.tail = link.tail
                follower.chain = link.chain
                place[0] = follower
                if rc_decrement(&follower.owner.waits) == 0:
                    follower.owner.next = NULL
                    end[0] = follower.owner
                    end = &follower.owner.next
            rc_unlock(&stripe.lock)
        return ready

    cdef Py_ssize_t size(self) noexcept:
        """How many keys have an unsettled update."""
        cdef Py_ssize_t lanes = 0
        cdef int index
        for index in range(STRIPES):
            rc_lock(&self._stripes[index].lock)
            lanes += self._stripes[index].lanes
            rc_unlock(&self._stripes[index].lock)
        return lanes
