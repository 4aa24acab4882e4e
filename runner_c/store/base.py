"""The store port: what a store has to do so that nothing is lost. Every implementation passes tests/store/.

::

    arrival ──push──▶ waiting in the store ──claim──▶ given out ──settle──▶ gone
                 │                                      │  ▲  └──fail──▶ tried again, or a dead letter
                 └───────── given out at once ──────────┘  └─ release, a lapsed lease, the death of its owner

**Guarantees** that each implementation gives

- What `push` took is durable when it returns, and each ``update_id`` is taken once in 48 hours, by whatever road it
  comes and in whatever order. Arrivals are numbered (``seq``) in their order.
- The order of a key: an update is given out only when no earlier one that shares a key with it is unsettled; or, up to
  `chain` of a call, when all such have been given out to the same claimer, who keeps their order.
  While somebody has claims with a lease, nobody gets such followers.
- A claim has a token. Once it is void (its lease lapsed, another one took over), `settle` and `fail` with it are STALE
  and change nothing.
- `settle` writes the sessions of an update and ends it in one step, or does neither. What one call settled is durable
  before what a later call did; all of it after `sync`.
- What is unsettled when its claimer dies is given out again, before all that waits, with ``attempt`` one higher.

**Assumes** that a claimer settles the updates of a key in the order of their numbers.

*Thread-safety*: any thread. *Blocks*: `push` until the disk has it, the others for less.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from runner_c.protocols import Update

__all__ = [
    "KEPT",
    "RETENTION_S",
    "SEEN",
    "Arrival",
    "Claim",
    "Counts",
    "DeadLetter",
    "DeadLetters",
    "Failure",
    "Pushed",
    "RunningMarks",
    "Settlement",
    "Store",
    "Value",
    "Verdict",
    "Write",
]

RETENTION_S = 48 * 3600.0
"""How long the id of an accepted update is known, in seconds."""

KEPT = 0
"""The place of an arrival that waits in the store."""

SEEN = -1
"""The place of an arrival whose id was accepted before."""


class Arrival(NamedTuple):
    """An update that comes in."""

    update: Update
    keys: tuple[str, ...] = ()
    """Updates that share one of these keep their order; distinct."""
    is_urgent: bool = False
    """Given out before all that is not; such an update has no keys."""


class Pushed(NamedTuple):
    """What became of a batch of arrivals."""

    token: int
    """The token of those that were given out at once."""
    places: list[int]
    """For each arrival: its ``seq`` (1 or more) if it was given out, else `KEPT` or `SEEN`."""


class Claim(NamedTuple):
    """An update that is given out."""

    seq: int
    token: int
    update: Update
    keys: tuple[str, ...]
    is_urgent: bool = False
    attempt: int = 1
    """1 when nobody can have begun it before."""
    failures: int = 0
    """How often its handler has failed."""
    retry_in_s: float = 0.0
    """How long it has to wait before it is tried again."""
    is_suspect: bool = False
    """It ran when its last owner died."""


class Write(NamedTuple):
    """A session that an update changed."""

    key: str
    version: int
    """The version that was read; 0 where there was none."""
    value: bytes | None
    """JSON; None deletes."""


class Value(NamedTuple):
    """A session as it is stored."""

    version: int
    value: bytes


class Settlement(NamedTuple):
    """An update that is done with."""

    seq: int
    token: int
    writes: Sequence[Write] = ()


class Failure(NamedTuple):
    """An update whose handler failed."""

    seq: int
    token: int
    error: str
    retry_in_s: float | None
    """When it is to be tried again; the claimer keeps it. None: it becomes a dead letter, and its keys are open."""


class Verdict(Enum):
    """What became of a settlement or a failure."""

    OK = "ok"
    STALE = "stale"
    """The token is void: nothing was changed."""
    CONFLICT = "conflict"
    """A session has another version than the one that was read: nothing was changed, the claim is as it was."""


class DeadLetter(NamedTuple):
    """An update that was given up."""

    number: int
    """By which it is shown, retried and dropped."""
    update_id: int
    update: Update
    keys: tuple[str, ...]
    error: str
    """Why, with the traceback of the last failure."""
    attempts: int
    died_at: float
    """Seconds since 1970."""
    is_retried: bool = False
    """Its retry was asked for and has not begun."""


class Counts(NamedTuple):
    """How much a store holds."""

    waiting: int
    """Updates not given out."""
    given: int
    """Updates given out and unsettled."""
    dead: int


class DeadLetters(ABC):
    """The updates that were given up. Thread-safety: any thread; also of another process than the runner's."""

    @abstractmethod
    def list(self, *, after: int = 0, limit: int = 100) -> list[DeadLetter]:
        """Return up to `limit` letters whose number is above `after`, in the order of their numbers."""

    @abstractmethod
    def show(self, number: int) -> DeadLetter | None:
        """Return one letter, or None."""

    @abstractmethod
    def retry(self, numbers: Iterable[int]) -> int:
        """Ask for a new try of letters; return how many there were. The next `Store.tend` takes them up.

        The update comes back as if it had arrived then, with its failures forgotten.
        """

    @abstractmethod
    def drop(self, numbers: Iterable[int]) -> int:
        """Forget letters; return how many there were."""

    @abstractmethod
    def count(self) -> int:
        """Return how many there are."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what `open_dead_letters` opened; those of an open store close with it."""


