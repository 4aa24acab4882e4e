"""Admission: how updates come into the store, and from there into memory.

**Guarantees**

- `append` returns True when a batch is durable, and not before. Calls from several threads share one commit.
- What there is no room for waits in the store; `feed` brings it into memory as room is made.
- An update that is no JSON takes no other one with it.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from runner_c import _journal
from runner_c._fault import fault_point
from runner_c._sink import Sink
from runner_c.errors import StoreUnavailable
from runner_c.journal.outage import STUCK_CAP_S, Outage
from runner_c.retry import Backoff
from runner_c.secret import describe_error
from runner_c.store.base import Store

__all__ = ["Admission"]

CLAIM_MOST = 256
"""How many updates come out of the store at once."""

logger = logging.getLogger("runner_c")


class _Batch:
    """Updates that somebody wants to have in the store."""

    __slots__ = ("error", "fault", "is_taken", "is_tried", "json", "offset", "updates")

    def __init__(self, updates: list[Any], offset: int | None, json: bytes | None) -> None:
        self.json = json
        self.updates = updates
        self.offset = offset
        self.is_tried = False
        self.is_taken = False
        self.error: BaseException | None = None
        self.fault: Exception | None = None


class Admission:
    """The way in of one run. Thread-safety: any thread.

    Attributes:
        lock: makes admission one thing at a time: store first, then lanes, so that both have one order. Before all
            other locks.
        has_stored: something may wait in the store only.
    """

    def __init__(self, store: Store, sink: Sink, outage: Outage) -> None:
        self._store = store
        self._sink = sink
        self._outage = outage
        self.lock = threading.Lock()
        self.has_stored = True
        self._is_closed = False
        self._queue_lock = threading.Lock()  # guards _queue; a leaf
        self._queue: list[_Batch] = []

    def append(
        self, updates: list[Any], offset: int | None = None, *, is_patient: bool = False, json: bytes | None = None
    ) -> bool:
        """Take updates in. *Blocks* until they are durable.

        Args:
            updates: in their order.
            offset: where polling goes on after them.
            is_patient: wait for a store that cannot write, until the run stops.
            json: the updates as a JSON array, if it is there already.

        Returns:
            False: the run stops, or the store cannot write now; nothing was taken.

        Raises:
            StoreError: the store is broken.
            TypeError, ValueError: an update cannot be kept as JSON, and nobody is patient.
        """
        backoff = Backoff("exponential", STUCK_CAP_S, float("inf"))
        while True:
            batch = _Batch(updates, offset, json)
            with self._queue_lock:
                self._queue.append(batch)
            with self.lock:
                if not batch.is_tried:
                    self._push_queue()
            if batch.fault is not None and not is_patient:
                raise batch.fault
            if batch.error is None:
                return batch.is_taken
            if not isinstance(batch.error, StoreUnavailable):
                raise batch.error
            if not is_patient or self._sink.stopping.wait(backoff.next_s()):
                return False

    def _push_queue(self) -> None:
        """Take everything that is queued into the store by one commit; the caller has the lock of admission."""
        with self._queue_lock:
            batches, self._queue = self._queue, []
        for batch in batches:
            batch.is_tried = True
        if self._is_closed:
            return
        offset = next((batch.offset for batch in reversed(batches) if batch.offset is not None), None)
        try:
            if len(batches) == 1:
                self._push(batches[0].updates, offset, batches, batches[0].json)
            else:
                self._push([update for batch in batches for update in batch.updates], offset, batches)
        except (TypeError, ValueError):
            # One of them is no JSON. Each on its own, so that it takes nobody with it.
            for batch in batches:
                self._push_singly(batch)
        except BaseException as error:
            for batch in batches:
                batch.error = error
        failed = next((batch.error for batch in batches if isinstance(batch.error, StoreUnavailable)), None)
        if failed is not None:
            self._outage.begin(failed)
        elif all(batch.error is None for batch in batches):
            self._outage.end()

    def _push(self, updates: list[Any], offset: int | None, batches: list[_Batch], json: bytes | None = None) -> None:
        fault_point("push.begun")
        stored = _journal.append(self._sink, self._store, updates, offset, json)
        fault_point("push.durable")
        for batch in batches:
            batch.is_taken = stored is not None
        self.has_stored = self.has_stored or bool(stored)

    def _push_singly(self, batch: _Batch) -> None:
        for update in batch.updates:
            try:
                self._push([update], None, [batch])
            except (TypeError, ValueError) as error:
                logger.error(
                    "an update cannot be kept as JSON (%s) and was skipped: %.200r",
                    describe_error(error),
                    update,
                    extra={"action": "update.malformed"},
                )
                batch.fault = error
            except BaseException as error:
                batch.error = error
                return
        try:
            self._push([], batch.offset, [batch])
        except BaseException as error:
            batch.error = error

    def close(self) -> None:
        """Take nothing more in; when it returns, nothing is on its way. *Blocks* for as long as a push takes."""
        with self.lock:
            self._is_closed = True

    def feed(self, most: int) -> list[int]:
        """Bring up to `most` updates from the store into memory, as far as there is room.

        Returns:
            The attempts of those among them that are suspected.
        """
        suspected: list[int] = []
        while most > 0 and self.has_stored and not self._sink.stopping.is_set():
            with self.lock:
                if self._is_closed:
                    break
                limit, chain = _journal.room(self._sink)
                if limit <= 0:
                    break
                fault_point("claim.begun")
                claims = self._store.claim(min(limit, most, CLAIM_MOST), chain=min(chain, CLAIM_MOST))
                fault_point("claim.done")
                late = _journal.admit(self._sink, claims)
                if late:
                    self._store.release(late)
                if not claims:
                    self.has_stored = self._store.counts().waiting > 0
                    break
            self._outage.end()
            most -= len(claims)
            suspected += [claim.attempt for claim in claims if claim.is_suspect]
        return suspected
