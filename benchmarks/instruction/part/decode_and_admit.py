"""Poll: fetch batches of 100 updates from the peer over a real socket, decode and admit them; none is handled.

    decode_and_admit.py WARM_UP SHORT LONG PORT

The only worker waits in its first handler until the counting is over.
"""

import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

from segment import lengths, segments

from pyruntime import Bot
from runner_c import run

TOKEN = "123456789:" + "T" * 35
BATCH = 100


class Over(Exception):
    """Say that all has been counted."""

    error_code = 401  # ends a run at once


class Fetcher:
    """Look like a bot to the engine, and let a real one fetch."""

    def __init__(self, port: str) -> None:
        self._bot = Bot(TOKEN, f"http://127.0.0.1:{port}")
        self._polls = self._count()
        self._is_over = threading.Event()

    def get_updates(self, **parameters: Any) -> list[dict[str, Any]]:
        """Fetch a batch. The batch before it has been admitted."""
        if not next(self._polls, False):
            self._is_over.set()
            logging.disable()
            raise Over
        updates = self._bot.get_updates(**parameters)
        assert len(updates) == BATCH
        return updates

    def handle_update(self, update: dict[str, Any]) -> None:
        """Wait for the end of the counting."""
        self._is_over.wait()

    def _count(self) -> Iterator[bool]:
        for length in segments():
            for _ in range(0, length, BATCH):
                yield True


def main() -> None:
    """Handle all segments."""
    handle = run(Fetcher(sys.argv[4]), concurrency=1, backlog=sum(lengths()) + BATCH)
    assert isinstance(handle.task().exception(), Over), handle.task().exception()
    assert handle.stats().admitted == sum(lengths()), handle.stats()


if __name__ == "__main__":
    main()
