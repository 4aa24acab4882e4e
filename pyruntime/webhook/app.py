"""The WSGI app that takes a bot's updates."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self
from wsgiref.types import StartResponse, WSGIEnvironment

from pyruntime.webhook.answer import Answer, Refused
from pyruntime.webhook.reply import ReplySlots
from pyruntime.webhook.request import Gate, read_body, read_update
from runner_c import ConfigError, ForkedProcess, RunnerError, RunnerHandle, StopReport, StoreError

__all__ = ["WebhookApp"]

_TAKEN = Answer(200, [], b"")
_JSON = [("Content-Type", "application/json")]

_log = logging.getLogger("pyruntime")


class WebhookApp:
    """A bot behind a webhook; made by `webhook_app`.

    It is a WSGI app, and a context manager: leaving it stops the runner. Frameworks that are not WSGI hand what they
    got to `receive`.

    Thread-safety: any thread.

    Args:
        run: starts the runner.
        gate: lets requests through.
        slots: where calls wait to be put into answers; None: they are not.
        reply_timeout_s: how long an answer waits for one.
        retry_after_s: what is told to those who come at the wrong time.
    """

    def __init__(
        self,
        run: Callable[[], RunnerHandle],
        gate: Gate,
        slots: ReplySlots | None,
        reply_timeout_s: float,
        retry_after_s: int,
    ) -> None:
        self._run = run
        self._gate = gate
        self._slots = slots
        self._reply_timeout_s = reply_timeout_s
        self._retry_after_s = retry_after_s
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
        """Start the runner in this process, unless it runs already, and return it; again after a stop, too.

        Where a server forks, call it in the process that serves: with gunicorn in ``post_worker_init(worker)`` as
        ``worker.wsgi.start()``. What waits in a store runs from now on; without this call from the first request on.

        Raises:
            ConfigError: bot or an option is not what it has to be.
            ForkedProcess: it was started in the parent of this process.
            RunnerError, StoreError: as `run` raises them.
        """
        return self._started(is_wanted=True)

    def stop(self, timeout_s: float | None = None) -> StopReport | None:
        """Stop: answer 503, handle what was taken, end the threads. *Blocks* until then.

        Args:
            timeout_s: as for `RunnerHandle.stop`.

        Returns:
            the report; None if the runner was not started.
        """
        handle = self.handle
        return None if handle is None else handle.stop(timeout_s)

    def _started(self, *, is_wanted: bool) -> RunnerHandle:
        """Return the runner, started if it never was; if `is_wanted` also when it has ended."""
        if self._pid != os.getpid():
            self._begin_anew()
        with self._lock:
            if self._handle is None:
                self._handle = self._run()
            elif is_wanted and not self._handle.is_running():
                self._handle.start()
            return self._handle

    def _begin_anew(self) -> None:
        """In the child of a fork, where the lock may be held by a thread that is not there."""
        if self._handle is not None:
            raise ForkedProcess(
                f"the runner of this webhook was started in process {self._pid}, before the fork: start it in the "
                "process that serves (with gunicorn: without --preload, or without app.start() in the module)"
            )
        self._lock = threading.Lock()
        self._pid = os.getpid()

    # Requests

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as WSGI wants it. *Blocks* until the update is durable, if there is a store."""
        try:
            answer = self._answer(environ)
        except Refused as refused:
            answer = refused.answer
        start_response(answer.status_line, [*answer.headers, ("Content-Length", str(len(answer.body)))])
        return [answer.body]

    def receive(self, body: bytes | bytearray | memoryview | str, secret_token: str | bytes | None = None) -> Answer:
        """Take an update out of the body of a request, and return the answer to be sent.

        For frameworks that are not WSGI, or views that want to look at the request themselves.

        Args:
            body: as it came.
            secret_token: the header ``X-Telegram-Bot-Api-Secret-Token``.

        *Blocks* until the update is durable, if there is a store, and with `reply_in_response` for a call.
        """
        try:
            self._gate.check_secret(secret_token)
            return self._take(body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body))
        except Refused as refused:
            return refused.answer

    def _answer(self, environ: WSGIEnvironment) -> Answer:
        self._gate.check(environ)
        body = read_body(environ)
        # A bridge from ASGI cannot know, and says that there are several to be on the safe side.
        if environ.get("wsgi.multiprocess") and "asgi.scope" not in environ:
            self._tell(
                "the server has several processes, and the order of a chat needs one: use one worker with threads "
                "(gunicorn --workers 1 --threads 40), or python -m runner_c TARGET --webhook beside them"
            )
            raise self._not_now()
        return self._take(body)

    def _take(self, body: bytes) -> Answer:
        update = read_update(body)
        handle = self._running()
        slot = None if self._slots is None else self._slots.open(update["update_id"])
        if self._slots is None or slot is None:
            self._offer(handle, update)
            return _TAKEN
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
            return self._started(is_wanted=False)
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
            task = handle.task()
            if task.done() and task.exception() is not None:
                self._tell("updates cannot be taken: the runner has ended by an error (see above)")
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