class RunningMarks(ABC):
    """Where workers note what they run, so that it is known after their process died."""

    slots: memoryview
    """One int64 for each worker: the ``seq`` of the update that it runs, 0 for none. Survives the process."""

    @abstractmethod
    def clear(self) -> None:
        """Forget what is noted: nobody is to be suspected of what still runs."""

    @abstractmethod
    def set_alone(self, is_alone: bool) -> None:
        """Note that from now on (or no longer) one update runs at a time, so that a death is the fault of that one."""


class Store(ABC):
    """Journal, accepted ids, sessions, dead letters and offset of one bot."""

    url: str
    """What `open_store` opened."""

    dead: DeadLetters

    marks: RunningMarks | None = None
    """None: whoever runs what when the process dies is not known, and nobody is suspected."""

    @property
    @abstractmethod
    def offset(self) -> int | None:
        """The offset of the last push that had one."""

    @abstractmethod
    def bind(self, owner: str) -> None:
        """Say whose updates these are.

        Raises:
            StoreError: the store holds those of another bot.
        """

    @abstractmethod
    def push(
        self,
        arrivals: Sequence[Arrival],
        *,
        offset: int | None = None,
        limit: int = 0,
        chain: int = 0,
        json: bytes | None = None,
    ) -> Pushed:
        """Take updates in, and give out as many of them as may be.

        Args:
            arrivals: in their order.
            offset: where polling goes on after them; None leaves it as it is.
            limit: the most to give out at once.
            chain: how many of these may be such whose predecessors, though given out, are unsettled.
            json: the updates as a JSON array, if the caller has it; a store may use it instead of making it.

        Raises:
            TypeError, ValueError: one of them is no update, or no JSON; nothing was taken.
            StoreUnavailable: nothing was taken; try again later.
            StoreError: the store is broken.
        """

    @abstractmethod
    def claim(self, limit: int, *, chain: int = 0, lease_s: float | None = None) -> list[Claim]:
        """Give out updates that wait: those of dead owners first, then urgent ones, then by age and fair to all keys.

        Args:
            limit: the most to give out.
            chain: as for `push`; 0 with a lease. As far as it goes updates come by age only: a caller who wants one
                busy key not to hide the others leaves room above it.
            lease_s: after so many seconds without `extend` the claims are void. None: when the store is closed.
        """

    @abstractmethod
    def settle(self, settlements: Sequence[Settlement]) -> list[Verdict]:
        """End updates, in this order, each with its sessions.

        Raises:
            StoreUnavailable: nothing was settled; try again later.
        """

    @abstractmethod
    def fail(self, failures: Sequence[Failure]) -> list[Verdict]:
        """Note failures, in this order. Raises like `settle`."""

    @abstractmethod
    def extend(self, claims: Iterable[tuple[int, int]], lease_s: float) -> list[bool]:
        """Prolong the leases of claims, each a pair of ``seq`` and token; False where the token is void."""

    @abstractmethod
    def release(self, claims: Iterable[tuple[int, int]], *, has_begun: bool = False) -> None:
        """Give claims back: they come first again.

        To be called for all that the claimer has of a key, or for the last ones of it.

        Args:
            claims: pairs of ``seq`` and token; void ones are passed over.
            has_begun: the attempt counts. False: it is as if they had not been given out.
        """

    @abstractmethod
    def load(self, keys: Iterable[str]) -> Mapping[str, Value]:
        """Return the sessions of keys that have one."""

    @abstractmethod
    def sync(self) -> None:
        """Make everything that was settled durable."""

    @abstractmethod
    def tend(self) -> bool:
        """Do a small step of what has to be done now and then; return whether there is more of it to do at once.

        Takes up retried dead letters, forgets old ids, gives room back. To be called about once a second.
        """

    @abstractmethod
    def counts(self) -> Counts:
        """Return how much there is."""

    @abstractmethod
    def close(self) -> None:
        """Make everything durable and let go of the store. Claims are void."""
