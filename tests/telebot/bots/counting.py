"""Count in the data of a state, slowly, so that whoever runs two updates of a chat at once loses some."""

import json
import os
import time
from contextlib import contextmanager

import telebot
from telebot.handler_backends import State, StatesGroup

if "SHOP_API_URL" in os.environ:
    telebot.apihelper.API_URL = os.environ["SHOP_API_URL"]


class JsonStorage(telebot.StateStorageBase):
    """Keep each record as JSON text, read and written as a whole, as a storage behind a network does."""

    def __init__(self):
        self.records = {}

    def read(self, chat_id, user_id):
        return json.loads(self.records.get((chat_id, user_id), "{}"))

    def set_state(self, chat_id, user_id, state, **more):
        record = self.read(chat_id, user_id)
        record["state"] = getattr(state, "name", state)
        self.records[chat_id, user_id] = json.dumps(record)

    def get_state(self, chat_id, user_id, **more):
        return self.read(chat_id, user_id).get("state")

    @contextmanager
    def get_interactive_data(self, chat_id, user_id, **more):
        record = self.read(chat_id, user_id)
        yield record.setdefault("data", {})
        self.records[chat_id, user_id] = json.dumps(record)


if os.environ.get("STORAGE") == "json":
    storage = JsonStorage()
elif os.environ.get("STORAGE") == "pickle":
    storage = telebot.StatePickleStorage(file_path="states/states.pkl")
else:
    storage = telebot.StateMemoryStorage()
bot = telebot.TeleBot(os.environ["SHOP_TOKEN"], num_threads=8, state_storage=storage)


class Counter(StatesGroup):
    on = State()


@bot.message_handler(commands=["start"])
def start(message):
    bot.set_state(message.from_user.id, Counter.on, message.chat.id)
    bot.send_message(message.chat.id, "0")


@bot.message_handler(commands=["fail"])
def fail(message):
    raise ValueError(f"failed for {message.chat.id} with {bot.token}")


@bot.message_handler(commands=["sleep"])
def sleep(message):
    time.sleep(1.5)
    bot.send_message(message.chat.id, "awake")


@bot.message_handler(func=lambda message: True)
def count(message):
    with bot.retrieve_data(message.from_user.id, message.chat.id) as data:
        value = data.get("count", 0)
        time.sleep(0.002)
        data["count"] = value + 1
    bot.send_message(message.chat.id, str(value + 1))


bot.infinity_polling()
