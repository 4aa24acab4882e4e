"""Turn a result that a bot offers in inline mode into the message that its choice sends."""

from typing import TYPE_CHECKING, Any

from pyruntime.testing.entity import find_entities
from pyruntime.testing.markup import UnparsableText, parse_marked_text

if TYPE_CHECKING:
    from pyruntime.testing.world import World


def inline_fields(world: "World", result: dict[str, Any]) -> dict[str, Any]:
    """Return the content of the message: what the result says should be sent, else its file and caption.

    Files that the result names by URL are not loaded: their message says the address as text.
    """
    content = result.get("input_message_content")
    fields: dict[str, Any] = {}
    if isinstance(content, dict):
        fields = _content_fields(content)
    else:
        kind = str(result.get("type", ""))
        file_id = str(result.get(f"{kind}_file_id", ""))
        caption = _marked(str(result.get("caption", "")), result, "caption", "caption_entities")
        if file_id in world.files:
            file = world.files[file_id]
            described: dict[str, Any] = {
                "file_id": file_id,
                "file_unique_id": f"u{file_id}",
                "file_size": len(file.data),
            }
            if kind == "photo":
                fields = {"photo": [{**described, "width": 640, "height": 480}], **caption}
            else:
                fields = {kind: {**described, "file_name": file.name, "mime_type": file.content_type}, **caption}
        else:
            text = str(result.get("caption") or result.get("title") or "")
            address = str(result.get(f"{kind}_url", ""))
            fields = _marked("\n".join(part for part in (text, address) if part) or f"[{kind}]", {}, "text", "entities")
    markup = result.get("reply_markup")
    if isinstance(markup, dict) and markup.get("inline_keyboard"):
        fields["reply_markup"] = {"inline_keyboard": markup["inline_keyboard"]}
    return fields


def _content_fields(content: dict[str, Any]) -> dict[str, Any]:
    if "message_text" in content:
        return _marked(str(content["message_text"]), content, "text", "entities")
    place = {name: content[name] for name in ("latitude", "longitude") if name in content}
    if "address" in content:
        venue = {"location": place, "title": content.get("title", ""), "address": content["address"]}
        return {"location": place, "venue": venue}
    if place:
        return {"location": place}
    if "phone_number" in content:
        return {"contact": {name: content[name] for name in ("phone_number", "first_name") if name in content}}
    return {"text": str(content)}


def _marked(text: str, source: dict[str, Any], name: str, entities_name: str) -> dict[str, Any]:
    """Return the text and its entities under their names; nothing for an empty text."""
    entities: list[dict[str, Any]] = source.get("entities" if name == "text" else entities_name) or []
    if source.get("parse_mode"):
        try:
            text, entities = parse_marked_text(text, str(source["parse_mode"]))
        except UnparsableText:
            entities = []
    if not text:
        return {}
    entities = entities or find_entities(text)
    return {name: text, entities_name: entities} if entities else {name: text}
