"""Poll for a bot beside a Flask app, in one process: the site shows what the bot counts.

Run it with `BOT_TOKEN=... python -m examples.flask_app`. Under a server that forks (gunicorn), start the runner in
the worker, after the fork: a runner does not survive one.
"""

import os
import threading

from flask import Flask

from pyruntime import Bot, Context
from runner_c import run

app = Flask(__name__)
bot = Bot()

orders: list[str] = []
lock = threading.Lock()
"""Guards `orders`: handlers and requests run in parallel."""


@bot.command("order")
def order(ctx: Context) -> None:
    """Take an order, such as `/order tea`."""
    with lock:
        orders.append(str(ctx.match or "something"))
        number = len(orders)
    ctx.reply(f"order {number} taken")


@app.get("/orders")
def list_orders() -> list[str]:
    """Show all orders as JSON."""
    with lock:
        return orders[:]


def main() -> None:
    """Serve the site in the main thread while the runner polls in its own threads; stop it when the site ends."""
    with run(bot):
        app.run(port=int(os.environ.get("PORT", "5000")))


if __name__ == "__main__":
    main()
