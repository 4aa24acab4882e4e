"""The road to the Bot API through telebot's own functions, for what our client cannot take over from them.

That is a proxy, a session or a request sender that the bot set in `telebot.apihelper`, or an address of another form,
such as that of the test environment.

Nothing can cut a request that is made there. So polls are made in a thread that can be left behind: `interrupt` ends
the call at once, and what the request brings is dropped. Nothing is lost by that: updates are confirmed by the next
poll, which is not made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import ujson

from pyruntime.errors import ApiError, BadReply, Interrupted, NetworkError, TelegramError, from_reply

__all__ = ["TelebotRoad"]

_Job = tuple[Callable[[], Any], "Future[Any]"]


class TelebotRoad:
    """Call the Bot API through `telebot.apihelper`; offers what the engine needs of `pyruntime.ApiClient`.

    Args:
        apihelper: the module.
        token: the bot's; it is in no message or error of this object.

    Thread-safety: any thread; `get_updates` and `call_once` are made one at a time.
    """

    def __init__(self, apihelper: Any, token: str) -> None:
        self._apihelper = apihelper
        self._token = token
        # Guards _jobs and _pending; a leaf.
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[_Job | None] | None = None
        self._pending: set[Future[Any]] = set()

    def __repr__(self) -> str:
        return f"TelebotRoad(bot {self._token.partition(':')[0]})"

    def get_me(self) -> dict[str, Any]:
        """Ask who the bot is. *Blocks* for the call.

        Raises:
            TelegramError: it failed.
        """
        return dict(self.call("getMe"))

    def call(self, method: str, /, **parameters: Any) -> Any:
        """Call a method by the Bot API's own name. *Blocks* for the call, which nothing cuts.

        Raises:
            TelegramError: it failed.
        """
        given = {
            name: ujson.dumps(value) if isinstance(value, (dict, list, tuple, bool)) else value
            for name, value in parameters.items()
            if value is not None
        }
        return self._told(method, lambda: self._apihelper._make_request(self._token, method, "post", given))

    def call_once(self, method: str, /, **parameters: Any) -> Any:
        """Do what `call` does, in a way that `interrupt` can cut.

        Raises:
            Interrupted: `interrupt` was called meanwhile.
            TelegramError: it failed.
        """
        return self._cuttable(lambda: self.call(method, **parameters))

    def get_updates(
        self,
        *,
        offset: int | None = None,
        limit: int | None = None,
        timeout: float | None = None,
        allowed_updates: Iterable[str] | None = None,
    ) -> list[dict[str, Any]]:
        """Fetch updates. *Blocks* up to `timeout` seconds and some; `interrupt` ends it at once.

        Raises:
            Interrupted: `interrupt` was called meanwhile.
            TelegramError: the call failed.
        """
        kinds = None if allowed_updates is None else list(allowed_updates)

        def fetch() -> Any:
            return self._apihelper.get_updates(
                self._token,
                offset=offset,
                limit=limit,
                allowed_updates=kinds,
                long_polling_timeout=int(timeout or 0),
            )

        updates = self._cuttable(lambda: self._told("getUpdates", fetch))
        if not isinstance(updates, list) or not set(map(type, updates)) <= {dict}:
            raise BadReply("getUpdates", "the reply is not a list of updates")
        return updates

    def interrupt(self) -> None:
        """End every pending `get_updates` and `call_once`. Harmless when none is pending; later ones work again."""
        with self._lock:
            pending, self._pending = self._pending, set()
            jobs = self._jobs
            if pending:
                # Its thread may hang in the request for long: the next call gets another one.
                self._jobs = None
        if not pending:
            return
        for future in pending:
            future.cancel()
        if jobs is not None:
            jobs.put(None)

    def close(self) -> None:
        """Let the thread go. The object can be used again."""
        with self._lock:
            jobs, self._jobs = self._jobs, None
        if jobs is not None:
            jobs.put(None)

    def _cuttable(self, call: Callable[[], Any]) -> Any:
        # Never marked as running, so that it can be cancelled while it is.
        future: Future[Any] = Future()
        with self._lock:
            if self._jobs is None:
                self._jobs = SimpleQueue()
                threading.Thread(target=_work, args=(self._jobs,), name="telebot-poll", daemon=True).start()
            self._pending.add(future)
            self._jobs.put((call, future))
        try:
            return future.result()
        except BaseException:
            if future.cancelled():
                raise Interrupted(detail="cut by the stop") from None
            raise
        finally:
            with self._lock:
                self._pending.discard(future)

    def _told(self, method: str, call: Callable[[], Any]) -> Any:
        """Make the call; what it raises becomes an error as the engine reads it, without the token."""
        try:
            return call()
        except TelegramError:
            raise
        except Exception as error:
            raise self._translated(method, error) from None

    def _translated(self, method: str, error: Exception) -> ApiError | NetworkError:
        reply = getattr(error, "result_json", None)
        if isinstance(reply, dict):
            return from_reply(method, reply)
        result = getattr(error, "result", None)
        if result is not None:
            status = getattr(result, "status_code", "?")
            return BadReply(method, f"HTTP {status} with a body that is no reply of the Bot API")
        detail = f"{type(error).__name__}: {error}"
        for spelling in (self._token, self._token.replace(":", "%3A")):
            detail = detail.replace(spelling, "<token>")
        return NetworkError(method, detail)


def _work(jobs: SimpleQueue[_Job | None]) -> None:
    """Make one call after the other, until told to end; nobody waits any more for one that was cancelled."""
    while (job := jobs.get()) is not None:
        call, future = job
        try:
            result = call()
        except BaseException as error:
            with suppress(InvalidStateError):
                future.set_exception(error)
        else:
            with suppress(InvalidStateError):
                future.set_result(result)
            del result
        del job, call, future
