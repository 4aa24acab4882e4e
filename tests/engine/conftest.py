"""A bot in memory for the tests of the engine: a queue that follows the rules of getUpdates, and a recorder."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner_c import RunnerHandle, current, open_store, run
from runner_c.store import Store

Update = dict[str, Any]
PATIENCE_S = 30.0


class Recorder:
    """Remember when each update began and ended, and every breach of the promises at once."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.running: set[int] = set()
        self.most_running = 0
        self.breaches: list[str] = []
        self._last: dict[str, int] = defaultdict(lambda: -1)
        self._inside: dict[str, int] = {}
        self._known: set[int] = set()

    def begin(self, update_id: int, keys: list[str]) -> None:
        with self.changed:
            if update_id in self._known:
                self.breaches.append(f"{update_id} handled twice")
            for key in keys:
                if key in self._inside:
                    self.breaches.append(f"{update_id} overlaps {self._inside[key]} at key {key}")
                if self._last[key] > update_id:
                    self.breaches.append(f"{update_id} after {self._last[key]} at key {key}")
                self._last[key] = update_id
                self._inside[key] = update_id
            self.begun.append(update_id)
            self._known.add(update_id)
            self.running.add(update_id)
            self.most_running = max(self.most_running, len(self.running))
            self.changed.notify_all()

    def end(self, update_id: int, keys: list[str]) -> None:
        with self.changed:
            for key in keys:
                if self._inside.get(key) == update_id:
                    del self._inside[key]
            self.running.discard(update_id)
            self.ended.append(update_id)
            self.changed.notify_all()

    def wait_until(self, claim: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(claim, PATIENCE_S), f"begun {len(self.begun)}, ended {len(self.ended)}"

    def wait_for_ended(self, count: int) -> None:
        self.wait_until(lambda: len(self.ended) >= count)

    def wait_for_begun(self, count: int) -> None:
        self.wait_until(lambda: len(self.begun) >= count)


class QueueBot:
    """A plain bot: its updates come from a list that behaves like the server's queue.

    `work` is called in each handler, with the update; keys of an update stand in its field "keys", else its chat.
    """

    def __init__(self, work: Callable[[Update], object] | None = None) -> None:
        self.work = work
        self.record = Recorder()
        self.errors: list[tuple[BaseException, Update]] = []
        self.polls: list[tuple[int | None, int, int]] = []
        self.poll_times: list[float] = []
        self.allowed: list[list[str] | None] = []
        self._queue: list[Update] = []
        self._changed = threading.Condition()
        self._cuts = 0
        self._next_id = 1000
        self.failures: list[BaseException] = []

    # -- the server's side

    def push(self, count: int = 1, *, chat: int | Callable[[int], int] = 1, **fields: Any) -> list[int]:
        """Queue `count` messages; return their ids."""
        with self._changed:
            updates = []
            for index in range(count):
                number = chat(index) if callable(chat) else chat
                updates.append({"update_id": self._next_id, "message": {"chat": {"id": number}}, **fields})
                self._next_id += 1
            self._queue += updates
            self._changed.notify_all()
        return [update["update_id"] for update in updates]

    def put(self, *updates: Update) -> None:
        """Queue updates as they are."""
        with self._changed:
            self._queue += updates
            self._changed.notify_all()

    def fail(self, *errors: BaseException) -> None:
        """Let the next polls fail."""
        with self._changed:
            self.failures += errors
            self._changed.notify_all()

    @property
    def unconfirmed(self) -> list[int]:
        with self._changed:
            return [update["update_id"] for update in self._queue]

    def wait_for_poll(self, claim: Callable[[list[tuple[int | None, int, int]]], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: claim(self.polls), PATIENCE_S), self.polls

    # -- what run() calls

    def get_updates(self, *, offset: int | None, limit: int, timeout: int, allowed_updates: Any) -> list[Update]:
        with self._changed:
            self.polls.append((offset, limit, timeout))
            self.poll_times.append(time.monotonic())
            self.allowed.append(allowed_updates)
            self._changed.notify_all()
            if self.failures:
                raise self.failures.pop(0)
            if offset is not None and offset < 0:
                self._queue = self._queue[offset:]
            elif offset:
                places = [place for place, update in enumerate(self._queue) if update["update_id"] == offset]
                if places:
                    self._queue = self._queue[places[0] :]
                elif self._queue and self._queue[-1]["update_id"] < offset:
                    self._queue = []
            cuts = self._cuts
            self._changed.wait_for(lambda: self._queue or self._cuts != cuts or self.failures, timeout)
            if self.failures and not self._queue:
                raise self.failures.pop(0)
            return self._queue[:limit]

    def interrupt(self) -> None:
        with self._changed:
            self._cuts += 1
            self._changed.notify_all()

    def handle_update(self, update: Update) -> None:
        keys = update.get("keys", [str(update.get("message", {}).get("chat", {}).get("id"))])
        self.record.begin(update["update_id"], keys)
        try:
            if self.work is not None:
                self.work(update)
        finally:
            self.record.end(update["update_id"], keys)

    def handle_error(self, error: BaseException, update: Update) -> None:
        self.errors.append((error, update))


class KeyedBot(QueueBot):
    """A bot that says the keys of its updates itself."""

    def keys(self, update: Update) -> list[str]:
        return list(update["keys"])


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let an interrupt be lost in a callback of the interpreter.

    On a free-threaded build weak references are cleared by whichever thread comes by, so an exception that is raised in
    the thread of a hanging handler may hit such a callback, which can only tell that it ignored it.
    """
    lost = r"ignore:Exception ignored in. <function WeakSet:pytest.PytestUnraisableExceptionWarning"
    item.add_marker(pytest.mark.filterwarnings(lost))


Start = Callable[..., RunnerHandle]


@pytest.fixture
def queue_bot() -> type[QueueBot]:
    """The class of bots in memory, ordered by chat."""
    return QueueBot


@pytest.fixture
def keyed_bot() -> type[KeyedBot]:
    """The class of bots in memory whose updates name their keys."""
    return KeyedBot


@pytest.fixture
def start() -> Iterator[Start]:
    """run(), with a stop at the end of the test that must leave no thread behind."""
    handles: list[RunnerHandle] = []

    def begin(bot: Any, **options: Any) -> RunnerHandle:
        handle = run(bot, **options)
        handles.append(handle)
        return handle

    yield begin
    for handle in handles:
        if handle.is_running():
            handle.stop(5.0)


@pytest.fixture
def store_changed() -> threading.Condition:
    """Told after each call that changes the store."""
    return threading.Condition()


@pytest.fixture(params=["memory:", "sqlite:"])
def store(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    store_changed: threading.Condition,
) -> Iterator[Store]:
    """An open store of each kind, which tells when it changes."""
    opened = open_store(request.param if request.param == "memory:" else f"sqlite:{tmp_path / 'bot.db'}")

    def telling(call: Callable[..., Any]) -> Callable[..., Any]:
        def tell(*arguments: Any, **options: Any) -> Any:
            result = call(*arguments, **options)
            with store_changed:
                store_changed.notify_all()
            return result

        return tell

    for name in ("push", "claim", "settle", "fail", "release", "tend"):
        monkeypatch.setattr(opened, name, telling(getattr(opened, name)))
    yield opened
    opened.close()


@pytest.fixture
def wait_until(store_changed: threading.Condition) -> Callable[[Callable[[], bool]], None]:
    """Return a function that waits until something is so which calls of the store make so."""

    def wait(claim: Callable[[], bool]) -> None:
        with store_changed:
            assert store_changed.wait_for(claim, PATIENCE_S)

    return wait


@pytest.fixture
def count() -> Callable[[Update], None]:
    """Return a handler that adds one to a number in the session of a chat, as the bot layer does it."""

    def add(update: Update) -> None:
        delivery = current()
        assert delivery is not None
        assert delivery.storage is not None
        key = str(update["message"]["chat"]["id"])
        stored = delivery.storage.read(key)
        delivery.stage(delivery.storage, key, str(int(stored or b"0") + 1).encode())

    return add
