"""The kinds of updates, as they are called in an update and in `allowed_updates` (Bot API 10.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

__all__ = [
    "DEFAULT_KINDS",
    "KINDS",
    "KNOWN_KINDS",
    "MESSAGE_KINDS",
    "OPT_IN_KINDS",
    "TRIGGER_KINDS",
    "kind_of",
    "ordered",
]

KINDS: Final = (
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
    "guest_message",
    "message_reaction",
    "message_reaction_count",
    "inline_query",
    "chosen_inline_result",
    "callback_query",
    "shipping_query",
    "pre_checkout_query",
    "purchased_paid_media",
    "poll",
    "poll_answer",
    "my_chat_member",
    "chat_member",
    "chat_join_request",
    "chat_boost",
    "removed_chat_boost",
    "managed_bot",
)
"""Every kind, in the order of the Bot API's own list."""

KNOWN_KINDS: Final = frozenset(KINDS)

OPT_IN_KINDS: Final = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
"""What Telegram sends only to a bot that names it in `allowed_updates`."""

DEFAULT_KINDS: Final = tuple(kind for kind in KINDS if kind not in OPT_IN_KINDS)
"""What an empty `allowed_updates` stands for."""

MESSAGE_KINDS: Final = frozenset(
    {
        "message",
        "edited_message",
        "channel_post",
        "edited_channel_post",
        "business_message",
        "edited_business_message",
        "guest_message",
    }
)
"""The kinds whose payload is a message."""

TRIGGER_KINDS: Final = frozenset({"message", "channel_post"})
"""Where commands and `hears` look: new messages in chats and channels, as the filter query ``":text"`` does."""


def kind_of(update: dict[str, Any]) -> str | None:
    """Return the kind of an update: its known key, else (a kind newer than this table) its first key with an object.

    None for an update that carries nothing.
    """
    for key in update:
        if key in KNOWN_KINDS:
            return key
    for key, value in update.items():
        if isinstance(value, dict):
            return key
    return None


def ordered(kinds: Iterable[str]) -> list[str]:
    """Return `kinds` as a list in the order of `KINDS`."""
    wanted = frozenset(kinds)
    return [kind for kind in KINDS if kind in wanted]
