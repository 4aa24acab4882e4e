"""webhook_app: the options of a webhook, checked, and put together to an app."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Collection
from typing import Any

from pyruntime.argument import check_seconds, check_whole_number
from pyruntime.webhook.app import WebhookApp
from pyruntime.webhook.registration import Registration
from pyruntime.webhook.reply import AnsweringBot, ReplySlots, check_methods_to_reply
from pyruntime.webhook.request import Gate
from runner_c import ConfigError, Offers, RunnerHandle, adapted, run

__all__ = ["webhook_app"]

_log = logging.getLogger("pyruntime")


def webhook_app(
    bot: Any,
    *,
    secret_token: str | None = None,
    path: str | None = None,
    reply_in_response: bool | Collection[str] = False,
    reply_timeout_s: float = 5.0,
    retry_after_s: int = 2,
    url: str | None = None,
    max_connections: int | None = None,
    remove_at_end: bool = False,
    **options: Any,
) -> WebhookApp:
    """Make a WSGI app that takes a bot's updates from Telegram; the bot runs as `runner_c.run` runs it.

    ::

        bot = Bot()
        app = webhook_app(bot, secret_token=os.environ["WEBHOOK_SECRET"], store="sqlite:bot.db")

    and ``gunicorn --workers 1 --threads 40 bot:app``, or any other WSGI server, or mounted in any framework. The runner
    starts with the first request, or with ``app.start()``, in the process that serves: it has to be one process.

    Args:
        bot: what `run` takes; `get_updates` is not needed.
        secret_token: the `secret_token` of setWebhook: requests without it are refused. None (default): anybody who
            knows the address can hand in updates.
        path: the only path that is served, with everything before it, such as ``/telegram``. None (default): every
            path, for an app that is mounted where it belongs.
        reply_in_response: False (default). True: the first call of each handler goes into the answer to the request,
            which saves a round trip; its result is never seen (the call returns True), and it is lost if the answer is.
            Names of methods, such as ``["send_chat_action"]``: only these.
        reply_timeout_s: so many seconds, up to 50, the answer waits for such a call (default 5).
        retry_after_s: after so many seconds, up to 3600, Telegram is to try again when an update could not be taken
            (default 2).
        url: the address under which Telegram reaches the app: at its start the runner calls setWebhook with it, with
            `secret_token` and with the kinds of updates that the handlers want. None (default): that is up to you.
        max_connections: how many requests Telegram may make at the same time, 1 to 100, for setWebhook (default 40).
        remove_at_end: True: call deleteWebhook when the runner has ended.
        options: those of `runner_c.run`. ``drop_pending``, ``allowed_updates``, `max_connections` and `remove_at_end`
            are for setWebhook and need `url`.

    Raises:
        ConfigError: an option is not what it has to be. The values of those of `run` are looked at at the start.
    """
    _check_options(options, url, max_connections, remove_at_end)
    _check_range("retry_after_s", retry_after_s, 3600, lambda: check_whole_number("retry_after_s", retry_after_s, 1))
    _check_range("reply_timeout_s", reply_timeout_s, 50, lambda: check_seconds("reply_timeout_s", reply_timeout_s))
    bot = adapted(bot, ("handle_update",))
    methods = check_methods_to_reply(reply_in_response)
    slots = ReplySlots(methods) if methods else None
    gate = Gate(secret_token, path)
    setting = {"secret_token": secret_token, "max_connections": max_connections}

    def start() -> RunnerHandle:
        nonlocal bot
        if slots is not None and not isinstance(bot, AnsweringBot):
            bot = AnsweringBot(bot, slots)
        if secret_token is None:
            _log.warning(
                "the webhook has no secret_token: whoever finds its address can hand in updates",
                extra={"action": "webhook.open"},
            )
        if url is None:
            return run(bot, source=Offers(), **options)
        return _run_registered(bot, url, setting, options, is_removed_at_end=remove_at_end)

    return WebhookApp(start, gate, slots, reply_timeout_s, retry_after_s)


def _run_registered(
    bot: Any, url: str, setting: dict[str, Any], options: dict[str, Any], *, is_removed_at_end: bool
) -> RunnerHandle:
    """Run a bot that sets its webhook first."""
    api = getattr(bot, "api", None)
    if not callable(getattr(api, "call_once", None)):
        raise ConfigError("to set the webhook the bot needs an api, such as pyruntime.Bot has; or leave url out")
    left = dict(options)
    kinds = left.pop("allowed_updates", None)
    if kinds is None and callable(getattr(bot, "allowed_updates", None)):
        kinds = bot.allowed_updates()
    parameters = {
        **setting,
        "allowed_updates": kinds,
        "drop_pending_updates": left.pop("drop_pending", False) or None,
    }
    return run(bot, source=Registration(api, url, parameters, is_removed_at_end=is_removed_at_end), **left)


def _check_options(options: dict[str, Any], url: str | None, max_connections: int | None, remove_at_end: bool) -> None:
    known = inspect.signature(run).parameters
    for name in options:
        if name not in known or name == "bot":
            raise ConfigError(f"neither webhook_app() nor run() has an option {name}")
    if "source" in options:
        raise ConfigError("webhook_app() has its updates from requests: leave source out")
    if options.get("ack") == "done":
        raise ConfigError('ack="done" is for polling: with a webhook give a store and leave ack out')
    if max_connections is not None:
        _check_range(
            "max_connections", max_connections, 100, lambda: check_whole_number("max_connections", max_connections, 1)
        )
    given = {"max_connections": max_connections, "remove_at_end": remove_at_end, **options}
    for name in ("max_connections", "remove_at_end", "drop_pending", "allowed_updates"):
        if url is None and given.get(name):
            raise ConfigError(f"{name} is for setWebhook: give url too")


def _check_range(name: str, value: Any, most: int, check: Callable[[], None]) -> None:
    try:
        check()
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if value > most:
        raise ConfigError(f"{name} is {most} at most, not {value!r}")
