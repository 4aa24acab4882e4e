"""Sources: where updates come from, as the poller sees them."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from runner_c.errors import ConfigError, MalformedReply, SourceBroken
from runner_c.option_check import seconds, share
from runner_c.protocols import RunnableBot, Supplier, Update, UpdateBatch
from runner_c.secret import describe_error

logger = logging.getLogger("runner_c")

EMPTY_PAUSE_S = 0.05
"""How long a source rests that had nothing and did not wait for it, in seconds."""

QUEUE_LOOK_S = 0.05
"""How often a source that waits for a queue looks whether the run stops, in seconds."""

__all__ = ["BotSource", "FedSource", "Offers", "Source", "create_source"]


class Source:
    """A supplier with its pace; made by `create_source`.

    Thread-safety: `fetch` and `confirm` belong to one thread at a time, `interrupt` to any.
    """

    json: bytes | None = None
    """The updates of the last fetch as a JSON array, where it is known."""

    has_offset = False
    """True when updates are confirmed by asking for what is behind them, as the Bot API wants it."""

    def __init__(
        self,
        supply: Callable[[int], Iterable[Update]],
        supplier: object,
        speed_traffic_balance: float,
        max_delay_s: float,
    ) -> None:
        self._supply = supply
        self._supplier = supplier
        self._balance = share("speed_traffic_balance", speed_traffic_balance)
        self._max_delay_s = seconds("max_delay_s", max_delay_s, least=-1.0) or 0.0

    @property
    def supplier(self) -> object:
        """The object behind it; None for an iterator."""
        return self._supplier

    @property
    def is_interruptible(self) -> bool:
        """True when a pending fetch can be aborted from another thread."""
        return callable(getattr(self._supplier, "interrupt", None))

    def init(self) -> None:
        """Prepare the supplier before the first fetch, if it has an `init`. *Blocks* as long as that does."""
        self._call("init")

    def fetch(self, offset: int | None, limit: int) -> list[Update]:
        """Return up to `limit` updates. *Blocks* until the supplier has some; `interrupt` wakes it if it can.

        Raises:
            StopIteration: there will never be more.
            MalformedReply: the supplier returned something else.
        """
        return self.fetch_some(limit)

    def fetch_some(self, limit: int) -> list[Update]:
        """Do what `fetch` does, for a source that knows no offset; None from the supplier is nothing."""
        found: Any = self._supply(limit)
        return [] if found is None else _as_batch(found)

    def confirm(self, offset: int) -> None:
        """Tell the supplier that everything before `offset` is done with, without fetching more."""

    def interrupt(self) -> None:
        """Abort a pending fetch, if the supplier can."""
        self._call("interrupt")

    def give_back(self, updates: list[Update]) -> None:
        """Return to the supplier what a stop has left over; without its `give_back` the log tells of each."""
        method = getattr(self._supplier, "give_back", None)
        if callable(method):
            method(updates)
            return
        for update in updates:
            logger.error("a stop came before this update was taken: %r", update, extra={"action": "stop.not_taken"})

    def close(self) -> None:
        """Let the supplier release what it holds; it may be used again."""
        self._call("close")

    def pause_s(self, fetched: int, limit: int) -> float:
        """Return how many seconds to wait after a batch, so that the next one is fuller: none with full batches.

        After nothing it is a moment, because a supplier may say so at once; a poll of the Bot API has waited itself.
        """
        if not fetched:
            return 0.0 if self.has_offset else EMPTY_PAUSE_S
        if not self._balance:
            return 0.0
        return self._balance * self._max_delay_s * max(0.0, 1.0 - fetched / limit)

    def _call(self, name: str) -> None:
        method = getattr(self._supplier, name, None)
        if callable(method):
            method()


class BotSource(Source):
    """The updates of a bot, by its `get_updates`."""

    has_offset = True

    def __init__(
        self,
        bot: RunnableBot,
        *,
        poll_timeout_s: int,
        allowed_updates: list[str] | None,
        speed_traffic_balance: float = 0.0,
        max_delay_s: float = 0.5,
    ) -> None:
        super().__init__(lambda limit: [], bot, speed_traffic_balance, max_delay_s)
        self._bot = bot
        self._poll_timeout_s = poll_timeout_s
        self._allowed_updates = allowed_updates

    def fetch(self, offset: int | None, limit: int) -> list[Update]:
        """Poll; confirms everything before `offset`."""
        return self.poll(offset, limit, self._poll_timeout_s)

    def give_back(self, updates: list[Update]) -> None:
        """Do nothing: what was not taken is not confirmed, and comes again."""

    def confirm(self, offset: int) -> None:
        """Confirm everything before `offset` by a poll that waits for nothing and whose reply is dropped."""
        self.poll(offset, 1, 0)

    def poll(self, offset: int | None, limit: int, timeout_s: int) -> list[Update]:
        """Call `get_updates` once."""
        kinds = self._allowed_updates
        try:
            reply = self._bot.get_updates(offset=offset, limit=limit, timeout=timeout_s, allowed_updates=kinds)
        except StopIteration:
            # It would end the run like a source that has no more; a bot always has.
            raise MalformedReply("get_updates() raised StopIteration instead of returning a list of updates") from None
        self.json = None
        if isinstance(reply, UpdateBatch) and len(reply) == reply.size:
            self.json = reply.json
        return _as_batch(reply)


class FedSource(Source):
    """Updates for a bot from a source that is not its `get_updates`; both are prepared, cut and closed together."""

    def __init__(self, bot: object, source: Source) -> None:
        super().__init__(source.fetch_some, bot, 0.0, 0.0)
        self._source = source

    @property
    def is_interruptible(self) -> bool:
        """True when a pending fetch can be aborted from another thread."""
        return self._source.is_interruptible

    def init(self) -> None:
        """Prepare the bot, then the supplier. *Blocks* as long as they do."""
        super().init()
        self._source.init()

    def interrupt(self) -> None:
        """Abort a pending fetch, and a call of the bot's `init`."""
        super().interrupt()
        self._source.interrupt()

    def give_back(self, updates: list[Update]) -> None:
        """Return to the supplier what a stop has left over."""
        self._source.give_back(updates)

    def close(self) -> None:
        """Let both release what they hold."""
        try:
            self._source.close()
        finally:
            super().close()

    def pause_s(self, fetched: int, limit: int) -> float:
        """Return what the source wants to wait."""
        return self._source.pause_s(fetched, limit)


