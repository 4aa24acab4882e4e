"""The bot of the site: it counts visits in the site's database."""

from django.db import connection

from pyruntime import Bot, Context
from pyruntime.adapters.django.connection import database_connections

bot = Bot()
bot.use(database_connections)


@bot.command("start")
def start(ctx: Context) -> None:
    """Note a visit."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS visit (chat INTEGER)")
        cursor.execute("INSERT INTO visit VALUES (%s)", [ctx.chat_id])
        cursor.execute("SELECT count(*) FROM visit WHERE chat = %s", [ctx.chat_id])
        ctx.reply(f"visit {cursor.fetchone()[0]}")
