"""An update as the store in memory holds it: as JSON, so that nobody who has the update can change what is stored.

**Guarantees** that what can be stored can be read: what is no JSON, or too deep to be read, is refused before.
"""

from __future__ import annotations

from typing import Any

import ujson

from runner_c.protocols import Update

__all__ = ["Entry", "checked_id", "decoded", "encoded"]

SAFE_DEPTH = 1000
"""A text with fewer opening brackets is read back for certain; the limit of the parser is 1024 levels."""


class Entry:
    """An unsettled update, or a dead one."""

    __slots__ = ("attempt", "body", "failures", "is_urgent", "keys", "retry_at", "seq", "update_id")

    def __init__(
        self, seq: int, update_id: int, body: bytes, keys: tuple[str, ...], is_urgent: bool, attempt: int = 1
    ) -> None:
        self.seq = seq
        self.update_id = update_id
        self.body = body
        self.keys = keys
        self.is_urgent = is_urgent
        self.attempt = attempt
        self.failures = 0
        self.retry_at = float("-inf")


def encoded(update: Update) -> bytes:
    """Return an update as JSON. Halves of surrogate pairs stay what they are.

    Raises:
        TypeError, ValueError: it is none.
    """
    try:
        text: str = ujson.dumps(update, ensure_ascii=False, escape_forward_slashes=False, allow_nan=False)
    except OverflowError as error:
        raise ValueError(f"an update that is no JSON: {error}") from None
    if text.count("[") + text.count("{") >= SAFE_DEPTH:
        ujson.loads(text)
    return text.encode("utf-8", "surrogatepass")


def decoded(body: bytes) -> Update:
    """Return what `encoded` made of an update."""
    update: Update = ujson.loads(body.decode("utf-8", "surrogatepass"))
    return update


def checked_id(update: Update) -> int:
    """Return the id of an update.

    Raises:
        TypeError, ValueError: it has none, or none of 64 bits.
    """
    update_id: Any = update.get("update_id")
    if not isinstance(update_id, int):
        raise TypeError(f"update_id is {update_id!r}; an integer is wanted")
    if not -(2**63) <= update_id < 2**63:
        raise ValueError(f"update_id is {update_id}; 64 bits are the most")
    return update_id
