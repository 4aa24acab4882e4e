"""Take updates in one process and handle them in others: a sink that pushes into a table, and a source that pulls.

`BOT_TOKEN=... python -m examples.push_elsewhere ingest` polls and pushes, `... work` pulls and handles. The table
(`inbox.db`, or `INBOX`) stands for any queue: what is pushed is confirmed to Telegram when the table has it, and what
is pulled is deleted when it has been handled, so a kill of either process loses nothing.
"""

import os
import signal
import sqlite3
import sys
import threading
from typing import Any

import ujson

from pyruntime import Bot, Context
from runner_c import RunnerHandle, run

INBOX = os.environ.get("INBOX", "inbox.db")
is_over = threading.Event()
bot = Bot()


@bot.on("message:text")
def answer(ctx: Context) -> None:
    """Answer, in the process that works."""
    ctx.reply(f"worked on: {ctx.text}")


class Inbox:
    """A table of updates. One connection for all threads, one statement at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._pulled = -1
        self._file = sqlite3.connect(INBOX, check_same_thread=False, isolation_level=None, timeout=30)
        # AUTOINCREMENT: a place is never given twice, also when what had it is gone.
        self._file.execute(
            "CREATE TABLE IF NOT EXISTS inbox (place INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER UNIQUE, body TEXT)"
        )

    def push(self, update: dict[str, Any]) -> None:
        """Append an update; one that is there already, because it came again, is left alone."""
        with self._lock:
            self._file.execute(
                "INSERT OR IGNORE INTO inbox (id, body) VALUES (?, ?)", (update["update_id"], ujson.dumps(update))
            )

    def supply(self, limit: int) -> list[dict[str, Any]]:
        """Return what has come since the last call; this and `interrupt` make it a source."""
        while not self._is_over.is_set():
            with self._lock:
                rows = self._file.execute(
                    "SELECT place, body FROM inbox WHERE place > ? ORDER BY place LIMIT ?", (self._pulled, limit)
                ).fetchall()
            if rows:
                self._pulled = rows[-1][0]
                return [ujson.loads(body) for _, body in rows]
            self._is_over.wait(0.05)
        return []

    def interrupt(self) -> None:
        """End a wait for updates."""
        self._is_over.set()

    def handled(self, update: dict[str, Any]) -> None:
        """Delete an update; until then it comes again after a kill."""
        with self._lock:
            self._file.execute("DELETE FROM inbox WHERE id = ?", (update["update_id"],))


class Pusher:
    """A bot for the runner whose only handler pushes."""

    def __init__(self, inbox: Inbox) -> None:
        self.handle_update = inbox.push
        self.get_updates = bot.get_updates
        self.interrupt = bot.interrupt
        self.close = bot.close


class Puller:
    """The bot, and the end of each update told to the inbox."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self.init = bot.init
        self.handle_error = bot.handle_error
        self.keyer = bot.keyer

    def handle_update(self, update: dict[str, Any]) -> None:
        """Handle it; one that fails stays in the table."""
        bot.handle_update(update)
        self._inbox.handled(update)


def start(role: str) -> RunnerHandle:
    """Start one of the two roles."""
    inbox = Inbox()
    if role == "ingest":
        # done: Telegram forgets an update when the table has it.
        return run(Pusher(inbox), ack="done")
    return run(Puller(inbox), source=inbox)


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: is_over.set())
    with start(sys.argv[1]):
        print("ready", file=sys.stderr, flush=True)
        is_over.wait()
