"""Context: one update as its handlers see it, with the calls that answer it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyruntime.context_attribute import KindAttribute
from pyruntime.entity import Command, find_command
from pyruntime.failure import ContextError, SessionError
from pyruntime.kind import KINDS, MESSAGE_KINDS, TRIGGER_KINDS, kind_of
from pyruntime.view import View, wrap
from runner_c import current

if TYPE_CHECKING:
    from pyruntime.api import ApiClient
    from pyruntime.bot import Bot
    from pyruntime.session import SessionCell
    from pyruntime.unit import Unit

__all__ = ["Context"]

_NO_MESSAGE: dict[str, Any] = {}


class Context:
    """One update on its way through the handlers.

    Everything is read from the update when it is asked for. Every kind of update is an attribute
    (``ctx.callback_query``, ``ctx.edited_message``, ``ctx.poll_answer``): a `View`, or None if the update is of another
    kind; only `message` means more. Handlers and middleware may set attributes of their own (``ctx.user = ...``).

    Attributes:
        update: the update, the plain dict that came from Telegram.
        kind: its kind, such as ``"message"``; None for an update that carries nothing.
        payload: the dict under that kind.
        bot: the bot that handles it.
        match: what the filter found: the arguments of a command, the match of `hears`, `callback_query` or
            `inline_query`; else None.

    Thread-safety: a context belongs to the thread that handles its update.
    """

    if TYPE_CHECKING:
        edited_message: View | None
        channel_post: View | None
        edited_channel_post: View | None
        business_connection: View | None
        business_message: View | None
        edited_business_message: View | None
        deleted_business_messages: View | None
        guest_message: View | None
        message_reaction: View | None
        message_reaction_count: View | None
        inline_query: View | None
        chosen_inline_result: View | None
        callback_query: View | None
        shipping_query: View | None
        pre_checkout_query: View | None
        purchased_paid_media: View | None
        poll: View | None
        poll_answer: View | None
        my_chat_member: View | None
        chat_member: View | None
        chat_join_request: View | None
        chat_boost: View | None
        removed_chat_boost: View | None
        managed_bot: View | None

        def __setattr__(self, name: str, value: Any) -> None:
            """Any attribute may be set."""

        def __getattr__(self, name: str) -> Any:
            """Only for type checkers: a class that has it is slow at every attribute, so this one has not."""

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_found_command",
        "_sessions",
        "_unit",
        "bot",
        "kind",
        "match",
        "payload",
        "update",
    )

    def __init__(self, update: dict[str, Any], bot: Bot) -> None:
        self.update = update
        self.bot = bot
        self.match: Any = None
        self._sessions: dict[str, SessionCell] | None = None
        self._unit: Unit | None = None
        self._found_command: Command | bool | None = False
        kind = kind_of(update)
        self.kind = kind
        payload = update[kind] if kind is not None else _NO_MESSAGE
        self.payload: dict[str, Any] = payload if isinstance(payload, dict) else _NO_MESSAGE

    def __repr__(self) -> str:
        return f"<Context update {self.update_id}, {self.kind}>"

    # What the update says

    @property
    def update_id(self) -> int | None:
        """The number of the update."""
        update = self.update
        if "update_id" in update:
            update_id: int = update["update_id"]
            return update_id
        return None

    @property
    def message(self) -> View | None:
        """The message the update is about, whatever its kind.

        That is the message of all kinds with ``message`` or ``channel_post`` in their names (new, edited, business,
        guest), or the one on which the button of a callback query hangs. ``ctx.update["message"]`` is the kind alone.
        """
        message = self._message
        return None if message is None else View(message)

    @property
    def text(self) -> str | None:
        """The text, else the caption, of the message that somebody wrote; None for a callback query and the like."""
        if self.kind not in MESSAGE_KINDS:
            return None
        return _text_of(self.payload)

    @property
    def chat(self) -> View | None:
        """The chat the update comes from; None for those without one, such as an inline query."""
        chat = self._chat
        return None if chat is None else View(chat)

    @property
    def chat_id(self) -> int | None:
        """The number of that chat (for a business connection: of the private chat with its user)."""
        chat = self._chat
        chat_id: int | None = None
        if chat is not None and "id" in chat:
            chat_id = chat["id"]
        elif self.kind == "business_connection" and "user_chat_id" in self.payload:
            chat_id = self.payload["user_chat_id"]
        return chat_id

    @property
    def from_user(self) -> View | None:
        """The user who caused the update; None for channel posts, polls and the like."""
        payload = self.payload
        user: View | None = None
        for name in ("from", "user"):
            if name in payload:
                user = wrap(payload[name])
                return user
        if self.kind == "chat_boost" or self.kind == "removed_chat_boost":
            boost = View(payload).boost or View(payload)
            user = boost.source and boost.source.user
        return user

    # What is around it

    @property
    def api(self) -> ApiClient:
        """The client for calls to the Bot API: ``ctx.api.send_message(chat_id=..., text=...)``."""
        return self.bot.api

    @property
    def me(self) -> View:
        """This bot, as getMe describes it."""
        return self.bot.me

    @property
    def attempt(self) -> int:
        """How often the update was started, from 1. More than 1: it ran before, in part, and its calls may be out."""
        delivery = current()
        return delivery.attempt if delivery is not None and delivery.update is self.update else 1

    @property
    def session(self) -> Any:
        """The session, read at the first access, saved at the end if it changed; see `pyruntime.session`.

        Raises:
            SessionError: there is no session middleware before this handler, or the update has no session key.
        """
        return self._session_cell.get()

    @session.setter
    def session(self, value: Any) -> None:
        self._session_cell.set(value)

    # Answers

    def reply(self, text: str, **parameters: Any) -> Any:
        """Send a message to the chat of the update, and return it; in a forum, to the same topic.

        Args:
            text: the text.
            parameters: any further parameters of sendMessage; they win over what is taken from the update.

        Raises:
            ContextError: the update comes from no chat.
            TelegramError: the call failed.
        """
        address = self._address("reply")
        address["text"] = text
        if parameters:
            address.update(parameters)
        return self.bot.api.send_message(**address)

    def answer(self, text: Any = None, **parameters: Any) -> Any:
        """Answer a query, by the call that its kind asks for.

        - ``callback_query``: `text` is shown to the user; without it the button only stops spinning.
        - ``inline_query``: the first argument is the list of results.
        - ``pre_checkout_query``: accepts; with a `text` it refuses and the text says why.
        - ``shipping_query``: accepts with ``shipping_options=[...]``; with a `text` it refuses and the text says why.
        - ``guest_message``: the first argument is the result to send.

        Args:
            text: see above.
            parameters: any further parameters of the call.

        Raises:
            ContextError: the update is no query.
            TelegramError: the call failed.
        """
        kind, query = self.kind, self.payload
        given = {} if text is None else {"text": text}
        if kind == "callback_query":
            return self.api.answer_callback_query(**{"callback_query_id": query["id"], **given, **parameters})
        if kind == "inline_query":
            results = [] if text is None else text
            return self.api.answer_inline_query(**{"inline_query_id": query["id"], "results": results, **parameters})
        if kind in ("pre_checkout_query", "shipping_query"):
            refusal = {"ok": True} if text is None else {"ok": False, "error_message": text}
            answer = {f"{kind}_id": query["id"], **refusal, **parameters}
            if kind == "shipping_query":
                return self.api.answer_shipping_query(**answer)
            return self.api.answer_pre_checkout_query(**answer)
        if kind == "guest_message" and "guest_query_id" in query:
            given = {} if text is None else {"result": text}
            return self.api.answer_guest_query(**{"guest_query_id": query["guest_query_id"], **given, **parameters})
        raise ContextError(f"answer(): {_a(kind)} is no query; reply() sends a message")

    def edit(self, text: str, **parameters: Any) -> Any:
        """Replace the text of the message the update is about: the one with the button, of a callback query.

        Args:
            text: the new text.
            parameters: any further parameters of editMessageText.

        Raises:
            ContextError: the update is about no message.
            TelegramError: the call failed; Telegram lets a bot edit only its own messages.
        """
        if "inline_message_id" in self.payload:
            place: dict[str, Any] = {"inline_message_id": self.payload["inline_message_id"]}
        else:
            place = self._message_place("edit")
            message = self._message
            if message is not None and "business_connection_id" in message:
                place["business_connection_id"] = message["business_connection_id"]
        return self.api.edit_message_text(**{**place, "text": text, **parameters})

    def delete(self) -> Any:
        """Delete the message the update is about.

        Raises:
            ContextError: the update is about no message.
            TelegramError: the call failed.
        """
        place = self._message_place("delete")
        message = self._message
        if message is not None and "business_connection_id" in message:
            return self.api.delete_business_messages(
                business_connection_id=message["business_connection_id"], message_ids=[place["message_id"]]
            )
        return self.api.delete_message(**place)

    # Raw parts, for the filters of this package

    @property
    def _message(self) -> dict[str, Any] | None:
        message: dict[str, Any] | None = None
        if self.kind in MESSAGE_KINDS:
            message = self.payload
        elif self.kind == "callback_query" and "message" in self.payload:
            message = self.payload["message"]
        return message

    @property
    def _chat(self) -> dict[str, Any] | None:
        payload = self.payload
        chat: dict[str, Any] | None = None
        if "chat" in payload:
            chat = payload["chat"]
        elif self.kind == "callback_query" and "message" in payload and "chat" in payload["message"]:
            chat = payload["message"]["chat"]
        return chat

    @property
    def _command(self) -> Command | None:
        """The command for this bot that the message begins with."""
        command = self._found_command
        if isinstance(command, bool):
            command = find_command(self.payload) if self.kind in TRIGGER_KINDS else None
            if command is not None and command.username is not None:
                mine = self.bot.me.username
                if mine is None or command.username.lower() != mine.lower():
                    command = None
            self._found_command = command
        return command

    @property
    def _trigger(self) -> str | None:
        """What `hears`, `callback_query` and `inline_query` match against."""
        payload = self.payload
        if self.kind in TRIGGER_KINDS:
            return _text_of(payload)
        name = "data" if self.kind == "callback_query" else "query" if self.kind == "inline_query" else None
        return payload[name] if name is not None and name in payload else None

    @property
    def _session_cell(self) -> SessionCell:
        sessions = self._sessions
        if sessions is None or "session" not in sessions:
            raise SessionError("ctx.session: no session here; put bot.use(session(initial=dict)) before this handler")
        return sessions["session"]

    def _address(self, caller: str) -> dict[str, Any]:
        """Return the parameters that send to where the update comes from."""
        source = self.payload
        if "chat" in source and source["chat"] and "id" in source["chat"]:
            chat_id = source["chat"]["id"]
        else:
            chat_id = self.chat_id
            source = self._message or source
        if chat_id is None:
            raise ContextError(f"{caller}(): {_a(self.kind)} comes from no chat; pass a chat_id to ctx.api instead")
        address: dict[str, Any] = {"chat_id": chat_id}
        if "business_connection_id" in source:
            address["business_connection_id"] = source["business_connection_id"]
        if "is_topic_message" in source and source["is_topic_message"] and "message_thread_id" in source:
            address["message_thread_id"] = source["message_thread_id"]
        if "direct_messages_topic" in source:
            address["direct_messages_topic_id"] = source["direct_messages_topic"]["topic_id"]
        return address

    def _message_place(self, caller: str) -> dict[str, Any]:
        source = self._message or self.payload
        chat_id = self.chat_id
        if chat_id is None or "message_id" not in source:
            raise ContextError(f"{caller}(): {_a(self.kind)} is about no message")
        return {"chat_id": chat_id, "message_id": source["message_id"]}


for _kind in KINDS:
    # Not ``message``, which means more.
    if _kind not in vars(Context):
        setattr(Context, _kind, KindAttribute(_kind))


def _text_of(message: dict[str, Any]) -> str | None:
    text: str | None = None
    if "text" in message:
        text = message["text"]
    elif "caption" in message:
        text = message["caption"]
    return text


def _a(kind: str | None) -> str:
    return f"an update of kind {kind}" if kind else "an empty update"
