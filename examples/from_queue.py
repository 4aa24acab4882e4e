"""Feed a bot from a queue that other threads of the program fill, and end it when they have nothing more.

Run it with `BOT_TOKEN=... python -m examples.from_queue CHAT_ID`: three producers report into one chat.
"""

import queue
import sys
import threading
from typing import Any

from pyruntime import Bot, Context
from runner_c import create_source, run

bot = Bot()
updates: queue.Queue[Any] = queue.Queue(maxsize=100)
numbers = iter(range(1, 1_000_000))
lock = threading.Lock()
"""Makes number and place in the queue one thing, so that ids grow in the order of the queue."""


@bot.filter(lambda ctx: "report" in ctx.update)
def report(ctx: Context) -> None:
    """Handle an update of our own kind: whatever has an `update_id` will do."""
    told = ctx.update["report"]
    ctx.api.send_message(chat_id=told["chat_id"], text=f"{told['from']} reports {told['value']}")


def produce(name: str, chat_id: int) -> None:
    """Put three reports into the queue; it blocks while the queue is full."""
    for value in range(3):
        with lock:
            updates.put({"update_id": next(numbers), "report": {"from": name, "value": value, "chat_id": chat_id}})


if __name__ == "__main__":
    # A key of our own keeps the reports of each producer in order.
    handle = run(bot, source=create_source(updates), sequentialize=lambda ctx: ctx.update["report"]["from"])
    producers = [threading.Thread(target=produce, args=(name, int(sys.argv[1]))) for name in ("Ann", "Ben", "Cleo")]
    for producer in producers:
        producer.start()
    for producer in producers:
        producer.join()
    updates.put(None)  # there will be no more
    handle.wait()
    print(f"{handle.stats().handled} handled")
