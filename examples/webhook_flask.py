"""Take updates by a webhook beside the pages of a Flask app.

Run it with `BOT_TOKEN=... WEBHOOK_SECRET=... python -m examples.webhook_flask`, or under a server with one process:
`gunicorn --workers 1 --threads 40 examples.webhook_flask:app`.
"""

import os

from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from pyruntime import Bot, Context, webhook_app

app = Flask(__name__)
bot = Bot()
hook = webhook_app(bot, secret_token=os.environ.get("WEBHOOK_SECRET"), store=os.environ.get("STORE", "memory:"))
app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/telegram": hook})


@bot.command("start")
def start(ctx: Context) -> None:
    """Greet."""
    ctx.reply("hello from Flask")


@app.get("/health")
def health() -> dict[str, object]:
    """Tell a load balancer how the bot is."""
    handle = hook.handle
    return {"running": handle is not None and handle.is_running(), "held": 0 if handle is None else handle.size()}


if __name__ == "__main__":
    with hook:
        app.run(port=int(os.environ.get("PORT", "5000")), threaded=True)
