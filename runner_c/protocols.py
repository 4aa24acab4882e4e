"""What the engine expects of the objects it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, runtime_checkable

__all__ = ["KeyContext", "Keyer", "RunnableBot", "Storage", "Supplier", "Update", "UpdateBatch"]

Update = dict[str, Any]
"""An update as the Bot API sends it: a dict with an integer `update_id` and one payload."""


class UpdateBatch(list[Update]):
    """Updates with the JSON array that they were decoded from, which a store then need not make again.

    `get_updates` may return one. Both say the same, and nobody changes them afterwards.
    """

    __slots__ = ("json", "size")

    def __init__(self, updates: Iterable[Update], json: bytes) -> None:
        super().__init__(updates)
        self.json = json
        self.size = len(self)


KeyContext = Any
"""What a key function gets: the context of the bot layer, or the update itself where there is none."""

Keyer = Callable[[Update], Any]
"""Gives the keys of an update: a string, an iterable of strings, None, or BYPASS. May have an attribute `declared`."""


@runtime_checkable
class RunnableBot(Protocol):
    """The least that `run` accepts.

    Optional beside it, each used if it is there:

    - ``init()`` is called in the poller's thread before the first poll, and retried like one.
    - ``keys(update)`` returns the keys of an update and replaces the default order by chat.
    - ``keyer(default)`` returns a function from updates to keys, once per run; `default` is the key function of the
      run or None. It goes before ``keys``.
    - ``handle_error(error, update)`` is called in the worker after ``handle_update`` raised.
    - ``interrupt()`` aborts a pending ``get_updates`` from another thread. Called every 20 ms during a stop until the
      poll has ended; without it a stop waits for the poll to end by itself.
    - ``allowed_updates()`` returns the kinds of updates to ask for, when `run` is not told.
    - ``identity()`` returns a name of the bot that stays the same, or None; a store keeps the updates of one bot.
    - ``close()`` is called when a run has ended.
    """

    def get_updates(
        self, *, offset: int | None, limit: int, timeout: int, allowed_updates: list[str] | None
    ) -> list[Update]:
        """Return up to `limit` updates from `offset` on, waiting up to `timeout` seconds for the first."""
        ...

    def handle_update(self, update: Update) -> object:
        """Run the handlers of one update, in a worker thread; what it raises ends that update only."""
        ...


@runtime_checkable
class Supplier(Protocol):
    """Where the updates of `create_source` come from.

    A plain function ``supply(limit)`` or an iterator of updates serves as well. Optional: ``init()``, ``interrupt()``
    and ``close()``, as for a bot, and ``give_back(updates)`` for what a stop has left over.
    """

    def supply(self, limit: int) -> Iterable[Update]:
        """Return up to `limit` updates, waiting for the first; nothing is fine. StopIteration ends the run."""
        ...


@runtime_checkable
class Storage(Protocol):
    """Where sessions are kept: JSON bytes by key. Called from worker threads, one at a time for each key."""

    def read(self, key: str) -> bytes | None:
        """Return the value of a key, or None."""
        ...

    def write(self, key: str, value: bytes) -> None:
        """Set the value of a key."""
        ...

    def delete(self, key: str) -> None:
        """Forget a key; no error where there is none."""
        ...
