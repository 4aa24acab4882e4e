"""A telebot bot as the engine sees it.

**Guarantees**

- The bot's own `process_new_updates` handles each update, in the worker's thread, with everything that belongs to it:
  middlewares, next steps, replies, listeners, filters, states.
- An error that neither the bot's handlers nor its `exception_handler` take is raised by `handle_update`.
- Whoever adapts a bot twice gets the same adapter, so that one bot is not run twice.

**Changes on the bot**, made before its first update: it is no longer threaded and the threads of its pool end; its
`exception_handler` is stood in for; its backends and its storage get a lock (see `shared`).
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
from collections.abc import Iterable
from operator import is_
from types import ModuleType
from typing import Any

from pyruntime.adapters.telebot.mistake import ErrorGuard, RepeatFilter
from pyruntime.adapters.telebot.road import TelebotRoad
from pyruntime.adapters.telebot.shared import save_now, serialise
from pyruntime.api import ApiClient
from pyruntime.errors import BadReply
from pyruntime.kind import DEFAULT_KINDS, OPT_IN_KINDS, ordered
from runner_c import ConfigError, format_error

__all__ = ["TelebotAdapter", "adapt"]

_ATTRIBUTE = "_runner_c_adapter"
_TELEGRAM = "https://api.telegram.org"
_PLAIN_URL = re.compile(r"(https?://.+)/bot\{0?\}/\{1?\}")

_log = logging.getLogger("pyruntime")

# Held while a bot gets its adapter, and while an adapter changes its bot. Before the locks in `shared`.
_adapting = threading.RLock()


def adapt(thing: object) -> TelebotAdapter | None:
    """Return the adapter of a `telebot.TeleBot`, or of a class derived from it; None for anything else.

    Raises:
        ConfigError: it is an `AsyncTeleBot`.

    Thread-safety: any thread.
    """
    module = _module_of(type(thing))
    if module is None:
        return None
    with _adapting:
        known = vars(thing).get(_ATTRIBUTE)
        if known is None:
            known = TelebotAdapter(thing, module)
            setattr(thing, _ATTRIBUTE, known)
        assert isinstance(known, TelebotAdapter)
        return known


class TelebotAdapter:
    """Drives one telebot bot; made by `adapt`, and what `runner_c.run` runs in its place.

    Thread-safety: `configure` before it runs; everything else from any thread.
    """

    def __init__(self, bot: Any, module: ModuleType) -> None:
        self.bot = bot
        """The `TeleBot`."""
        self._telebot: Any = module
        self._guard = ErrorGuard()
        self._filter = RepeatFilter(self._guard, lambda: not bot.suppress_middleware_excepions, self._clean)
        # The parts of the bot as they were when it was taken over; replaced as a whole.
        self._guarded: tuple[Any, ...] = ()
        self._me: dict[str, Any] | None = None
        # Guards _road, _road_key; a leaf but for the making of a client.
        self._lock = threading.Lock()
        self._road: ApiClient | TelebotRoad | None = None
        self._road_key: tuple[str, str | None] | None = None

    def __repr__(self) -> str:
        name = (self._me or {}).get("username")
        return f"<TeleBot @{name}>" if name else "<TeleBot>"

    # Who the bot is

    @property
    def token(self) -> str | None:
        """The bot's token; None if it has none."""
        token = self.bot.token
        return token if isinstance(token, str) and token else None

    @property
    def me(self) -> dict[str, Any] | None:
        """The bot itself, as getMe described it in `init`; None before."""
        return self._me

    def configure(self, token: str | None = None, api_root: str | None = None) -> None:
        """Replace the token, or the address of the Bot API. For a bot that is not running.

        The address stands in the module `telebot.apihelper`, so it is that of all telebot bots of the process.
        """
        if token is not None and token != self.bot.token:
            self.bot.token = token
            self.bot._user = self._me = None
            find_id = getattr(self._telebot.util, "extract_bot_id", None)
            if callable(find_id) and hasattr(self.bot, "bot_id"):
                self.bot.bot_id = find_id(token)
        if api_root is not None:
            set_api_root(self._telebot, api_root)

    @property
    def api(self) -> ApiClient | TelebotRoad:
        """What makes the calls of the runner: our client, or telebot's functions if the bot has set them up.

        Raises:
            ConfigError: there is no token, or token or address cannot be one.
        """
        token = self.token
        if token is None:
            raise ConfigError("the telebot bot has no token")
        key = (token, _plain_root(self._telebot.apihelper))
        with self._lock:
            if self._road is None or self._road_key != key:
                before = self._road
                self._road, self._road_key = _make_road(self._telebot.apihelper, *key), key
                if before is not None:
                    before.close()
            return self._road

    def init(self) -> None:
        """Take the bot over and ask Telegram who it is. *Blocks* for one call; `interrupt` cuts it.

        Raises:
            ConfigError: there is no token.
            TelegramError: the call failed.
        """
        self._take_over()
        if self._me is None:
            me = self.api.call_once("getMe")
            if not isinstance(me, dict):
                raise BadReply("getMe", "the reply is not an object")
            self._me = me

    # What the engine asks

    def get_updates(
        self,
        *,
        offset: int | None = None,
        limit: int = 100,
        timeout: float = 0,
        allowed_updates: Iterable[str] | None = None,
    ) -> list[dict[str, Any]]:
        """Fetch updates by one call, without retries. *Blocks* up to `timeout` seconds; `interrupt` cuts it.

        Raises:
            TelegramError: the call failed.
        """
        return self.api.get_updates(offset=offset, limit=limit, timeout=timeout, allowed_updates=allowed_updates)

    def handle_update(self, update: dict[str, Any]) -> None:
        """Let the bot handle one update, in this thread. The update itself is not changed.

        Raises:
            BaseException: the first error that the bot's `exception_handler` did not take; further ones are logged.
        """
        self._take_over()
        bot = self.bot
        guard = self._guard
        guard.open()
        try:
            bot.process_new_updates([self._telebot.types.Update.de_json(_copied(update))])
        except Exception as error:
            guard.handle(error)
        finally:
            errors = guard.close()
        if errors:
            for further in errors[1:]:
                self.handle_error(further, update)
            raise _with_retry_after(errors[0])

    def handle_error(self, error: BaseException, update: dict[str, Any]) -> None:
        """Log an error that `handle_update` raised, with its traceback and without the token."""
        told = format_error(error)
        _log.error(
            "a handler failed on update %s\n%s",
            update.get("update_id"),
            self._clean(told),
            extra={"action": "update.failed"},
        )

    def allowed_updates(self) -> list[str] | None:
        """Return the kinds of updates to ask for: None, which leaves it at what was asked for last, as telebot does.

        Only if there are handlers for kinds that Telegram sends on request alone, these and its default set.
        """
        typed = getattr(self.bot, "typed_middleware_handlers", None) or {}
        wanted = {
            kind for kind in OPT_IN_KINDS if getattr(self.bot, f"{kind}_handlers", None) or (typed and typed.get(kind))
        }
        return ordered(wanted.union(DEFAULT_KINDS)) if wanted else None

    def identity(self) -> str | None:
        """Return the public part of the token, by which a store knows whose updates it keeps."""
        token = self.token
        return None if token is None else f"bot {token.partition(':')[0]}"

    def interrupt(self) -> None:
        """End a `get_updates` that waits in another thread; harmless when none does."""
        road = self._road
        if road is not None:
            road.interrupt()

    def close(self) -> None:
        """Release the connections of the runner, and write what telebot would save later. The bot can be run again."""
        road = self._road
        if road is not None:
            road.close()
        for backend in (self.bot.next_step_backend, self.bot.reply_backend):
            save_now(backend)
        with _adapting:
            self._telebot.logger.removeFilter(self._filter)
            self._guarded = ()

    # The bot

    def _take_over(self) -> None:
        """Change the bot as the module says; again only for what the program has replaced since."""
        bot = self.bot
        if len(self._guarded) == 5 and all(map(is_, self._guarded, _parts_of(bot))):
            return
        with _adapting:
            if bot.threaded:
                bot.threaded = False
                for worker in bot.worker_pool.workers:
                    worker.stop()
            if bot.exception_handler is not self._guard:
                self._guard.inner = bot.exception_handler
                bot.exception_handler = self._guard
            for thing in (bot.next_step_backend, bot.reply_backend, bot.current_states):
                serialise(thing)
            helper = self._telebot.apihelper
            api_root = os.environ.get("BOT_API_ROOT", "").strip()
            if api_root and not helper.API_URL:
                set_api_root(self._telebot, api_root)
            self._telebot.logger.addFilter(self._filter)
            self._guarded = _parts_of(bot)

    def _clean(self, text: str) -> str:
        token = self.token
        if token is None:
            return text
        return text.replace(token, "<token>").replace(token.replace(":", "%3A"), "<token>")


