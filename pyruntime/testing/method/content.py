"""Check and read what messages are made of: text with its marks, reply markup, files."""

from typing import Any, Final

from pyruntime.testing.body import UploadedFile
from pyruntime.testing.chat import Chat
from pyruntime.testing.entity import find_entities, utf16_length
from pyruntime.testing.markup import UnparsableText, parse_marked_text
from pyruntime.testing.method.registry import Arguments, bad_request
from pyruntime.testing.world import World

MAX_TEXT: Final = 4096
MAX_CAPTION: Final = 1024
MAX_CALLBACK_DATA_BYTES: Final = 64

_BUTTON_ACTIONS: Final = frozenset(
    {
        "url",
        "callback_data",
        "web_app",
        "login_url",
        "switch_inline_query",
        "switch_inline_query_current_chat",
        "switch_inline_query_chosen_chat",
        "copy_text",
        "callback_game",
        "pay",
    }
)


def read_text(
    arguments: Arguments, name: str, max_length: int, entities_name: str = "entities"
) -> tuple[str, list[dict[str, Any]]]:
    """Return the text of the argument `name` without marks, and its entities.

    Raises: Refused if it cannot be parsed or is too long; an empty text passes.
    """
    text = arguments.text(name)
    parse_mode = arguments.text("parse_mode")
    entities: list[dict[str, Any]] = []
    if parse_mode and text:
        try:
            text, entities = parse_marked_text(text, parse_mode)
        except UnparsableText as error:
            raise bad_request(str(error) if "parse_mode" in str(error) else f"can't parse entities: {error}") from None
    elif entities_name in arguments.values:
        given = arguments.json(entities_name)
        if isinstance(given, list):
            entities = [entity for entity in given if isinstance(entity, dict)]
    text = text.strip()
    if utf16_length(text) > max_length:
        raise bad_request("message is too long" if name == "text" else "message caption is too long")
    if not entities:
        return text, find_entities(text)
    marked = {(entity.get("offset"), entity.get("length")) for entity in entities}
    found = [entity for entity in find_entities(text) if (entity["offset"], entity["length"]) not in marked]
    return text, sorted(entities + found, key=lambda entity: int(entity.get("offset", 0)))


def read_markup(arguments: Arguments) -> dict[str, Any] | None:
    """Return the reply markup, checked.

    Raises: Refused if buttons have no text or no action, or too much callback data.
    """
    if "reply_markup" not in arguments.values:
        return None
    markup = arguments.json("reply_markup")
    if markup is None:
        return None
    if not isinstance(markup, dict):
        raise bad_request("object expected as reply markup")
    rows = markup.get("inline_keyboard")
    if rows is not None:
        if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
            raise bad_request('field "inline_keyboard" must be of type Array of Arrays')
        for row in rows:
            for button in row:
                _check_button(button)
    return markup


def _check_button(button: object) -> None:
    if not isinstance(button, dict):
        raise bad_request("can't parse inline keyboard button: expected an Object")
    if not button.get("text"):
        raise bad_request("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
    if _BUTTON_ACTIONS.isdisjoint(button):
        raise bad_request("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
    data = button.get("callback_data")
    if data is not None and not 1 <= len(str(data).encode()) <= MAX_CALLBACK_DATA_BYTES:
        raise bad_request("BUTTON_DATA_INVALID")


def shown_markup(markup: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the part of a reply markup that a message shows to bots: inline keyboards only."""
    if markup and markup.get("inline_keyboard"):
        return {"inline_keyboard": markup["inline_keyboard"]}
    return None


def reply_keyboard(arguments: Arguments) -> dict[str, Any] | None:
    """Return a reply markup that no message shows to bots: a reply keyboard, its removal, a forced reply."""
    markup = read_markup(arguments)
    return None if not markup or "inline_keyboard" in markup else markup


def read_common(chat: Chat, arguments: Arguments) -> dict[str, Any]:
    """Return the fields that every kind of sent message has: topic, the message replied to, the keyboard.

    Raises: Refused if the message replied to is not there.
    """
    values = arguments.values
    fields: dict[str, Any] = {}
    if "message_thread_id" in values:
        fields["message_thread_id"] = arguments.integer("message_thread_id")
        fields["is_topic_message"] = True
    if "reply_parameters" in values or "reply_to_message_id" in values:
        given = arguments.json("reply_parameters")
        parameters: dict[str, Any] = given if isinstance(given, dict) else {}
        message_id = int(parameters.get("message_id", arguments.integer("reply_to_message_id")))
        replied = chat.find(message_id)
        if replied is not None:
            fields["reply_to_message"] = {key: value for key, value in replied.items() if key != "reply_to_message"}
            if quote := parameters.get("quote"):
                text = str(replied.get("text") or replied.get("caption") or "")
                if str(quote) not in text:
                    raise bad_request("QUOTE_TEXT_INVALID")
                fields["quote"] = {"text": str(quote), "position": utf16_length(text[: text.index(str(quote))])}
        elif not (parameters.get("allow_sending_without_reply") or arguments.flag("allow_sending_without_reply")):
            raise bad_request("message to be replied not found")
    if "reply_markup" in values:
        markup = shown_markup(read_markup(arguments))
        if markup is not None:
            fields["reply_markup"] = markup
    if arguments.flag("protect_content"):
        fields["has_protected_content"] = True
    if "message_effect_id" in values:
        fields["effect_id"] = arguments.text("message_effect_id")
    return fields


def read_file(world: World, arguments: Arguments, value: object, what: str) -> dict[str, Any]:
    """Return the common fields of a file object (file_id ...), storing the file if it was uploaded.

    Raises: Refused if there is none, or an unknown file_id.
    """
    file = arguments.resolve_file(value)
    if file is None:
        raise bad_request(f"there is no {what} in the request")
    if isinstance(file, str):
        if file.startswith(("http://", "https://")):
            name = file.rpartition("/")[2].partition("?")[0] or "file"
            file = UploadedFile(name, "application/octet-stream", b"")
        elif file in world.files:
            return _describe_file(file, world.files[file])
        elif file in world.foreign_files:
            return {"file_name": "", "mime_type": "", **world.foreign_files[file]}
        else:
            raise bad_request("wrong file identifier/HTTP URL specified")
    return _describe_file(world.keep_file(file), file)


def _describe_file(file_id: str, file: UploadedFile) -> dict[str, Any]:
    return {
        "file_id": file_id,
        "file_unique_id": f"u{file_id}",
        "file_size": len(file.data),
        "file_name": file.name,
        "mime_type": file.content_type,
    }
