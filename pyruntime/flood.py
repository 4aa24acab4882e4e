"""Obey ``retry_after``: hold back the calls that Telegram does not want for a while.

Guarantees: a chat that was told to wait gets no call before its time, from any thread; other chats are not delayed; a
chat that may be called costs no memory.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from time import monotonic
from typing import Any

__all__ = ["FloodGate"]


class FloodGate:
    """Know until when each chat, or each method that names no chat, is blocked.

    Thread-safety: any thread.
    """

    def __init__(self) -> None:
        # Guards the table. Innermost lock.
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}
        # Read without the lock by every call; true whenever the table is not empty.
        self.is_active = False

    def __len__(self) -> int:
        return len(self._until)

    def block(self, method: str, parameters: Mapping[str, Any], seconds: float) -> None:
        """Hold back the calls of this kind for some seconds from now; never shortens what holds already."""
        key = _key(method, parameters)
        until = monotonic() + seconds
        with self._lock:
            self._until[key] = max(until, self._until.get(key, until))
            self.is_active = True

    def left_s(self, method: str, parameters: Mapping[str, Any]) -> float:
        """Return the seconds for which a call must still wait; 0 if it may go."""
        key = _key(method, parameters)
        now = monotonic()
        with self._lock:
            left = self._until.get(key, now) - now
            if left <= 0:
                for old in [other for other, until in self._until.items() if until <= now]:
                    del self._until[old]
                self.is_active = bool(self._until)
                return 0.0
        return left


def _key(method: str, parameters: Mapping[str, Any]) -> str:
    """Return the chat of a call, or else its method."""
    chat = parameters.get("chat_id")
    return f"method:{method}" if chat is None else f"chat:{str(chat).lower()}"
