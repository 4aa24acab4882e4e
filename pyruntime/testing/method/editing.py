"""Edit, delete and pin messages."""

from typing import Any

from pyruntime.testing.message import Message
from pyruntime.testing.method.content import MAX_CAPTION, MAX_TEXT, read_markup, read_text, shown_markup
from pyruntime.testing.method.registry import Arguments, bad_request, find_chat, find_message, method
from pyruntime.testing.method.sending import media_object
from pyruntime.testing.world import World

_NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same as a current content "
    "and reply markup of the message"
)


def _find_editable(world: World, arguments: Arguments) -> Message | None:
    """Return the message to edit; None for one of inline mode that nobody here sent, which any edit suits."""
    if inline_id := arguments.text("inline_message_id"):
        chat_id, message_id = world.inline_messages.get(inline_id, (0, 0))
        return world.chats[chat_id].find(message_id) if chat_id in world.chats else None
    message = find_message(find_chat(world, arguments), arguments, "edit")
    if not message.is_from_bot and message["chat"]["type"] != "channel":
        raise bad_request("message can't be edited")
    return message


def _replace(world: World, old: Message, fields: dict[str, Any], arguments: Arguments) -> Message | bool:
    edited = old.renewed()
    markup = shown_markup(read_markup(arguments))
    for name, value in {**fields, "reply_markup": markup}.items():
        if value:
            edited[name] = value
        else:
            edited.pop(name, None)
    if edited == old:
        raise bad_request(_NOT_MODIFIED)
    edited["edit_date"] = int(world.clock())
    world.chats[old.chat_id].replace(edited)
    return True if arguments.text("inline_message_id") else edited


@method("editMessageText")
def edit_message_text(world: World, arguments: Arguments) -> Message | bool:
    """Replace the text of a message of the bot."""
    text, entities = read_text(arguments, "text", MAX_TEXT)
    if not text:
        raise bad_request("message text is empty")
    old = _find_editable(world, arguments)
    if old is None:
        return True
    if "text" not in old:
        raise bad_request("there is no text in the message to edit")
    return _replace(world, old, {"text": text, "entities": entities}, arguments)


@method("editMessageCaption")
def edit_message_caption(world: World, arguments: Arguments) -> Message | bool:
    """Replace the caption of a message of the bot."""
    caption, entities = read_text(arguments, "caption", MAX_CAPTION, "caption_entities")
    old = _find_editable(world, arguments)
    if old is None:
        return True
    if "text" in old:
        raise bad_request("there is no caption in the message to edit")
    return _replace(world, old, {"caption": caption, "caption_entities": entities}, arguments)


@method("editMessageMedia")
def edit_message_media(world: World, arguments: Arguments) -> Message | bool:
    """Replace the file of a message of the bot."""
    old = _find_editable(world, arguments)
    if old is None:
        return True
    media = arguments.json("media")
    kind = media.get("type", "") if isinstance(media, dict) else ""
    if kind not in ("photo", "video", "animation", "audio", "document"):
        raise bad_request("type of the media is invalid")
    fields: dict[str, Any] = dict.fromkeys(("text", "entities", "photo", "video", "animation", "audio", "document"))
    fields[kind] = media_object(world, arguments, f"send{kind.capitalize()}", kind, media.get("media"))
    fields["caption"], fields["caption_entities"] = read_text(
        Arguments(media), "caption", MAX_CAPTION, "caption_entities"
    )
    return _replace(world, old, fields, arguments)


@method("editMessageReplyMarkup", "editMessageLiveLocation", "stopMessageLiveLocation")
def edit_message_reply_markup(world: World, arguments: Arguments) -> Message | bool:
    """Replace the inline keyboard of a message of the bot."""
    old = _find_editable(world, arguments)
    return True if old is None else _replace(world, old, {}, arguments)


@method("stopPoll")
def stop_poll(world: World, arguments: Arguments) -> Any:
    """Close a poll."""
    old = _find_editable(world, arguments)
    if old is None or "poll" not in old:
        raise bad_request("message with poll to stop not found")
    closed = {**old["poll"], "is_closed": True}
    _replace(world, old, {"poll": closed}, arguments)
    return closed


@method("deleteMessage")
def delete_message(world: World, arguments: Arguments) -> bool:
    """Delete a message."""
    chat = find_chat(world, arguments)
    if not chat.delete(arguments.integer("message_id")):
        raise bad_request("message to delete not found")
    return True


@method("deleteMessages")
def delete_messages(world: World, arguments: Arguments) -> bool:
    """Delete several messages; those that are not there are skipped."""
    chat = find_chat(world, arguments)
    ids = arguments.json("message_ids")
    if not isinstance(ids, list) or not ids:
        raise bad_request("message identifiers are not specified")
    for message_id in ids:
        chat.delete(int(message_id))
    return True


@method("pinChatMessage")
def pin_chat_message(world: World, arguments: Arguments) -> bool:
    """Pin a message."""
    chat = find_chat(world, arguments)
    chat.set_pinned(find_message(chat, arguments, "pin").id, True)
    return True


@method("unpinChatMessage")
def unpin_chat_message(world: World, arguments: Arguments) -> bool:
    """Unpin a message, the newest if none is named."""
    chat = find_chat(world, arguments)
    message_id = arguments.integer("message_id")
    if message_id and message_id not in chat.pinned:
        raise bad_request("message to unpin not found")
    if chat.pinned:
        chat.set_pinned(message_id or chat.pinned[-1], False)
    return True


@method("unpinAllChatMessages")
def unpin_all_chat_messages(world: World, arguments: Arguments) -> bool:
    """Unpin every message."""
    chat = find_chat(world, arguments)
    for message_id in list(chat.pinned):
        chat.set_pinned(message_id, False)
    return True


@method("setMessageReaction")
def set_message_reaction(world: World, arguments: Arguments) -> bool:
    """Put reactions of the bot on a message."""
    chat = find_chat(world, arguments)
    message = find_message(chat, arguments, "react")
    reactions = arguments.json("reaction") or []
    if not isinstance(reactions, list) or not all(isinstance(each, dict) for each in reactions):
        raise bad_request("can't parse reaction types")
    chat.take_reaction(message.id, [str(each.get("emoji") or "★") for each in reactions])
    return True
