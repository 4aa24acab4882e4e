"""Hold what the Bot API's methods work on: the bot, chats, users' queries, files, commands, the webhook's state."""

import itertools
import threading
from collections.abc import Callable, Iterable
from typing import Any

from pyruntime.testing.body import UploadedFile
from pyruntime.testing.chat import Chat, Observer, User, make_user
from pyruntime.testing.deed import Deed
from pyruntime.testing.message import Query

QUERY_LIFE_S = {"callback_query": 150.0, "shipping_query": 150.0, "pre_checkout_query": 10.0, "inline_query": 30.0}
"""How long the queries of users can be answered, in seconds."""

_MAX_QUERIES = 100_000


class World:
    """Keep the state of one bot's side of Telegram, the update queue aside.

    Thread-safety: `lock` guards everything; methods that say so take it, the others assume it.
    """

    def __init__(
        self,
        lock: threading.RLock,
        token: str,
        clock: Callable[[], float],
        push: Callable[[dict[str, Any]], int | None],
        describe_calls: Callable[[], str],
        max_messages: int,
        knows_any_chat: bool,
    ) -> None:
        """Make an empty world; `push` queues an update, `clock` gives the dates."""
        self.lock = lock
        self.clock = clock
        self.push = push
        self.describe_calls = describe_calls
        self.bot_user: User = {
            "id": int(token.partition(":")[0]) if token.partition(":")[0].isdigit() else 123456,
            "is_bot": True,
            "first_name": "Test Bot",
            "username": "test_bot",
        }
        self.chats: dict[int, Chat] = {}
        self.files: dict[str, UploadedFile] = {}
        # Files of which only the description is known: they can be sent again, and not fetched.
        self.foreign_files: dict[str, dict[str, Any]] = {}
        # Ids, by chat, that no message of the bot may take: messages that will be learned of have them.
        self.reserved: dict[int, set[int]] = {}
        self.commands: dict[str, list[dict[str, Any]]] = {}
        self.texts: dict[str, str] = {}
        self.menu_buttons: dict[int, dict[str, Any]] = {}
        self.inline_messages: dict[str, tuple[int, int]] = {}
        self.webhook: dict[str, Any] = {}
        self.knows_any_chat = knows_any_chat
        self._max_messages = max_messages
        self._queries: dict[str, tuple[str, float, Query | None]] = {}
        self._numbers = itertools.count(1)
        self._observers: list[Observer] = []

    def chat(
        self,
        chat_id: int,
        chat_type: str | None = None,
        *,
        user: int | User | None = None,
        title: str | None = None,
        members: Iterable[int | User] = (),
        **fields: Any,
    ) -> Chat:
        """Return the chat `chat_id`, made on first use; `members` are there besides `user`. Takes the lock."""
        with self.lock:
            chat = self.chats.get(chat_id)
            if chat is None:
                kind = chat_type or ("private" if chat_id > 0 else "supergroup")
                person = make_user(user, chat_id if kind == "private" else 1000)
                info: dict[str, Any] = {"id": chat_id, "type": kind}
                if kind == "private":
                    info["first_name"] = person["first_name"]
                    if "username" in person:
                        info["username"] = person["username"]
                else:
                    info["title"] = title or f"{kind} {chat_id}"
                info.update(fields)
                chat = self.chats[chat_id] = Chat(self, info, person, self._max_messages)
                for each in members:
                    member = make_user(each, 1000)
                    chat.members[member["id"]] = member
                self.tell("chat", info)
            return chat

    def next_number(self) -> int:
        """Return a number that was never returned before."""
        return next(self._numbers)

    def query(self, kind: str, changed: threading.Condition, fields: dict[str, Any]) -> Query:
        """Push a query of a user, with an id of its own."""
        query_id = str(4_000_000_000_000 + self.next_number())
        update_id = self.push({kind: {"id": query_id, **fields}})
        query = Query(changed, query_id, update_id, str(fields.get("query", "")))
        self._keep_query(query_id, kind, query)
        return query

    def answer_query(self, kind: str, query_id: str, parameters: dict[str, Any]) -> bool:
        """Take the bot's answer to a query; False if there is no such query or it is too old."""
        known = self._queries.get(query_id)
        if known is None or known[0] != kind or known[1] < self.clock():
            return False
        if known[2] is not None:
            known[2].put(parameters)
        self.tell("answer", {"kind": kind, "id": query_id, "parameters": parameters})
        self.tell("deed", Deed("bot", "answer", 0, {"query_id": query_id, "parameters": parameters}))
        return True

    def learn_query(self, query_id: str, kind: str) -> None:
        """Let the bot answer a query that nobody sent here."""
        if query_id not in self._queries:
            self._keep_query(query_id, kind, None)

    def keep_file(self, file: UploadedFile) -> str:
        """Store a file and return its file_id."""
        file_id = f"file{self.next_number():08d}"
        self.files[file_id] = file
        return file_id

    def keep_inline_message(self, chat_id: int, message_id: int) -> str:
        """Return the inline_message_id by which the bot can edit a message that was sent by inline mode."""
        inline_id = f"inline{self.next_number():08d}"
        self.inline_messages[inline_id] = (chat_id, message_id)
        return inline_id

    def find_query(self, query_id: str) -> Query | None:
        """Return a query that a user sent here, or None."""
        known = self._queries.get(query_id)
        return None if known is None else known[2]

    def observe(self, observer: Observer) -> None:
        """Call `observer(kind, content)` at every change, with the lock held: it must be quick and must not raise."""
        self._observers.append(observer)

    def tell(self, kind: str, content: Any) -> None:
        """Tell the observers of a change."""
        for observer in self._observers:
            observer(kind, content)

    def _keep_query(self, query_id: str, kind: str, query: Query | None) -> None:
        self._queries[query_id] = (kind, self.clock() + QUERY_LIFE_S[kind], query)
        if len(self._queries) > _MAX_QUERIES:
            del self._queries[next(iter(self._queries))]
