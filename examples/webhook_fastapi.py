"""Take updates by a webhook beside the routes of a FastAPI app; handlers stay plain `def` in threads of their own.

Run it with `BOT_TOKEN=... WEBHOOK_SECRET=... uvicorn examples.webhook_fastapi:app` (one worker).
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from a2wsgi import WSGIMiddleware
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from pyruntime import Bot, Context, webhook_app

bot = Bot()
hook = webhook_app(bot, secret_token=os.environ.get("WEBHOOK_SECRET"), store=os.environ.get("STORE", "memory:"))


@bot.command("start")
def start(ctx: Context) -> None:
    """Greet."""
    ctx.reply("hello from FastAPI")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Run the bot as long as the app runs."""
    await run_in_threadpool(hook.start)
    yield
    await run_in_threadpool(hook.stop, 25)


app = FastAPI(lifespan=lifespan)
app.mount("/telegram", WSGIMiddleware(hook, workers=40))


@app.get("/health")
async def health() -> dict[str, object]:
    """Tell a load balancer how the bot is."""
    handle = hook.handle
    return {"running": handle is not None and handle.is_running(), "held": 0 if handle is None else handle.size()}
