"""A bot fed from a source of one's own: a generator, a queue, an object; and the recording of a run."""

from __future__ import annotations

import json
import logging
import math
import os
import queue
import stat
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner_c import (
    ConfigError,
    Offers,
    Recorder,
    Replay,
    SourceBroken,
    create_source,
    run,
)

Update = dict[str, Any]


def message(update_id: int, chat_id: int = 1) -> Update:
    chat = {"id": chat_id, "type": "private"}
    return {"update_id": update_id, "message": {"message_id": update_id, "date": 1000 + update_id, "chat": chat}}


class Bot:
    """Handle updates, and remember them by chat."""

    def __init__(self, handle: Callable[[Update], object] = lambda update: None) -> None:
        self._handle = handle
        self.changed = threading.Condition()
        self.handled: dict[int, list[int]] = defaultdict(list)
        self.calls: list[str] = []

    def init(self) -> None:
        self.calls.append("init")

    def close(self) -> None:
        self.calls.append("close")

    def handle_update(self, update: Update) -> None:
        self._handle(update)
        with self.changed:
            self.handled[update["message"]["chat"]["id"]].append(update["update_id"])
            self.changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.ids()) >= count, 20)

    def ids(self) -> list[int]:
        with self.changed:
            return sorted(update_id for ids in self.handled.values() for update_id in ids)


def as_generator(updates: list[Update]) -> Any:
    return (update for update in updates)


def as_function(updates: list[Update]) -> Any:
    left = list(updates)

    def supply(limit: int) -> list[Update]:
        if not left:
            raise StopIteration
        batch, left[:] = left[:limit], left[limit:]
        return batch

    return supply


def as_queue(updates: list[Update]) -> Any:
    filled: queue.Queue[Any] = queue.Queue()
    for update in [*updates, None]:
        filled.put(update)
    return filled


@pytest.mark.parametrize("made", [as_generator, as_function, as_queue])
@pytest.mark.parametrize("store", [None, "sqlite"])
def test_each_update_of_a_source_is_handled_once_and_each_chat_in_order(
    made: Callable[[list[Update]], Any], store: str | None, tmp_path: Path
) -> None:
    bot = Bot()
    updates = [message(number, number % 17) for number in range(2000)]
    options = {"store": f"sqlite:{tmp_path}/bot.db"} if store else {}
    handle = run(bot, source=made(updates), concurrency=16, backlog=100, **options)
    assert handle.wait(30)
    assert bot.ids() == list(range(2000))
    assert all(ids == sorted(ids) for ids in bot.handled.values())
    assert bot.calls == ["init", "close"]


def test_a_full_backlog_stops_taking() -> None:
    go, is_full = threading.Event(), threading.Event()
    ahead: list[int] = []

    def updates() -> Iterator[Update]:
        for number in range(1000):
            ahead.append(number - len(bot.ids()))
            if ahead[-1] == 9:
                is_full.set()
            yield message(number, number)

    bot = Bot(lambda update: go.wait(20))
    handle = run(bot, source=updates(), concurrency=2, backlog=10)
    assert is_full.wait(20)
    go.set()
    assert handle.wait(30)
    assert len(bot.ids()) == 1000
    assert max(ahead) <= 12  # what is held, and what has just ended but is not yet in the list


def test_a_generator_that_raises_ends_the_run_with_its_error_after_what_it_gave() -> None:
    def updates() -> Iterator[Update]:
        yield message(1)
        raise ValueError("the feed is gone")

    bot = Bot()
    handle = run(bot, source=updates())
    with pytest.raises(SourceBroken, match="the feed is gone") as caught:
        handle.wait(20)
    assert isinstance(caught.value.__cause__, ValueError)
    assert bot.ids() == [1]


def test_a_function_that_raises_is_asked_again() -> None:
    answers: list[Any] = [OSError("no network"), [message(1)], OSError("again"), [message(2)]]

    def supply(limit: int) -> list[Update]:
        if not answers:
            raise StopIteration
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    bot = Bot()
    assert run(bot, source=supply, retry=0.01).wait(20)
    assert bot.ids() == [1, 2]


@pytest.mark.parametrize("nothing", [[], None, ()])
def test_a_function_that_has_nothing_now_is_asked_again_in_a_while_and_not_in_a_hurry(nothing: Any) -> None:
    calls = [0]
    enough = threading.Event()

    def supply(limit: int) -> Any:
        calls[0] += 1
        if calls[0] == 4:
            enough.set()
            return [message(1)]
        return nothing

    bot = Bot()
    begun = time.monotonic()
    handle = run(bot, source=supply)
    assert enough.wait(20)
    took_s = time.monotonic() - begun
    handle.stop()
    assert bot.ids() == [1]
    assert took_s >= 3 * 0.05 * 0.9  # three times it had nothing
    assert handle.stats().poll_failures == 0


