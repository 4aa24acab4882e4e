"""Send messages of all kinds."""

import random
from collections.abc import Callable
from typing import Any, Final

from pyruntime.testing.message import Message, copied_fields, forwarded_fields
from pyruntime.testing.method.content import (
    MAX_CAPTION,
    MAX_TEXT,
    read_common,
    read_file,
    read_text,
    reply_keyboard,
)
from pyruntime.testing.method.registry import Arguments, Method, bad_request, find_chat, find_message, method
from pyruntime.testing.world import World

# Which argument holds the file, what is added to the file object, and whether the object has name and type.
_MEDIA: Final[dict[str, tuple[str, dict[str, Any], bool]]] = {
    "sendPhoto": ("photo", {"width": 640, "height": 480}, False),
    "sendDocument": ("document", {}, True),
    "sendAudio": ("audio", {"duration": 1}, True),
    "sendVideo": ("video", {"width": 640, "height": 480, "duration": 1}, True),
    "sendAnimation": ("animation", {"width": 320, "height": 240, "duration": 1}, True),
    "sendVoice": ("voice", {"duration": 1}, False),
    "sendVideoNote": ("video_note", {"length": 240, "duration": 1}, False),
    "sendSticker": (
        "sticker",
        {"width": 512, "height": 512, "type": "regular", "is_animated": False, "is_video": False},
        False,
    ),
}


@method("sendMessage")
def send_message(world: World, arguments: Arguments) -> Message:
    """Send a text."""
    chat = find_chat(world, arguments)
    text, entities = read_text(arguments, "text", MAX_TEXT)
    if not text:
        raise bad_request("message text is empty")
    fields = read_common(chat, arguments)
    fields["text"] = text
    if entities:
        fields["entities"] = entities
    return chat.add_from_bot(fields, reply_keyboard(arguments))


def media_object(world: World, arguments: Arguments, name: str, kind: str, value: object) -> Any:
    """Return the field of a message that describes a file sent by the method `name`."""
    _, extra, is_named = _MEDIA[name]
    description = {**read_file(world, arguments, value, kind), **extra}
    if not is_named:
        for field in ("file_name", "mime_type"):
            del description[field]
    return [description] if kind == "photo" else description


def _media_sender(name: str) -> Method:
    kind = _MEDIA[name][0]

    def send(world: World, arguments: Arguments) -> Message:
        chat = find_chat(world, arguments)
        fields = read_common(chat, arguments)
        fields[kind] = media_object(world, arguments, name, kind, arguments.values.get(kind))
        caption, entities = read_text(arguments, "caption", MAX_CAPTION, "caption_entities")
        if caption:
            fields["caption"] = caption
        if entities:
            fields["caption_entities"] = entities
        return chat.add_from_bot(fields, reply_keyboard(arguments))

    return send


for _name in _MEDIA:
    method(_name)(_media_sender(_name))


@method("sendMediaGroup")
def send_media_group(world: World, arguments: Arguments) -> list[Message]:
    """Send an album of 2 to 10 files."""
    chat = find_chat(world, arguments)
    items = arguments.json("media")
    if not isinstance(items, list) or not 1 <= len(items) <= 10:
        raise bad_request("wrong number of messages in the album" if items else "there is no media in the request")
    common = read_common(chat, arguments)
    group_id = str(world.next_number())
    prepared: list[dict[str, Any]] = []
    for item in items:
        kind = item.get("type", "") if isinstance(item, dict) else ""
        name = f"send{kind.capitalize()}"
        if name not in _MEDIA:
            raise bad_request("type of the media is invalid")
        fields = {**common, "media_group_id": group_id}
        fields[kind] = media_object(world, arguments, name, kind, item.get("media"))
        if item.get("caption"):
            caption, entities = read_text(Arguments(item), "caption", MAX_CAPTION, "caption_entities")
            fields["caption"] = caption
            if entities:
                fields["caption_entities"] = entities
        prepared.append(fields)
    return [chat.add_from_bot(fields) for fields in prepared]


def _send_built(name: str, build: Callable[[World, Arguments], dict[str, Any]]) -> None:
    def send(world: World, arguments: Arguments) -> Message:
        chat = find_chat(world, arguments)
        fields = {**read_common(chat, arguments), **build(world, arguments)}
        return chat.add_from_bot(fields, reply_keyboard(arguments))

    method(name)(send)


def _number(arguments: Arguments, name: str) -> float:
    try:
        return float(arguments.text(name))
    except ValueError:
        raise bad_request(f"{name} is invalid or missing") from None


