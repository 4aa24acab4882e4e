"""Which store a runner has, and what for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runner_c._sink import Sink
from runner_c.journal.journal import Journal
from runner_c.store import open_store
from runner_c.store.base import Store

__all__ = ["JournalPlan"]


@dataclass(frozen=True)
class JournalPlan:
    """Which store a runner has, and what for; each of its lives opens a journal of it."""

    store: str | Store
    """A URL, opened and closed by each life, or an open store, which stays open."""
    max_attempts: int = 1
    owner: str | None = None
    """Whose updates these are; None: not known."""

    def open(self, sink: Sink, *, concurrency: int, name: str, fail: Callable[[BaseException], object]) -> Journal:
        """Open the store and make the journal of one life. Raises what `open_store` and `Store.bind` raise."""
        is_ours = isinstance(self.store, str)
        store = open_store(self.store) if isinstance(self.store, str) else self.store
        try:
            if self.owner is not None:
                store.bind(self.owner)
            return Journal(
                store,
                sink,
                concurrency=concurrency,
                max_attempts=self.max_attempts,
                name=name,
                fail=fail,
                is_store_ours=is_ours,
            )
        except BaseException:
            if is_ours:
                store.close()
            raise
