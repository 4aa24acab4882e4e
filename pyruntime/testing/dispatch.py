"""Answer the HTTP requests of bots: route, authorise, spoil by faults, carry out, delay.

Guarantees: a call is in the transcript, with its status, before the first byte of its reply is sent.
Assumes: everything runs in the loop's thread; the server's lock is taken here.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any, Final

import ujson

from pyruntime.testing.body import UnreadableBody, read_parameters
from pyruntime.testing.connection import Connection
from pyruntime.testing.fault import ANSWERED_AT_ONCE, REFUSING, Fault, FaultBox
from pyruntime.testing.loop import Loop
from pyruntime.testing.method import Arguments, Refused, find_method
from pyruntime.testing.method.webhook import delete_webhook, set_webhook, webhook_info
from pyruntime.testing.polling import CONFLICT_SET_WEBHOOK, CONFLICT_WEBHOOK, Polling
from pyruntime.testing.transcript import Call, Transcript
from pyruntime.testing.update_queue import QueuedUpdate, UpdateQueue
from pyruntime.testing.webhook import Courier
from pyruntime.testing.wire import Request, build_reply
from pyruntime.testing.world import World

_log = logging.getLogger(__name__)

Route = Callable[[Connection, Request], None]

_QUEUE_METHODS: Final = {name.lower(): name for name in ("getUpdates", "setWebhook", "deleteWebhook", "getWebhookInfo")}


class Dispatcher:
    """Answer requests for one bot."""

    def __init__(
        self,
        lock: threading.RLock,
        token: str,
        world: World,
        queue: UpdateQueue,
        polling: Polling,
        transcript: Transcript,
        faults: FaultBox,
        changed: threading.Condition,
    ) -> None:
        """Serve the bot `token`; `changed` is notified when a poll arrives, waits or is answered."""
        self._lock = lock
        self._world = world
        self._queue = queue
        self._polling = polling
        self._transcript = transcript
        self._faults = faults
        self._changed = changed
        self._prefix = f"/bot{token}/"
        self._file_prefix = f"/file/bot{token}/"
        self.loop: Loop | None = None
        self.courier: Courier | None = None
        self.routes: dict[tuple[str, str], Route] = {}
        self.latency_s = 0.0
        self.latency_by_method_s: dict[str, float] = {}
        self.requests = 0

    def handle(self, connection: Connection, request: Request) -> None:
        """Answer a request, now or later."""
        self.requests += 1
        path = request.path
        if path.startswith(self._prefix):
            self._call(connection, request, path[len(self._prefix) :])
        elif path.startswith("/bot"):
            self._refuse_token(connection, path)
        elif path.startswith(self._file_prefix):
            self._download(connection, path[len(self._file_prefix) :])
        elif (route := self.routes.get((request.verb, path))) is not None:
            try:
                route(connection, request)
            except Exception as error:
                _log.exception("a control request failed", extra={"action": "fake_server_control_failed"})
                connection.reply(build_reply(500, encode_error(500, f"Internal Server Error: {error}")))
        else:
            connection.reply(build_reply(404, encode_error(404, "Not Found")))

    def _refuse_token(self, connection: Connection, path: str) -> None:
        name = path.rpartition("/")[2]
        with self._lock:
            call = Call(name, {}, None)
            call.error = "Unauthorized"
            self._transcript.record(call)
            self._transcript.finish(call, 401)
            self._world.tell("call", call)
        connection.reply(build_reply(401, encode_error(401, "Unauthorized")))

    def _download(self, connection: Connection, path: str) -> None:
        with self._lock:
            file = self._world.files.get(path.removeprefix("files/"))
        if file is None:
            connection.reply(build_reply(404, encode_error(404, "Not Found")))
        else:
            connection.reply(build_reply(200, file.data, content_type="application/octet-stream"))

    def _call(self, connection: Connection, request: Request, name: str) -> None:
        found = find_method(name)
        method = found[0] if found is not None else _QUEUE_METHODS.get(name.lower(), name)
        with self._lock:
            fault = self._faults.take(method)
            if fault is not None and fault.kind == "drop_before":
                call = Call(method, {}, None)
                call.fault = fault.kind
                self._transcript.record(call)
                self._world.tell("call", call)
                connection.close()
                return
            try:
                parameters = read_parameters(request)
            except UnreadableBody as error:
                call = Call(method, {}, None)
                self._transcript.record(call)
                self._answer_error(connection, call, fault, Refused(400, str(error)))
                return
            call = Call(method, parameters, _chat_id(parameters))
            self._transcript.record(call)
            if fault is not None:
                call.fault = fault.kind
                if fault.kind in REFUSING:
                    self._answer_error(connection, call, fault, Refused(*fault.refusal()))
                    return
            try:
                if found is not None:
                    call.result = found[1](self._world, Arguments(parameters))
                    self._answer(connection, call, fault, 200, b'{"ok":true,"result":%b}' % encode(call.result))
                elif method == "getUpdates":
                    self._get_updates(connection, call, fault, Arguments(parameters))
                elif method in _QUEUE_METHODS.values():
                    self._answer(connection, call, fault, 200, self._webhook(method, call, Arguments(parameters)))
                else:
                    raise Refused(404, "Not Found: method not found")
            except Refused as refusal:
                self._answer_error(connection, call, fault, refusal)
            except Exception as error:
                _log.exception("the method %s failed", method, extra={"action": "fake_server_method_failed"})
                description = f"Internal Server Error: {type(error).__name__}: {error}"
                self._answer_error(connection, call, fault, Refused(500, description))

    def execute(self, parameters: dict[str, Any]) -> None:
        """Carry out a call that came in the answer to a webhook request; nobody sees its result."""
        parameters = dict(parameters)
        found = find_method(str(parameters.pop("method")))
        name = found[0] if found is not None else "an unknown method"
        call = Call(name, parameters, _chat_id(parameters))
        call.is_from_webhook = True
        self._transcript.record(call)
        try:
            if found is None or name.startswith("get") or name in ("close", "logOut"):
                raise Refused(400, "Bad Request: the method cannot be called in the answer to a webhook request")
            call.result = found[1](self._world, Arguments(parameters))
            self._transcript.finish(call, 200)
        except Refused as refusal:
            call.error = refusal.description
            self._transcript.finish(call, refusal.error_code)
        self._world.tell("call", call)

    def _get_updates(self, connection: Connection, call: Call, fault: Fault | None, arguments: Arguments) -> None:
        def on_updates(updates: list[QueuedUpdate]) -> None:
            call.update_ids = [update.update_id for update in updates]
            encoded = [update.encoded for update in updates]
            if fault is not None:
                encoded = fault.spoil_updates(encoded)
            self._answer(connection, call, fault, 200, b'{"ok":true,"result":[%b]}' % b",".join(encoded))
            self._changed.notify_all()

        def on_conflict(description: str) -> None:
            self._answer_error(connection, call, fault, Refused(409, description))

        if "allowed_updates" in arguments.values:
            kinds = arguments.json("allowed_updates")
            if isinstance(kinds, list):
                self._queue.allow([str(kind) for kind in kinds])
        if self._world.webhook:
            self._polling.refuse(on_conflict, CONFLICT_WEBHOOK)
            return
        timeout_s = arguments.integer("timeout")
        if fault is not None and fault.kind in ANSWERED_AT_ONCE:
            updates = self._queue.read(
                self._queue.confirm(arguments.integer("offset"), self._world.clock()), 1, self._world.clock()
            )
            on_updates(updates)
        else:
            poll = self._polling.arrive(
                arguments.integer("offset"), arguments.integer("limit", 100), timeout_s, on_updates, on_conflict
            )
            if poll is not None:

                def on_peer_closed() -> None:
                    with self._lock:
                        self._polling.forget(poll)
                        self._changed.notify_all()
                        self._world.tell("poll", call)

                connection.on_peer_closed = on_peer_closed
                self._world.tell("poll", call)
        self._changed.notify_all()

    def _webhook(self, method: str, call: Call, arguments: Arguments) -> bytes:
        if method == "getWebhookInfo":
            courier = self.courier
            pending = len(self._queue.live(self._world.clock())) + (len(courier.undelivered()) if courier else 0)
            call.result = webhook_info(self._world, pending, self._queue.allowed_kinds)
            return b'{"ok":true,"result":%b}' % encode(call.result)
        if method == "setWebhook":
            description = set_webhook(self._world, arguments)
            kinds = arguments.json("allowed_updates")
            if isinstance(kinds, list):
                self._queue.allow([str(kind) for kind in kinds])
            if self._world.webhook:
                self._polling.abort(CONFLICT_SET_WEBHOOK)
        else:
            description = delete_webhook(self._world)
        if arguments.flag("drop_pending_updates"):
            self._queue.drop_all()
        if self.courier is not None:
            if arguments.flag("drop_pending_updates"):
                self.courier.drop_all()
            if self._world.webhook:
                self.courier.begin()
            else:
                self.courier.end()
        call.result = True
        return b'{"ok":true,"result":true,"description":"%b"}' % description.encode()

    def _answer_error(self, connection: Connection, call: Call, fault: Fault | None, refusal: Refused) -> None:
        call.error = refusal.description
        body = encode_error(refusal.error_code, refusal.description, refusal.parameters)
        retry_after = refusal.parameters.get("retry_after")
        headers = (("Retry-After", str(retry_after)),) if retry_after is not None else ()
        self._answer(connection, call, fault, refusal.error_code, body, headers)

    def _answer(
        self,
        connection: Connection,
        call: Call,
        fault: Fault | None,
        status: int,
        body: bytes,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        delay_s = self.latency_s
        if self.latency_by_method_s:
            delay_s = self.latency_by_method_s.get(call.method, delay_s)
        if fault is not None:
            if fault.kind in ("drop_after", "drop_midway", "stall", "not_http"):
                self._transcript.finish(call, None)
                self._world.tell("call", call)
                self._later(delay_s, lambda: _break_reply(connection, fault, build_reply(status, body), len(body)))
                return
            if fault.kind == "slow":
                delay_s += fault.seconds
            if fault.kind == "garbage":
                data = build_reply(fault.code or 200, fault.spoil_body(body), content_type="text/html")
            else:
                data = build_reply(status, fault.spoil_body(body), headers=headers)
        else:
            data = build_reply(status, body, headers=headers)
        self._transcript.finish(call, status)
        self._world.tell("call", call)
        if delay_s > 0:
            self._later(delay_s, lambda: connection.reply(data))
        else:
            connection.reply(data)

    def _later(self, delay_s: float, callback: Callable[[], None]) -> None:
        if delay_s <= 0:
            callback()
        else:
            assert self.loop is not None, "the server is not running"
            self.loop.call_later(delay_s, callback)


def _break_reply(connection: Connection, fault: Fault, data: bytes, body_bytes: int) -> None:
    if fault.kind == "drop_after":
        connection.close()
        return
    connection.closes_after_send = fault.kind != "stall"
    connection.send(b"\x16\x03\x01 what?\n" if fault.kind == "not_http" else data[: -(body_bytes // 2 or 1)])


def encode(value: Any) -> bytes:
    """Encode a value as JSON in ASCII, as the real server does."""
    return ujson.dumps(value, escape_forward_slashes=False).encode()


def encode_error(error_code: int, description: str, parameters: dict[str, Any] | None = None) -> bytes:
    """Encode the reply to a call that failed."""
    error: dict[str, Any] = {"ok": False, "error_code": error_code, "description": description}
    if parameters:
        error["parameters"] = parameters
    return encode(error)


def _chat_id(parameters: dict[str, Any]) -> int | str | None:
    value = parameters.get("chat_id")
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return value
    return value if isinstance(value, int) else None
