"""Do what the page asks for: what the people in the chats do, and what is wrong with the network.

Assumes: the server's lock is held. Bad input raises LookupError, TypeError or ValueError: the reply has status 400.
"""

import base64
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from pyruntime.testing.chat import Chat, User
from pyruntime.testing.deed import Deed
from pyruntime.testing.fault import FaultKind
from pyruntime.testing.page.description import Description
from pyruntime.testing.page.recorder import Recorder

if TYPE_CHECKING:
    from pyruntime.testing.server import FakeBotApi

_NAMES: Final = ("Ann", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gia", "Hugo", "Ida", "Jan", "Kim", "Lea")
_TITLES: Final = {
    "group": ("Friends", "Team", "Family", "Neighbours", "Chess club", "Band"),
    "channel": ("News", "Weather", "Recipes", "Timetable"),
}
_MAX_TEXT: Final = 4096
_MAX_FILES: Final = 10
_MAX_HISTORY: Final = 200
_MAX_LATENCY_S: Final = 60.0


class Actions:
    """Carry out what the page sends; `table` maps the names of actions to functions of the decoded body."""

    def __init__(self, server: "FakeBotApi", recorder: Recorder, description: Description) -> None:
        """Act on `server`."""
        self._server = server
        self._world = server.world
        self._recorder = recorder
        self._description = description
        self._numbers = {kind: itertools.count(1) for kind in ("private", "group", "channel")}
        self._albums = itertools.count(1)
        self.table: dict[str, Callable[[dict[str, Any]], Any]] = {
            "send": self._send,
            "press": self._press,
            "edit": self._edit,
            "unsend": self._unsend,
            "react": self._react,
            "pin": self._pin,
            "forward": self._forward,
            "inline": self._inline,
            "choose": self._choose,
            "chat": self.add_chat,
            "member": self._member,
            "bot": self._bot,
            "fault": self._fault,
            "clear_fault": self._clear_fault,
            "latency": self._latency,
            "resend": self._resend,
            "forget": self._forget,
            "history": self._history,
            "call": self._call,
            "updates": self._updates,
        }

    def add_chat(self, body: dict[str, Any], tells_bot: bool = True) -> Any:
        """Add a private chat, a group or a channel, with a name of its own if none is given.

        The bot is added to a group or channel by its maker, of which it is told unless `tells_bot` is False.
        """
        kind = str(body.get("type"))
        if kind not in self._numbers:
            raise ValueError("the type of a chat is private, group or channel")
        number = next(self._numbers[kind])
        name = str(body.get("name") or "").strip()[:64]
        if kind == "private":
            first_name = name or _NAMES[(number - 1) % len(_NAMES)]
            user = {"id": 1000 + number, "first_name": first_name, "language_code": "en"}
            return {"id": self._server.chat(1000 + number, "private", user=user).id}
        people = [each.user for each in self._world.chats.values() if each.type == "private"]
        title = name or _TITLES[kind][(number - 1) % len(_TITLES[kind])]
        chat_id = -(1000 if kind == "group" else 2000) - number
        maker = people[0] if people else 1000
        members = people if kind == "group" else ()
        chat = self._server.chat(chat_id, kind, user=maker, title=title, members=members)
        if tells_bot:
            chat.add_bot()
        return {"id": chat.id}

    def _send(self, body: dict[str, Any]) -> Any:
        chat, user = self._find_chat(body), self._find_user(body)
        fields: dict[str, Any] = {}
        if body.get("reply_to") is not None:
            replied = chat.find(int(body["reply_to"]))
            if replied is not None:
                fields["reply_to"] = replied
                if quote := str(body.get("quote") or ""):
                    fields["quote"] = {"text": quote, "is_manual": True}
        text = str(body["text"])[:_MAX_TEXT] if body.get("text") else None
        if files := body.get("files"):
            return {"message_ids": self._send_files(chat, user, files, text, fields)}
        for name in ("contact", "location"):
            if isinstance(body.get(name), dict):
                fields[name] = body[name]
        if text is None and not fields.keys() & {"contact", "location"}:
            raise ValueError("there is nothing to send")
        return {"message_id": chat.send(text, user=user, **fields).id}

    def _send_files(
        self, chat: Chat, user: User | None, files: Any, caption: str | None, fields: dict[str, Any]
    ) -> list[int]:
        if not isinstance(files, list) or not 1 <= len(files) <= _MAX_FILES:
            raise ValueError(f"1 to {_MAX_FILES} files can be sent at once")
        contents = [base64.b64decode(str(file["base64"]), validate=True) for file in files]
        if len(files) > 1:
            fields["media_group_id"] = f"9{next(self._albums):09d}"
        ids = []
        for file, data in zip(files, contents, strict=True):
            message = chat.send_file(
                data,
                str(file.get("name") or "file")[:255],
                str(file.get("type") or ""),
                caption=caption,
                as_document=bool(file.get("as_document")),
                user=user,
                **fields,
            )
            ids.append(message.id)
            caption = None
        return ids

    def _press(self, body: dict[str, Any]) -> Any:
        chat = self._find_chat(body)
        query = chat.press({"callback_data": str(body["data"])}, int(body["message_id"]), user=self._find_user(body))
        return {"id": query.id, "is_told": query.update_id is not None}

    def _edit(self, body: dict[str, Any]) -> Any:
        return {"message_id": self._find_chat(body).edit(int(body["message_id"]), str(body["text"])[:_MAX_TEXT]).id}

    def _unsend(self, body: dict[str, Any]) -> Any:
        self._find_chat(body).unsend(int(body["message_id"]))
        return True

    def _react(self, body: dict[str, Any]) -> Any:
        emoji = [str(each)[:16] for each in body["emoji"]]
        self._find_chat(body).react(int(body["message_id"]), *emoji, user=self._find_user(body))
        return True

    def _pin(self, body: dict[str, Any]) -> Any:
        chat, message_id = self._find_chat(body), int(body["message_id"])
        if body.get("is_pinned", True):
            chat.pin(message_id, user=self._find_user(body))
        else:
            chat.unpin(message_id)
        return True

    def _forward(self, body: dict[str, Any]) -> Any:
        source = self._find_chat(body, "from_chat_id")
        message = source.find(int(body["message_id"]))
        if message is None:
            raise LookupError("there is no such message")
        return {"message_id": self._find_chat(body).forward(message, user=self._find_user(body)).id}

    def _inline(self, body: dict[str, Any]) -> Any:
        chat = self._find_chat(body)
        query = chat.inline_query(
            str(body.get("query") or "")[:256], offset=str(body.get("offset") or ""), user=self._find_user(body)
        )
        return {"id": query.id, "is_told": query.update_id is not None}

    def _choose(self, body: dict[str, Any]) -> Any:
        query = self._world.find_query(str(body["query_id"]))
        if query is None or not query.is_answered:
            raise LookupError("the bot has not answered this query")
        chosen = self._find_chat(body).choose(query, str(body["result_id"]), user=self._find_user(body))
        return {"message_id": chosen.id}

    def _member(self, body: dict[str, Any]) -> Any:
        chat = self._find_chat(body)
        if chat.type == "private":
            raise ValueError("a private chat has no members to change")
        user = self._world.chats.get(int(body["user_id"]))
        if not body.get("is_member", True):
            chat.remove_member(int(body["user_id"]), by=self._find_user(body, "by"))
        elif user is None or user.type != "private":
            raise LookupError("there is no such person")
        else:
            chat.add_member(user.user, by=self._find_user(body, "by"))
        return True

    def _bot(self, body: dict[str, Any]) -> Any:
        chat = self._find_chat(body)
        is_member = bool(body.get("is_member", True))
        if chat.type == "private":
            chat.block(not is_member)
        elif is_member:
            chat.add_bot(by=self._find_user(body))
        else:
            chat.remove_bot(by=self._find_user(body))
        return True

    def _fault(self, body: dict[str, Any]) -> Any:
        fields: dict[str, Any] = {
            "kind": str(body["kind"]),
            "method": str(body.get("method") or "").strip() or None,
            "times": None if body.get("times") is None else int(body["times"]),
            "seconds": float(body.get("seconds") or 1.0),
            "code": int(body["code"]) if body.get("code") else None,
        }
        kind = cast(FaultKind, fields.pop("kind"))
        self._server.fault(kind, fields["method"], fields["times"], seconds=fields["seconds"], code=fields["code"])
        self._world.tell("deed", Deed("network", "fault", 0, {"kind": kind, **fields}))
        self._world.tell("queue", None)
        return True

    def _clear_fault(self, body: dict[str, Any]) -> Any:
        if body.get("id") is None:
            self._server.clear_faults()
            self._world.tell("deed", Deed("network", "clear_faults", 0, {}))
        else:
            for fault in self._server.faults:
                if fault.number == int(body["id"]):
                    fault.clear()
            if not self._server.faults:
                self._world.tell("deed", Deed("network", "clear_faults", 0, {}))
        self._world.tell("queue", None)
        return True

    def _latency(self, body: dict[str, Any]) -> Any:
        latency_s = float(body["latency_s"])
        if not 0 <= latency_s <= _MAX_LATENCY_S:
            raise ValueError(f"the latency is 0 to {_MAX_LATENCY_S:g} seconds")
        self._server.latency_s = latency_s
        self._world.tell("deed", Deed("network", "latency", 0, {"latency_s": latency_s}))
        self._world.tell("queue", None)
        return True

    def _resend(self, body: dict[str, Any]) -> Any:
        """Deliver an update to the webhook once more, or, where the bot polls, queue its content as a new update."""
        update = self._recorder.find_update(int(body["update_id"]))
        if update is None:
            raise LookupError("this update is not known any more")
        if self._world.webhook:
            self._server.resend(int(body["update_id"]))
            return {"update_id": int(body["update_id"])}
        update_id = self._server.push(update)
        self._world.tell("deed", Deed("user", "push", 0, {"update": update}))
        return {"update_id": update_id}

    def _forget(self, body: dict[str, Any]) -> Any:
        self._recorder.clear()
        self._world.tell("queue", None)
        return True

    def _history(self, body: dict[str, Any]) -> Any:
        """Return the messages before one."""
        messages = self._find_chat(body).messages
        older = [message for message in messages if message.id < int(body["before"])]
        return {
            "messages": [self._description.message(message) for message in older[-_MAX_HISTORY:]],
            "has_more": len(older) > _MAX_HISTORY,
        }

    def _call(self, body: dict[str, Any]) -> Any:
        """Return a call with its result."""
        number = int(body["number"])
        for method in (None, "getUpdates"):
            found = self._server.transcript.since(number - 1, 1, method)
            if found and found[0].number == number:
                return self._description.call(found[0], is_whole=True)
        raise LookupError("this call is not in the transcript any more")

    def _updates(self, body: dict[str, Any]) -> Any:
        return self._recorder.recent_updates(100)

    def _find_chat(self, body: dict[str, Any], name: str = "chat_id") -> Chat:
        chat = self._world.chats.get(int(body[name]))
        if chat is None:
            raise LookupError("there is no such chat")
        return chat

    def _find_user(self, body: dict[str, Any], name: str = "user_id") -> User | None:
        """Return who speaks: a member of the chat or the user of a private chat, or None for the chat's own user."""
        user_id = int(body.get(name) or 0)
        chat = self._world.chats.get(int(body["chat_id"]))
        if chat is not None and user_id in chat.members:
            return chat.members[user_id]
        speaker = self._world.chats.get(user_id)
        return None if speaker is None else speaker.user
