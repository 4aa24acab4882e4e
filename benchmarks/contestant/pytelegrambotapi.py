"""pyTelegramBotAPI: `TeleBot` with threads, as many as were best for the scenario."""

import os

import requests
import setting
import telebot
from requests.adapters import HTTPAdapter
from telebot import apihelper


def main() -> None:
    """Echo until the process is ended."""
    apihelper.API_URL = setting.API_ROOT + "/bot{0}/{1}"
    apihelper.SESSION_TIME_TO_LIVE = None
    if os.environ.get("SHARED", "1") == "1":
        # One session for all threads, with a connection for each, that does not look into the environment per call.
        shared = requests.Session()
        shared.trust_env = False
        shared.verify = setting.CA_FILE or True
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=setting.CONCURRENCY + 1)
        shared.mount("http://", adapter)
        shared.mount("https://", adapter)
        apihelper.session = shared
    elif setting.CA_FILE:
        os.environ["REQUESTS_CA_BUNDLE"] = setting.CA_FILE
    bot = telebot.TeleBot(setting.TOKEN, threaded=True, num_threads=setting.CONCURRENCY, skip_pending=False)

    if setting.SESSION:

        @bot.message_handler(content_types=["text"])
        def count(message):
            user_id, chat_id = message.from_user.id, message.chat.id
            if bot.get_state(user_id, chat_id) is None:
                bot.set_state(user_id, "counting", chat_id)
            with bot.retrieve_data(user_id, chat_id) as data:
                number = data["n"] = data.get("n", 0) + 1
            bot.send_message(chat_id, f"{message.text} {number}")

    elif setting.CPU_LOOPS:

        @bot.message_handler(content_types=["text"])
        def compute(message):
            setting.burn(setting.CPU_LOOPS)
            bot.send_message(message.chat.id, message.text)

    else:

        @bot.message_handler(content_types=["text"])
        def echo(message):
            bot.send_message(message.chat.id, message.text)

    bot.infinity_polling(long_polling_timeout=30, allowed_updates=["message"])


if __name__ == "__main__":
    main()
