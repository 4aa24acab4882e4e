"""Make known to the fake world what an update speaks of that did not happen here: a recorded one, or one of a test.

Then the bot can do with it what it could on the real server: reply to its messages, edit and delete them, send its
files again, answer its queries, look up its people.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from pyruntime.testing.chat import Chat
from pyruntime.testing.message import Message
from pyruntime.testing.world import QUERY_LIFE_S, World

_NEW: Final = frozenset({"message", "channel_post", "business_message"})
_EDITED: Final = frozenset({"edited_message", "edited_channel_post", "edited_business_message"})
_NESTED: Final = ("reply_to_message", "pinned_message")
_NAMED: Final = frozenset({"id", "type", "title", "user", "members", "chat_id", "chat_type", "self"})
"""Fields of a chat that `World.chat` gets by name, or that no chat has and a file may all the same."""
_DEPTH: Final = 5
"""How deep in a message a file may be: its thumbnail is in the game that is in the message."""
_GONE: Final = frozenset({"left", "kicked"})


def learn(world: World, kind: str, content: Any) -> None:
    """Learn from the `content` of an update. Assumes: the world's lock is held."""
    if not isinstance(content, dict):
        return
    if kind in QUERY_LIFE_S and isinstance(content.get("id"), str):
        world.learn_query(content["id"], kind)
    sender = _dict(content.get("from"))
    chat = _learn_chat(world, _place(kind, content).get("chat"), sender)
    if chat is None and _is_person(sender):
        world.chat(sender["id"], "private", user=sender)
    if chat is not None:
        _learn_people(world, chat, kind, content)
    for message in _messages(kind, content):
        _learn_message(world, message, is_newest=kind in _EDITED and message is content)


def prepare(world: World, updates: Iterable[dict[str, Any]]) -> None:
    """Be ready to learn from `updates` while the bot speaks: no message of the bot takes the id of one of theirs.

    The bot becomes the one that they tell of, if they do. Assumes: the world's lock is held.
    """
    for update in updates:
        for kind, content in update.items():
            if not isinstance(content, dict):
                continue
            bot = _bot_told_of(kind, content)
            if bot is not None:
                world.bot_user = bot
            for message in _messages(kind, content):
                if not _is_by_bot(message):
                    world.reserved.setdefault(message["chat"]["id"], set()).add(message["message_id"])


def _place(kind: str, content: dict[str, Any]) -> dict[str, Any]:
    """Return what has the chat: the message with the button, or the content itself."""
    return _dict(content.get("message")) if kind == "callback_query" else content


def _messages(kind: str, content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return the messages that an update tells of, without those that the bot may not see any more (of date 0)."""
    if kind not in _NEW and kind not in _EDITED and kind != "callback_query":
        return
    message = _place(kind, content)
    for each in (message, *(_dict(message.get(name)) for name in _NESTED)):
        has_place = isinstance(_dict(each.get("chat")).get("id"), int)
        if has_place and isinstance(each.get("message_id"), int) and each.get("date") != 0:
            yield each


def _learn_chat(world: World, info: Any, sender: dict[str, Any]) -> Chat | None:
    if not isinstance(info, dict) or not isinstance(info.get("id"), int):
        return None
    known = world.chats.get(info["id"])
    if known is not None:
        return known
    fields = {key: value for key, value in info.items() if key not in _NAMED}
    user = sender if isinstance(sender.get("id"), int) else None
    chat = world.chat(info["id"], info.get("type"), user=user, title=info.get("title"), **fields)
    if chat.type != "private":
        chat.creator = None  # anybody may be the first whom we hear of
        if not _is_person(sender):
            chat.members.clear()
    return chat


def _learn_people(world: World, chat: Chat, kind: str, content: dict[str, Any]) -> None:
    if kind == "my_chat_member":
        chat.is_blocked = _status(content) in _GONE
    if chat.type not in ("group", "supergroup"):
        return
    new_id = content.get("migrate_to_chat_id")
    if isinstance(new_id, int):
        chat.migrate(new_id)
    before = set(chat.members)
    added = content.get("new_chat_members")
    come = [content.get("from"), *(added if isinstance(added, list) else ())]
    gone = [content.get("left_chat_member")]
    if kind == "chat_member":
        (gone if _status(content) in _GONE else come).append(_dict(content.get("new_chat_member")).get("user"))
    for person in filter(_is_person, map(_dict, come)):
        chat.members.setdefault(person["id"], person)
    for person in filter(_is_person, map(_dict, gone)):
        chat.members.pop(person["id"], None)
    if before != set(chat.members):
        world.tell("members", chat)


def _learn_message(world: World, message: dict[str, Any], *, is_newest: bool) -> None:
    chat = _learn_chat(world, message["chat"], _dict(message.get("from")))
    if chat is not None and (is_newest or chat.find(message["message_id"]) is None):
        kept = Message(message)
        kept.is_by_bot = _is_by_bot(message)
        chat.add_foreign(kept)
    for file in _files(message, _DEPTH):
        if file["file_id"] not in world.files:
            world.foreign_files.setdefault(file["file_id"], file)


def _files(part: Any, depth: int) -> Iterator[dict[str, Any]]:
    """Return the file objects in a message: its photo in all sizes, its document, their thumbnails."""
    if isinstance(part, dict) and depth:
        if isinstance(part.get("file_id"), str):
            yield part
        for name, value in part.items():
            if name not in _NESTED:
                yield from _files(value, depth - 1)
    elif isinstance(part, list) and depth:
        for value in part:
            yield from _files(value, depth - 1)


def _bot_told_of(kind: str, content: dict[str, Any]) -> dict[str, Any] | None:
    """Return the bot that an update is for, if it says so: by a membership, or by the message with the button."""
    told: dict[str, Any] = {}
    if kind == "my_chat_member":
        told = _dict(_dict(content.get("new_chat_member")).get("user"))
    elif kind == "callback_query":
        told = _dict(_place(kind, content).get("from"))
    return told if told.get("is_bot") and isinstance(told.get("id"), int) else None


def _status(content: dict[str, Any]) -> str:
    return str(_dict(content.get("new_chat_member")).get("status"))


def _is_by_bot(message: dict[str, Any]) -> bool:
    return bool(_dict(message.get("from")).get("is_bot"))


def _is_person(user: dict[str, Any]) -> bool:
    return isinstance(user.get("id"), int) and not user.get("is_bot")


def _dict(value: Any) -> dict[str, Any]:
    """Return the value if it is an object: what a test or a recording holds may be anything."""
    return value if isinstance(value, dict) else {}
