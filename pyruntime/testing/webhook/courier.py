"""Deliver the updates of a bot to its webhook: queues in parallel, each in order, tried again until they are taken.

Guarantees: one update of a lane is under way at a time, and the next one follows when it was taken (2xx) or has
expired; never more than max_connections requests at once; an update leaves only so, and what is left goes back into the
queue for getUpdates when the webhook is removed.
Assumes: the server's lock is held by whoever calls, and taken by the callbacks of the loop; all but `touch`, `resend`
and `undelivered` is called in the loop's thread.
"""

import random
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import ujson

from pyruntime.testing.fault import WEBHOOK, Fault, FaultBox
from pyruntime.testing.loop import Loop
from pyruntime.testing.update_queue import QueuedUpdate, UpdateQueue
from pyruntime.testing.webhook.client import Answer, WebhookConnection
from pyruntime.testing.webhook.delivery import Delivery
from pyruntime.testing.webhook.lane import lane_of
from pyruntime.testing.webhook.tls import client_context
from pyruntime.testing.wire import REASONS
from pyruntime.testing.world import World

TIMEOUT_S: Final = 60.0
GONE_S: Final = 23 * 3600.0
"""How long a webhook may answer 410 before it is removed."""
MAX_RETRY_AFTER_S: Final = 3600
FIRST_PAUSE_S: Final = 2.0
LONGEST_PAUSE_S: Final = (60.0, 120.0)
_MAX_DELIVERIES: Final = 100_000
_MAX_TAKEN: Final = 10_000

Execute = Callable[[dict[str, Any]], None]


class _Lane:
    """Updates that wait for each other."""

    __slots__ = ("attempt", "name", "updates")

    def __init__(self, name: str) -> None:
        self.name = name
        self.updates: deque[tuple[QueuedUpdate, bool]] = deque()
        self.attempt = 0


