"""Take updates by a webhook, in plain WSGI: for gunicorn, waitress, mod_wsgi or any other server.

Run it with `BOT_TOKEN=... WEBHOOK_SECRET=... gunicorn --workers 1 --threads 40 examples.webhook:app`, tell Telegram by
setWebhook where it is, with the same secret. `python -m runner_c examples.webhook --webhook https://...` does all that.
"""

import os

from pyruntime import Bot, Context, session, webhook_app

bot = Bot()
bot.use(session(initial=lambda: {"count": 0}))


@bot.on("message:text")
def count(ctx: Context) -> None:
    """Count what somebody wrote, whichever way it came."""
    ctx.session["count"] += 1
    ctx.reply(f"message {ctx.session['count']}")


app = webhook_app(bot, secret_token=os.environ.get("WEBHOOK_SECRET"), store=os.environ.get("STORE", "memory:"))
