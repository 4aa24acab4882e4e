"""An update as the store in memory holds it: as JSON, so that nobody who has the update can change what is stored."""

from __future__ import annotations

from typing import Any

from runner_c.protocols import Update

__all__ = ["Entry", "checked_id"]


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
