"""Count visits in a session and tell them; `fail` writes into the session and raises."""

from pyruntime import Bot, BotError, Context, session

bot = Bot()
bot.use(session(initial=dict))


@bot.on("message:text")
def count(ctx: Context) -> None:
    """Count one more visit."""
    ctx.session["visits"] = ctx.session.get("visits", 0) + 1
    if ctx.text == "fail":
        ctx.session["visits"] += 1_000
        raise ValueError("on purpose")
    ctx.reply(f"visit {ctx.session['visits']}")


@bot.catch
def ignore(error: BotError) -> None:
    """Take the errors that were made on purpose."""
    assert str(error.error) == "on purpose"
