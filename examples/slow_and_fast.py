"""A slow job beside fast answers: other chats never wait, the chat of the job keeps its order, /cancel overtakes.

Run it with `python -m runner_c examples.slow_and_fast --playground`, write /slow in one chat and anything in another.
"""

import threading

from pyruntime import Bot, Context
from runner_c import by_chat, sequentialize

JOB_S = 10.0

jobs: dict[int | None, threading.Event] = {}
"""The job of each chat, to be set when it is cancelled."""

bot = Bot()
bot.use(sequentialize(by_chat, bypass=lambda ctx: ctx.text == "/cancel"))


@bot.command("slow")
def slow(ctx: Context) -> None:
    """Work for ten seconds, or until somebody cancels."""
    cancelled = jobs[ctx.chat_id] = threading.Event()
    ctx.reply("working for 10 seconds; /cancel ends it")
    ctx.reply("cancelled" if cancelled.wait(JOB_S) else "done")
    jobs.pop(ctx.chat_id, None)


@bot.command("cancel")
def cancel(ctx: Context) -> None:
    """End the job of this chat. It gets past the lane of the chat, where the job itself is."""
    job = jobs.get(ctx.chat_id)
    if job is None:
        ctx.reply("there is nothing to cancel")
    else:
        job.set()


@bot.on("message:text")
def fast(ctx: Context) -> None:
    """Answer at once; in the chat of a slow job, right after it."""
    ctx.reply(f"fast: {ctx.text}")
