"""Run a fake Bot API server in this process.

The server behaves as the official one does where a bot can tell the difference: confirmation of updates on arrival,
long polls, the pacing of unchanged offsets, conflicts, error replies. It keeps a transcript, and can spoil replies on
demand. (The file passes 400 lines because it is one page: everything that tests may call.)
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self

import ujson

from pyruntime.testing.body import UploadedFile
from pyruntime.testing.chat import Chat, Observer, User
from pyruntime.testing.connection import Connection
from pyruntime.testing.control import add_control_routes
from pyruntime.testing.dispatch import Dispatcher, Route
from pyruntime.testing.fault import HUGE_BYTES, Fault, FaultBox, FaultKind
from pyruntime.testing.learning import learn, prepare
from pyruntime.testing.loop import Loop
from pyruntime.testing.method.webhook import webhook_info
from pyruntime.testing.polling import Polling
from pyruntime.testing.transcript import Call, Transcript
from pyruntime.testing.update_queue import QueuedUpdate, UpdateQueue, encode_update, random_first_id
from pyruntime.testing.webhook import Courier, Delivery
from pyruntime.testing.world import World

TEST_TOKEN: Final = "123456:TEST"
_ACCEPT_PAUSE_S: Final = 0.1


class FakeBotApi:
    """Serve the Bot API for one bot on a local socket.

    A context manager: entering starts it, leaving stops it. It can be started again; it keeps port and state.
    Thread-safety: any thread may call anything here.
    """

    def __init__(
        self,
        token: str = TEST_TOKEN,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        seed: int | None = None,
        first_update_id: int | None = None,
        clock: Callable[[], float] = time.time,
        latency_s: float = 0.0,
        knows_any_chat: bool = False,
        max_calls: int = 100_000,
        max_messages: int = 10_000,
    ) -> None:
        """Prepare a server; `start()` opens its port.

        Args: token, the only one accepted. host and port to listen on; port 0 takes a free one. seed or
        first_update_id fix the id of the first update, which is random otherwise. clock gives the time of day in
        seconds, by which updates expire and messages are dated. latency_s delays every reply. knows_any_chat lets the
        bot write to chats that nobody made or wrote from, which is "chat not found" otherwise. max_calls and
        max_messages (per chat) bound what is remembered.
        """
        self.token = token
        self._host = host
        self._port = port
        # The one lock of the server: queue, chats, transcript and faults. Conditions of it are what tests wait on.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._clock = clock
        first = random_first_id(seed) if first_update_id is None else first_update_id
        self._queue = UpdateQueue(first)
        self._transcript = Transcript(self._lock, max_calls)
        self._faults = FaultBox(self._lock)
        self._world = World(
            self._lock, token, clock, self._push_locked, self._transcript.tail, max_messages, knows_any_chat
        )
        self._polling = Polling(self._queue, clock, self._lock)
        self._dispatcher = Dispatcher(
            self._lock,
            token,
            self._world,
            self._queue,
            self._polling,
            self._transcript,
            self._faults,
            self._changed,
        )
        self._dispatcher.latency_s = latency_s
        self._courier = Courier(self._world, self._queue, self._faults, self._changed, self._dispatcher.execute)
        self._dispatcher.courier = self._courier
        add_control_routes(self)
        self._loop: Loop | None = None
        self._listener: socket.socket | None = None
        self._connections: set[Connection] = set()
        self._accepted = 0
        self._started_at = 0.0
        self._wake_is_handed_in = False

    def __repr__(self) -> str:
        """Show the address and what is pending."""
        return f"<FakeBotApi {self._host}:{self._port}, {len(self._queue)} pending, {self._transcript.total} calls>"

    # Running

    def start(self) -> Self:
        """Open the port and serve in a thread of its own; return the server. A running one goes on as it is.

        Raises: OSError if the port cannot be opened.
        """
        if self._loop is not None:
            return self
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._listener = socket.create_server((self._host, self._port), family=family, backlog=1024)
        self._listener.setblocking(False)
        self._port = self._listener.getsockname()[1]
        loop = self._loop = Loop(f"fake-bot-api-{self._port}", self._close_everything)
        self._wake_is_handed_in = False
        self._polling.attach(loop)
        self._courier.attach(loop)
        self._dispatcher.loop = loop
        self._watch_listener()
        self._started_at = time.monotonic()
        loop.start()
        return self

    def stop(self) -> None:
        """Close the port and all connections, and end the thread. Blocks for it; safe to call twice."""
        loop = self._loop
        if loop is not None:
            loop.stop()
            self._loop = None

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def is_running(self) -> bool:
        """Tell whether the server is started."""
        return self._loop is not None

    @property
    def host(self) -> str:
        """Return the address or name that the server listens on."""
        return self._host

    @property
    def port(self) -> int:
        """Return the port; 0 before the first start, if it was left open."""
        return self._port

    @property
    def url(self) -> str:
        """Return the root for clients (`api_root`), such as http://127.0.0.1:43211."""
        host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(self._host, self._host)
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    # What users do

    def chat(
        self,
        chat_id: int,
        chat_type: str | None = None,
        *,
        user: int | User | None = None,
        title: str | None = None,
        members: Iterable[int | User] = (),
        **fields: Any,
    ) -> Chat:
        """Return the chat `chat_id`, made on first use.

        Args: chat_type is private (default for positive ids), group, supergroup (default for negative ids) or
        channel. user, an id or a dict, is who speaks there by default: in a private chat the user of that id; members
        are in the group besides. fields (username=..., is_forum=True) go into the chat object.
        """
        if not isinstance(chat_id, int):
            raise TypeError(f"the id of a chat is a number, negative for groups and channels, not {chat_id!r}")
        return self._world.chat(chat_id, chat_type, user=user, title=title, members=members, **fields)

    def push(self, update: dict[str, Any]) -> int | None:
        """Queue an update, given without its id, for example `{"message": {...}}`.

        Returns the id it got, or None if the bot does not ask for this kind (allowed_updates). Chats and queries in it
        become known, so that the bot can answer. Raises: ValueError if it has no kind.
        """
        kind, body = encode_update(update)
        with self._lock:
            learn(self._world, kind, update[kind])
            return self._enqueue(kind, body)

    def push_many(self, updates: Iterable[dict[str, Any]]) -> list[int | None]:
        """Queue several updates at once, so that they can be fetched in one batch; see `push`."""
        encoded = [(update, *encode_update(update)) for update in updates]
        with self._lock:
            for update, kind, _ in encoded:
                learn(self._world, kind, update[kind])
            return [self._enqueue(kind, body) for _, kind, body in encoded]

    def prepare_for(self, updates: Iterable[dict[str, Any]]) -> None:
        """Expect `updates` to be given to `learn` one by one, while the bot speaks, as when a recording is replayed.

        No message of the bot takes the id of one of theirs, and the bot is the one that they tell of, if they do.
        """
        with self._lock:
            prepare(self._world, updates)

    def learn(self, update: dict[str, Any]) -> None:
        """Make known what an update speaks of that reaches the bot by another way: chats, people, messages, queries.

        So the bot can reply to it, edit, delete, send its files again and answer its queries; of the files themselves
        only the descriptions are known.
        """
        with self._lock:
            for kind, content in update.items():
                learn(self._world, kind, content)

    def add_file(self, data: bytes, name: str = "file.bin", content_type: str = "application/octet-stream") -> str:
        """Store a file, as if a user had sent it, and return its file_id for getFile."""
        with self._lock:
            return self._world.keep_file(UploadedFile(name, content_type, data))

    # What the bot did

    @property
    def calls(self) -> list[Call]:
        """Return the calls of the bot so far, oldest first; getUpdates is in `polls`."""
        return self._transcript.calls

    @property
    def polls(self) -> list[Call]:
        """Return the getUpdates calls so far, oldest first; `update_ids` tells what each delivered."""
        return self._transcript.polls

    def calls_of(self, method: str, chat_id: int | str | None = None) -> list[Call]:
        """Return the calls of one method, of one chat if given."""
        source = self.polls if method == "getUpdates" else self.calls
        return [call for call in source if call.method == method and chat_id in (None, call.chat_id)]

    def wait_for(self, wanted: str | Callable[[Call], bool], count: int = 1, timeout_s: float = 5.0) -> list[Call]:
        """Return the first `count` calls that match, waiting until there are so many.

        Args: wanted is the name of a method, or a function that tells of a call whether it matches (called with the
        server's lock held). Calls that came before count, up to the last `clear_calls()`; calls that faults spoiled
        count too.
        Raises: TimeoutError, with the transcript's tail. Blocks for `timeout_s` at most; a call wakes it.
        """
        return self._transcript.wait_for(wanted, count, timeout_s)

    def clear_calls(self) -> None:
        """Forget the transcript."""
        self._transcript.clear()

    def describe_calls(self, count: int = 20) -> str:
        """Describe the last calls, one a line."""
        return self._transcript.tail(count)

    # The queue

    @property
    def confirmed_offset(self) -> int:
        """Return the highest offset that the bot confirmed (id of the last update forgotten, plus 1); 0 if none."""
        with self._lock:
            return self._queue.confirmed_offset

    @property
    def next_update_id(self) -> int:
        """Return the id that the next update will get."""
        with self._lock:
            return self._queue.tail

    def pending(self) -> list[dict[str, Any]]:
        """Return the updates that are not confirmed and not expired."""
        with self._lock:
            return [ujson.loads(update.encoded) for update in self._live()]

    def pending_count(self) -> int:
        """Count the updates that are not confirmed and not expired."""
        with self._lock:
            return len(self._live())

    @property
    def is_polled(self) -> bool:
        """Tell whether a bot waits in a long poll right now."""
        with self._lock:
            return self._polling.is_waiting

    def wait_until_polled(self, timeout_s: float = 5.0, is_polled: bool = True) -> None:
        """Wait until a bot is in a long poll with nothing to fetch; or, with is_polled=False, until none is.

        Raises: TimeoutError. Blocks for `timeout_s` at most.
        """
        with self._lock:
            if not self._changed.wait_for(lambda: self._polling.is_waiting == is_polled, timeout_s):
                what = "no bot waited" if is_polled else "a bot still waited"
                raise TimeoutError(f"{what} in getUpdates within {timeout_s} s; {self._describe_queue()}")

    def wait_until_confirmed(self, offset: int | None = None, timeout_s: float = 5.0) -> None:
        """Wait until the bot confirmed `offset`, or everything that is queued.

        Raises: TimeoutError. Blocks for `timeout_s` at most.
        """

        def is_confirmed() -> bool:
            if offset is not None:
                return self._queue.confirmed_offset >= offset
            return not self._live()

        with self._lock:
            if not self._changed.wait_for(is_confirmed, timeout_s):
                raise TimeoutError(f"not confirmed within {timeout_s} s; {self._describe_queue()}")

    def jump_update_ids(self, update_id: int) -> None:
        """Go on with `update_id`, lower or higher, at the next update that finds the queue empty.

        The real server does this after a week without updates. `confirmed_offset` is 0 after it.
        """
        with self._lock:
            self._queue.jump(update_id)

    # The webhook

    @property
    def courier(self) -> Courier:
        """Return what delivers to the webhook: its settings may be changed, such as `timeout_s` and `pause_scale`."""
        return self._courier

    @property
    def deliveries(self) -> list[Delivery]:
        """Return the attempts to deliver updates to the webhook so far, oldest first."""
        with self._lock:
            return list(self._courier.deliveries)

    def webhook_info(self) -> dict[str, Any]:
        """Return what getWebhookInfo would."""
        with self._lock:
            return webhook_info(self._world, len(self._live()), self._queue.allowed_kinds)

    def wait_until_delivered(self, count: int | None = None, timeout_s: float = 5.0) -> None:
        """Wait until `count` updates, or all, have been taken by the webhook; resent ones do not count.

        Raises: TimeoutError. Blocks for `timeout_s` at most.
        """

        def is_delivered() -> bool:
            if count is not None:
                return self._courier.delivered >= count
            return self._courier.is_idle and not len(self._queue)

        with self._lock:
            if not self._changed.wait_for(is_delivered, timeout_s):
                last = "\n".join(map(repr, list(self._courier.deliveries)[-10:]))
                raise TimeoutError(f"not delivered within {timeout_s} s; {len(self._live())} are left; last:\n{last}")

    def wait_until(self, claim: Callable[[], bool], timeout_s: float = 5.0) -> None:
        """Wait until `claim()` holds: it is asked at each change of the queue, of polling and of deliveries.

        Raises: TimeoutError. Blocks for `timeout_s` at most.
        """
        with self._lock:
            if not self._changed.wait_for(claim, timeout_s):
                raise TimeoutError(f"it was not so within {timeout_s} s; {self._describe_queue()}")

    def resend(self, update_id: int) -> None:
        """Deliver an update to the webhook again that it has taken, as the real server does if it lost the answer.

        Raises: LookupError if it was not delivered, or long ago.
        """
        with self._lock:
            self._courier.resend(update_id)

    # Trouble

    @property
    def latency_s(self) -> float:
        """Return the delay of replies in seconds; can be set."""
        return self._dispatcher.latency_s

    @latency_s.setter
    def latency_s(self, value: float) -> None:
        self._dispatcher.latency_s = value

    @property
    def latency_by_method_s(self) -> dict[str, float]:
        """Return the delays of single methods, which go before `latency_s`; a dict to change in place."""
        return self._dispatcher.latency_by_method_s

    def fault(
        self,
        kind: FaultKind,
        method: str | None = None,
        times: int | None = 1,
        *,
        seconds: float = 1.0,
        code: int | None = None,
        description: str | None = None,
        size_bytes: int = HUGE_BYTES,
    ) -> Fault:
        """Spoil the next `times` calls (None: all until cleared) of `method` (None: any method, getUpdates too).

        Kinds that do not carry the call out: drop_before (close the connection), error (`code`, default 500),
        retry_after (429 with `seconds`), conflict (409), unauthorized (401). Kinds that carry it out, then: drop_after
        (close without a byte), drop_midway (close in the middle of the reply), stall (stop in the middle of the reply
        and keep the connection), slow (answer `seconds` later), half_json (half of the JSON in a sound HTTP reply),
        garbage (a page of HTML, status `code` or 200), not_http (bytes that are no HTTP), empty (an empty body),
        huge (a body of `size_bytes`, default 10 MiB). For getUpdates: duplicate (each update twice), shuffle (ids
        in falling order). With method "webhook" the next deliveries to the webhook are spoiled: slow (the request comes
        in drips, over `seconds`), drop_midway (it ends in its body), drop_after (the connection is closed without
        waiting for the answer), drop_before (no connection), duplicate (delivered again although it was taken).
        Returns a handle: `hits`, `clear()`, and a context manager that clears. Faults apply in the order of being set,
        one to a call. Raises: ValueError on an unknown kind.
        """
        fault = Fault(
            kind=kind,
            method=method,
            times=times,
            seconds=seconds,
            code=code,
            description=description,
            size_bytes=size_bytes,
            on_clear=self._faults.remove,
        )
        return self._faults.add(fault)

    @property
    def faults(self) -> list[Fault]:
        """Return the faults that are switched on, in the order in which they apply."""
        return self._faults.faults

    def clear_faults(self) -> None:
        """Switch all faults off."""
        self._faults.clear()

    def answer_polls_at_once(self) -> None:
        """Answer the waiting getUpdates and hold no other one until the next start.

        For the end of a test: a bot whose long poll cannot be cut stops at once then.
        """
        if self._loop is not None:
            self._loop.call_soon(self._polling.answer_at_once)

    def drop_connections(self) -> None:
        """Close all connections, as a restart of a proxy does. They are closed a moment later."""
        if self._loop is not None:
            self._loop.call_soon(self._close_connections)

    # For control and playground

    def add_route(self, verb: str, path: str, route: Route) -> None:
        """Answer requests for `path` outside the Bot API by `route`, which runs in the server's thread."""
        self._dispatcher.routes[verb, path] = route

    def observe(self, observer: Observer) -> None:
        """Call `observer(kind, content)` at every change, with the lock held: it must be quick and must not raise."""
        self._world.observe(observer)

    @property
    def world(self) -> World:
        """Return the state behind the methods; take `world.lock` around whatever you do with it."""
        return self._world

    @property
    def transcript(self) -> Transcript:
        """Return the transcript of calls."""
        return self._transcript

    @property
    def loop(self) -> Loop:
        """Return the loop that serves. Raises: RuntimeError if the server is not running."""
        if self._loop is None:
            raise RuntimeError("the server is not running")
        return self._loop

    def counters(self) -> dict[str, Any]:
        """Return the numbers of requests, calls by method, connections and updates since the start."""
        with self._lock:
            return {
                "uptime_s": round(time.monotonic() - self._started_at, 3),
                "requests": self._dispatcher.requests,
                "calls": dict(self._transcript.counts),
                "connections": len(self._connections),
                "accepted": self._accepted,
                "pushed": self._queue.pushed,
                "filtered": self._queue.filtered,
                "expired": self._queue.expired,
                "pending": len(self._queue.live(self._clock())),
                "confirmed_offset": self._queue.confirmed_offset,
                "next_update_id": self._queue.tail,
                "conflicts": self._polling.conflicts,
                "is_polled": self._polling.is_waiting,
            }

    def _live(self) -> list[QueuedUpdate]:
        now_s = self._clock()
        waiting = [update for update in self._courier.undelivered() if update.expires_at_s > now_s]
        return [*waiting, *self._queue.live(now_s)]

    def _push_locked(self, update: dict[str, Any]) -> int | None:
        return self._enqueue(*encode_update(update))

    def _enqueue(self, kind: str, body: bytes) -> int | None:
        update_id = self._queue.push(kind, body, self._clock())
        if update_id is not None:
            self._world.tell("queue", (update_id, kind, body))
            self._courier.touch()
            if self._polling.is_waiting and not self._wake_is_handed_in and self._loop is not None:
                self._wake_is_handed_in = True
                self._loop.call_soon(self._wake_poll)
        return update_id

    def _wake_poll(self) -> None:
        with self._lock:
            self._wake_is_handed_in = False
            self._polling.on_pushed()

    def _describe_queue(self) -> str:
        state = (
            f"{len(self._queue.live(self._clock()))} updates pending, confirmed offset {self._queue.confirmed_offset}"
        )
        return f"{state}; the last calls were:\n{self._transcript.tail(10)}"

    def _watch_listener(self) -> None:
        assert self._listener is not None
        assert self._loop is not None
        self._loop.watch(self._listener, self._accept, lambda: None)

    def _accept(self) -> None:
        assert self._listener is not None
        assert self._loop is not None
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:
                # Out of file descriptors, most likely: look again a little later, and do not spin meanwhile.
                self._loop.forget(self._listener)
                self._loop.call_later(_ACCEPT_PAUSE_S, self._watch_listener)
                return
            self._accepted += 1
            self._connections.add(Connection(self._loop, sock, self._dispatcher.handle, self._connections.discard))

    def _close_connections(self) -> None:
        for connection in list(self._connections):
            connection.close()

    def _close_everything(self) -> None:
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.close()
        self._close_connections()
        with self._lock:
            self._courier.attach(None)
            self._polling.attach(None)
