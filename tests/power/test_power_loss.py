"""Power cuts: the store keeps its promises whatever the disk had written of what it was told when the power went.

A workload in two lives is recorded once, in one thread and in two; then each cut is a moment of that record and one of
the states that the disk may be in at that moment. Cuts are chosen by seeds; `about` in a failed report names the folder
of the record, which pytest keeps.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

FEW = range(25)
ALL = range(150)

threads = pytest.mark.parametrize("is_threaded", [False, True], ids=["one-thread", "two-threads"])


@threads
@pytest.mark.parametrize("seed", [*FEW, *(pytest.param(seed, marks=pytest.mark.slow) for seed in ALL[len(FEW) :])])
def test_a_power_cut_breaks_no_promise(recording: Any, tmp_path: Path, seed: int, is_threaded: bool) -> None:
    report = recording(is_threaded=is_threaded).cut(seed, tmp_path / "disk")
    assert report.is_kept(), report


@threads
@pytest.mark.parametrize("step", [12, pytest.param(1, marks=pytest.mark.slow)], ids=["some-moments", "all-moments"])
def test_a_power_cut_while_the_store_is_opened_or_closed_breaks_no_promise(
    recording: Any, tmp_path: Path, is_threaded: bool, step: int
) -> None:
    made = recording(is_threaded=is_threaded)
    moments = made.record.moments(during="open")
    assert len(moments) > 50
    broken = []
    # The first ones make the store.
    for moment in [*moments[:60], *moments[60::step]]:
        report = made.cut(f"open {moment}", tmp_path / "disk", at=moment)
        if not report.is_kept():
            broken.append(report)
    assert not broken, f"{len(broken)} times, as here: {broken[0].about}: {broken[0]}"


@threads
def test_without_a_power_cut_there_is_nothing_to_replay(recording: Any, tmp_path: Path, is_threaded: bool) -> None:
    made = recording(is_threaded=is_threaded)
    end = len(made.record.operations)
    for seed in range(20):
        report = made.cut(seed, tmp_path / "disk", at=end)
        assert report.is_kept(), report
        assert "pattern all" not in report.about or report.replays == 0


def test_an_update_that_was_given_out_does_not_come_back_as_if_for_the_first_time(
    recording: Any, tmp_path: Path
) -> None:
    assert recording().cut_often(FEW, tmp_path)["posing"] == 0


def test_pushes_get_lost_if_their_commits_do_not_wait_for_the_disk(recording: Any, tmp_path: Path) -> None:
    counts = recording(synchronous="NORMAL").cut_often(range(40), tmp_path)
    assert counts["lossy"] > 0


def test_the_file_is_damaged_if_no_commit_ever_waits_for_the_disk(recording: Any, tmp_path: Path) -> None:
    counts = recording(synchronous="OFF").cut_often(range(40), tmp_path)
    assert counts["damaged"] > 0


@threads
def test_the_record_has_every_byte_that_is_in_the_files(
    recording: Any, replay: Any, rng: Any, is_threaded: bool
) -> None:
    made = recording(is_threaded=is_threaded)
    contents = replay.Disk(made.record, len(made.record.operations)).after_the_cut("all", rng)
    files = {
        path.name: path.read_bytes() for path in made.folder.iterdir() if not path.name.endswith(replay.UNRECORDED)
    }
    assert contents == files


@threads
def test_the_workload_does_all_that_the_store_has_to_survive(recording: Any, is_threaded: bool) -> None:
    record = recording(is_threaded=is_threaded).record
    calls = Counter(call for stage, call, _ in record.notes(len(record.operations)) if stage == "end")
    for call in ("push", "settle", "fail", "bury", "retry", "drop", "sync", "given"):
        assert calls[call] >= 5, calls
    log_begun_anew = sum(
        operation.kind == "write" and operation.name.endswith("-wal") and operation.offset == 0
        for operation in record.operations
    )
    assert log_begun_anew > 10
    assert record.count("write", ".db") > 200, "the log is copied into the file"
    assert record.count("truncate", ".db") > 5, "pages are given back"
    assert record.count("truncate", "-wal") > 1
    assert record.count("unlink", "-wal") == 2, "the store is closed in each life"
