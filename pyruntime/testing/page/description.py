"""Describe chats, messages, calls and the state of the server as the page shows them.

Assumes: the server's lock is held.
"""

from typing import TYPE_CHECKING, Any, Final

from pyruntime.testing.chat import Chat
from pyruntime.testing.control import describe_call
from pyruntime.testing.fault import KINDS, Fault
from pyruntime.testing.message import Message
from pyruntime.testing.method.about import commands_for, menu_button_for
from pyruntime.testing.page.recorder import Recorder
from pyruntime.testing.transcript import Call
from pyruntime.testing.webhook.delivery import Delivery

if TYPE_CHECKING:
    from pyruntime.testing.server import FakeBotApi

_MAX_MESSAGES_SHOWN: Final = 300
_MAX_MESSAGES_IN_ALL: Final = 6000
_MAX_CALLS_SHOWN: Final = 200
_MAX_DELIVERIES_SHOWN: Final = 100
_HIDDEN: Final = "•••"


class Description:
    """Put what a server knows into the words of the page."""

    def __init__(self, server: "FakeBotApi", recorder: Recorder, target: str) -> None:
        """Describe `server`; `target` is how the tests that are saved import the bot."""
        self._server = server
        self._world = server.world
        self._recorder = recorder
        self.target = target

    def message(self, message: Message) -> dict[str, Any]:
        """Return a message with what bots do not see of it, under the name "shown"."""
        chat = self._world.chats[message.chat_id]
        shown: dict[str, Any] = {"by_bot": message.is_from_bot}
        if (reactions := chat.reactions.get(message.id)) is not None:
            shown["reactions"] = self.reactions(reactions)
        return {**message, "shown": shown}

    @staticmethod
    def reactions(reactions: dict[int, list[str]]) -> list[dict[str, Any]]:
        """Return reactions by emoji, each with the ids of those who gave it."""
        by_emoji: dict[str, list[int]] = {}
        for user_id, emoji in reactions.items():
            for each in emoji:
                by_emoji.setdefault(each, []).append(user_id)
        return [{"emoji": emoji, "users": users} for emoji, users in by_emoji.items()]

    def chat(self, chat: Chat, max_messages: int = _MAX_MESSAGES_SHOWN) -> dict[str, Any]:
        """Return a chat with its newest messages."""
        messages = chat.messages
        return {
            **self.members(chat),
            "messages": [self.message(message) for message in messages[-max_messages:]],
            "has_more": len(messages) > max_messages,
            "keyboard": self.keyboard(chat),
            "pinned": chat.pinned,
        }

    def members(self, chat: Chat) -> dict[str, Any]:
        """Return who is in a chat."""
        return {
            "info": chat.info,
            "user": chat.user,
            "members": list(chat.members.values()),
            "has_bot": not chat.is_blocked,
        }

    @staticmethod
    def keyboard(chat: Chat) -> dict[str, Any] | None:
        """Return the reply keyboard or forced reply of a chat: its markup, and for whom, if not for everybody."""
        if chat.keyboard is None:
            return None
        newest = next((each for each in reversed(chat.messages) if each.reply_keyboard is chat.keyboard), None)
        users: list[int] | None = None
        if chat.keyboard.get("selective") and chat.type != "private" and newest is not None:
            users = _meant_users(chat, newest)
        return {"markup": chat.keyboard, "users": users, "message_id": newest.id if newest is not None else None}

    def commands(self) -> dict[str, Any]:
        """Return the menus of all chats."""
        return {
            str(chat.id): {
                "commands": commands_for(self._world, chat),
                "button": menu_button_for(self._world, chat.id) if chat.type == "private" else {"type": "commands"},
            }
            for chat in self._world.chats.values()
        }

    def call(self, call: Call, is_whole: bool = False) -> dict[str, Any]:
        """Return a call, with its result if `is_whole`; secrets are left out."""
        described = describe_call(call)
        if "secret_token" in described["parameters"]:
            described["parameters"] = {**described["parameters"], "secret_token": _HIDDEN}
        if is_whole:
            described["result"] = call.result
        return described

    def state(self) -> dict[str, Any]:
        """Return what changes all the time: the queue, the faults, the webhook, the recording."""
        server = self._server
        return {
            "pending": server.pending_count(),
            "confirmed_offset": server.confirmed_offset,
            "next_update_id": server.next_update_id,
            "is_polled": server.is_polled,
            "polls": server.transcript.counts["getUpdates"],
            "faults": [_describe_fault(fault) for fault in server.faults],
            "latency_s": server.latency_s,
            "webhook": self.webhook(),
            "recorded": len(self._recorder.deeds),
            "is_recorded_whole": not self._recorder.is_full,
        }

    def webhook(self) -> dict[str, Any] | None:
        """Return the state of the webhook as getWebhookInfo tells it, or None if none is set."""
        if not self._world.webhook:
            return None
        return self._server.webhook_info()

    def snapshot(self) -> dict[str, Any]:
        """Return everything that a page needs to begin with."""
        transcript = self._server.transcript
        calls = [call for call in [*transcript.calls, *transcript.polls] if call.answered_at_ns]
        calls.sort(key=lambda call: call.number)
        chats = list(self._world.chats.values())
        share = max(10, min(_MAX_MESSAGES_SHOWN, _MAX_MESSAGES_IN_ALL // max(1, len(chats))))
        return {
            "bot": self._world.bot_user,
            "target": self.target,
            "fault_kinds": sorted(KINDS),
            "chats": [self.chat(chat, share) for chat in chats],
            "commands": self.commands(),
            "calls": [self.call(call) for call in calls[-_MAX_CALLS_SHOWN:]],
            "deliveries": [describe_delivery(each) for each in self._server.deliveries[-_MAX_DELIVERIES_SHOWN:]],
            "queue": self.state(),
        }


def describe_delivery(delivery: Delivery) -> dict[str, Any]:
    """Return one attempt to deliver an update to the webhook."""
    return {
        "update_id": delivery.update_id,
        "lane": delivery.lane,
        "attempt": delivery.attempt,
        "status": delivery.status,
        "error": delivery.error,
        "is_resent": delivery.is_resent,
    }


def _describe_fault(fault: Fault) -> dict[str, Any]:
    return {
        "id": fault.number,
        "kind": fault.kind,
        "method": fault.method,
        "left": fault.left,
        "hits": fault.hits,
        "seconds": fault.seconds,
    }


def _meant_users(chat: Chat, message: Message) -> list[int]:
    """Return the members that a selective keyboard is for: those mentioned, and whose message is replied to."""
    users = []
    replied = (message.reply_to_message or {}).get("from")
    if replied is not None:
        users.append(replied["id"])
    text = str(message.text or message.caption or "").lower()
    for entity in message.entities or message.caption_entities or []:
        if entity["type"] == "text_mention":
            users.append(entity["user"]["id"])
    for user in chat.members.values():
        if user.get("username") and f"@{user['username'].lower()}" in text:
            users.append(user["id"])
    return users