def _location(world: World, arguments: Arguments) -> dict[str, Any]:
    place = {"latitude": _number(arguments, "latitude"), "longitude": _number(arguments, "longitude")}
    return {"location": place}


def _venue(world: World, arguments: Arguments) -> dict[str, Any]:
    place = _location(world, arguments)
    title, address = arguments.text("title"), arguments.text("address")
    return {**place, "venue": {**place, "title": title, "address": address}}


def _contact(world: World, arguments: Arguments) -> dict[str, Any]:
    number, name = arguments.text("phone_number"), arguments.text("first_name")
    if not number or not name:
        raise bad_request("phone number or first name is empty")
    return {"contact": {"phone_number": number, "first_name": name, "last_name": arguments.text("last_name")}}


def _poll(world: World, arguments: Arguments) -> dict[str, Any]:
    options = arguments.json("options")
    if not arguments.text("question"):
        raise bad_request("poll question is empty")
    if not isinstance(options, list) or len(options) < 2:
        raise bad_request("poll must have at least 2 option")
    texts = [option.get("text", "") if isinstance(option, dict) else str(option) for option in options]
    return {
        "poll": {
            "id": str(world.next_number()),
            "question": arguments.text("question"),
            "options": [{"text": text, "voter_count": 0} for text in texts],
            "total_voter_count": 0,
            "is_closed": False,
            "is_anonymous": arguments.flag("is_anonymous") or "is_anonymous" not in arguments.values,
            "type": arguments.text("type") or "regular",
            "allows_multiple_answers": arguments.flag("allows_multiple_answers"),
        }
    }


def _dice(world: World, arguments: Arguments) -> dict[str, Any]:
    emoji = arguments.text("emoji") or "🎲"
    return {"dice": {"emoji": emoji, "value": random.randint(1, 64 if emoji == "🎰" else 5 if emoji in "🏀⚽" else 6)}}


def _invoice(world: World, arguments: Arguments) -> dict[str, Any]:
    prices = arguments.json("prices")
    if not isinstance(prices, list) or not prices:
        raise bad_request("there must be at least one price")
    return {
        "invoice": {
            "title": arguments.text("title"),
            "description": arguments.text("description"),
            "start_parameter": arguments.text("start_parameter"),
            "currency": arguments.text("currency"),
            "total_amount": sum(int(price.get("amount", 0)) for price in prices if isinstance(price, dict)),
        }
    }


def _game(world: World, arguments: Arguments) -> dict[str, Any]:
    return {"game": {"title": arguments.text("game_short_name"), "description": "", "photo": []}}


_send_built("sendLocation", _location)
_send_built("sendVenue", _venue)
_send_built("sendContact", _contact)
_send_built("sendPoll", _poll)
_send_built("sendDice", _dice)
_send_built("sendInvoice", _invoice)
_send_built("sendGame", _game)


@method("sendChatAction")
def send_chat_action(world: World, arguments: Arguments) -> bool:
    """Show "typing" and the like."""
    chat = find_chat(world, arguments)
    action = arguments.text("action")
    if not action:
        raise bad_request("wrong parameter action in request")
    chat.show_action(action)
    return True


@method("forwardMessage")
def forward_message(world: World, arguments: Arguments) -> Message:
    """Forward a message of another chat."""
    chat = find_chat(world, arguments)
    message = find_message(find_chat(world, arguments, "from_chat_id"), arguments, "forward")
    return chat.add_from_bot(forwarded_fields(message))


@method("copyMessage")
def copy_message(world: World, arguments: Arguments) -> dict[str, int]:
    """Send the content of a message of another chat anew."""
    chat = find_chat(world, arguments)
    message = find_message(find_chat(world, arguments, "from_chat_id"), arguments, "copy")
    fields = {**copied_fields(message), **read_common(chat, arguments)}
    if "caption" in arguments.values:
        fields["caption"], fields["caption_entities"] = read_text(arguments, "caption", MAX_CAPTION, "caption_entities")
    return {"message_id": chat.add_from_bot(fields).id}


@method("forwardMessages", "copyMessages")
def copy_messages(world: World, arguments: Arguments) -> list[dict[str, int]]:
    """Forward or copy several messages; those that are not there are skipped."""
    chat = find_chat(world, arguments)
    source = find_chat(world, arguments, "from_chat_id")
    ids = arguments.json("message_ids")
    if not isinstance(ids, list) or not ids:
        raise bad_request("message identifiers are not specified")
    found = [message for message in (source.find(int(each)) for each in ids) if message is not None]
    if not found:
        raise bad_request("there are no messages to forward")
    return [{"message_id": chat.add_from_bot(copied_fields(message)).id} for message in found]
