"""Say every text back. Run it with `python -m runner_c examples.echo --playground`."""

from pyruntime import Bot, Context

bot = Bot()


@bot.command("start")
def start(ctx: Context) -> None:
    """Greet, and say what this bot does."""
    ctx.reply("Hello! Write something and I say it back.")


@bot.on("message:text")
def echo(ctx: Context) -> None:
    """Say the text back."""
    ctx.reply(ctx.text or "")
