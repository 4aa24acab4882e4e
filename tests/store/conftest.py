"""The stores that have to keep the contract of `runner_c.store.base`, each with a clock that the test turns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from runner_c.store import Arrival, Claim, Failure, Pushed, Settlement, Store, Verdict, Write
from runner_c.store.memory import MemoryStore
from runner_c.store.sqlite import SqliteStore

NOON = 1_767_268_800.25
"""A wall time. Tests move the clock by whole seconds and take leases of others, so that nothing lapses just then."""

DURABLE = ["sqlite"]


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Box:
    """A store and what tests do with it over and over."""

    def __init__(self, make: Callable[[Clock], Store], lasts: bool) -> None:
        self._make = make
        self.lasts = lasts
        self.clock = Clock()
        self.store = make(self.clock)

    def reopen(self) -> None:
        """Close the store and open it again; nothing is left of one that does not last."""
        self.store.close()
        self.store = self._make(self.clock)

    @staticmethod
    def arrival(update_id: int, *keys: str, is_urgent: bool = False, **more: Any) -> Arrival:
        """Make an update with keys."""
        return Arrival({"update_id": update_id, **more}, keys, is_urgent)

    def push(self, *arrivals: Arrival, **options: Any) -> Pushed:
        """Push a batch."""
        return self.store.push(arrivals, **options)

    def keep(self, update_ids: Iterable[int], *keys: str) -> None:
        """Push updates of the same keys, none of which is given out."""
        places = self.push(*[self.arrival(update_id, *keys) for update_id in update_ids]).places
        assert not any(places), places

    def give(self, *arrivals: Arrival) -> list[tuple[int, int]]:
        """Push a batch, all of which is given out; return the claims as pairs of seq and token."""
        token, places = self.push(*arrivals, limit=len(arrivals), chain=len(arrivals))
        assert all(place > 0 for place in places), places
        return [(place, token) for place in places]

    def claim_ids(self, limit: int = 100, **options: Any) -> list[int]:
        """Claim, and return the ids."""
        return self.ids(self.store.claim(limit, **options))

    def claim_one(self, **options: Any) -> Claim:
        """Claim the one update that there is."""
        (claim,) = self.store.claim(2, **options)
        return claim

    @staticmethod
    def ids(claims: Sequence[Claim]) -> list[int]:
        """Return the ids of claims."""
        return [claim.update["update_id"] for claim in claims]

    def settle(self, claim: Claim | tuple[int, int], *writes: Write) -> Verdict:
        """Settle one update."""
        (verdict,) = self.store.settle([Settlement(claim[0], claim[1], writes)])
        return verdict

    def fail(self, claim: Claim | tuple[int, int], retry_in_s: float | None = None, error: str = "boom") -> Verdict:
        """Fail one update."""
        (verdict,) = self.store.fail([Failure(claim[0], claim[1], error, retry_in_s)])
        return verdict

    def kill(self, update_id: int, *keys: str, error: str = "boom", **more: Any) -> int:
        """Make a dead letter; return its number."""
        before = {letter.number for letter in self.store.dead.list(limit=10**6)}
        (claim,) = self.give(self.arrival(update_id, *keys, **more))
        assert self.fail(claim, error=error) is Verdict.OK
        (number,) = {letter.number for letter in self.store.dead.list(limit=10**6)} - before
        return number


def makers(folder: Path) -> dict[str, Callable[[Clock], Store]]:
    """Return how each store is opened."""
    return {
        "memory": lambda clock: MemoryStore(clock=clock),
        "sqlite": lambda clock: SqliteStore(str(folder / "bot.db"), clock=clock),
    }


@pytest.fixture(params=["memory", "sqlite"])
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Box]:
    """Return a store of each kind."""
    box = Box(makers(tmp_path)[request.param], request.param in DURABLE)
    yield box
    box.store.close()


@pytest.fixture(params=DURABLE)
def durable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Box]:
    """Return a store of each kind that outlives its process."""
    box = Box(makers(tmp_path)[request.param], True)
    yield box
    box.store.close()
