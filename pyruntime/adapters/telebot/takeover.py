"""Take the polling calls of a telebot script over, so that the script runs unchanged and the engine polls.

While a takeover is on, `TeleBot.polling` and `TeleBot.infinity_polling` hand a `PollingCall` to whoever runs the
script, and return when that has returned; `stop_polling` is told to it. A token and an address that the command line
gives are in force from the first bot on, for scripts make calls before they poll.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from pyruntime.adapters.telebot.bot import TelebotAdapter, adapt, set_api_root

__all__ = ["PollingCall", "PollingTakeover"]

_NAMES = ("polling", "infinity_polling")
_USED = frozenset({"allowed_updates", "skip_pending", "long_polling_timeout", "non_stop", "none_stop"})
"""What is taken over; `non_stop` is how the engine polls anyway."""

_LONGEST_POLL_S = 50


@dataclass(frozen=True)
class PollingCall:
    """What a script wants when it calls `polling` or `infinity_polling`.

    Attributes:
        bot: the adapter of the bot.
        name: of the method.
        options: the options of `runner_c.run` that its arguments stand for: ``allowed_updates``, ``drop_pending``,
            ``poll_timeout_s``; each only if it was given.
        unused: the arguments that have no meaning for the engine, as ``interval=2``.
    """

    bot: TelebotAdapter
    name: str
    options: dict[str, Any]
    unused: tuple[str, ...]


class PollingTakeover:
    """Hand the polling calls of all telebot bots of this process to `on_poll`; a context manager, as long as it is on.

    Args:
        telebot: the module.
        on_poll: called in the thread that polls; its return ends the polling call. What it raises goes through.
        on_stop: called with the bot when a script calls `stop_polling` of it. Must not block.
        token: takes the place of that of each bot that is made from now on.
        api_root: where the Bot API is from now on, until the script says otherwise.

    Thread-safety: enter and leave in one thread.
    """

    def __init__(
        self,
        telebot: Any,
        on_poll: Callable[[PollingCall], None],
        on_stop: Callable[[Any], None],
        *,
        token: str | None = None,
        api_root: str | None = None,
    ) -> None:
        self._telebot = telebot
        self._on_poll = on_poll
        self._on_stop = on_stop
        self._token = token
        self._api_root = api_root
        self._replaced: dict[str, Any] = {}
        self._handlers: list[logging.Handler] = []

    def __enter__(self) -> PollingTakeover:
        kind = self._telebot.TeleBot
        for name in _NAMES:
            self._replace(kind, name, self._polling(name, getattr(kind, name)))
        self._replace(kind, "stop_polling", self._stop_polling(kind.stop_polling))
        if self._token is not None:
            self._replace(kind, "__init__", self._init(kind.__init__, self._token))
        if self._api_root is not None:
            set_api_root(self._telebot, self._api_root)
        # It writes to stderr what the log of the command line writes too, but without taking tokens out.
        own: Any = getattr(self._telebot, "console_output_handler", None)
        if own in self._telebot.logger.handlers:
            self._telebot.logger.removeHandler(own)
            self._handlers.append(own)
        return self

    def __exit__(self, *_: object) -> None:
        for name, method in self._replaced.items():
            setattr(self._telebot.TeleBot, name, method)
        self._replaced.clear()
        for handler in self._handlers:
            self._telebot.logger.addHandler(handler)
        self._handlers.clear()

    def _replace(self, kind: Any, name: str, method: Any) -> None:
        self._replaced[name] = getattr(kind, name)
        setattr(kind, name, method)

    def _polling(self, name: str, method: Callable[..., Any]) -> Callable[..., None]:
        signature = inspect.signature(method)

        @wraps(method)
        def poll(bot: Any, *arguments: Any, **named: Any) -> None:
            bound = signature.bind(bot, *arguments, **named)
            given = dict(bound.arguments)
            given.pop("self", None)
            given.pop("args", None)
            given.update(given.pop("kwargs", {}))
            adapter = adapt(bot)
            assert adapter is not None
            self._on_poll(PollingCall(adapter, name, *_understood(given, bot)))

        return poll

    def _stop_polling(self, method: Callable[[Any], None]) -> Callable[[Any], None]:
        @wraps(method)
        def stop(bot: Any) -> None:
            method(bot)
            self._on_stop(bot)

        return stop

    def _init(self, method: Callable[..., None], token: str) -> Callable[..., None]:
        @wraps(method)
        def init(bot: Any, *arguments: Any, **named: Any) -> None:
            if arguments:
                arguments = (token, *arguments[1:])
            else:
                named["token"] = token
            method(bot, *arguments, **named)

        return init


def _understood(given: dict[str, Any], bot: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the options of the engine that the arguments of a polling call stand for, and the arguments left over."""
    options: dict[str, Any] = {}
    if given.get("allowed_updates") is not None:
        options["allowed_updates"] = list(given["allowed_updates"])
    if given.get("skip_pending") or getattr(bot, "skip_pending", False):
        options["drop_pending"] = True
    seconds = given.get("long_polling_timeout")
    if isinstance(seconds, (int, float)) and seconds >= 0:
        options["poll_timeout_s"] = min(_LONGEST_POLL_S, int(seconds))
    left = sorted(name for name, value in given.items() if name not in _USED and value)
    return options, tuple(f"{name}={given[name]!r}" for name in left)
