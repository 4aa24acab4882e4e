"""Take orders and never lose one: a store, attempts, and a step that must not be taken twice.

Run it with `python -m runner_c examples.orders --playground --store sqlite:orders.db --max-attempts 5`. Kill it with
`kill -9` as often as you like: each order is taken, in order, and charged once.
"""

from typing import Any

from pyruntime import Bot, BotError, Context, session

bot = Bot()
bot.use(session(initial=lambda: {"orders": []}))

charged: set[str] = set()


def charge(order_id: str, amount: int) -> None:
    """Stand for a payment service: called again with an id that it knows, it does nothing."""
    charged.add(order_id)


@bot.command("order")
def order(ctx: Context) -> None:
    """Charge an order and note it; what fails here is tried again from the start."""
    amount = int(ctx.match or 1)
    # The same id at each attempt, because it comes from the update: the payment service can tell.
    charge(f"order-{ctx.update['update_id']}", amount)
    ctx.session["orders"].append(amount)
    again = " (we had a problem meanwhile, so you may read this twice)" if ctx.attempt > 1 else ""
    ctx.reply(f"order {len(ctx.session['orders'])}: {amount}{again}")


@bot.command("total")
def total(ctx: Context) -> None:
    """Say what has been ordered."""
    ctx.reply(f"{len(ctx.session['orders'])} orders, {sum(ctx.session['orders'])} in all")


@bot.catch
def given_up(error: BotError) -> Any:
    """Tell the user that an order could not be taken, after its last attempt; it is a dead letter now."""
    return error.ctx.reply("We could not take this order and look into it.")
