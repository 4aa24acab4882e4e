"""Make updates as Telegram sends them: of the usual kinds and sizes, and the same ones each time."""

from typing import Any

__all__ = ["BOT", "FIRST_UPDATE_ID", "make_update"]

BOT = {"id": 123456789, "is_bot": True, "first_name": "Counted", "username": "counted_bot"}

_PEOPLE = (
    ("Olga", "Petrova", "olga_petrova", "ru"),
    ("Rahim", "Karimov", "rahim_k", "uz"),
    ("Anna", "Schneider", "annaschneider", "de"),
    ("Дмитрий", "Соколов", "dmitry_sokolov", "ru"),
    ("Maria", "Gonzalez", "maria_g", "es"),
)
_TEXTS = (
    "hello, is anybody there?",
    "Привет! Во сколько завтра начинается встреча? 🙂",  # noqa: RUF001
    "I have sent the documents yesterday in the evening, please have a look at them when there is time.",
    "ok",
    "https://example.org/articles/2024/05/12 is the page that I was talking about",
)
FIRST_UPDATE_ID = 862_000_000
_FIRST_MESSAGE_ID = 100_000
_FIRST_CHAT_ID = 500_000_000
_DATE = 1_700_000_000


def make_update(number: int, chats: int) -> dict[str, Any]:
    """Return the update of that number, from one of `chats` chats.

    Of ten there are six texts, a command, a press of a button, a photo with a caption, and a reply in a group.
    """
    place = number % chats
    first_name, last_name, username, language = _PEOPLE[place % len(_PEOPLE)]
    chat_id = _FIRST_CHAT_ID + place
    names = {"first_name": first_name, "last_name": last_name, "username": username}
    user = {"id": chat_id, "is_bot": False, **names, "language_code": language}
    message: dict[str, Any] = {
        "message_id": _FIRST_MESSAGE_ID + number,
        "from": user,
        "chat": {"id": chat_id, **names, "type": "private"},
        "date": _DATE + number,
    }
    update: dict[str, Any] = {"update_id": FIRST_UPDATE_ID + number}
    kind = number % 10
    if kind == 3:
        command = "/start" if number % 20 == 3 else "/settings"
        message["text"] = f"{command} now"
        message["entities"] = [{"offset": 0, "length": len(command), "type": "bot_command"}]
    elif kind == 5:
        asked = {**message, "from": BOT, "text": "Which one shall it be?"}
        buttons = [[{"text": name, "callback_data": f"choice:{name}"} for name in ("first", "second", "third")]]
        asked["reply_markup"] = {"inline_keyboard": buttons}
        update["callback_query"] = {
            "id": str(4_382_000_000_000_000_000 + number),
            "from": user,
            "message": asked,
            "chat_instance": "-3847263847261827364",
            "data": "choice:second",
        }
        return update
    elif kind == 7:
        message["photo"] = [
            {
                "file_id": "AgACAgIAAxkBAAIBQ2Y" + "x" * 60 + str(width),
                "file_unique_id": f"AQADbN4xG{width}",
                "file_size": width * 40,
                "width": width,
                "height": width * 3 // 4,
            }
            for width in (90, 320, 800, 1280)
        ]
        message["caption"] = _TEXTS[number // 10 % len(_TEXTS)]
    elif kind == 9:
        message["chat"] = {"id": -1_001_000_000_000 - place, "title": "Neighbours", "type": "supergroup"}
        message["reply_to_message"] = {**message, "message_id": message["message_id"] - 1, "text": _TEXTS[0]}
        message["text"] = _TEXTS[3]
    else:
        message["text"] = _TEXTS[number // 10 % len(_TEXTS)]
    update["message"] = message
    return update
