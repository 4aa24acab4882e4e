"""A telebot bot as many are written: class-based middlewares, states, filters, errors. It knows nothing of us."""

import os

import telebot
from telebot import apihelper, custom_filters, types
from telebot.handler_backends import BaseMiddleware, CancelUpdate, ContinueHandling, SkipHandler, State, StatesGroup

if "SHOP_API_URL" in os.environ:
    apihelper.API_URL = os.environ["SHOP_API_URL"]

bot = telebot.TeleBot(os.environ["SHOP_TOKEN"], use_class_middlewares=True)


class Order(StatesGroup):
    item = State()
    amount = State()


class Counting(BaseMiddleware):
    def __init__(self):
        self.update_sensitive = False
        self.update_types = ["message"]

    def pre_process(self, message, data):
        if message.text == "ignore me":
            return CancelUpdate()
        if message.text == "no handler":
            return SkipHandler()
        data["length"] = len(message.text or "")
        return None

    def post_process(self, message, data, exception):
        if exception is not None:
            bot.send_message(message.chat.id, f"post: {type(exception).__name__} {exception}")
        elif message.text == "no handler":
            bot.send_message(message.chat.id, "post: skipped")


class Sensitive(BaseMiddleware):
    def __init__(self):
        self.update_sensitive = True
        self.update_types = ["message", "edited_message"]

    def pre_process_message(self, message, data):
        data["seen"] = "message"

    def post_process_message(self, message, data, exception):
        pass

    def pre_process_edited_message(self, message, data):
        data["seen"] = "edited"

    def post_process_edited_message(self, message, data, exception):
        bot.send_message(message.chat.id, "post: edited")


class StartsWith(custom_filters.AdvancedCustomFilter):
    key = "starts"

    def check(self, message, text):
        return (message.text or "").startswith(text)


class IsLoud(custom_filters.SimpleCustomFilter):
    key = "is_loud"

    def check(self, message):
        return (message.text or "").endswith("!")


bot.add_custom_filter(StartsWith())
bot.add_custom_filter(IsLoud())
bot.add_custom_filter(custom_filters.StateFilter(bot))
bot.setup_middleware(Counting())
bot.setup_middleware(Sensitive())


@bot.message_handler(commands=["order"])
def begin(message):
    bot.set_state(message.from_user.id, Order.item, message.chat.id)
    bot.send_message(message.chat.id, "what?")


@bot.message_handler(commands=["cancel"], state="*")
def cancel(message):
    bot.delete_state(message.from_user.id, message.chat.id)
    bot.send_message(message.chat.id, "cancelled")


@bot.message_handler(state=Order.item)
def item(message, length):
    with bot.retrieve_data(message.from_user.id, message.chat.id) as data:
        data["item"] = message.text
    bot.set_state(message.from_user.id, Order.amount, message.chat.id)
    bot.send_message(message.chat.id, f"how many? ({length})")


@bot.message_handler(state=Order.amount, func=lambda message: message.text.isdigit())
def amount(message, data):
    with bot.retrieve_data(message.from_user.id, message.chat.id) as order:
        item = order["item"]
    bot.delete_state(message.from_user.id, message.chat.id)
    bot.send_message(message.chat.id, f"{message.text} {item} ({data['length']}, {data['seen']})")


@bot.message_handler(starts="buttons")
def buttons(message):
    keyboard = types.InlineKeyboardMarkup()
    keyboard.add(types.InlineKeyboardButton("one", callback_data="1"))
    bot.send_message(message.chat.id, "press", reply_markup=keyboard)


@bot.message_handler(is_loud=True)
def loud(message):
    bot.send_message(message.chat.id, "not so loud")
    return ContinueHandling()


@bot.message_handler(func=lambda message: "fail" in (message.text or ""), pass_bot=True)
def fail(message, bot):
    bot.send_message(message.chat.id, "about to fail")
    raise ValueError("failed as asked")


@bot.message_handler(regexp="^hello", content_types=["text"])
def hello(message, seen):
    bot.reply_to(message, f"hello, {seen}")


@bot.edited_message_handler(func=lambda message: True)
def edited(message, seen):
    bot.send_message(message.chat.id, f"{seen}: {message.text}")


@bot.callback_query_handler(func=lambda query: query.data == "1")
def pressed(query):
    bot.answer_callback_query(query.id, "one it is")
    bot.edit_message_text("pressed", query.message.chat.id, query.message.message_id)


@bot.message_handler(content_types=["photo"])
def photo(message):
    bot.send_message(message.chat.id, f"{len(message.photo)} sizes")


if __name__ == "__main__":
    bot.infinity_polling()
