"""Run an echo bot with sessions: the whole way of an update, from its poll to its answer, over real sockets.

    echo_bot.py WARM_UP SHORT LONG PORT

Four workers share a batch; the poller fetches the next one when all of them have answered.
"""

import itertools
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

from segment import lengths, segments
from update import BOT

from pyruntime import Bot, session
from runner_c import run

TOKEN = "123456789:" + "T" * 35
BATCH = 100
CONCURRENCY = 4


class Over(Exception):
    """Say that all has been counted."""

    error_code = 401  # ends a run at once


class EchoBot(Bot):
    """Poll only when the last batch has been answered."""

    def __init__(self, port: str) -> None:
        super().__init__(TOKEN, f"http://127.0.0.1:{port}", me=BOT)
        self._answers = itertools.count(1)
        self._is_answered = threading.Lock()
        self._polls = self._count()
        self.use(session(initial=dict))
        self.on(["message", "callback_query"])(self._echo)

    def get_updates(self, **parameters: Any) -> list[dict[str, Any]]:
        """Fetch a batch when the one before it has been answered."""
        self._is_answered.acquire()
        if not next(self._polls, False):
            # The end of the run asks once more, to confirm.
            self._is_answered.release()
            logging.disable()
            raise Over
        return super().get_updates(**parameters)

    def _echo(self, ctx: Any) -> None:
        ctx.session["updates"] = (ctx.session.get("updates", 0) + 1) % 10
        ctx.reply(ctx.text or "nothing to read")
        if next(self._answers) % BATCH == 0:
            self._is_answered.release()

    def _count(self) -> Iterator[bool]:
        for length in segments():
            for _ in range(0, length, BATCH):
                yield True


def main() -> None:
    """Handle all segments."""
    handle = run(EchoBot(sys.argv[4]), concurrency=CONCURRENCY)
    assert isinstance(handle.task().exception(), Over), handle.task().exception()
    stats = handle.stats()
    assert stats.succeeded == stats.admitted == sum(lengths()), stats


if __name__ == "__main__":
    main()
