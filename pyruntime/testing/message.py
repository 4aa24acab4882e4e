"""Show messages and button presses to tests."""

import threading
import time
from typing import Any


class Message(dict[str, Any]):
    """Read a message of the Bot API: a dict whose fields are attributes too (`message.text`), None where absent.

    Treat it as read-only: the server never changes one either, an edit makes a new one.
    """

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
        return bool(self.get("from", {}).get("is_bot"))

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


class Query:
    """Stand for a query that the user sent and the bot is to answer: a button press or an inline query."""

    def __init__(self, changed: threading.Condition, query_id: str, update_id: int | None) -> None:
        """Wait for answers on `changed`."""
        self._changed = changed
        self._answer: dict[str, Any] | None = None
        self.id = query_id
        self.update_id = update_id

    def put(self, parameters: dict[str, Any]) -> None:
        """Take the answer. Assumes: the server's lock is held."""
        self._answer = parameters
        self._changed.notify_all()

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