@pytest.mark.parametrize("kind", ["queue", "generator", "function", "offers"])
def test_a_stop_does_not_wait_for_a_source_that_gives_nothing(kind: str) -> None:
    never = threading.Event()

    def updates() -> Iterator[Update]:
        never.wait(20)
        yield message(1)

    def supply(limit: int) -> list[Update]:
        never.wait(20)
        return [message(1)]

    source: Any = {"queue": queue.Queue(), "generator": updates(), "function": supply, "offers": Offers()}[kind]
    bot = Bot()
    handle = run(bot, source=source)
    assert not handle.wait(0.1)
    begun = time.monotonic()
    report = handle.stop()
    took_s = time.monotonic() - begun
    never.set()
    assert report.drained
    assert took_s < 5, "the stop waited for the source"
    assert bot.ids() == []


def test_what_a_stop_leaves_over_goes_back_into_the_queue_in_its_order() -> None:
    go = threading.Event()
    filled: queue.Queue[Any] = queue.Queue()
    for number in range(200):
        filled.put(message(number, number))
    begun = threading.Semaphore(0)

    def hold(update: Update) -> None:
        begun.release()
        go.wait(20)

    bot = Bot(hold)
    handle = run(bot, source=filled, concurrency=2, backlog=5)
    assert begun.acquire(timeout=20)
    assert begun.acquire(timeout=20)
    stopping = threading.Thread(target=handle.stop)
    stopping.start()
    go.set()
    stopping.join(20)
    left = [filled.get_nowait()["update_id"] for _ in range(filled.qsize())]
    assert left == sorted(left)
    assert sorted(bot.ids() + left) == list(range(200))


def test_what_a_generator_gives_after_a_stop_is_told() -> None:
    go, begun, told = threading.Event(), threading.Event(), threading.Event()
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if getattr(record, "action", None) == "stop.not_taken":
                said.append(record.getMessage())
                told.set()

    def updates() -> Iterator[Update]:
        begun.set()
        go.wait(20)
        yield message(77)

    listener = Listener()
    logging.getLogger("runner_c").addHandler(listener)
    try:
        handle = run(Bot(), source=updates())
        assert begun.wait(20)
        handle.stop()
        go.set()
        assert told.wait(20)
    finally:
        logging.getLogger("runner_c").removeHandler(listener)
    assert "'update_id': 77" in said[0]


def test_what_fails_is_tried_again_before_the_run_of_a_source_ends(tmp_path: Path) -> None:
    tries: list[int] = []

    def fail_once(update: Update) -> None:
        tries.append(update["update_id"])
        if tries.count(update["update_id"]) == 1:
            raise ValueError("not yet")

    bot = Bot(fail_once)
    handle = run(bot, source=as_generator([message(1), message(2)]), store=f"sqlite:{tmp_path}/bot.db", max_attempts=2)
    assert handle.wait(30)
    assert bot.ids() == [1, 2]
    assert sorted(tries) == [1, 1, 2, 2]


def test_a_runner_starts_again_on_its_queue() -> None:
    filled: queue.Queue[Any] = queue.Queue()
    bot = Bot()
    handle = run(bot, source=filled)
    filled.put(message(1))
    handle.stop()
    filled.put(message(2))
    filled.put(None)
    handle.start()
    assert handle.wait(20)
    assert bot.ids() == [1, 2]


def test_offered_updates_need_no_other_source() -> None:
    bot = Bot()
    with run(bot, source=Offers()) as handle:
        assert all(handle.offer(message(number, number % 3)) for number in range(300))
    assert bot.ids() == list(range(300))


def test_a_bot_that_can_be_polled_is_not_polled_when_there_is_a_source() -> None:
    class Polled(Bot):
        def get_updates(self, **_: Any) -> list[Update]:
            raise AssertionError("polled")

    bot = Polled()
    assert run(bot, source=as_generator([message(1)])).wait(20)
    assert bot.ids() == [1]


@pytest.mark.parametrize("source", [5, "updates", {}, [message(1)]])
def test_what_cannot_be_a_source_is_a_clear_error(source: Any) -> None:
    with pytest.raises(ConfigError, match=r"a supplier has a method supply\(limit\)"):
        run(Bot(), source=source)
    with pytest.raises(ConfigError):
        create_source(source)


# Recording and replay


