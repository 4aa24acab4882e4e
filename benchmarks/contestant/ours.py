"""pyruntime on the engine, with the defaults of `run`.

ACK=fetch|done says when updates are confirmed. STORE=sqlite keeps them in a file of its own, and sessions too.
"""

import os
import ssl
import tempfile

import setting

from pyruntime import Bot, session
from pyruntime.api import ApiClient
from runner_c import run


def main() -> None:
    """Echo until the process is ended."""
    bot = Bot(setting.TOKEN, setting.API_ROOT)
    if setting.CA_FILE:
        context = ssl.create_default_context(cafile=setting.CA_FILE)
        bot.api = ApiClient(setting.TOKEN, setting.API_ROOT, ssl_context=context)
    if setting.SESSION:
        bot.use(session(initial=dict))

        @bot.on("message:text")
        def count(ctx):
            number = ctx.session["n"] = ctx.session.get("n", 0) + 1
            ctx.reply(f"{ctx.text} {number}")

    elif setting.CPU_LOOPS:

        @bot.on("message:text")
        def compute(ctx):
            setting.burn(setting.CPU_LOOPS)
            ctx.reply(ctx.text)

    else:

        @bot.on("message:text")
        def echo(ctx):
            ctx.reply(ctx.text)

    options = {"ack": os.environ.get("ACK")}
    with tempfile.TemporaryDirectory() as folder:
        if os.environ.get("STORE") == "sqlite":
            options["store"] = f"sqlite:{folder}/bot.db"
        run(bot, concurrency=setting.CONCURRENCY, **options).wait()


if __name__ == "__main__":
    main()
