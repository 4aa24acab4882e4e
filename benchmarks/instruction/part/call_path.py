"""Send messages, one after another, over a real socket to the peer.

call_path.py WARM_UP SHORT LONG PORT
"""

import sys

from segment import segments

from pyruntime import Bot

TOKEN = "123456789:" + "T" * 35
CHATS = 500
TEXT = "hello, is anybody there? I have been waiting for an answer since the morning"


def main() -> None:
    """Handle all segments: one message is one update."""
    bot = Bot(TOKEN, f"http://127.0.0.1:{sys.argv[4]}")
    for length in segments():
        for number in range(length):
            sent = bot.api.send_message(chat_id=500_000_000 + number % CHATS, text=TEXT)
            assert sent["text"] == TEXT
    bot.close()


if __name__ == "__main__":
    main()
