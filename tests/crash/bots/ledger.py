"""Count the messages of each chat in its session, and keep a ledger of everything that is tried.

A message is a number, and a word after it if it is special: `last` never fails, `poison` ends this process without a
word. A line of the ledger is an event (begin, end, fail), the life, the chat, the number, the attempt, and what the
session had before: its count and its last number. One write to a file opened for appending is one line, whatever
thread it comes from and whatever happens to the process afterwards.

Environment: LEDGER is the file; LIFE names this life; HANDLER_S and AGAIN_S, such as 0.02 or 0:0.02, are how long a
handler takes at the first and at later attempts; FAIL_SHARE is how many of the handlers raise; DEATH is how a poison
ends the process; BUSY is how many handlers it lets begin first, where so many come within a second; FIRST_RETRY_S is
the pause before the first retry; LONE_CRASHES is how often an update may be alone when the process dies, which is no
update's fault where the kills come from outside.
"""

import ctypes
import importlib
import os
import random
import signal
import sys
import sysconfig
import threading
import time
from collections.abc import Callable

import runner_c.retry
from pyruntime import Bot, Context, session

if sysconfig.get_config_var("Py_GIL_DISABLED"):
    assert sys._is_gil_enabled() is False, "the GIL was switched on"

KEPT = 50
LIFE = os.environ["LIFE"]
FAIL_SHARE = float(os.environ.get("FAIL_SHARE", "0"))
BUSY = int(os.environ.get("BUSY", "1"))
DEATHS: dict[str, Callable[[], object]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(9),
    "null": lambda: ctypes.string_at(0),
    "abort": os.abort,
}

runner_c.retry.FIRST_RETRY_S = float(os.environ.get("FIRST_RETRY_S", "0.02"))  # type: ignore[attr-defined]
if "LONE_CRASHES" in os.environ:
    recovery = importlib.import_module("runner_c.store.sqlite.recovery")
    recovery.LONE_CRASHES = int(os.environ["LONE_CRASHES"])  # type: ignore[attr-defined]
ledger = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
bot = Bot()
bot.use(session(initial=dict))
running_changed = threading.Condition()
running = 0


def durations(name: str) -> tuple[float, float]:
    """Read the shortest and the longest time that a handler takes."""
    shortest_s, _, longest_s = os.environ.get(name, "0").partition(":")
    return float(shortest_s), float(longest_s or shortest_s)


FIRST_S = durations("HANDLER_S")
AGAIN_S = durations("AGAIN_S") if "AGAIN_S" in os.environ else FIRST_S


def die(attempt: int) -> None:
    """End the process; at the first attempt while as many handlers as asked for run."""
    if attempt == 1:
        with running_changed:
            running_changed.wait_for(lambda: running >= BUSY, timeout=1.0)
    DEATHS[os.environ.get("DEATH", "kill")]()


@bot.on("message:text")
def count(ctx: Context) -> None:
    """Write to the session, to the ledger and to the chat."""
    global running
    number_text, _, word = ctx.text.partition(" ")
    number = int(number_text)
    before = ctx.session.get("count", 0), ctx.session.get("last", -1)

    def note(event: str) -> None:
        line = f"{event} {LIFE} {ctx.chat_id} {number} {ctx.attempt} {before[0]} {before[1]}\n"
        os.write(ledger, line.encode())

    note("begin")
    with running_changed:
        running += 1
        running_changed.notify_all()
    try:
        if word == "poison":
            die(ctx.attempt)
        duration_s = random.uniform(*(FIRST_S if ctx.attempt == 1 else AGAIN_S))
        if duration_s:
            time.sleep(duration_s)
        ctx.session["count"] = before[0] + 1
        ctx.session["last"] = number
        ctx.session["recent"] = [*ctx.session.get("recent", []), number][-KEPT:]
        is_failing = word != "last" and random.random() < FAIL_SHARE
        if is_failing and random.random() < 0.5:
            note("fail")
            raise RuntimeError("failed by chance, before the answer")
        ctx.reply(f"{number} {before[0] + 1}")
        if is_failing:
            note("fail")
            raise RuntimeError("failed by chance, after the answer")
        note("end")
    finally:
        with running_changed:
            running -= 1