class _QueueSupplier:
    """The updates that somebody puts into a `queue.Queue`; None ends the run."""

    def __init__(self, updates: queue.Queue[Any]) -> None:
        self._queue = updates
        self._is_over = threading.Event()
        self._has_ended = False

    def init(self) -> None:
        self._is_over.clear()
        self._has_ended = False

    def supply(self, limit: int) -> list[Update]:
        found: list[Update] = []
        while not self._has_ended and len(found) < limit and not self._is_over.is_set():
            try:
                update = self._queue.get(block=not found, timeout=QUEUE_LOOK_S)
            except queue.Empty:
                if found:
                    break
                continue
            self._has_ended = update is None
            if update is not None:
                found.append(update)
        if self._has_ended and not found:
            raise StopIteration
        return found

    def interrupt(self) -> None:
        self._is_over.set()

    def give_back(self, updates: list[Update]) -> None:
        with self._queue.mutex:
            # At the head, in their order, and whatever the size of the queue: they came out of it.
            self._queue.queue.extendleft(reversed(updates))
            self._queue.not_empty.notify()


class _GeneratorSupplier:
    """The updates of an iterator. A generator that has raised is at its end, which must not look like one."""

    def __init__(self, updates: Iterator[Update]) -> None:
        self._updates = updates

    def supply(self, limit: int) -> list[Update]:
        try:
            return [next(self._updates)]
        except StopIteration:
            raise
        except Exception as error:
            if isinstance(self._updates, Generator):
                raise SourceBroken(f"the generator of updates failed: {describe_error(error)}") from error
            raise


class Offers:
    """A supplier that has no updates: all of them come by `RunnerHandle.offer`.

    ::

        handle = run(bot, source=Offers())
        handle.offer(update)

    Thread-safety: one runner at a time; `interrupt` from any thread.
    """

    def __init__(self) -> None:
        self._is_over = threading.Event()

    def init(self) -> None:
        """Begin anew."""
        self._is_over.clear()

    def supply(self, limit: int) -> list[Update]:
        """Return nothing. *Blocks* until `interrupt`."""
        self._is_over.wait()
        return []

    def interrupt(self) -> None:
        """End the wait."""
        self._is_over.set()


def _as_batch(reply: Any) -> list[Update]:
    # A list of our own: one that its maker goes on to change must not change under admission.
    if isinstance(reply, (str, bytes, dict)) or not isinstance(reply, Iterable):
        raise MalformedReply(f"the source returned {type(reply).__name__} instead of a list of updates")
    return list(reply)


def create_source(
    supplier: Supplier | Callable[[int], Iterable[Update]] | Iterator[Update] | queue.Queue[Any],
    *,
    speed_traffic_balance: float = 0.0,
    max_delay_s: float = 0.5,
) -> Source:
    """Make a source for `create_runner`.

    Args:
        supplier: an object with ``supply(limit)``, such a function, an iterator of updates, or a `queue.Queue` (in
            which None ends the run). Each update is a dict with an integer ``update_id``; ids that were seen in the
            last 48 h are dropped. When it has no more (StopIteration), what was admitted is handled and the run ends.
            A generator that raises ends it with `SourceBroken`. What a stop leaves over of a batch goes to the
            supplier's ``give_back(updates)`` if it has one (a queue has), else the log tells of it.
        speed_traffic_balance: 0.0 (default) fetches again at once; 1.0 waits for up to `max_delay_s` after a batch
            that was not full, to fetch fewer and fuller batches.
        max_delay_s: the longest such wait, in seconds (default 0.5).

    Raises:
        ConfigError: the supplier is none of these, or a number is out of its range.
    """
    supply = getattr(supplier, "supply", None)
    if callable(supply):
        return Source(supply, supplier, speed_traffic_balance, max_delay_s)
    if isinstance(supplier, queue.Queue):
        queued = _QueueSupplier(supplier)
        return Source(queued.supply, queued, speed_traffic_balance, max_delay_s)
    if isinstance(supplier, Iterator):
        return Source(_GeneratorSupplier(supplier).supply, None, speed_traffic_balance, max_delay_s)
    if callable(supplier):
        return Source(supplier, supplier, speed_traffic_balance, max_delay_s)
    raise ConfigError(
        "a supplier has a method supply(limit), is such a function, an iterator of updates or a queue; "
        f"{type(supplier).__name__} is not"
    )
