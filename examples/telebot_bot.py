"""An ordinary bot of pyTelegramBotAPI, which knows nothing of this library: a command, a state, a next step.

Run it with `python -m runner_c examples.telebot_bot --playground` (`pip install 'runner_c[telebot]'`), or by telebot
itself with `BOT_TOKEN=... python -m examples.telebot_bot`. In the first case a quick user loses no count, a slow one
keeps nobody waiting, and a stop or a kill loses no message.
"""

import os

import telebot
from telebot import custom_filters, types

bot = telebot.TeleBot(os.environ["BOT_TOKEN"])
bot.add_custom_filter(custom_filters.StateFilter(bot))


@bot.message_handler(commands=["start"])
def start(message: types.Message) -> None:
    """Ask for a name; the next message is the answer."""
    bot.send_message(message.chat.id, "What is your name?")
    bot.register_next_step_handler(message, greet)


def greet(message: types.Message) -> None:
    """Take the name."""
    bot.send_message(message.chat.id, f"Hello {message.text}. /count counts your messages, /stop ends it.")


@bot.message_handler(commands=["count"])
def begin(message: types.Message) -> None:
    """Count from now on."""
    bot.set_state(message.from_user.id, "counting", message.chat.id)
    bot.send_message(message.chat.id, "0")


@bot.message_handler(commands=["stop"], state="counting")
def end(message: types.Message) -> None:
    """Count no longer."""
    bot.delete_state(message.from_user.id, message.chat.id)
    bot.send_message(message.chat.id, "Stopped.")


@bot.message_handler(state="counting")
def count(message: types.Message) -> None:
    """Read the count, and write it back one higher: two at once would lose one."""
    with bot.retrieve_data(message.from_user.id, message.chat.id) as data:
        data["count"] = data.get("count", 0) + 1
        bot.send_message(message.chat.id, str(data["count"]))


@bot.message_handler(func=lambda message: True)
def echo(message: types.Message) -> None:
    """Answer everything else."""
    bot.reply_to(message, message.text)


if __name__ == "__main__":
    bot.infinity_polling()
