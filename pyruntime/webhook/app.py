"""The WSGI app that takes a bot's updates."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Collection, Iterable
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import unquote
from wsgiref.types import StartResponse, WSGIEnvironment

from pyruntime.argument import check_whole_number
from pyruntime.webhook.answer import Answer, Refused
from pyruntime.webhook.registration import Registration
from pyruntime.webhook.reply import AnsweringBot, ReplySlots, check_methods_to_reply
from pyruntime.webhook.request import SECRET_HEADER, check_secret_token, read_body, read_update, refuse_stranger
from runner_c import ConfigError, ForkedProcess, Offers, RunnerError, RunnerHandle, StopReport, StoreError, run

__all__ = ["WebhookApp", "webhook_app"]

MAX_BODY_BYTES: Final = 1024 * 1024
"""The largest update that is taken: many times what Telegram sends."""

_SECRET_KEY = "HTTP_" + SECRET_HEADER.upper().replace("-", "_")
_TAKEN = Answer(200, [], b"")
_JSON = [("Content-Type", "application/json")]

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
        reply_timeout_s: so many seconds the answer waits for such a call (default 5).
        retry_after_s: after so many seconds Telegram is to try again when an update could not be taken (default 2).
        url: the address under which Telegram reaches the app: at its start the runner calls setWebhook with it, with
            `secret_token` and with the kinds of updates that the handlers want. None (default): that is up to you.
        max_connections: how many requests Telegram may make at the same time, 1 to 100, for setWebhook (default 40).
        remove_at_end: True: call deleteWebhook when the runner has ended. For `url` only.
        options: those of `runner_c.run`. ``drop_pending`` and ``allowed_updates`` are for `url` only.

    Raises:
        ConfigError: an option is not what it has to be. Those of `run` are looked at when the runner starts.
    """
    return WebhookApp(
        bot,
        secret_token=secret_token,
        path=path,
        reply_in_response=reply_in_response,
        reply_timeout_s=reply_timeout_s,
        retry_after_s=retry_after_s,
        url=url,
        max_connections=max_connections,
        remove_at_end=remove_at_end,
        **options,
    )


