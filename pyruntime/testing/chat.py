"""Let a test be the people in a chat with the bot.

(The file passes 400 lines because it is one page: everything that the people in a chat may do.)
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pyruntime.testing.deed import Deed
from pyruntime.testing.entity import find_entities
from pyruntime.testing.inline import inline_fields
from pyruntime.testing.member import member_update
from pyruntime.testing.message import Message, Query, forwarded_fields
from pyruntime.testing.upload import file_fields

if TYPE_CHECKING:
    from pyruntime.testing.world import World

User = dict[str, Any]

_Taken = TypeVar("_Taken", Message, dict[str, Any])
_MEDIA: Final = frozenset({"photo", "document", "video", "audio", "voice", "animation"})


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
        """Make the chat described by `info`, in which `user` speaks unless told otherwise.

        To read: `info` as bots see it; `members`, the people by id, the bot aside; `creator` of the chat, None if that
        is not known; `reactions`, by message and member;
        `keyboard`, the markup of the reply keyboard or forced reply that is shown now; `pinned`, ids of messages.
        """
        self._world = world
        # A condition of the server's lock: `reply` and `answer` wait here, and only those of this chat are woken.
        self._changed = threading.Condition(world.lock)
        self._messages: dict[int, Message] = {}
        self._from_bot: deque[Message] = deque(maxlen=max_messages)
        self._edits: deque[Message] = deque(maxlen=max_messages)
        self._reactions_of_bot: deque[dict[str, Any]] = deque(maxlen=max_messages)
        self._max_messages = max_messages
        self._last_message_id = 0
        self._actions: list[str] = []
        self.info = info
        self.user = user
        self.members: dict[int, User] = {user["id"]: user}
        self.creator: User | None = user
        self.reactions: dict[int, dict[int, list[str]]] = {}
        self.keyboard: dict[str, Any] | None = None
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
        """Send a message to the bot as `user` (default: the chat's own; an id or a dict) and return it.

        `fields` go into the message as they are: photo=[...], message_thread_id=5, entities=[...]. A message with
        contact or location and no text is complete too.
        """
        with self._world.lock:
            message = self._new_message(self._person(user))
            if reply_to is not None:
                message["reply_to_message"] = {k: v for k, v in reply_to.items() if k != "reply_to_message"}
            if text is not None:
                message["text"] = text
                if entities := find_entities(text):
                    message["entities"] = entities
            message.update(fields)
            self._keep(message)
            self._push_message(message)
            self._tell_deed("send", message=message)
        return message

    def send_file(
        self,
        data: bytes,
        name: str = "photo.jpg",
        content_type: str = "",
        *,
        caption: str | None = None,
        as_document: bool = False,
        **options: Any,
    ) -> Message:
        """Send a file: pictures as photo, sound as audio or voice (Ogg), videos as video, anything else as document.

        What it is is told from its first bytes and `content_type` (default: by the name); `as_document` sends it as a
        document in any case. `options` are those of `send`; files of one album have the same `media_group_id`. The bot
        can fetch the file with getFile.
        """
        with self._world.lock:
            fields = file_fields(self._world.keep_file, data, name, content_type, as_document)
            if caption:
                fields["caption"] = caption
                if entities := find_entities(caption):
                    fields["caption_entities"] = entities
            return self.send(**{**fields, **options})

    def forward(self, message: Message, *, user: int | User | None = None) -> Message:
        """Forward a message of this or another chat to the bot as `user`, and return the new one."""
        return self.send(user=user, **forwarded_fields(message))

    def edit(self, message: Message | int, text: str, **fields: Any) -> Message:
        """Edit the text or caption of a user's message and return its new form.

        Raises: LookupError if the chat has no such message.
        """
        with self._world.lock:
            old = self._find(message)
            edited = old.renewed()
            name = "text" if "text" in old or not _MEDIA.intersection(old) else "caption"
            entities_name = "entities" if name == "text" else "caption_entities"
            edited.pop(entities_name, None)
            edited[name] = text
            edited["edit_date"] = int(self._world.clock())
            if entities := find_entities(text):
                edited[entities_name] = entities
            edited.update(fields)
            self._messages[edited.id] = edited
            self._push({"edited_channel_post" if self.type == "channel" else "edited_message": edited})
            self._world.tell("edit", edited)
            self._tell_deed("edit", message=edited)
        return edited

    def unsend(self, message: Message | int) -> None:
        """Delete a message as a user does: Telegram tells the bot nothing.

        Raises: LookupError if the chat has no such message.
        """
        with self._world.lock:
            message_id = self._find(message).id
            self._remove(message_id)
            self._tell_deed("unsend", message_id=message_id)

    def react(self, message: Message | int, *emoji: str, user: int | User | None = None) -> None:
        """Put the reactions of `user` on a message, in place of the former ones; none takes them away.

        The bot is told by message_reaction if it asks for it, which it must do by name (allowed_updates).
        Raises: LookupError if the chat has no such message.
        """
        with self._world.lock:
            message_id = self._find(message).id
            person = self._person(user)
            old = self.reactions.get(message_id, {}).get(person["id"], [])
            self._react(message_id, person["id"], list(emoji))
            change = {
                "chat": self.info,
                "message_id": message_id,
                "user": person,
                "date": int(self._world.clock()),
                "old_reaction": [{"type": "emoji", "emoji": each} for each in old],
                "new_reaction": [{"type": "emoji", "emoji": each} for each in emoji],
            }
            self._push({"message_reaction": change})
            self._tell_deed("react", message_id=message_id, emoji=list(emoji), user=person)

    def pin(self, message: Message | int, *, user: int | User | None = None) -> None:
        """Pin a message as `user`; the bot gets the service message. Raises: LookupError if there is none."""
        with self._world.lock:
            pinned = self._find(message)
            self.set_pinned(pinned.id, True)
            self._tell_deed("pin", message_id=pinned.id)
            self._service(user, pinned_message={k: v for k, v in pinned.items() if k != "reply_to_message"})

    def unpin(self, message: Message | int) -> None:
        """Unpin a message as a user does: Telegram tells the bot nothing. Raises: LookupError if there is none."""
        with self._world.lock:
            message_id = self._find(message).id
            self.set_pinned(message_id, False)
            self._tell_deed("unpin", message_id=message_id)

    def add_member(self, user: int | User, *, by: int | User | None = None) -> User:
        """Let a person join the group, or be added by another; the bot gets new_chat_members and chat_member."""
        with self._world.lock:
            person = make_user(user, 1000)
            actor = person if by is None else self._person(by)
            self._tell_deed("join", user=person, actor=actor)
            self.members[person["id"]] = person
            self._push(member_update(self._world, self.info, actor, person, "left", "member"))
            self._service(actor, new_chat_members=[person], new_chat_member=person, new_chat_participant=person)
            self._world.tell("members", self)
            return person

    def remove_member(self, user: int | User, *, by: int | User | None = None) -> None:
        """Let a person leave the group, or be removed by another; the bot gets left_chat_member and chat_member.

        Raises: LookupError if the person is no member.
        """
        with self._world.lock:
            person = self.members.get(user if isinstance(user, int) else user["id"])
            if person is None:
                raise LookupError(f"chat {self.id} has no member {user!r}")
            actor = person if by is None else self._person(by)
            self._tell_deed("leave", user=person, actor=actor)
            del self.members[person["id"]]
            state = "left" if actor["id"] == person["id"] else "kicked"
            self._push(member_update(self._world, self.info, actor, person, "member", state))
            self._service(actor, left_chat_member=person, left_chat_participant=person)
            self._world.tell("members", self)

    def add_bot(self, *, by: int | User | None = None) -> None:
        """Let a member (default: the chat's own user) add the bot; it gets my_chat_member and new_chat_members."""
        with self._world.lock:
            actor = self._person(by)
            bot = self._world.bot_user
            self._tell_deed("bot_join", actor=actor)
            state = "kicked" if self.is_blocked else "left"
            self.is_blocked = False
            new = "administrator" if self.type == "channel" else "member"
            self._world.push(member_update(self._world, self.info, actor, bot, state, new))
            if self.type != "channel":
                self._service(actor, new_chat_members=[bot], new_chat_member=bot, new_chat_participant=bot)
            self._world.tell("members", self)

    def remove_bot(self, *, by: int | User | None = None) -> None:
        """Let a member remove the bot: it gets my_chat_member, and its calls to this chat fail with 403."""
        with self._world.lock:
            actor = self._person(by)
            self._tell_deed("bot_leave", actor=actor)
            old = "administrator" if self.type == "channel" else "member"
            self._world.push(member_update(self._world, self.info, actor, self._world.bot_user, old, "kicked"))
            self.is_blocked = True
            if self.type != "channel":
                self._service(actor, is_told=False, left_chat_member=self._world.bot_user)
            self._world.tell("members", self)

    def press(
        self, button: str | dict[str, Any], message: Message | int | None = None, *, user: int | User | None = None
    ) -> Query:
        """Press an inline button, named by its callback data or its text, or given as the button's dict.

        Without `message` the newest message that has such a button is meant. Returns a query: its `answer()` waits
        for answerCallbackQuery. Raises: LookupError if there is no such button, ValueError if it has no callback data.
        """
        with self._world.lock:
            target, data = self._find_button(button, message)
            presser = self._person(user)
            fields = {"from": presser, "chat_instance": str(self.id), "data": data}
            if target.inline_message_id is not None:
                fields["inline_message_id"] = target.inline_message_id
            else:
                fields["message"] = target
            query = self._world.query("callback_query", self._changed, fields)
            self._tell_deed("press", message_id=target.id, data=data, user=presser, query_id=query.id)
            return query

    def inline_query(self, query: str, *, offset: str = "", user: int | User | None = None) -> Query:
        """Type an inline query in this chat; its `answer()` waits for answerInlineQuery, its `results()` too."""
        with self._world.lock:
            person = self._person(user)
            kind = "sender" if self.type == "private" else self.type
            fields = {"from": person, "query": query, "offset": offset, "chat_type": kind}
            asked = self._world.query("inline_query", self._changed, fields)
            self._tell_deed("inline", query=query, offset=offset, user=person, query_id=asked.id)
            return asked

    def choose(self, query: Query, result_id: str, *, user: int | User | None = None) -> Message:
        """Choose a result of an inline query that the bot has answered: it is sent to this chat.

        The bot gets the message if it may see it here, and chosen_inline_result. Raises: LookupError if the answer has
        no such result, TimeoutError if there is no answer yet.
        """
        found = next((each for each in query.results() if str(each.get("id")) == result_id), None)
        if found is None:
            raise LookupError(f"the bot offered no result {result_id!r}")
        with self._world.lock:
            person = self._person(user)
            message = self._new_message(person)
            message.update(inline_fields(self._world, found))
            message["via_bot"] = self._world.bot_user
            chosen = {"result_id": result_id, "from": person, "query": query.text}
            if "reply_markup" in message:
                message.inline_message_id = self._world.keep_inline_message(self.id, message.id)
                chosen["inline_message_id"] = message.inline_message_id
            self._keep(message)
            self._tell_deed("choose", message=message, result_id=result_id, query_id=query.id, user=person)
            self._push_message(message)
            self._world.push({"chosen_inline_result": chosen})
        return message

    def reply(self, timeout_s: float = 5.0) -> Message:
        """Return the next message that the bot sent to this chat, each one once, oldest first.

        Raises: TimeoutError after `timeout_s`. Blocks until then; a new message wakes it.
        """
        return self._take(self._from_bot, timeout_s, "send anything")

    def next_edit(self, timeout_s: float = 5.0) -> Message:
        """Return the next message of this chat that the bot edited, each edit once; otherwise like `reply`."""
        return self._take(self._edits, timeout_s, "edit anything")

    def next_reaction(self, timeout_s: float = 5.0) -> dict[str, Any]:
        """Return the next reaction of the bot in this chat: message_id and a list of emoji; otherwise like `reply`."""
        return self._take(self._reactions_of_bot, timeout_s, "react to anything")

    def wait_until_deleted(self, message: Message | int, timeout_s: float = 5.0) -> None:
        """Wait until a message is gone. Raises: TimeoutError after `timeout_s`. Blocks until then."""
        message_id = message if isinstance(message, int) else message.id
        with self._changed:
            if not self._changed.wait_for(lambda: message_id not in self._messages, timeout_s):
                raise TimeoutError(
                    f"message {message_id} of chat {self.id} was not deleted within {timeout_s} s; the last calls "
                    f"were:\n{self._world.describe_calls()}"
                )

    def block(self, is_blocked: bool = True) -> None:
        """Block the bot (its calls to this chat fail with 403), or unblock it; the bot is told by my_chat_member."""
        with self._world.lock:
            self.is_blocked = is_blocked
            states = ("member", "kicked") if is_blocked else ("kicked", "member")
            self._world.push(member_update(self._world, self.info, self.user, self._world.bot_user, *states))
            self._tell_deed("block", is_blocked=is_blocked)
            self._world.tell("members", self)

    def migrate(self, new_id: int) -> "Chat":
        """Turn the group into the supergroup `new_id`: calls to the old id fail with migrate_to_chat_id."""
        with self._world.lock:
            self.migrated_to = new_id
        return self._world.chat(new_id, "supergroup", user=self.user, title=self.info.get("title"))

    # What follows is for the methods of the Bot API; the lock is held there.

    def add_from_bot(self, fields: dict[str, Any], reply_keyboard: dict[str, Any] | None = None) -> Message:
        """Add a message that the bot sent, and wake who waits for it."""
        message = self._new_message(self._world.bot_user)
        message.update(fields)
        message.is_by_bot = True
        self._keep(message)
        self._from_bot.append(message)
        if reply_keyboard is not None:
            message.reply_keyboard = reply_keyboard
            self.keyboard = None if "remove_keyboard" in reply_keyboard else reply_keyboard
        self._changed.notify_all()
        self._world.tell("message", message)
        if reply_keyboard is not None:
            self._world.tell("keyboard", message)
        self._world.tell("deed", Deed("bot", "message", self.id, {"message": message}))
        return message

    def add_foreign(self, message: Message) -> None:
        """Keep a message that nobody sent here, in its newest form."""
        is_known = message.id in self._messages
        self._last_message_id = max(self._last_message_id, message.id)
        self._keep(message)
        self._world.tell("edit" if is_known else "message", message)

    def find(self, message_id: int) -> Message | None:
        """Return a message by its id."""
        return self._messages.get(message_id)

    def replace(self, message: Message) -> None:
        """Put the edited form of a message in its place, and wake who waits for it."""
        self._messages[message.id] = message
        self._edits.append(message)
        self._changed.notify_all()
        self._world.tell("edit", message)
        self._world.tell("deed", Deed("bot", "edit", self.id, {"message": message}))

    def delete(self, message_id: int) -> bool:
        """Remove a message for the bot; False if it is not there."""
        if message_id not in self._messages:
            return False
        self._remove(message_id)
        self._world.tell("deed", Deed("bot", "delete", self.id, {"message_id": message_id}))
        return True

    def take_reaction(self, message_id: int, emoji: list[str]) -> None:
        """Put the bot's reactions on a message, in place of the former ones."""
        self._react(message_id, self._world.bot_user["id"], emoji)
        self._reactions_of_bot.append({"message_id": message_id, "emoji": emoji})
        self._changed.notify_all()
        self._world.tell("deed", Deed("bot", "reaction", self.id, {"message_id": message_id, "emoji": emoji}))

    def set_pinned(self, message_id: int, is_pinned: bool) -> None:
        """Pin or unpin a message."""
        if message_id in self.pinned:
            self.pinned.remove(message_id)
        if is_pinned:
            self.pinned.append(message_id)
        self._world.tell("pin", self)

    def ban(self, user_id: int) -> None:
        """Remove a member for the bot, if it is one."""
        person = self.members.pop(user_id, None)
        if person is not None:
            self._world.push(member_update(self._world, self.info, self._world.bot_user, person, "member", "kicked"))
            self._world.tell("members", self)

    def show_action(self, action: str) -> None:
        """Note a chat action."""
        self._actions.append(action)
        del self._actions[: -self._max_messages]
        self._world.tell("action", {"chat": self.info, "action": action})

    def _new_message(self, sender: User) -> Message:
        reserved = self._world.reserved.get(self.id, ())
        self._last_message_id += 1
        while self._last_message_id in reserved:
            self._last_message_id += 1
        message = Message(message_id=self._last_message_id)
        if self.type == "channel":
            message["sender_chat"] = self.info
        else:
            message["from"] = sender
        message["chat"] = self.info
        message["date"] = int(self._world.clock())
        return message

    def _person(self, user: int | User | None) -> User:
        """Return who is meant: the chat's own user by default, a member by the id, or anybody else."""
        if user is None:
            return self.user
        if isinstance(user, int) and user in self.members:
            return self.members[user]
        return make_user(user, self.user["id"])

    def _push(self, update: dict[str, Any]) -> None:
        """Queue an update, unless the bot is blocked or not in the group: then it hears of nothing."""
        if not self.is_blocked:
            self._world.push(update)

    def _push_message(self, message: Message) -> None:
        self._push({"channel_post" if self.type == "channel" else "message": message})
        self._world.tell("message", message)

    def _service(self, user: int | User | None, is_told: bool = True, **fields: Any) -> None:
        """Add a message that tells of an event; the bot gets it too, unless `is_told` is False."""
        message = self._new_message(self._person(user))
        message.update(fields)
        self._keep(message)
        if is_told:
            self._push_message(message)
        else:
            self._world.tell("message", message)

    def _tell_deed(self, kind: str, **fields: Any) -> None:
        self._world.tell("deed", Deed("user", kind, self.id, fields))

    def _remove(self, message_id: int) -> None:
        del self._messages[message_id]
        self.reactions.pop(message_id, None)
        self._changed.notify_all()
        self._world.tell("delete", {"chat": self.info, "message_id": message_id})
        if message_id in self.pinned:
            self.set_pinned(message_id, False)

    def _react(self, message_id: int, user_id: int, emoji: list[str]) -> None:
        of_message = self.reactions.setdefault(message_id, {})
        of_message.pop(user_id, None)
        if emoji:
            of_message[user_id] = emoji
        elif not of_message:
            del self.reactions[message_id]
        self._world.tell("reaction", {"chat": self.info, "message_id": message_id, "reactions": dict(of_message)})

    def _keep(self, message: Message) -> None:
        messages = self._messages
        messages[message.id] = message
        if len(messages) > self._max_messages:
            oldest = next(iter(messages))
            del messages[oldest]
            self.reactions.pop(oldest, None)

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

    def _take(self, source: deque[_Taken], timeout_s: float, what: str) -> _Taken:
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
