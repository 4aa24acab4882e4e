"""Show messages and button presses to tests."""

import threading
import time
from typing import Any, Final

import ujson

_NOT_COPIED: Final = frozenset(
    {"message_id", "from", "sender_chat", "chat", "date", "edit_date", "reply_markup", "reply_to_message", "quote"}
)


class Message(dict[str, Any]):
    """Read a message of the Bot API: a dict whose fields are attributes too (`message.text`), None where absent.

    Treat it as read-only: the server never changes one either, an edit makes a new one.

    What the people in a chat see and bots do not is beside the fields: `reply_keyboard`, the markup of a message that
    came with a reply keyboard, removed one or asked for a reply; `inline_message_id` of one sent by inline mode.
    """

    reply_keyboard: dict[str, Any] | None = None
    inline_message_id: str | None = None
    is_by_bot = False

    def renewed(self) -> "Message":
        """Return a copy to be changed, with what is beside the fields."""
        message = Message(self)
        message.__dict__.update(self.__dict__)
        return message

    def __getattr__(self, name: str) -> Any:
        """Return a field of the message, or None."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)

    @property
    def id(self) -> int:
        """Return the message_id."""
        return int(self["message_id"])

    @property
    def chat_id(self) -> int:
        """Return the id of the chat."""
        return int(self["chat"]["id"])

    @property
    def is_from_bot(self) -> bool:
        """Tell whether a bot sent the message."""
        return self.is_by_bot or bool(self.get("from", {}).get("is_bot"))

    @property
    def buttons(self) -> list[dict[str, Any]]:
        """Return the buttons of the inline keyboard, row by row in one list."""
        rows = (self.get("reply_markup") or {}).get("inline_keyboard") or []
        return [button for row in rows for button in row]

    def button(self, wanted: str) -> dict[str, Any] | None:
        """Return the button whose callback data or text is `wanted`."""
        for field in ("callback_data", "text"):
            for button in self.buttons:
                if button.get(field) == wanted:
                    return button
        return None


def copied_fields(message: Message) -> dict[str, Any]:
    """Return what a copy of a message has of it: its content, without sender, place, date and keyboard."""
    return {key: value for key, value in message.items() if key not in _NOT_COPIED}


def forwarded_fields(message: Message) -> dict[str, Any]:
    """Return what a forwarded message consists of: the content, and where it comes from."""
    origin: dict[str, Any] = {"date": message["date"]}
    if "forward_origin" in message:
        origin = message["forward_origin"]
    elif "from" in message:
        origin |= {"type": "user", "sender_user": message["from"]}
    else:
        origin |= {"type": "channel", "chat": message["chat"], "message_id": message.id}
    return {**copied_fields(message), "forward_origin": origin, "forward_date": message["date"]}


class Query:
    """Stand for a query that the user sent and the bot is to answer: a button press or an inline query."""

    def __init__(self, changed: threading.Condition, query_id: str, update_id: int | None, text: str = "") -> None:
        """Wait for answers on `changed`; `text` is what was typed, `update_id` None if the bot does not ask for it."""
        self._changed = changed
        self._answer: dict[str, Any] | None = None
        self.id = query_id
        self.update_id = update_id
        self.text = text

    def put(self, parameters: dict[str, Any]) -> None:
        """Take the answer. Assumes: the server's lock is held."""
        self._answer = parameters
        self._changed.notify_all()

    @property
    def is_answered(self) -> bool:
        """Tell whether the bot has answered."""
        return self._answer is not None

    def results(self, timeout_s: float = 5.0) -> list[dict[str, Any]]:
        """Return the results that the bot offers for an inline query; waits and raises as `answer` does."""
        results = self.answer(timeout_s).get("results") or []
        return list(ujson.loads(results) if isinstance(results, str) else results)

    def answer(self, timeout_s: float = 5.0) -> dict[str, Any]:
        """Return the parameters of the bot's answer (answerCallbackQuery, answerInlineQuery).

        Raises: TimeoutError if there is none within `timeout_s`. Blocks until then. Thread-safety: any thread.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self._answer is None:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise TimeoutError(f"the bot did not answer query {self.id} within {timeout_s} s")
                self._changed.wait(left_s)
            return self._answer
