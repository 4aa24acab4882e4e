"""python-telegram-bot: an `Application` with concurrent updates, a pool that fits, no rate limiter, and uvloop."""

import asyncio
import os
import ssl

import setting
import uvloop
from telegram.ext import Application, MessageHandler, filters
from telegram.request import HTTPXRequest


async def echo(update, context):
    """Answer with the same text."""
    if setting.CPU_LOOPS:
        setting.burn(setting.CPU_LOOPS)
    await update.message.reply_text(update.message.text)


async def count(update, context):
    """Answer with the text and the number of messages of the chat."""
    number = context.chat_data["n"] = context.chat_data.get("n", 0) + 1
    await update.message.reply_text(f"{update.message.text} {number}")


def request(size: int) -> HTTPXRequest:
    """Return a client whose calls never wait for a connection or give up early."""
    verify = ssl.create_default_context(cafile=setting.CA_FILE) if setting.CA_FILE else True
    return HTTPXRequest(
        connection_pool_size=size,
        http_version="1.1",
        pool_timeout=60,
        connect_timeout=60,
        read_timeout=60,
        write_timeout=60,
        httpx_kwargs={"verify": verify, "trust_env": False},
    )


def main() -> None:
    """Echo until the process is ended."""
    uvloop.install()
    application = (
        Application.builder()
        .token(setting.TOKEN)
        .base_url(f"{setting.API_ROOT}/bot")
        .concurrent_updates(setting.CONCURRENCY)
        .request(request(setting.CONCURRENCY + 1))
        .get_updates_request(request(1))
        # It fetches without end otherwise.
        .update_queue(asyncio.Queue(100))
        .build()
    )
    application.add_handler(MessageHandler(filters.TEXT, count if setting.SESSION else echo))
    # With several updates at a time it fetches without end, and that costs more than to answer: a pause is better.
    pause_s = float(os.environ.get("POLL_INTERVAL", "0"))
    application.run_polling(poll_interval=pause_s, timeout=30, allowed_updates=["message"])


if __name__ == "__main__":
    main()
