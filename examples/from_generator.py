"""Feed a bot from a generator: here a file of updates that somebody exported, one JSON object a line.

Run it with `BOT_TOKEN=... python -m examples.from_generator FILE`. (For recordings of our own there is `--replay`.)
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

from pyruntime import Bot, Context
from runner_c import run

bot = Bot()


@bot.on("message:text")
def answer(ctx: Context) -> None:
    """Answer a message that came by file."""
    ctx.reply(f"late, but not lost: {ctx.text}")


def exported(path: str) -> Iterator[dict[str, Any]]:
    """Yield the updates of a file; the runner takes the next one when it has room for it."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


if __name__ == "__main__":
    handle = run(bot, source=exported(sys.argv[1]))
    handle.wait()  # ends when the file has ended and everything is handled
    print(f"{handle.stats().handled} handled")
