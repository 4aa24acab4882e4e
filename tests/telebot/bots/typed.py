"""A telebot bot with function-based middlewares, next steps, replies, a listener and an exception handler."""

import os

import telebot
from telebot import apihelper, types

apihelper.ENABLE_MIDDLEWARE = True
if "SHOP_API_URL" in os.environ:
    apihelper.API_URL = os.environ["SHOP_API_URL"]


class Tolerant(telebot.ExceptionHandler):
    def handle(self, exception):
        if isinstance(exception, KeyError):
            bot.send_message(int(exception.args[0]), "handled")
            return True
        return False


# With more threads it is a matter of luck under telebot which of two handlers of one message comes first.
bot = telebot.TeleBot(os.environ["SHOP_TOKEN"], exception_handler=Tolerant(), num_threads=1)


@bot.middleware_handler(update_types=["message"])
def shout(bot_instance, message):
    if message.text:
        message.text = message.text.replace("quiet", "QUIET")


@bot.middleware_handler()
def mark(bot_instance, update):
    if update.message is not None:
        update.message.mark = update.update_id is not None
        if update.message.text == "break the middleware":
            raise RuntimeError("the middleware failed")


@bot.message_handler(commands=["name"])
def ask(message):
    # Registered before it asks: under telebot a quick answer could come before the registration otherwise.
    bot.register_next_step_handler(message, answer_name, "dear", suffix="!")
    bot.send_message(message.chat.id, "your name?", reply_markup=types.ForceReply())


def answer_name(message, title, suffix=""):
    bot.register_next_step_handler_by_chat_id(message.chat.id, answer_age, message.text)
    bot.send_message(message.chat.id, f"{title} {message.text}{suffix} and your age?")


def answer_age(message, name):
    if not message.text.isdigit():
        bot.register_next_step_handler(message, answer_age, name)
        bot.send_message(message.chat.id, "a number")
        return
    bot.send_message(message.chat.id, f"{name} is {message.text}")


@bot.message_handler(commands=["ask"])
def ask_for_reply(message):
    sent = bot.send_message(message.chat.id, "reply to this")
    bot.register_for_reply(sent, replied, 7)
    bot.send_chat_action(message.chat.id, "find_location")


def replied(message, number):
    bot.send_message(message.chat.id, f"reply {number}: {message.text}")


@bot.message_handler(commands=["step_fails"])
def step_fails(message):
    bot.register_next_step_handler(message, fail)
    bot.send_message(message.chat.id, "say anything")


def fail(message):
    raise ValueError("the step failed")


@bot.message_handler(commands=["handled"])
def handled(message):
    raise KeyError(str(message.chat.id))


@bot.message_handler(commands=["unhandled"])
def unhandled(message):
    raise ValueError("nobody handles it")


@bot.message_handler(func=lambda message: "QUIET" in (message.text or ""))
def quiet(message):
    bot.send_message(message.chat.id, f"{message.text} {message.mark}")


@bot.message_handler(content_types=["text"])
def rest(message):
    bot.send_message(message.chat.id, f"heard {message.text}")


def listen(messages):
    for message in messages:
        if message.text == "listener":
            bot.send_chat_action(message.chat.id, "typing")


bot.set_update_listener(listen)


def main():
    bot.infinity_polling(skip_pending=False, timeout=10, long_polling_timeout=5)


if __name__ == "__main__":
    main()
