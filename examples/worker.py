"""Embed a bot in a worker or desktop process: start, look after, stop; the process does its own work meanwhile.

Run it with `BOT_TOKEN=... python -m examples.worker`; TERM or Ctrl-C ends it. `run` touches no signals: they are yours.
"""

import signal
import sys
import threading

from pyruntime import Bot, Context
from runner_c import run

bot = Bot()
is_over = threading.Event()


@bot.command("start")
def start(ctx: Context) -> None:
    """Greet."""
    ctx.reply("hello from the worker")


def main() -> int:
    """Run until a signal comes or the bot fails; return an exit code."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: is_over.set())
    handle = run(bot, name="bot")
    handle.task().add_done_callback(lambda _: is_over.set())  # a refused token, say: do not work on without the bot
    print("ready", flush=True)
    while not is_over.wait(60):
        stats = handle.stats()
        print(f"healthy: {stats.handled} handled, {stats.in_flight} held, {stats.failed} failed", flush=True)
    report = handle.stop(timeout_s=25)
    print(f"stopped: {report.handled} handled, {len(report.unfinished)} unfinished", flush=True)
    return 0 if handle.task().exception() is None else 1


if __name__ == "__main__":
    sys.exit(main())
