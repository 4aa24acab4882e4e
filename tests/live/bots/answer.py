"""Answer each number with: the number, this life, the most handlers at once so far, and overlaps in the chat.

HANDLER_S, such as 0.02 or 0.2:1, is how long a handler takes before it answers.
"""

import os
import random
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pyruntime import Bot, Context

if sysconfig.get_config_var("Py_GIL_DISABLED"):
    assert sys._is_gil_enabled() is False, "the GIL was switched on"

LIFE = os.environ.get("LIFE", "1")
SHORTEST_S, _, LONGEST_S = os.environ.get("HANDLER_S", "0").partition(":")

bot = Bot()
lock = threading.Lock()
busy: set[int] = set()
counts = {"running": 0, "most": 0, "overlaps": 0}


@contextmanager
def counted(chat_id: int) -> Iterator[None]:
    """Note that a handler of the chat runs."""
    with lock:
        counts["running"] += 1
        counts["most"] = max(counts["most"], counts["running"])
        is_first = chat_id not in busy
        busy.add(chat_id)
        if not is_first:
            counts["overlaps"] += 1
    try:
        yield
    finally:
        with lock:
            counts["running"] -= 1
            if is_first:
                busy.discard(chat_id)


@bot.on("message:text")
def answer(ctx: Context) -> None:
    """Take the time that was asked for, then answer."""
    with counted(ctx.chat_id):
        duration_s = random.uniform(float(SHORTEST_S), float(LONGEST_S or SHORTEST_S))
        if duration_s:
            time.sleep(duration_s)
        ctx.reply(f"{ctx.text} {LIFE} {counts['most']} {counts['overlaps']}")
