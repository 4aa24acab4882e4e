"""What is said and done while a store cannot write.

**Guarantees** that an outage is told once when it begins and once when it ends, loudly, and that tries are spaced.
"""

from __future__ import annotations

import logging
import threading
import time

from runner_c.errors import StoreError
from runner_c.retry import Backoff
from runner_c.secret import describe_error

__all__ = ["STUCK_CAP_S", "Outage"]

STUCK_CAP_S = 10.0
"""A store that cannot write is tried again at least so often."""

logger = logging.getLogger("runner_c")


class Outage:
    """Whether the store of a run can write. Thread-safety: any thread."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()  # guards the rest; a leaf
        self._is_on = False
        self._backoff = Backoff("exponential", STUCK_CAP_S, float("inf"))
        self.next_try_ns = 0
        """When the journal's thread tries again, by the monotonic clock."""

    def begin(self, error: StoreError) -> None:
        """The store could not write."""
        with self._lock:
            is_news, self._is_on = not self._is_on, True
            self.next_try_ns = time.monotonic_ns() + int(self._backoff.next_s() * 1e9)
        if is_news:
            logger.critical(
                "%s. Nothing new is taken in or confirmed until it can; what is in memory goes on",
                describe_error(error),
                extra={"action": "journal.stuck"},
            )

    def end(self) -> None:
        """The store could write."""
        if not self._is_on:
            return
        with self._lock:
            is_news, self._is_on = self._is_on, False
            self._backoff.reset()
            self.next_try_ns = 0
        if is_news:
            logger.warning(
                "the store %s can be written again; all goes on", self._url, extra={"action": "journal.unstuck"}
            )

    def try_now(self) -> None:
        """Let the next try be at once: the run ends."""
        self.next_try_ns = 0

    def is_waiting(self) -> bool:
        """Tell whether the store could not write and it is too early for another try."""
        return self._is_on and time.monotonic_ns() < self.next_try_ns
