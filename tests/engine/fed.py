"""A bot for tests that feed it: it remembers what it handled."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any

Update = dict[str, Any]


def message(update_id: int, chat_id: int = 1) -> Update:
    chat = {"id": chat_id, "type": "private"}
    return {"update_id": update_id, "message": {"message_id": update_id, "date": 1000 + update_id, "chat": chat}}


def as_function(updates: list[Update]) -> Any:
    left = list(updates)

    def supply(limit: int) -> list[Update]:
        if not left:
            raise StopIteration
        batch, left[:] = left[:limit], left[limit:]
        return batch

    return supply


class Bot:
    """Handle updates, and remember them by chat."""

    def __init__(self, handle: Callable[[Update], object] = lambda update: None) -> None:
        self._handle = handle
        self.changed = threading.Condition()
        self.handled: dict[int, list[int]] = defaultdict(list)
        self.calls: list[str] = []

    def init(self) -> None:
        self.calls.append("init")

    def close(self) -> None:
        self.calls.append("close")

    def handle_update(self, update: Update) -> None:
        self._handle(update)
        with self.changed:
            self.handled[update["message"]["chat"]["id"]].append(update["update_id"])
            self.changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.ids()) >= count, 20)

    def ids(self) -> list[int]:
        with self.changed:
            return sorted(update_id for ids in self.handled.values() for update_id in ids)
