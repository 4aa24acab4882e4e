"""The recording of a run, and its replay."""

from __future__ import annotations

import json
import math
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from runner_c import ConfigError, Offers, Recorder, Replay, run
from tests.engine.fed import Bot, as_function, message


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


def test_a_recording_of_a_flood_that_waited_in_a_store_replays_each_update_once_and_in_order(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "updates.jsonl")
    updates = [message(number, number % 7) for number in range(1000)]
    first, second = Bot(), Bot()
    store = f"sqlite:{tmp_path / 'bot.db'}"
    assert run(first, source=as_function(updates), store=store, backlog=20, concurrency=4, record=recorder).wait(30)
    recorder.close()
    ids = [row["update"]["update_id"] for row in recorded(tmp_path / "updates.jsonl")]
    assert list(dict.fromkeys(ids)) == list(range(1000))
    assert run(second, source=Replay(tmp_path / "updates.jsonl", speed=math.inf)).wait(30)
    assert second.handled == first.handled
    assert second.ids() == list(range(1000))


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


@pytest.mark.parametrize("at", ["1e999", "NaN", '"5"', "1" + "0" * 400, "null"])
def test_a_time_that_is_none_makes_a_damaged_line_and_stops_nobody(tmp_path: Path, at: str) -> None:
    path = tmp_path / "updates.jsonl"
    lines = [json.dumps({"at": 1, "update": message(1)}), f'{{"at": {at}, "update": {{"update_id": 2}}}}']
    path.write_text(
        "\n".join([*lines, f'{{"update_id": {10**30}}}', json.dumps({"at": 1, "update": message(3)})]) + "\n"
    )
    replay = Replay(path)
    bot = Bot()
    assert run(bot, source=replay).wait(20)
    assert bot.ids() == [1, 3]
    assert replay.damaged == 2
    assert [update["update_id"] for update in replay.updates()] == [1, 3]


def test_a_pipe_is_refused_at_once_on_either_side(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="cannot be read more than once"):
        Replay(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="is no file"):
        Recorder(tmp_path / "pipe")


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
