"""Bot: a composer with a token, which the engine can run."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from pyruntime.composer import Composer
from pyruntime.context import Context
from pyruntime.errors import BadReply
from pyruntime.failure import BotError
from pyruntime.keyer import build_keyer
from pyruntime.kind import DEFAULT_KINDS, OPT_IN_KINDS, ordered
from pyruntime.node import functions_of, interest_of
from pyruntime.session import Session
from pyruntime.signature import check_one_argument, refuse_coroutine
from pyruntime.view import View
from runner_c import ConfigError, format_error

if TYPE_CHECKING:
    from pyruntime.api import ApiClient
    from runner_c import RunnerHandle, StopReport

__all__ = ["Bot"]

_F = TypeVar("_F", bound=Callable[[BotError], Any])

_log = logging.getLogger("pyruntime")


class Bot(Composer):
    """A Telegram bot: register handlers on it, then run it with `runner_c.run`, or with `start` one update at a time.

    ::

        bot = Bot()

        @bot.command("start")
        def start(ctx):
            ctx.reply("hello")

        run(bot).wait()

    Args:
        token: the bot's token. Default: the environment variable ``BOT_TOKEN``, read when it is first needed, so that
            handlers can be registered and tested without one.
        api_root: where the Bot API is. Default: the environment variable ``BOT_API_ROOT``, else
            ``https://api.telegram.org``.
        me: what getMe would return, to save the call.

    Raises:
        ConfigError: an argument has the wrong type. Whether token and address can be used shows at the first call.

    Thread-safety: register handlers from one thread; everything else from any.
    """

    def __init__(
        self, token: str | None = None, api_root: str | None = None, *, me: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        _check_texts(token, api_root)
        if me is not None and not isinstance(me, dict):
            raise ConfigError(f"me is a dict such as getMe returns, not {me!r}")
        self._token = token
        self._api_root = api_root
        # Guards _api; while it is held nothing is called but the constructor of the client.
        self._lock = threading.Lock()
        # Guards _run and is held while a run begins. Before _lock, if both are taken.
        self._start_lock = threading.Lock()
        self._api: ApiClient | None = None
        self._me: View | None = None if me is None else View(me)
        self._run: RunnerHandle | None = None
        self._on_error: Callable[[BotError], Any] | None = None
        self._failed = threading.local()

    def __repr__(self) -> str:
        me = self._me
        return "<Bot>" if me is None or me.username is None else f"<Bot @{me.username}>"

    # Who the bot is

    def configure(self, token: str | None = None, api_root: str | None = None) -> None:
        """Replace the token or the address of the Bot API, or both. For a bot that is not running.

        Raises:
            ConfigError: one of them is not a string.
        """
        _check_texts(token, api_root)
        with self._lock:
            if token is not None:
                self._token = token
                self._me = None
            if api_root is not None:
                self._api_root = api_root
            api, self._api = self._api, None
        if api is not None:
            api.close()

    @property
    def token(self) -> str | None:
        """The token, given or from the environment; None if there is none."""
        return (self._token or os.environ.get("BOT_TOKEN", "")).strip() or None

    @property
    def api_root(self) -> str | None:
        """The address of the Bot API, given or from the environment; None for Telegram's own."""
        return (self._api_root or os.environ.get("BOT_API_ROOT", "")).strip() or None

    @property
    def api(self) -> ApiClient:
        """The client for calls to the Bot API: ``bot.api.send_message(chat_id=..., text=...)``.

        It can be replaced, by a client of your own or by a recorder in a test.

        Raises:
            ConfigError: there is no token, or it or `api_root` cannot be one.
        """
        api = self._api
        return api if api is not None else self._make_api()

    @api.setter
    def api(self, client: Any) -> None:
        with self._lock:
            self._api = client

    def _make_api(self) -> ApiClient:
        from pyruntime.api import ApiClient

        with self._lock:
            if self._api is None:
                token, api_root = self.token, self.api_root
                if token is None:
                    raise ConfigError("no bot token: set BOT_TOKEN or pass Bot(token=...)")
                try:
                    self._api = ApiClient(token) if api_root is None else ApiClient(token, api_root)
                except ValueError as error:
                    raise ConfigError(str(error)) from None
            return self._api

    @property
    def me(self) -> View:
        """The bot itself, as getMe describes it: ``bot.me.username``, ``bot.me["id"]``.

        *Blocks* for one call if `init` has not been called yet. Raises what `init` raises.
        """
        me = self._me
        if me is None:
            self.init()
            me = self._me
            assert me is not None
        return me

    def init(self) -> None:
        """Ask Telegram who the bot is, by one call of getMe; once, later calls return at once.

        Raises:
            ConfigError: there is no token.
            TelegramError: the call failed, for example `Unauthorized` for a wrong token.
        """
        if self._me is None:
            me = self.api.call_once("getMe")
            if not isinstance(me, dict):
                raise BadReply("getMe", "the reply is not an object")
            self._me = View(me)

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

    def identity(self) -> str | None:
        """Return the public part of the token, by which a store knows whose updates it keeps; None without a token."""
        token = self.token
        return None if token is None else f"bot {token.partition(':')[0]}"

    def interrupt(self) -> None:
        """Cut a `get_updates` that waits in another thread; harmless when none does."""
        api = self._api
        if api is not None:
            api.interrupt()

    def close(self) -> None:
        """Release the connections. The bot can be used again afterwards."""
        api = self._api
        if api is not None:
            api.close()

    def handle_update(self, update: dict[str, Any]) -> None:
        """Run the handlers for one update, in this thread.

        Raises:
            BaseException: what a handler raised and no error boundary caught. `@bot.catch` is not asked: the engine
                does that through `handle_error`.
        """
        ctx = Context(update, self)
        try:
            self._compiled().run(ctx)
            if ctx._unit is not None:
                ctx._unit.commit()
        except BaseException:
            # A weak reference: the error's traceback keeps the context as long as somebody can ask for it.
            self._failed.ctx = weakref.ref(ctx)
            raise
        finally:
            if ctx._unit is not None:
                ctx._unit.release()

    def handle_error(self, error: BaseException, update: dict[str, Any]) -> None:
        """Give an error that `handle_update` raised to the handler of `catch`, with the context it happened in.

        Without such a handler the error is logged, with its traceback, to the logger ``pyruntime``.
        """
        failed = getattr(self._failed, "ctx", None)
        self._failed.ctx = None
        ctx = None if failed is None else failed()
        if ctx is None or ctx.update is not update:
            ctx = Context(update, self)
        caught = error if isinstance(error, BotError) else BotError(error, ctx)
        if self._on_error is not None:
            refuse_coroutine(self._on_error(caught), self._on_error)
        else:
            self._log_error(caught)

    def catch(self, on_error: _F) -> _F:
        """Call `on_error` with a `BotError` for every error of a handler that no error boundary took; a decorator.

        A later call replaces the handler. What it raises itself is logged by the engine.

        Raises:
            ConfigError: it is asynchronous, or does not take one argument.
        """
        check_one_argument(on_error, "catch", "error")
        self._on_error = on_error
        return on_error

    def keyer(self, default: Callable[[Any], Any] | None = None) -> Callable[[dict[str, Any]], Any]:
        """Return the function that gives the keys of an update at admission.

        All `sequentialize` at the head of the stack replace `default`; sessions at the head add their keys. From now
        on nothing more can be registered.

        Returns:
            a function of an update that returns a string, a list of strings, None or `runner_c.BYPASS`; its attribute
            ``declared``, if it has one, names the middleware whose keys it gives.
        """
        self._compiled()
        return build_keyer(self, default)

    def allowed_updates(self) -> list[str]:
        """Return the kinds of updates that the registered handlers want, for getUpdates and setWebhook.

        An empty list is Telegram's default set. It is returned when a handler takes updates of any kind, and when
        nothing is registered; if kinds that Telegram sends on request only are wanted as well, the default set and
        those. Middleware that is installed by `use` alone wants nothing.
        """
        wants = interest_of([self])
        if not wants.takes_any:
            return ordered(wants.kinds)
        extra = wants.kinds & OPT_IN_KINDS
        return ordered(extra.union(DEFAULT_KINDS)) if extra else []

    def forget_sessions(self) -> None:
        """Empty the sessions that are kept in memory, as a restart would; those with a storage of their own stay.

        For a bot that is not running. The fixture ``run_bot`` of `pyruntime.testing` calls it, so that each test
        begins without what another one left.
        """
        for function in functions_of(self):
            if isinstance(function, Session):
                function.forget()

    # Simple long polling

    def start(self, **options: Any) -> None:
        """Run the bot, one update at a time, until `stop` is called or Ctrl-C is pressed. *Blocks* until then.

        Args:
            options: the options of `runner_c.run`; ``concurrency`` is 1.

        Raises:
            ConfigError: it runs already, or an option is bad.
            BaseException: the error that ended the run, such as `Unauthorized`.
        """
        from runner_c import run

        if "concurrency" in options:
            raise ConfigError(
                "bot.start() handles one update at a time; for more use runner_c.run(bot, concurrency=...)"
            )
        with self._start_lock:
            if self._run is not None:
                raise ConfigError("this bot is started already")
            handle = self._run = run(self, concurrency=1, **options)
        try:
            handle.wait()
        except KeyboardInterrupt:
            handle.stop()
        finally:
            with self._start_lock:
                self._run = None

    def stop(self, timeout_s: float | None = None) -> StopReport | None:
        """Stop what `start` runs: end polling at once, let the update in work finish, and report.

        *Blocks* until then; after `timeout_s` seconds, if given, what still runs is interrupted.

        Thread-safety: any thread. In a handler, which cannot wait for itself, it begins the stop and returns at once.

        Returns:
            the report of the stop; None if nothing runs.
        """
        handle = self._run
        return None if handle is None else handle.stop(timeout_s)

    def _log_error(self, caught: BotError) -> None:
        error = caught.error
        token = self.token
        if token is not None and token in (told := format_error(error)):
            told = told.replace(token, "<token>")
            _log.error("a handler failed: %s\n%s", str(caught).replace(token, "<token>"), told)
        else:
            _log.error("a handler failed: %s", caught, exc_info=error)


def _check_texts(token: object, api_root: object) -> None:
    for name, value in (("token", token), ("api_root", api_root)):
        if value is not None and not isinstance(value, str):
            raise ConfigError(f"{name} is a string or None, not {type(value).__name__}")
