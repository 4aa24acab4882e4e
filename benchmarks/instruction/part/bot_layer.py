"""Run the bot layer alone: `Bot.handle_update` with a session, commands, texts, buttons, photos; calls cost nothing.

bot_layer.py WARM_UP SHORT LONG
"""

from typing import Any

from segment import lengths, segments
from update import BOT, make_update

from pyruntime import Bot, session

TOKEN = "123456789:" + "T" * 35
CHATS = 50


class Recorder:
    """Stand in for the client: answer from memory, and count."""

    def __init__(self) -> None:
        self.calls = 0
        self._message = {"message_id": 1}

    def send_message(self, **parameters: Any) -> dict[str, Any]:
        """Take a message."""
        self.calls += 1
        return self._message

    def answer_callback_query(self, **parameters: Any) -> bool:
        """Take an answer."""
        self.calls += 1
        return True


def make_bot(api: Any) -> Bot:
    """Return the bot. Which handler an update finds is as mixed as the updates."""
    bot = Bot(TOKEN, me=BOT)
    bot.api = api
    bot.use(session(initial=dict))

    @bot.command("start")
    def start(ctx: Any) -> None:
        ctx.session["visits"] = (ctx.session.get("visits", 0) + 1) % 10
        ctx.reply("Welcome! Send me a text, or /settings.")

    @bot.command("help")
    def help(ctx: Any) -> None:
        ctx.reply("There is no help.")

    @bot.command("settings")
    def settings(ctx: Any) -> None:
        buttons = [[{"text": name, "callback_data": f"choice:{name}"} for name in ("first", "second", "third")]]
        ctx.reply("Which one shall it be?", reply_markup={"inline_keyboard": buttons})

    @bot.callback_query(["choice:first", "choice:second", "choice:third"])
    def choose(ctx: Any) -> None:
        ctx.session["choice"] = ctx.update["callback_query"]["data"]
        ctx.answer("taken")

    @bot.hears("ok")
    def agree(ctx: Any) -> None:
        ctx.reply("good", reply_parameters={"message_id": ctx.message.message_id})

    @bot.on(":photo")
    def look(ctx: Any) -> None:
        ctx.reply(f"{len(ctx.message.photo)} sizes, {ctx.message.caption or 'no caption'}")

    @bot.on("message:text")
    def echo(ctx: Any) -> None:
        ctx.session["texts"] = (ctx.session.get("texts", 0) + 1) % 10
        ctx.reply(f"{ctx.from_user.first_name}: {ctx.text}")

    return bot


def main() -> None:
    """Handle all segments."""
    recorder = Recorder()
    bot = make_bot(recorder)
    updates = iter([make_update(number, CHATS) for number in range(sum(lengths()))])
    for length in segments():
        for _ in range(length):
            bot.handle_update(next(updates))
    assert recorder.calls == sum(lengths()), recorder.calls


if __name__ == "__main__":
    main()
