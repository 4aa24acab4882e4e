"""Count in a session, by command and by button: press as fast as you like, no count is lost.

Run it with `python -m runner_c examples.counter --playground`. Each chat has its own count.
"""

from pyruntime import Bot, Context, session

bot = Bot()
bot.use(session(initial=lambda: {"count": 0}))

BUTTONS = {"inline_keyboard": [[{"text": "+1", "callback_data": "add"}, {"text": "reset", "callback_data": "reset"}]]}


def shown(ctx: Context) -> str:
    """Return the text that shows the count."""
    return f"count: {ctx.session['count']}"


@bot.command("start")
def start(ctx: Context) -> None:
    """Show the count with its buttons."""
    ctx.reply(shown(ctx), reply_markup=BUTTONS)


@bot.callback_query("add")
def add(ctx: Context) -> None:
    """Count one up and show it in the message of the button."""
    ctx.session["count"] += 1
    ctx.answer()
    ctx.edit(shown(ctx), reply_markup=BUTTONS)


@bot.callback_query("reset")
def reset(ctx: Context) -> None:
    """Begin at zero again."""
    if ctx.session["count"] == 0:
        ctx.answer("it is zero already")
        return
    ctx.session["count"] = 0
    ctx.answer()
    ctx.edit(shown(ctx), reply_markup=BUTTONS)


@bot.on("message:text")
def count(ctx: Context) -> None:
    """Count every other message too."""
    ctx.session["count"] += 1
    ctx.reply(shown(ctx), reply_markup=BUTTONS)
