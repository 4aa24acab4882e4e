"""Do as the text says: sleep, hang, fail, or else echo. Each begins with a line on stderr."""

import os
import sys
import threading
import time

from pyruntime import Bot, Context

bot = Bot()


@bot.on("message:text")
def obey(ctx: Context) -> None:
    """Tell that it began, obey, answer."""
    print(f"began {ctx.text} in chat {ctx.chat_id}", file=sys.stderr, flush=True)
    if ctx.text == "sleep":
        time.sleep(1)
    elif ctx.text == "hang":
        threading.Event().wait()
    elif ctx.text == "fail":
        raise ValueError("no answer with " + os.environ["BOT_TOKEN"])
    ctx.reply(f"did {ctx.text}")
