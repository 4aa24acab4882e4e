"""The slow road of sequentialize: a turn at a key that is known only when a handler is already running.

**Guarantees**

- Turns at one key never overlap. Those that wait are served by the age of their update, others by arrival.
- A turn taken inside a delivery is held until the delivery has settled: what it wrote is in the store by then.
- While a worker waits it holds no concurrency slot.
- No deadlock: a wait that would close a circle (through any gates, any number of keys) raises KeyDeadlock instead.

**Assumes** that gates are the exception; one lock guards them all. The fast road is declared keys (`_lanes`).
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from runner_c._delivery import Delivery
from runner_c._sink import current
from runner_c.errors import KeyDeadlock, Stopped

__all__ = ["Gate"]

Owner = Delivery | int
"""Who takes a turn: a delivery, or (outside a runner) a thread by its identifier."""

# Guards the lanes of every gate, every ticket and `_waiting`. A leaf: nothing else is locked while it is held.
_lock = threading.Lock()
_waiting: dict[Owner, _Ticket] = {}
# Counts forks: what stood in the lanes of the parent is not there in the child.
_generation = 0


def _forget_the_parent() -> None:
    """In a forked child the lock may be held by a thread that is not there, and every waiter is gone."""
    global _generation, _lock
    _lock = threading.Lock()
    _waiting.clear()
    _generation += 1


os.register_at_fork(after_in_child=_forget_the_parent)


class _Ticket:
    """One caller's place in the lanes of its keys."""

    __slots__ = ("age", "event", "gate", "is_entered", "is_over", "is_served", "keys", "owner")

    def __init__(self, gate: Gate, owner: Owner, keys: list[str], age: float) -> None:
        self.gate = gate
        self.owner = owner
        self.keys = keys
        self.age = age
        self.event = threading.Event()
        self.is_served = False
        self.is_entered = False
        self.is_over = False


class Gate:
    """Give callers turns at keys, in order, blocking those who wait.

    Thread-safety: any thread.
    """

    def __init__(self) -> None:
        self._generation = _generation
        self._lanes: dict[str, deque[_Ticket]] = {}

    @contextmanager
    def turn(self, keys: Iterable[str]) -> Iterator[None]:
        """Hold `keys` together.

        Inside a delivery they are held until it has settled, even after the block; outside until the block ends.
        Keys which the caller holds already are not waited for.

        *Blocks* until every earlier turn at one of the keys is over; a stop that passes its deadline wakes it.

        Raises:
            KeyDeadlock: waiting would never end.
            Stopped: the runner stopped meanwhile.
        """
        delivery = current()
        owner: Owner = delivery if delivery is not None else threading.get_ident()
        wanted = self._not_held(owner, set(keys))
        if not wanted:
            yield
            return
        ticket = _Ticket(self, owner, sorted(wanted), float("inf") if delivery is None else delivery.sequence)
        if delivery is not None:
            # Before it stands in any lane, so that nothing that is raised in this thread can leave it there.
            delivery.on_settled(lambda: self._leave(ticket))
        try:
            self._enter(ticket)
            if not ticket.is_served:
                self._wait(ticket, delivery)
            yield
        finally:
            if delivery is None:
                self._leave(ticket)

    def __len__(self) -> int:
        """Return how many keys are held or waited for."""
        return len(self._lanes)

    def _not_held(self, owner: Owner, keys: set[str]) -> set[str]:
        with _lock:
            if self._generation != _generation:
                self._generation = _generation
                self._lanes = {}
            return {key for key in keys if not (key in self._lanes and self._lanes[key][0].owner == owner)}

    def _enter(self, ticket: _Ticket) -> None:
        with _lock:
            if ticket.is_over:
                raise Stopped("this update has been ended meanwhile")
            ticket.is_entered = True
            for key in ticket.keys:
                lane = self._lanes.setdefault(key, deque())
                place = len(lane)
                while place and not lane[place - 1].is_served and lane[place - 1].age > ticket.age:
                    place -= 1
                lane.insert(place, ticket)
            if self._is_first(ticket):
                ticket.is_served = True
                return
            _waiting[ticket.owner] = ticket
            if _closes_a_circle(ticket):
                self._remove(ticket)
                raise KeyDeadlock(
                    f"waiting for {', '.join(ticket.keys)} would never end: who holds it waits for this update. "
                    "Put sequentialize() at the head of the stack, or take the keys in one order everywhere"
                )

    def _wait(self, ticket: _Ticket, delivery: Delivery | None) -> None:
        if delivery is None:
            ticket.event.wait()
            return

        def cancel() -> None:
            with _lock:
                ticket.is_over = ticket.is_over or not ticket.is_served
            ticket.event.set()

        with delivery.blocked(cancel):
            ticket.event.wait()
        if ticket.is_over:
            raise Stopped("this update was ended while it waited for a key")

    def _leave(self, ticket: _Ticket) -> None:
        """Give the turn back, or the place in the queue; its owner, if it waits, goes home."""
        with _lock:
            ticket.is_over = True
            self._remove(ticket)
            ticket.event.set()

    def _remove(self, ticket: _Ticket) -> None:
        if not ticket.is_entered or self._generation != _generation:
            return
        ticket.is_entered = False
        if _waiting.get(ticket.owner) is ticket:
            del _waiting[ticket.owner]
        followers: list[_Ticket] = []
        for key in ticket.keys:
            lane = self._lanes[key]
            lane.remove(ticket)
            if lane:
                followers.append(lane[0])
            else:
                del self._lanes[key]
        for follower in followers:
            if not follower.is_served and self._is_first(follower):
                follower.is_served = True
                _waiting.pop(follower.owner, None)
                follower.event.set()

    def _is_first(self, ticket: _Ticket) -> bool:
        return all(self._lanes[key][0] is ticket for key in ticket.keys)

    def _ahead_of(self, ticket: _Ticket) -> Iterator[_Ticket]:
        for key in ticket.keys:
            for other in self._lanes[key]:
                if other is ticket:
                    break
                yield other


def _closes_a_circle(ticket: _Ticket) -> bool:
    """Follow who waits for whom from a new ticket; True when the way leads back to its owner."""
    ways = [ticket]
    seen: set[int] = set()
    while ways:
        at = ways.pop()
        for other in at.gate._ahead_of(at):
            if other.owner == ticket.owner:
                return True
            if id(other) in seen:
                continue
            seen.add(id(other))
            next_wait = _waiting.get(other.owner)
            if next_wait is not None:
                ways.append(next_wait)
    return False
