"""One call of the Bot API, from its parameters to its result: encoding, waiting, trying again, decoding.

This is what every answer of a bot goes through, so it does without anything that is not needed for one that succeeds:
the attributes of this class are slots, and it has no ``__getattr__``, which would slow down each look at one.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from http import HTTPStatus
from time import monotonic
from typing import Any

import ujson

from pyruntime.errors import ApiError, BadReply, NetworkError, RetryAfter, ServerError, from_reply
from pyruntime.flood import FloodGate
from pyruntime.method_name import snake_case
from pyruntime.retry import may_repeat, pause_s
from pyruntime.transport import DirectTransport, Endpoint, RequestsTransport
from pyruntime.upload import MultipartBody, describe_files, encode_json, has_files, plain_parameters
from runner_c import Stopped, UpdateBatch, current

__all__ = ["Caller"]

_SCALARS = frozenset({str, int, float, bool})
_DEFAULT_FLOOD_WAIT_S = 1.0

# How Telegram writes a reply with updates.
_BATCH_BEGINS = b'{"ok":true,"result":['
_BATCH_ENDS = b"]}"


class Caller:
    """Carry out calls; `ApiClient` says what its arguments mean.

    Args:
        endpoint: where to.
        transport: carries JSON.
        full: carries uploads and downloads; may be the same.
        timeout_s: no further attempt begins after so many seconds.
        upload_timeout_s: limit of an upload.
        max_retries: attempts after the first.
        max_flood_wait_s: seconds that a call may wait because of 429.

    Thread-safety: any thread.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_max_flood_wait_s",
        "_timeout_s",
        "_upload_timeout_s",
        "endpoint",
        "floods",
        "full",
        "max_retries",
        "transport",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        transport: DirectTransport | RequestsTransport,
        full: RequestsTransport,
        *,
        timeout_s: float,
        upload_timeout_s: float,
        max_retries: int,
        max_flood_wait_s: float,
    ) -> None:
        self.endpoint = endpoint
        self.transport = transport
        self.full = full
        self.floods = FloodGate()
        self._timeout_s = timeout_s
        self._upload_timeout_s = upload_timeout_s
        self.max_retries = max_retries
        self._max_flood_wait_s = max_flood_wait_s
        # Set, and replaced by a new one, by close().
        self._closed = threading.Event()

    def call(self, method: str, /, *unnamed: Any, **parameters: Any) -> Any:
        """Carry out a call to its result, as `ApiClient.call` describes it. *Blocks* until then."""
        if unnamed:
            raise TypeError(
                f"{snake_case(method)}() takes its parameters by name, as in send_message(chat_id=1, text='hi')"
            )
        body: bytes | MultipartBody
        for value in parameters.values():
            if type(value) not in _SCALARS:
                parameters = plain_parameters(parameters)
                body = MultipartBody(parameters) if has_files(parameters) else encode_json(parameters)
                break
        else:
            body = encode_json(parameters)
        attempt = 0
        waited_s = 0.0
        started = monotonic()
        while True:
            if self.floods.is_active:
                waited_s = self._await_turn(method, parameters, waited_s)
            try:
                if isinstance(body, bytes):
                    status, reply = self.transport.call(method, body)
                else:
                    status, reply = self.full.upload(method, body, self._upload_timeout_s)
                return self.result(method, parameters, status, reply)
            except RetryAfter as error:
                if method == "getUpdates":
                    raise
                # None and 0 say nothing; without a wait this would be a busy loop.
                retry_after = error.retry_after or _DEFAULT_FLOOD_WAIT_S
                self.floods.block(method, parameters, retry_after)
                if waited_s + retry_after > self._max_flood_wait_s or not _is_repeatable(body):
                    raise
            except (ServerError, NetworkError) as error:
                if (
                    attempt >= self.max_retries
                    or monotonic() - started >= self._timeout_s
                    or not may_repeat(method, error)
                    or not _is_repeatable(body)
                    or not self.pause(pause_s(attempt, error))
                ):
                    raise
                attempt += 1

    def call_guarded(self, method: str, parameters: Mapping[str, Any], timeout_s: float | None = None) -> Any:
        """Call once, without any wait, in a way that `interrupt` of the transport can cut."""
        given = plain_parameters(parameters)
        return self.result(method, given, *self.transport.call_guarded(method, encode_json(given), timeout_s))

    def fetch_guarded(self, parameters: Mapping[str, Any], timeout_s: float) -> Any:
        """Call getUpdates like `call_guarded`; a usual reply comes back with the JSON that it was decoded from."""
        given = plain_parameters(parameters)
        status, body = self.transport.call_guarded("getUpdates", encode_json(given), timeout_s)
        fields, updates = self._fields_and_result("getUpdates", given, status, body)
        # Nothing before and nothing behind the list but what belongs there.
        if type(updates) is list and fields == 2 and body.startswith(_BATCH_BEGINS) and body.endswith(_BATCH_ENDS):
            return UpdateBatch(updates, body[len(_BATCH_BEGINS) - 1 : -1])
        return updates

    def close(self) -> None:
        """Close the connections and end the waits between attempts."""
        closed, self._closed = self._closed, threading.Event()
        closed.set()
        self.full.close()
        self.transport.close()

    def renew_after_fork(self) -> None:
        """Give up everything inherited, in the child of a fork, where locks may be held by threads that are gone."""
        self.floods = FloodGate()
        self._closed = threading.Event()
        self.full.renew_after_fork()
        self.transport.renew_after_fork()

    def result(self, method: str, parameters: dict[str, Any], status: int, body: bytes) -> Any:
        """Return the result in a reply, or raise what it says."""
        try:
            reply = ujson.loads(body)
        except (ValueError, OverflowError, RecursionError):
            raise self.failure(method, parameters, status, body) from None
        if type(reply) is dict and "result" in reply and reply.get("ok") is True:
            return reply["result"]
        raise self.failure(method, parameters, status, body)

    def _fields_and_result(self, method: str, parameters: dict[str, Any], status: int, body: bytes) -> tuple[int, Any]:
        """Return how many fields a reply has, beside its `result`."""
        try:
            reply = ujson.loads(body)
        except (ValueError, OverflowError, RecursionError):
            reply = None
        if type(reply) is dict and "result" in reply and reply.get("ok") is True:
            return len(reply), reply["result"]
        raise self.failure(method, parameters, status, body)

    def failure(self, method: str, parameters: dict[str, Any], status: int, body: bytes) -> ApiError | NetworkError:
        """Return the error that a reply without a result stands for."""
        try:
            reply = ujson.loads(body)
        except (ValueError, OverflowError, RecursionError):
            reply = None
        if isinstance(reply, dict) and reply.get("ok") is False:
            description = reply.get("description")
            if isinstance(description, str):
                reply["description"] = self.endpoint.scrub(description)
        elif status >= 500 or status in (413, 429):
            # A gateway before the server, which knows nothing of JSON.
            known = {member.value: member.phrase for member in HTTPStatus}
            reply = {"error_code": status, "description": known.get(status, "Server Error")}
        else:
            return BadReply(method, f"HTTP {status} with a body that is no reply of the Bot API (is api_root right?)")
        return from_reply(method, reply, status=status, parameters=describe_files(parameters))

    def _await_turn(self, method: str, parameters: dict[str, Any], waited_s: float) -> float:
        """Wait until this chat may be called again and return the seconds that the call has waited in all.

        Raises:
            RetryAfter: it would take too long, or ``close`` was called.
            Stopped: the runner stops.
        """
        while (left_s := self.floods.left_s(method, parameters)) > 0:
            if waited_s + left_s > self._max_flood_wait_s or not self.pause(left_s):
                raise RetryAfter(
                    method,
                    429,
                    f"Too Many Requests: retry after {math.ceil(left_s)} (told to an earlier call)",
                    parameters=describe_files(parameters),
                    retry_after=left_s,
                )
            waited_s += left_s
        return waited_s

    def pause(self, seconds: float) -> bool:
        """Wait. Return False if ``close`` ended it.

        Raises:
            Stopped: the runner stops.
        """
        delivery = current()
        if delivery is None:
            return not self._closed.wait(seconds)
        if delivery.wait(seconds):
            raise Stopped
        return True


def _is_repeatable(body: bytes | MultipartBody) -> bool:
    return isinstance(body, bytes) or body.is_repeatable