def recorded(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_is_admitted_is_recorded_once_in_its_order_and_replays(tmp_path: Path) -> None:
    path = tmp_path / "updates.jsonl"
    recorder = Recorder(path)
    first = Bot()
    with run(first, source=Offers(), record=recorder, backlog=100_000) as handle:
        for number in range(1000):
            handle.offer(message(number, number % 7))
        handle.offer(message(5, 5))
    recorder.close()
    rows = recorded(path)
    assert [row["update"]["update_id"] for row in rows] == list(range(1000))
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    second = Bot()
    assert run(second, source=Replay(path, speed=math.inf), backlog=100).wait(30)
    assert second.handled == first.handled


def test_a_recording_is_on_disk_before_its_end(tmp_path: Path) -> None:
    path = tmp_path / "updates.jsonl"
    recorder = Recorder(path)
    try:
        recorder.record(message(1))
        deadline = time.monotonic() + 10
        while not path.stat().st_size and time.monotonic() < deadline:
            pass
        assert [row["update"]["update_id"] for row in recorded(path)] == [1]
    finally:
        recorder.close()


def test_a_recording_is_gone_on_with_behind_a_torn_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "updates.jsonl"
    path.write_bytes(b'{"at": 1, "update": {"update_id": 1, "message": {"chat": {"id": 1}}}}\n{"at": 2, "upd')
    recorder = Recorder(path)
    recorder.record(message(3))
    recorder.close()
    bot = Bot()
    assert run(bot, source=Replay(path, speed=math.inf)).wait(20)
    assert bot.ids() == [1, 3]
    assert "line 2 is no recorded update" in caplog.text


def test_a_torn_last_line_is_no_news(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "updates.jsonl"
    path.write_text(json.dumps({"at": 1, "update": message(1)}) + '\n{"at": 2, "update": {"update')
    bot = Bot()
    assert run(bot, source=Replay(path, speed=math.inf)).wait(20)
    assert bot.ids() == [1]
    assert "no recorded update" not in caplog.text


def test_damaged_lines_are_told_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = ["nonsense", "[]", '{"update_id": "x"}', json.dumps(message(1)), "", '{"at": 5, "update": 7}']
    path = tmp_path / "updates.jsonl"
    path.write_text("\n".join(lines) + "\n")
    replay = Replay(path, speed=math.inf)
    bot = Bot()
    assert run(bot, source=replay).wait(20)
    assert bot.ids() == [1]
    assert (replay.supplied, replay.damaged) == (1, 4)
    assert [number for number in range(1, 7) if f"line {number} is" in caplog.text] == [1, 2, 3, 6]


@pytest.mark.parametrize("bare", [False, True])
def test_a_replay_keeps_the_distances_in_time_or_shortens_them(tmp_path: Path, bare: bool) -> None:
    path = tmp_path / "updates.jsonl"
    rows = [message(number, number) for number in range(4)]  # a second apart
    path.write_text(
        "".join(json.dumps(row if bare else {"at": row["update_id"], "update": row}) + "\n" for row in rows)
    )
    times: list[float] = []
    bot = Bot(lambda update: times.append(time.monotonic()))
    assert run(bot, source=Replay(path, speed=20)).wait(20)
    assert len(times) == 4
    assert times[-1] - times[0] >= 3 / 20 * 0.9


def test_a_stop_cuts_the_wait_of_a_replay(tmp_path: Path) -> None:
    path = tmp_path / "updates.jsonl"
    path.write_text("".join(json.dumps({"at": at, "update": message(at)}) + "\n" for at in (0, 1_000_000)))
    bot = Bot()
    handle = run(bot, source=Replay(path))
    bot.wait_for(1)
    begun = time.monotonic()
    assert handle.stop().drained
    assert time.monotonic() - begun < 5
    assert bot.ids() == [0]


def test_a_replay_can_be_run_again(tmp_path: Path) -> None:
    path = tmp_path / "updates.jsonl"
    path.write_text(json.dumps({"at": 0, "update": message(1)}) + "\n")
    replay = Replay(path)
    for _ in range(2):
        bot = Bot()
        assert run(bot, source=replay).wait(20)
        assert bot.ids() == [1]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_ends_the_recording_loudly_and_not_the_bot(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder("/dev/full")
    bot = Bot()
    with run(bot, source=Offers(), record=recorder) as handle:
        for number in range(5000):
            handle.offer(message(number, number % 9))
    recorder.close()
    assert len(bot.ids()) == 5000
    assert caplog.text.count("the recording /dev/full ends here: No space left on device") == 1


def test_bad_recordings_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        Replay(tmp_path / "not there")
    with pytest.raises(ConfigError, match="cannot write"):
        Recorder(tmp_path / "not" / "there")
    (tmp_path / "here").write_text("")
    for speed in (0, -1, math.nan, "fast", True):
        with pytest.raises(ConfigError, match="speed"):
            Replay(tmp_path / "here", speed)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="record is a Recorder"):
        run(Bot(), source=Offers(), record="updates.jsonl")  # type: ignore[arg-type]
