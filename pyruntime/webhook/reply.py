"""Reply in the response: the first call of a handler goes into the answer to the request that brought the update.

It saves a round trip, and costs what that call would have told: Telegram carries it out and nobody sees the result, nor
whether there was an error. It is made at most once, also with a store: if the answer is lost on its way, so is the
call. That is why it is an option.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from functools import partial
from typing import Any

import ujson

from pyruntime.method_name import method_name
from pyruntime.upload import has_files, plain_parameters
from runner_c import ConfigError, current

__all__ = ["AnsweringBot", "ReplySlots", "check_methods_to_reply"]

_MOST_ENDED = 10_000
"""How many handled updates are remembered, so that a resend of one need not wait."""

_NEVER = ("get", "setWebhook", "deleteWebhook", "close", "logOut")
"""How the names of methods begin which Telegram does not take in an answer."""


def check_methods_to_reply(methods: object) -> frozenset[str] | bool:
    """Return the option as it is used: False, True for all methods that can be, or the names as the Bot API has them.

    Raises:
        ConfigError: it is none of these, or names a method whose result is its purpose.
    """
    if isinstance(methods, bool):
        return methods
    if isinstance(methods, str) or not isinstance(methods, Collection):
        raise ConfigError("reply_in_response is True, False, or the names of methods, as in ['send_chat_action']")
    try:
        names = frozenset(name if name != name.lower() else method_name(name) for name in methods)
    except AttributeError as error:
        raise ConfigError(f"reply_in_response: {error}") from None
    wrong = sorted(name for name in names if name.startswith(_NEVER))
    if wrong:
        raise ConfigError(f"reply_in_response: Telegram does not take {wrong[0]} in an answer")
    return names or False


class _Slot:
    """Room for one call. Thread-safety: any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # a leaf
        self._is_open = True
        self._call: bytes | None = None

    def put(self, call: bytes) -> bool:
        """Fill the slot, if it is still open."""
        with self._changed:
            if not self._is_open:
                return False
            self._is_open = False
            self._call = call
            self._changed.notify_all()
            return True

    def close(self) -> None:
        """The handlers have ended."""
        with self._changed:
            self._is_open = False
            self._changed.notify_all()

    def take(self, timeout_s: float) -> bytes | None:
        """Return the call, or None if there is none in time. *Blocks* until then; from then on it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_open, timeout_s)
            self._is_open = False
            return self._call


class ReplySlots:
    """The slots of the requests that wait. Thread-safety: any thread."""

    def __init__(self, methods: frozenset[str] | bool) -> None:
        self._methods = methods
        self._lock = threading.Lock()  # guards _slots and _ended; a leaf
        self._slots: dict[int, _Slot] = {}
        # Those that were handled last, the oldest first; a resend of one of them brings no call any more.
        self._ended: dict[int, None] = {}

    def open(self, update_id: int) -> _Slot | None:
        """Make room for the first call for an update, before it is handed to the runner.

        None for an update that is sent again while it is handled or after it was: its call, if there is one, belongs
        into the answer to the first request.
        """
        with self._lock:
            if update_id in self._slots or update_id in self._ended:
                return None
            slot = self._slots[update_id] = _Slot()
            return slot

    def forget(self, update_id: int, slot: _Slot) -> None:
        """The request has been answered."""
        with self._lock:
            if self._slots.get(update_id) is slot:
                del self._slots[update_id]

    def close(self, update_id: int) -> None:
        """The handlers of the update have ended."""
        with self._lock:
            slot = self._slots.pop(update_id, None)
            self._ended[update_id] = None
            if len(self._ended) > _MOST_ENDED:
                del self._ended[next(iter(self._ended))]
        if slot is not None:
            slot.close()

    def put(self, method: str, parameters: dict[str, Any]) -> bool:
        """Put a call of the handler that runs in this thread into the answer; False: it has to be made as usual."""
        delivery = current()
        if delivery is None or not self._slots or not self._takes(method):
            return False
        with self._lock:
            slot = self._slots.get(delivery.update["update_id"])
        if slot is None:
            return False
        given = plain_parameters(parameters)
        if has_files(given):
            return False
        call = ujson.dumps({"method": method, **given}, escape_forward_slashes=False)
        return slot.put(call.encode())

    def _takes(self, method: str) -> bool:
        if isinstance(self._methods, frozenset):
            return method in self._methods
        return not method.startswith(_NEVER)


class AnsweringBot:
    """A bot whose first call for each update goes into an answer, if somebody waits for one; else it is `bot`.

    Args:
        bot: with an `api` that can be replaced; it is, for good.
    """

    def __init__(self, bot: Any, slots: ReplySlots) -> None:
        self._bot = bot
        self._slots = slots
        if not callable(getattr(getattr(bot, "api", None), "call", None)):
            raise ConfigError("reply_in_response needs a bot that makes its calls by bot.api, such as pyruntime.Bot")
        bot.api = _AnsweringApi(bot.api, slots)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bot, name)

    def handle_update(self, update: dict[str, Any]) -> object:
        """Run the handlers; afterwards nobody waits for a call any more."""
        try:
            return self._bot.handle_update(update)
        finally:
            self._slots.close(update["update_id"])


class _AnsweringApi:
    """A client of the Bot API that puts calls into answers where it can."""

    def __init__(self, api: Any, slots: ReplySlots) -> None:
        self._api = api
        self._slots = slots

    def __getattr__(self, name: str) -> Any:
        if name in ("get_updates", "interrupt", "close", "call_once", "download_file") or name.startswith("_"):
            return getattr(self._api, name)
        return partial(self.call, method_name(name))

    def call(self, method: str, /, *unnamed: Any, **parameters: Any) -> Any:
        """Call a method; True if the call went into an answer, for its result will never be seen."""
        if not unnamed and self._slots.put(method, parameters):
            return True
        return self._api.call(method, *unnamed, **parameters)