class Courier:
    """Deliver to the webhook that `World.webhook` describes.

    Attributes: `deliveries`, the newest 100,000 attempts, oldest first; `timeout_s`, how long an answer may take;
    `pause_scale`, a factor for the pauses between attempts (not for what Retry-After says), so that a test need not
    wait; `retry_after_scale`, the like for Retry-After; `delivered`, how many updates were taken, each once;
    `most_at_once`, how many requests were under way at the same time at most.
    """

    def __init__(
        self,
        world: World,
        queue: UpdateQueue,
        faults: FaultBox,
        changed: threading.Condition,
        execute: Execute,
    ) -> None:
        """Deliver what is in `queue`; `execute` carries out a call in an answer, `changed` is told of each end."""
        self.deliveries: deque[Delivery] = deque(maxlen=_MAX_DELIVERIES)
        self.timeout_s = TIMEOUT_S
        self.pause_scale = 1.0
        self.retry_after_scale = 1.0
        self._world = world
        self._queue = queue
        self._faults = faults
        self._changed = changed
        self._execute = execute
        self._loop: Loop | None = None
        self._lanes: dict[str, _Lane] = {}
        self._ready: deque[_Lane] = deque()
        self._idle: list[WebhookConnection] = []
        self._busy: set[WebhookConnection] = set()
        self._under_way = 0
        self._taken: OrderedDict[int, tuple[str, QueuedUpdate]] = OrderedDict()
        self._connections = 0
        self._gone_since_s: float | None = None
        self._is_pump_due = False
        self._generation = 0
        self.most_at_once = 0
        self.delivered = 0

    def attach(self, loop: Loop | None) -> None:
        """Deliver in `loop` from now on; None: the server stops. Called in the loop's thread, or when none runs."""
        self._end_connections()
        self._loop = loop
        self._is_pump_due = False
        self.touch()

    def touch(self) -> None:
        """Deliver what has come, soon. Thread-safety: any thread that holds the lock."""
        if self._world.webhook and self._loop is not None and not self._is_pump_due:
            self._is_pump_due = True
            self._loop.call_soon(self._pump)

    def undelivered(self) -> list[QueuedUpdate]:
        """Return the updates that wait for the webhook, those under way among them, in order of their ids."""
        waiting = [update for lane in self._lanes.values() for update, is_resent in lane.updates if not is_resent]
        return sorted(waiting, key=lambda update: update.update_id)

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing waits for the webhook."""
        return not self._lanes

    def begin(self) -> None:
        """The webhook was set, or set anew."""
        self._gone_since_s = None
        self._end_connections()
        for lane in self._lanes.values():
            lane.attempt = 0
        self.touch()

    def end(self) -> None:
        """The webhook was removed: give back what was not delivered."""
        self._end_connections()
        self._queue.give_back(self.undelivered())
        self._lanes.clear()
        self._ready.clear()

    def drop_all(self) -> None:
        """Forget everything that waits."""
        self._end_connections()
        self._lanes.clear()
        self._ready.clear()

    def resend(self, update_id: int) -> None:
        """Deliver an update again that was taken, as the real server does when it has lost the answer.

        Raises: LookupError if it was not delivered, or long ago.
        """
        if update_id not in self._taken:
            raise LookupError(f"update {update_id} was not delivered to the webhook")
        name, update = self._taken[update_id]
        self._append(name, update, is_resent=True)
        self.touch()

    # In the loop's thread

    def _pump(self) -> None:
        with self._world.lock:
            self._is_pump_due = False
            webhook = self._world.webhook
            if not webhook or self._loop is None:
                return
            for update in self._queue.take_all(self._world.clock()):
                self._append(lane_of(update.kind, ujson.loads(update.encoded)), update, is_resent=False)
            while self._ready and self._under_way < webhook["max_connections"]:
                lane = self._ready.popleft()
                self._drop_expired(lane)
                if lane.updates:
                    self._send(lane, webhook)
                else:
                    self._lanes.pop(lane.name, None)

    def _append(self, name: str, update: QueuedUpdate, *, is_resent: bool) -> None:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = _Lane(name)
            self._ready.append(lane)
        lane.updates.append((update, is_resent))

    def _drop_expired(self, lane: _Lane) -> None:
        now_s = self._world.clock()
        while lane.updates and lane.updates[0][0].expires_at_s <= now_s:
            lane.updates.popleft()
            lane.attempt = 0
            self._queue.expired += 1
        self._changed.notify_all()

    def _send(self, lane: _Lane, webhook: dict[str, Any]) -> None:
        assert self._loop is not None
        update, is_resent = lane.updates[0]
        lane.attempt += 1
        delivery = Delivery(update.update_id, lane.name, lane.attempt, is_resent)
        self.deliveries.append(delivery)
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        generation = self._generation

        def on_end(answer: Answer) -> None:
            with self._world.lock:
                if generation == self._generation:
                    self._finish(lane, delivery, fault, answer)

        fault = self._faults.take(WEBHOOK, is_exact=True)
        target = urlsplit(str(webhook["url"]))
        kind = delivery.fault = None if fault is None else fault.kind
        if kind == "drop_before":
            self._loop.call_later(0.0, lambda: on_end(Answer(None, "Connection timed out")))
            return
        try:
            connection = self._idle.pop() if self._idle else self._connect(target, webhook.get("certificate"))
        except (OSError, ValueError):
            self._loop.call_later(0.0, lambda: on_end(Answer(None, "Failed to resolve host")))
            return
        self._busy.add(connection)
        delivery.connection = connection.number
        timeout = self._loop.call_later(self.timeout_s, lambda: connection.abort("Read timeout expired"))

        def on_answer(answer: Answer) -> None:
            timeout.cancel()
            with self._world.lock:
                if connection in self._busy:
                    self._busy.remove(connection)
                    if connection.is_open:
                        self._idle.append(connection)
            on_end(answer)

        connection.post(
            _request_of(
                target.netloc, target.path or "/", target.query, str(webhook.get("secret_token") or ""), update
            ),
            on_answer,
            drip_s=fault.seconds if fault is not None and kind == "slow" else 0.0,
            is_cut_short=kind == "drop_midway",
            is_closed_behind=kind == "drop_after",
        )

    def _connect(self, target: SplitResult, certificate: str | None) -> WebhookConnection:
        assert self._loop is not None
        self._connections += 1
        name = target.hostname or ""
        address = {"localhost": "127.0.0.1"}.get(name, name)
        tls = (client_context(certificate), name) if target.scheme == "https" else None
        port = target.port or (443 if tls else 80)
        return WebhookConnection(self._loop, address, port, self._connections, self._forget, tls)

    def _forget(self, connection: WebhookConnection) -> None:
        with self._world.lock:
            if connection in self._idle:
                self._idle.remove(connection)

    def _finish(self, lane: _Lane, delivery: Delivery, fault: Fault | None, answer: Answer) -> None:
        self._under_way -= 1
        delivery.status, delivery.error = answer.status, answer.error
        delivery.ended_ns = time.monotonic_ns()
        if delivery.is_delivered:
            self._take_off(lane, fault)
            self._execute_answer(answer)
        else:
            self._try_again(lane, delivery, answer)
        self._world.tell("delivery", delivery)
        self._changed.notify_all()
        self.touch()

    def _take_off(self, lane: _Lane, fault: Fault | None) -> None:
        self._gone_since_s = None
        update, is_resent = lane.updates.popleft()
        lane.attempt = 0
        if not is_resent:
            self.delivered += 1
            self._taken[update.update_id] = (lane.name, update)
            self._queue.confirmed_offset = max(self._queue.confirmed_offset, update.update_id + 1)
            if len(self._taken) > _MAX_TAKEN:
                self._taken.popitem(last=False)
        if fault is not None and fault.kind == "duplicate":
            lane.updates.appendleft((update, True))
        if lane.updates:
            self._ready.append(lane)
        else:
            self._lanes.pop(lane.name, None)

    def _try_again(self, lane: _Lane, delivery: Delivery, answer: Answer) -> None:
        assert self._loop is not None
        webhook = self._world.webhook
        if not webhook:
            return
        now_s = self._world.clock()
        webhook["last_error_date"] = int(now_s)
        said = f"Wrong response from the webhook: {answer.status} {REASONS.get(answer.status or 0, '')}".strip()
        webhook["last_error_message"] = answer.error or said
        if answer.status == 410:
            self._gone_since_s = now_s if self._gone_since_s is None else self._gone_since_s
            if now_s - self._gone_since_s >= GONE_S:
                self._world.webhook = {}
                self.end()
                return
        pause_s = 0.0 if lane.attempt == 1 else FIRST_PAUSE_S * 2.0 ** (lane.attempt - 2)
        if pause_s > LONGEST_PAUSE_S[0]:
            pause_s = random.uniform(*LONGEST_PAUSE_S)
        pause_s *= self.pause_scale
        if answer.retry_after.isdigit():
            delivery.retry_after_s = min(int(answer.retry_after), MAX_RETRY_AFTER_S)
            pause_s = delivery.retry_after_s * self.retry_after_scale
        generation = self._generation

        def go_on() -> None:
            with self._world.lock:
                if generation == self._generation and self._lanes.get(lane.name) is lane:
                    self._ready.append(lane)
                    self.touch()

        self._loop.call_later(pause_s, go_on)

    def _execute_answer(self, answer: Answer) -> None:
        if not answer.body or "json" not in answer.content_type:
            return
        try:
            call = ujson.loads(answer.body)
        except ValueError:
            return
        if isinstance(call, dict) and isinstance(call.get("method"), str):
            self._execute(call)

    def _end_connections(self) -> None:
        """Cut what is under way and what waits: everything is ready again."""
        self._generation += 1
        self._under_way = 0
        for connection in [*self._idle, *self._busy]:
            connection.close()
        self._idle.clear()
        self._busy.clear()
        self._ready = deque(self._lanes.values())


def _request_of(host: str, path: str, query: str, secret: str, update: QueuedUpdate) -> bytes:
    target = f"{path}?{query}" if query else path
    head = f"POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: keep-alive\r\n"
    if secret:
        head += f"X-Telegram-Bot-Api-Secret-Token: {secret}\r\n"
    return f"{head}Content-Length: {len(update.encoded)}\r\n\r\n".encode() + update.encoded
