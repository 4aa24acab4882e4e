"""Let a test be the people in a chat with the bot."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyruntime.testing.entity import find_entities
from pyruntime.testing.message import Message, Query

if TYPE_CHECKING:
    from pyruntime.testing.world import World

User = dict[str, Any]


def make_user(user: int | User | None, default_id: int) -> User:
    """Return a user object from an id or a dict that may be incomplete."""
    if isinstance(user, dict):
        return {"id": default_id, "is_bot": False, "first_name": f"User {user.get('id', default_id)}", **user}
    user_id = default_id if user is None else user
    return {"id": user_id, "is_bot": False, "first_name": f"User {user_id}", "language_code": "en"}


class Chat:
    """Send to the bot and read what it sent, in one chat.

    Made by `FakeBotApi.chat`. Thread-safety: any thread.
    """

    def __init__(self, world: "World", info: dict[str, Any], user: User, max_messages: int) -> None:
        """Make the chat described by `info`, in which `user` speaks unless told otherwise."""
        self._world = world
        # A condition of the server's lock: `reply` and `answer` wait here, and only those of this chat are woken.
        self._changed = threading.Condition(world.lock)
        self._messages: dict[int, Message] = {}
        self._from_bot: deque[Message] = deque(maxlen=max_messages)
        self._edits: deque[Message] = deque(maxlen=max_messages)
        self._max_messages = max_messages
        self._last_message_id = 0
        self._actions: list[str] = []
        self.info = info
        self.user = user
        self.is_blocked = False
        self.migrated_to: int | None = None
        self.pinned: list[int] = []

    def __repr__(self) -> str:
        """Show id, type and number of messages."""
        return f"<Chat {self.id} {self.type}, {len(self._messages)} messages>"

    @property
    def id(self) -> int:
        """Return the chat's id."""
        return int(self.info["id"])

    @property
    def type(self) -> str:
        """Return private, group, supergroup or channel."""
        return str(self.info["type"])

    @property
    def messages(self) -> list[Message]:
        """Return the messages that are there now, oldest first, edited ones in their newest form."""
        with self._world.lock:
            return list(self._messages.values())

    @property
    def actions(self) -> list[str]:
        """Return the chat actions ("typing" ...) that the bot has shown so far."""
        with self._world.lock:
            return list(self._actions)

    def send(
        self,
        text: str | None = None,
        *,
        user: int | User | None = None,
        reply_to: Message | None = None,
        **fields: Any,
    ) -> Message:
        """Send a message to the bot as `user` (default: the chat's own) and return it.

        `fields` go into the message as they are: photo=[...], message_thread_id=5, entities=[...].
        """
        with self._world.lock:
            message = self._new_message(make_user(user, self.user["id"]) if user is not None else self.user)
            if reply_to is not None:
                message["reply_to_message"] = {k: v for k, v in reply_to.items() if k != "reply_to_message"}
            if text is not None:
                message["text"] = text
                if entities := find_entities(text):
                    message["entities"] = entities
            message.update(fields)
            self._keep(message)
            self._world.push({"channel_post" if self.type == "channel" else "message": message})
            self._world.tell("message", message)
        return message

    def edit(self, message: Message | int, text: str, **fields: Any) -> Message:
        """Edit a message of the user and return its new form.

        Raises: LookupError if the chat has no such message.
        """
        with self._world.lock:
            old = self._find(message)
            edited = Message(old)
            edited.pop("entities", None)
            edited["text"] = text
            edited["edit_date"] = int(self._world.clock())
            if entities := find_entities(text):
                edited["entities"] = entities
            edited.update(fields)
            self._messages[edited.id] = edited
            self._world.push({"edited_channel_post" if self.type == "channel" else "edited_message": edited})
            self._world.tell("edit", edited)
        return edited

    def press(
        self, button: str | dict[str, Any], message: Message | int | None = None, *, user: int | User | None = None
    ) -> Query:
        """Press an inline button, named by its callback data or its text, or given as the button's dict.

        Without `message` the newest message that has such a button is meant. Returns a query: its `answer()` waits
        for answerCallbackQuery. Raises: LookupError if there is no such button, ValueError if it has no callback data.
        """
        with self._world.lock:
            target, data = self._find_button(button, message)
            presser = make_user(user, self.user["id"]) if user is not None else self.user
            return self._world.query(
                "callback_query",
                self._changed,
                {"from": presser, "message": target, "chat_instance": str(self.id), "data": data},
            )

    def inline_query(self, query: str, *, offset: str = "") -> Query:
        """Type an inline query; its `answer()` waits for answerInlineQuery."""
        with self._world.lock:
            fields = {"from": self.user, "query": query, "offset": offset, "chat_type": "sender"}
            return self._world.query("inline_query", self._changed, fields)

    def reply(self, timeout_s: float = 5.0) -> Message:
        """Return the next message that the bot sent to this chat, each one once, oldest first.

        Raises: TimeoutError after `timeout_s`. Blocks until then; a new message wakes it.
        """
        return self._take(self._from_bot, timeout_s, "send anything")

    def next_edit(self, timeout_s: float = 5.0) -> Message:
        """Return the next message of this chat that the bot edited, each edit once; otherwise like `reply`."""
        return self._take(self._edits, timeout_s, "edit anything")

    def block(self, is_blocked: bool = True) -> None:
        """Block the bot (its calls to this chat fail with 403), or unblock it; the bot is told by my_chat_member."""
        with self._world.lock:
            self.is_blocked = is_blocked
            states = ("member", "kicked") if is_blocked else ("kicked", "member")
            old, new = ({"user": self._world.bot_user, "status": state} for state in states)
            self._world.push(
                {
                    "my_chat_member": {
                        "chat": self.info,
                        "from": self.user,
                        "date": int(self._world.clock()),
                        "old_chat_member": old,
                        "new_chat_member": new,
                    }
                }
            )

    def migrate(self, new_id: int) -> "Chat":
        """Turn the group into the supergroup `new_id`: calls to the old id fail with migrate_to_chat_id."""
        with self._world.lock:
            self.migrated_to = new_id
        return self._world.chat(new_id, "supergroup", user=self.user, title=self.info.get("title"))

    # What follows is for the methods of the Bot API; the lock is held there.

    def add_from_bot(self, fields: dict[str, Any]) -> Message:
        """Add a message that the bot sent, and wake who waits for it."""
        message = self._new_message(self._world.bot_user)
        message.update(fields)
        self._keep(message)
        self._from_bot.append(message)
        self._changed.notify_all()
        self._world.tell("message", message)
        return message

    def add_foreign(self, message: dict[str, Any]) -> None:
        """Keep a message of an update that a test made by itself."""
        if isinstance(message.get("message_id"), int):
            kept = Message(message)
            self._last_message_id = max(self._last_message_id, kept.id)
            self._keep(kept)
            self._world.tell("message", kept)

    def find(self, message_id: int) -> Message | None:
        """Return a message by its id."""
        return self._messages.get(message_id)

    def replace(self, message: Message) -> None:
        """Put the edited form of a message in its place, and wake who waits for it."""
        self._messages[message.id] = message
        self._edits.append(message)
        self._changed.notify_all()
        self._world.tell("edit", message)

    def delete(self, message_id: int) -> bool:
        """Remove a message; False if it is not there."""
        if self._messages.pop(message_id, None) is None:
            return False
        self._world.tell("delete", {"chat": self.info, "message_id": message_id})
        return True

    def show_action(self, action: str) -> None:
        """Note a chat action."""
        self._actions.append(action)
        del self._actions[: -self._max_messages]
        self._world.tell("action", {"chat": self.info, "action": action})

    def _new_message(self, sender: User) -> Message:
        self._last_message_id += 1
        message = Message(message_id=self._last_message_id)
        if self.type == "channel":
            message["sender_chat"] = self.info
        else:
            message["from"] = sender
        message["chat"] = self.info
        message["date"] = int(self._world.clock())
        return message

    def _keep(self, message: Message) -> None:
        messages = self._messages
        messages[message.id] = message
        if len(messages) > self._max_messages:
            del messages[next(iter(messages))]

    def _find(self, message: Message | int) -> Message:
        found = self._messages.get(message if isinstance(message, int) else message.id)
        if found is None:
            raise LookupError(f"chat {self.id} has no message {message!r}")
        return found

    def _find_button(self, button: str | dict[str, Any], message: Message | int | None) -> tuple[Message, str]:
        if isinstance(button, dict):
            wanted = str(button.get("callback_data", button.get("text", "")))
        else:
            wanted = button
        candidates = list(reversed(self._messages.values())) if message is None else [self._find(message)]
        for candidate in candidates:
            found = candidate.button(wanted)
            if found is not None:
                if "callback_data" not in found:
                    raise ValueError(f"the button {found.get('text')!r} has no callback data")
                return candidate, str(found["callback_data"])
        if message is not None and not candidates[0].buttons:
            return candidates[0], wanted
        shown = [button.get("text") for candidate in candidates for button in candidate.buttons]
        raise LookupError(f"no button {wanted!r} in chat {self.id}; there are {shown}")

    def _take(self, source: deque[Message], timeout_s: float, what: str) -> Message:
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not source:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise TimeoutError(
                        f"the bot did not {what} in chat {self.id} within {timeout_s} s; the last calls were:\n"
                        + self._world.describe_calls()
                    )
                self._changed.wait(left_s)
            return source.popleft()


Observer = Callable[[str, Any], None]