class WebhookApp:
    """A bot behind a webhook; made by `webhook_app`, which says what the arguments are.

    It is a WSGI app, and a context manager: leaving it stops the runner. Frameworks that are not WSGI hand what they
    got to `receive`.

    Thread-safety: any thread.
    """

    def __init__(
        self,
        bot: Any,
        *,
        secret_token: str | None,
        path: str | None,
        reply_in_response: bool | Collection[str],
        reply_timeout_s: float,
        retry_after_s: int,
        url: str | None,
        max_connections: int | None,
        remove_at_end: bool,
        **options: Any,
    ) -> None:
        if "source" in options:
            raise ConfigError("webhook_app() has its updates from requests: leave source out")
        if options.get("ack") == "done":
            raise ConfigError('ack="done" is for polling: with a webhook give a store and leave ack out')
        try:
            check_whole_number("retry_after_s", retry_after_s, 1)
            if max_connections is not None:
                check_whole_number("max_connections", max_connections, 1)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        if retry_after_s > 3600:
            raise ConfigError("retry_after_s is 3600 at most: Telegram looks no further")
        if max_connections is not None and max_connections > 100:
            raise ConfigError("max_connections is 1 to 100")
        if path is not None and not (isinstance(path, str) and path.startswith("/")):
            raise ConfigError(f"path is None or begins with a slash, not {path!r}")
        if not isinstance(reply_timeout_s, (int, float)) or not 0 < reply_timeout_s <= 50:
            raise ConfigError("reply_timeout_s is a number of seconds above 0 and up to 50: Telegram waits for 60")
        if url is None and (max_connections is not None or remove_at_end):
            raise ConfigError("max_connections and remove_at_end are for setWebhook: give url too")
        self._secret = check_secret_token(secret_token)
        self._path = None if path is None else unquote(path)
        self._retry_after_s = retry_after_s
        self._reply_timeout_s = reply_timeout_s
        methods = check_methods_to_reply(reply_in_response)
        self._slots = ReplySlots(methods) if methods else None
        self._bot = bot
        self._options = options
        self._url = url
        self._webhook = {"secret_token": secret_token, "max_connections": max_connections}
        self._is_removed_at_end = remove_at_end
        self._lock = threading.Lock()  # guards _handle, _pid and _fault
        self._pid = os.getpid()
        self._handle: RunnerHandle | None = None
        self._fault = ""

    def __enter__(self) -> Self:
        """Start the runner."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    # The runner

    @property
    def handle(self) -> RunnerHandle | None:
        """The runner; None before it was started in this process."""
        return self._handle if self._pid == os.getpid() else None

    def start(self) -> RunnerHandle:
        """Start the runner in this process, unless it was started already, and return it.

        Where a server forks, call it in the process that serves: with gunicorn in ``post_worker_init(worker)`` as
        ``worker.wsgi.start()``. What waits in a store runs from now on; without this call from the first request on.

        Raises:
            ConfigError: bot or an option is not what it has to be.
            ForkedProcess: it was started in the parent of this process.
            RunnerError, StoreError: as `run` raises them.
        """
        if self._pid != os.getpid():
            self._begin_anew()
        with self._lock:
            if self._handle is None:
                self._handle = self._run()
            return self._handle

    def stop(self, timeout_s: float | None = None) -> StopReport | None:
        """Stop: answer 503, handle what was taken, end the threads. *Blocks* until then.

        Args:
            timeout_s: as for `RunnerHandle.stop`.

        Returns:
            the report; None if the runner was not started.
        """
        handle = self.handle
        return None if handle is None else handle.stop(timeout_s)

    def _begin_anew(self) -> None:
        """In the child of a fork, where the lock may be held by a thread that is not there."""
        if self._handle is not None:
            raise ForkedProcess(
                f"the runner of this webhook was started in process {self._pid}, before the fork: start it in the "
                "process that serves (with gunicorn: without --preload, or without app.start() in the module)"
            )
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def _run(self) -> RunnerHandle:
        bot = self._bot
        if self._slots is not None and not isinstance(bot, AnsweringBot):
            bot = self._bot = AnsweringBot(bot, self._slots)
        if self._secret is None:
            _log.warning(
                "the webhook has no secret_token: whoever finds its address can hand in updates",
                extra={"action": "webhook.open"},
            )
        if self._url is None:
            return run(bot, source=Offers(), **self._options)
        api = getattr(bot, "api", None)
        if not callable(getattr(api, "call_once", None)):
            raise ConfigError("to set the webhook the bot needs an api, such as pyruntime.Bot has; or leave url out")
        options = dict(self._options)
        kinds = options.pop("allowed_updates", None)
        if kinds is None and callable(getattr(bot, "allowed_updates", None)):
            kinds = bot.allowed_updates()
        parameters = {
            **self._webhook,
            "allowed_updates": kinds,
            "drop_pending_updates": options.pop("drop_pending", False) or None,
        }
        source = Registration(api, self._url, parameters, is_removed_at_end=self._is_removed_at_end)
        return run(bot, source=source, **options)

    # Requests

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as WSGI wants it. *Blocks* until the update is durable, if there is a store."""
        try:
            answer = self._answer(environ)
        except Refused as refused:
            answer = refused.answer
        start_response(answer.status_line, [*answer.headers, ("Content-Length", str(len(answer.body)))])
        return [answer.body]

    def receive(self, body: bytes, secret_token: str | None = None) -> Answer:
        """Take an update out of the body of a request, and return the answer to be sent.

        For frameworks that are not WSGI, or views that want to look at the request themselves.

        Args:
            body: as it came.
            secret_token: the header ``X-Telegram-Bot-Api-Secret-Token``.

        *Blocks* until the update is durable, if there is a store, and with `reply_in_response` for a call. Never
        raises.
        """
        try:
            refuse_stranger(self._secret, secret_token)
            return self._take(body)
        except Refused as refused:
            return refused.answer

    def _answer(self, environ: dict[str, Any]) -> Answer:
        if self._path is not None:
            asked = f"{environ.get('SCRIPT_NAME') or ''}{environ.get('PATH_INFO') or ''}"
            if asked.encode("latin-1", "replace") != self._path.encode():
                raise Refused(404, "there is nothing here")
        refuse_stranger(self._secret, environ.get(_SECRET_KEY))
        body = read_body(environ, MAX_BODY_BYTES)
        # A bridge from ASGI cannot know, and says that there are several to be on the safe side.
        if environ.get("wsgi.multiprocess") and "asgi.scope" not in environ:
            self._tell(
                "the server has several processes, and the order of a chat needs one: use one worker with threads "
                "(gunicorn --workers 1 --threads 40), or python -m runner_c TARGET --webhook beside them"
            )
            raise self._not_now()
        return self._take(body)

    def _take(self, body: bytes) -> Answer:
        update = read_update(body, MAX_BODY_BYTES)
        handle = self._running()
        if self._slots is None:
            self._offer(handle, update)
            return _TAKEN
        slot = self._slots.open(update["update_id"])
        try:
            self._offer(handle, update)
            call = slot.take(self._reply_timeout_s)
        finally:
            self._slots.forget(update["update_id"], slot)
        return _TAKEN if call is None else Answer(200, _JSON, call)

    def _running(self) -> RunnerHandle:
        handle = self._handle
        if handle is not None and self._pid == os.getpid():
            return handle
        try:
            return self.start()
        except (ConfigError, RunnerError, StoreError, RuntimeError) as error:
            # Telegram keeps the update, and whoever looks into the log can mend it meanwhile.
            self._tell(f"the runner cannot start: {error}")
            raise self._not_now() from None

    def _offer(self, handle: RunnerHandle, update: dict[str, Any]) -> None:
        try:
            is_taken = handle.offer(update)
        except (TypeError, ValueError):
            raise Refused(400, "the update cannot be kept as JSON") from None
        except (StoreError, RunnerError) as error:
            self._tell(f"an update cannot be taken: {error}")
            raise self._not_now() from None
        if not is_taken:
            raise self._not_now()
        self._fault = ""

    def _not_now(self) -> Refused:
        return Refused(503, "not now; try again", ("Retry-After", str(self._retry_after_s)))

    def _tell(self, fault: str) -> None:
        """Log what is wrong, once as long as it stays the same."""
        with self._lock:
            is_known, self._fault = fault == self._fault, fault
        if not is_known:
            _log.error("%s", fault, extra={"action": "webhook.fault"})
