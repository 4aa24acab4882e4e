"""Say which updates of a webhook wait for each other: the real server has a queue per chat, and others per user."""

from typing import Any

_BY_USER = frozenset(
    {
        "callback_query",
        "inline_query",
        "chosen_inline_result",
        "shipping_query",
        "pre_checkout_query",
        "purchased_paid_media",
    }
)


def lane_of(kind: str, update: dict[str, Any]) -> str:
    """Return the name of the queue of an update: messages and the like by chat, presses and queries by user."""
    content = update.get(kind)
    if not isinstance(content, dict):
        return kind
    sender = content.get("from") or content.get("user")
    user_id = sender.get("id") if isinstance(sender, dict) else None
    if kind in _BY_USER and user_id is not None:
        return f"{kind} of user {user_id}"
    chat = content.get("chat")
    if isinstance(chat, dict) and "id" in chat:
        return f"chat {chat['id']}"
    return kind if user_id is None else f"{kind} of user {user_id}"
