"""Let another process drive a fake server over HTTP: push updates, read the transcript, wait, switch faults.

All replies are `{"ok": true, "result": ...}`. Bodies are JSON with that content type.

| request | does |
|---|---|
| POST /control/push | queue an update, or a list of them, given without ids |
| POST /control/flood | queue messages made here: {"count": 20000, "chats": 1000, "text": "{n}"} |
| GET /control/calls?method=&since=&limit= | calls after the number `since` |
| GET /control/wait?method=&count=&timeout_s= | wait until `count` calls of a method have come in all |
| GET /control/confirmed | confirmed offset and number of pending updates |
| GET /control/counters | requests, calls by method, connections, updates |
| POST /control/latency | {"latency_s": 0.05, "method": null} |
| POST /control/fault | the arguments of `FakeBotApi.fault`; {"kind": null} switches all off |
| POST /control/clear | forget the transcript |
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ujson

from pyruntime.testing.body import UploadedFile
from pyruntime.testing.connection import Connection
from pyruntime.testing.dispatch import encode, encode_error
from pyruntime.testing.guard import refuse_foreign
from pyruntime.testing.transcript import Call
from pyruntime.testing.wire import Request, build_reply

if TYPE_CHECKING:
    from pyruntime.testing.server import FakeBotApi

Handler = Callable[[Request], Any]

_MAX_WAIT_S = 600.0


class Waiter:
    """Hold a /control/wait request until its count is reached or its time is over."""

    def __init__(self, connection: Connection, method: str, count: int) -> None:
        """Remember what is waited for."""
        self.connection = connection
        self.method = method
        self.count = count
        self.is_done = False

    def finish(self, reached: int) -> None:
        """Reply, once."""
        if not self.is_done:
            self.is_done = True
            result = {"method": self.method, "count": reached, "is_reached": reached >= self.count}
            self.connection.reply(build_reply(200, b'{"ok":true,"result":%b}' % encode(result)))


class Control:
    """Answer the control requests of a server, in the server's thread."""

    def __init__(self, server: "FakeBotApi") -> None:
        """Drive `server`."""
        self._server = server
        self._waiters: list[Waiter] = []

    def push(self, request: Request) -> Any:
        """Queue the updates in the body."""
        body = ujson.loads(request.body)
        ids = self._server.push_many(body if isinstance(body, list) else [body])
        kept = [update_id for update_id in ids if update_id is not None]
        return {"pushed": len(kept), "first": kept[0] if kept else None, "last": kept[-1] if kept else None}

    def flood(self, request: Request) -> Any:
        """Queue generated messages, chat by chat in turn."""
        body = ujson.loads(request.body)
        chats = int(body.get("chats", 1))
        first_chat = int(body.get("first_chat_id", 1))
        text = str(body.get("text", "{n}"))
        now = int(time.time())
        updates = []
        for number in range(int(body["count"])):
            chat_id = first_chat + number % chats
            updates.append(
                {
                    "message": {
                        "message_id": number // chats + 1,
                        "from": {"id": chat_id, "is_bot": False, "first_name": f"User {chat_id}"},
                        "chat": {"id": chat_id, "type": "private", "first_name": f"User {chat_id}"},
                        "date": now,
                        "text": text.replace("{n}", str(number)),
                    }
                }
            )
        ids = [update_id for update_id in self._server.push_many(updates) if update_id is not None]
        return {"pushed": len(ids), "first": ids[0] if ids else None, "last": ids[-1] if ids else None}

    def calls(self, request: Request) -> Any:
        """Return calls from the transcript."""
        arguments = request.arguments()
        calls = self._server.transcript.since(
            int(arguments.get("since", 0)), int(arguments.get("limit", 1000)), arguments.get("method") or None
        )
        return [describe_call(call) for call in calls]

    def confirmed(self, request: Request) -> Any:
        """Return the state of the queue."""
        return {
            "confirmed_offset": self._server.confirmed_offset,
            "pending": self._server.pending_count(),
            "is_polled": self._server.is_polled,
        }

    def counters(self, request: Request) -> Any:
        """Return the counters, and the processor time of this process."""
        return {**self._server.counters(), "cpu_s": time.process_time()}

    def latency(self, request: Request) -> Any:
        """Set the latency of all methods or one."""
        body = ujson.loads(request.body)
        latency_s = float(body.get("latency_s", 0.0))
        if body.get("method"):
            self._server.latency_by_method_s[str(body["method"])] = latency_s
        else:
            self._server.latency_s = latency_s
        return True

    def fault(self, request: Request) -> Any:
        """Switch a fault on, or all off."""
        body = ujson.loads(request.body)
        if body.get("kind") is None:
            self._server.clear_faults()
        else:
            self._server.fault(**body)
        return True

    def clear(self, request: Request) -> Any:
        """Forget the transcript."""
        self._server.clear_calls()
        return True

    def wait(self, connection: Connection, request: Request) -> None:
        """Reply when enough calls of a method have come."""
        arguments = request.arguments()
        waiter = Waiter(connection, arguments.get("method", "sendMessage"), int(arguments.get("count", 1)))
        reached = self._reached(waiter)
        if reached >= waiter.count:
            waiter.finish(reached)
            return
        self._waiters.append(waiter)
        connection.on_peer_closed = lambda: self._give_up(waiter)
        timeout_s = min(float(arguments.get("timeout_s", 30.0)), _MAX_WAIT_S)
        self._server.loop.call_later(timeout_s, lambda: self._give_up(waiter))

    def on_change(self, kind: str, content: Any) -> None:
        """Look after the waiters at each call."""
        if kind == "call" and self._waiters:
            for waiter in [each for each in self._waiters if each.method == content.method]:
                reached = self._reached(waiter)
                if reached >= waiter.count:
                    self._waiters.remove(waiter)
                    waiter.finish(reached)

    def _give_up(self, waiter: Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
            waiter.finish(self._reached(waiter))

    def _reached(self, waiter: Waiter) -> int:
        return self._server.transcript.counts[waiter.method]


def describe_call(call: Call) -> dict[str, Any]:
    """Return a call as JSON can carry it."""
    return {
        "number": call.number,
        "method": call.method,
        "parameters": {name: _describe_value(value) for name, value in call.parameters.items()},
        "chat_id": call.chat_id,
        "at_ns": call.at_ns,
        "answered_at_ns": call.answered_at_ns,
        "status": call.status,
        "error": call.error,
        "fault": call.fault,
        "update_ids": call.update_ids,
    }


def _describe_value(value: Any) -> Any:
    if isinstance(value, UploadedFile):
        return {"name": value.name, "content_type": value.content_type, "size_bytes": len(value.data)}
    return value


def guarded(server: "FakeBotApi", handler: Handler) -> Callable[[Connection, Request], None]:
    """Make a route of a handler that returns the result: it refuses foreign pages and reports bad input."""

    def route(connection: Connection, request: Request) -> None:
        refusal = refuse_foreign(request, server.host)
        if refusal is not None:
            connection.reply(build_reply(refusal[0], encode_error(*refusal)))
            return
        try:
            result = handler(request)
        except (LookupError, TypeError, ValueError) as error:
            connection.reply(build_reply(400, encode_error(400, f"Bad Request: {error}")))
            return
        connection.reply(build_reply(200, b'{"ok":true,"result":%b}' % encode(result)))

    return route


def add_control_routes(server: "FakeBotApi") -> None:
    """Add the control endpoints to a server."""
    control = Control(server)
    server.observe(control.on_change)

    def wait(connection: Connection, request: Request) -> None:
        refusal = refuse_foreign(request, server.host)
        if refusal is not None:
            connection.reply(build_reply(refusal[0], encode_error(*refusal)))
        else:
            control.wait(connection, request)

    server.add_route("GET", "/control/wait", wait)
    for path, getter in (("calls", control.calls), ("confirmed", control.confirmed), ("counters", control.counters)):
        server.add_route("GET", f"/control/{path}", guarded(server, getter))
    for path, setter in (
        ("push", control.push),
        ("flood", control.flood),
        ("latency", control.latency),
        ("fault", control.fault),
        ("clear", control.clear),
    ):
        server.add_route("POST", f"/control/{path}", guarded(server, setter))
