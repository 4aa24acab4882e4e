"""Hold the updates of the bot until they are confirmed or too old, as the real server does.

Guarantees: ids grow by one; an update leaves when an offset above it arrives or its life is over, and never comes back.
Assumes: the caller holds the server's lock; times are seconds of one clock that the caller passes in.
"""

import random
from collections import deque
from collections.abc import Collection
from typing import Any, Final, NamedTuple

import ujson

ALL_KINDS: Final = (
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
    "message_reaction",
    "message_reaction_count",
    "inline_query",
    "chosen_inline_result",
    "callback_query",
    "shipping_query",
    "pre_checkout_query",
    "purchased_paid_media",
    "poll",
    "poll_answer",
    "my_chat_member",
    "chat_member",
    "chat_join_request",
    "chat_boost",
    "removed_chat_boost",
)
KINDS_OUTSIDE_THE_DEFAULT: Final = frozenset({"chat_member", "message_reaction", "message_reaction_count"})

LIFE_S: Final = 24 * 3600.0
LIFE_BY_KIND_S: Final = {
    "callback_query": 150.0,
    "shipping_query": 150.0,
    "pre_checkout_query": 150.0,
    "inline_query": 30.0,
}
MAX_REPLY_BYTES: Final = 4 * 1024 * 1024
OFFSET_SLACK: Final = 10
_OVERHEAD_BYTES: Final = 128  # what the real server reckons for the id and the punctuation of each update
_MAX_ID: Final = 2**31 - 1


class QueuedUpdate(NamedTuple):
    """Hold an update as it goes into replies."""

    update_id: int
    kind: str
    expires_at_s: float
    encoded: bytes


class UpdateQueue:
    """Queue updates for one bot."""

    def __init__(self, first_update_id: int) -> None:
        """Start empty; the first update gets `first_update_id`."""
        self._queue: deque[QueuedUpdate] = deque()
        self._tail = first_update_id
        self._jump_to: int | None = None
        self._allowed: frozenset[str] | None = None
        self.confirmed_offset = 0
        self.pushed = 0
        self.filtered = 0
        self.expired = 0

    def __len__(self) -> int:
        """Count the updates that are held, the expired ones that nobody met yet among them."""
        return len(self._queue)

    @property
    def tail(self) -> int:
        """Return the id of the next update."""
        return self._tail

    @property
    def head(self) -> int:
        """Return the id of the oldest update held, or the next one's if there is none."""
        return self._queue[0].update_id if self._queue else self._tail

    @property
    def allowed_kinds(self) -> list[str] | None:
        """Return the kinds asked for, or None for Telegram's default set."""
        return None if self._allowed is None else sorted(self._allowed)

    def allow(self, kinds: Collection[str]) -> None:
        """Deliver only updates of these `kinds` from now on; an empty collection means Telegram's default set."""
        self._allowed = frozenset(kinds) or None

    def allows(self, kind: str) -> bool:
        """Tell whether an update of this kind would be kept."""
        if self._allowed is None:
            return kind not in KINDS_OUTSIDE_THE_DEFAULT
        return kind in self._allowed

    def push(self, kind: str, body: bytes, now_s: float) -> int | None:
        """Append an update, whose JSON without id is `body`; return its id, or None if its kind is filtered out."""
        if not self.allows(kind):
            self.filtered += 1
            return None
        if self._jump_to is not None and not self._queue:
            self._tail = self._jump_to
            self._jump_to = None
            self.confirmed_offset = 0
        update_id = self._tail
        self._tail = update_id + 1 if update_id < _MAX_ID else 1
        encoded = b'{"update_id":%d,%b' % (update_id, body[1:])
        self._queue.append(QueuedUpdate(update_id, kind, now_s + LIFE_BY_KIND_S.get(kind, LIFE_S), encoded))
        self.pushed += 1
        return update_id

    def jump(self, update_id: int) -> None:
        """Go on with `update_id` at the next push that finds the queue empty, as after a week without updates."""
        self._jump_to = update_id

    def drop_all(self) -> None:
        """Forget everything that is held."""
        self._queue.clear()

    def take_all(self, now_s: float) -> list[QueuedUpdate]:
        """Hand over everything that is held and not expired, for delivery by a webhook."""
        self.drop_expired(now_s)
        taken = list(self._queue)
        self._queue.clear()
        return taken

    def give_back(self, updates: list[QueuedUpdate]) -> None:
        """Take back what was not delivered, before what came since."""
        self._queue.extendleft(reversed(updates))

    def confirm(self, offset: int, now_s: float) -> int:
        """Forget what `offset` confirms; return the id from which the reply starts.

        Offsets that say nothing (0, or more than 10 above the tail) confirm nothing and start at the head; a negative
        one keeps the last -offset updates.
        """
        queue = self._queue
        if offset < 0:
            self.drop_expired(now_s)
            while len(queue) > -offset:
                self.confirmed_offset = queue.popleft().update_id + 1
            return self.head
        if offset == 0 or offset > self._tail + OFFSET_SLACK:
            return self.head
        while queue and queue[0].update_id < offset:
            queue.popleft()
        self.confirmed_offset = max(self.confirmed_offset, offset)
        return offset

    def read(self, start: int, limit: int, now_s: float) -> list[QueuedUpdate]:
        """Return up to `limit` live updates from the id `start` on, 4 MiB at most (but at least one)."""
        self.drop_expired(now_s)
        chosen: list[QueuedUpdate] = []
        left_bytes = MAX_REPLY_BYTES
        for update in self._queue:
            if update.update_id < start or update.expires_at_s <= now_s:
                continue
            left_bytes -= len(update.encoded) + _OVERHEAD_BYTES
            if chosen and left_bytes < 0:
                break
            chosen.append(update)
            if len(chosen) == limit:
                break
        return chosen

    def drop_expired(self, now_s: float) -> None:
        """Forget the expired updates at the head; those behind a live one are skipped when read."""
        queue = self._queue
        while queue and queue[0].expires_at_s <= now_s:
            queue.popleft()
            self.expired += 1

    def live(self, now_s: float) -> list[QueuedUpdate]:
        """Return every update that would be delivered."""
        return [update for update in self._queue if update.expires_at_s > now_s]


def encode_update(update: dict[str, Any]) -> tuple[str, bytes]:
    """Return the kind and the JSON of an update without its id.

    Raises: ValueError if the update has no kind.
    """
    if "update_id" in update:
        update = {key: value for key, value in update.items() if key != "update_id"}
    for kind in update:
        return kind, ujson.dumps(update, escape_forward_slashes=False).encode()
    raise ValueError("an update needs a kind, for example {'message': {...}}")


def random_first_id(seed: int | None) -> int:
    """Choose the first update id as the real server does, at random; a `seed` makes the choice repeatable."""
    return random.Random(seed).randrange(100_000_000, 1_000_000_000)