def _parts_of(bot: Any) -> tuple[Any, ...]:
    return (bot.threaded, bot.exception_handler, bot.next_step_backend, bot.reply_backend, bot.current_states)


def set_api_root(module: Any, api_root: str) -> None:
    """Point all calls and downloads of telebot to another Bot API server, such as http://127.0.0.1:8081."""
    root = api_root.rstrip("/").replace("{", "{{").replace("}", "}}")
    module.apihelper.API_URL = root + "/bot{0}/{1}"
    module.apihelper.FILE_URL = root + "/file/bot{0}/{1}"


def _module_of(kind: type) -> ModuleType | None:
    """Return the module telebot, if `kind` is its `TeleBot` or derived from it."""
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] != "telebot":
            continue
        if base.__name__ == "AsyncTeleBot":
            raise ConfigError("runner_c runs synchronous bots: an AsyncTeleBot is asynchronous, use a TeleBot")
        if base.__name__ == "TeleBot":
            module = sys.modules.get("telebot")
            return module if hasattr(module, "apihelper") and hasattr(module, "types") else None
    return None


def _plain_root(apihelper: Any) -> str | None:
    """Return the address of the Bot API if nothing special is set up for calls, else None."""
    if apihelper.CUSTOM_REQUEST_SENDER or apihelper.proxy or apihelper.session:
        return None
    if not apihelper.API_URL:
        return _TELEGRAM
    found = _PLAIN_URL.fullmatch(apihelper.API_URL)
    return None if found is None else found[1].replace("{{", "{").replace("}}", "}")


def _make_road(apihelper: Any, token: str, root: str | None) -> ApiClient | TelebotRoad:
    if root is None:
        return TelebotRoad(apihelper, token)
    try:
        return ApiClient(token, root)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _with_retry_after(error: Any) -> Any:
    """Put the seconds for which Telegram wants to be left alone where the engine looks for them."""
    reply = getattr(error, "result_json", None)
    if isinstance(reply, dict) and not hasattr(error, "retry_after"):
        hints = reply.get("parameters")
        error.retry_after = hints.get("retry_after") if isinstance(hints, dict) else None
    return error


def _copied(value: Any) -> Any:
    """Return a copy that telebot and the handlers may change: the engine may hand out the update once more."""
    if isinstance(value, dict):
        return {name: _copied(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_copied(part) for part in value]
    return value
