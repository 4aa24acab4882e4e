"""Hold the guard against getting slower to what it says: it can fail, and says so when it compares nothing."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import runner_c

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
GUARD = BENCHMARKS / "instructions.py"
INSTALLED_IN = str(Path(next(iter(runner_c.__path__))).parent)
ENVIRONMENT = {"python": "3.11.7", "cython": "3.3.1", "ujson": "6.1.0", "valgrind": "3.19.0"}
PLATFORM = "cpython-311-x86_64-linux-gnu"

needs_valgrind = pytest.mark.skipif(
    shutil.which("valgrind") is None, reason="NOTHING WAS COUNTED: there is no valgrind (apt-get install valgrind)"
)


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """Give the module of the guard, with a file of counts and a folder of its own."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    module = importlib.import_module("instructions")
    monkeypatch.setattr(module, "COUNTS", tmp_path / "counts.json")
    monkeypatch.setattr(module, "FOLDER", tmp_path / "counted")
    yield module
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("instruction", "instructions"):
            del sys.modules[name]


@pytest.fixture
def machine(guard: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """Pretend that the counts of this machine were kept, and return what the parts are found to take, run by run."""
    found = {name: [10_000] for name in guard.PARTS}
    monkeypatch.setattr(guard.callgrind, "find_valgrind", lambda: ENVIRONMENT["valgrind"])
    monkeypatch.setattr(guard, "platform_name", lambda: PLATFORM)
    monkeypatch.setattr(guard, "describe", lambda: dict(ENVIRONMENT))
    names = {part: name for name, part in guard.PARTS.items()}

    def count(part: Any) -> int:
        runs = found[names[part]]
        return runs.pop(0) if len(runs) > 1 else runs[0]

    monkeypatch.setattr(guard, "count", count)
    entry = guard.Entry(ENVIRONMENT, dict.fromkeys(guard.PARTS, 10_000))
    guard.Book(guard.COUNTS).keep(PLATFORM, entry)
    return found


def test_what_is_as_it_was_passes(
    guard: ModuleType, machine: dict[str, list[int]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert guard.check(guard.Book(guard.COUNTS)) == 0
    assert "No part takes over 3 % more" in capsys.readouterr().out


def test_ten_percent_more_fails_and_names_the_part_and_both_counts(
    guard: ModuleType, machine: dict[str, list[int]], capsys: pytest.CaptureFixture[str]
) -> None:
    machine["call-path"] = [11_000]
    assert guard.check(guard.Book(guard.COUNTS)) == 1
    (error,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ERROR")]
    assert error == (
        "ERROR: call-path: 10,000 instructions per update are kept, and now it takes 11,000: "
        "+10.0 %, of which 3 % are tolerated"
    )


@pytest.mark.parametrize(("count", "code"), [(10_300, 0), (10_301, 1)])
def test_the_tolerance_is_a_limit(guard: ModuleType, machine: dict[str, list[int]], count: int, code: int) -> None:
    machine["engine"] = [count]
    assert guard.check(guard.Book(guard.COUNTS)) == code


def test_a_part_that_is_over_once_is_counted_again_and_one_that_stays_over_fails(
    guard: ModuleType, machine: dict[str, list[int]]
) -> None:
    machine["hand-off"] = [10_400, 10_350, 10_100]
    assert guard.check(guard.Book(guard.COUNTS)) == 0
    machine["hand-off"] = [10_400, 10_350, 10_400]
    assert guard.check(guard.Book(guard.COUNTS)) == 1


def test_what_became_faster_passes_and_is_asked_to_be_kept(
    guard: ModuleType, machine: dict[str, list[int]], capsys: pytest.CaptureFixture[str]
) -> None:
    machine["bot-layer"] = [8_000]
    assert guard.check(guard.Book(guard.COUNTS)) == 0
    assert "Faster than what is kept. So that it stays so: python benchmarks/instructions.py --update" in (
        capsys.readouterr().out
    )


def test_a_part_of_which_nothing_is_kept_fails(
    guard: ModuleType, machine: dict[str, list[int]], capsys: pytest.CaptureFixture[str]
) -> None:
    entry = guard.Entry(ENVIRONMENT, {name: 10_000 for name in guard.PARTS if name != "engine"})
    guard.Book(guard.COUNTS).keep(PLATFORM, entry)
    assert guard.check(guard.Book(guard.COUNTS)) == 1
    assert "ERROR: engine: 10,000 instructions per update, and no count of it is kept" in capsys.readouterr().out


def test_other_circumstances_compare_nothing_say_so_and_pass(
    guard: ModuleType,
    machine: dict[str, list[int]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine["engine"] = [99_000]
    monkeypatch.setattr(guard, "describe", lambda: {**ENVIRONMENT, "ujson": "7.0.0"})
    assert guard.check(guard.Book(guard.COUNTS)) == 0
    told = capsys.readouterr().out
    assert told.startswith("!!! NOTHING WAS COMPARED")
    assert "ujson: 6.1.0 there, 7.0.0 here" in told
    assert guard.pins(guard.Book(guard.COUNTS)) == 0
    assert capsys.readouterr().out == "cython==3.3.1 ujson==6.1.0\n"


def test_a_python_of_which_nothing_is_kept_compares_nothing_says_so_and_passes(
    guard: ModuleType,
    machine: dict[str, list[int]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(guard, "platform_name", lambda: "cpython-399-riscv64-linux-gnu")
    assert guard.check(guard.Book(guard.COUNTS)) == 0
    assert capsys.readouterr().out.startswith("!!! NOTHING WAS COMPARED: nothing is kept for cpython-399-riscv64")


def test_an_update_keeps_the_middle_of_three_runs_and_the_counts_of_other_pythons(
    guard: ModuleType, machine: dict[str, list[int]]
) -> None:
    other = guard.Entry({"python": "3.13.0"}, {"engine": 7_000})
    guard.Book(guard.COUNTS).keep("cpython-313-x86_64-linux-gnu", other)
    machine["engine"] = [12_000, 12_060, 11_940]
    assert guard.update(guard.Book(guard.COUNTS)) == 0
    kept = json.loads(guard.COUNTS.read_text())["kept"]
    assert kept["cpython-313-x86_64-linux-gnu"]["counts"] == {"engine": 7_000}
    assert kept[PLATFORM]["counts"]["engine"] == 12_000
    assert kept[PLATFORM]["spread_percent"]["engine"] == 1.0
    assert kept[PLATFORM]["environment"] == ENVIRONMENT
    machine["engine"] = [12_000]
    assert guard.check(guard.Book(guard.COUNTS)) == 0


def test_without_valgrind_it_compares_nothing_says_so_and_passes() -> None:
    environment = {**os.environ, "PATH": "/nowhere", "PYTHONPATH": INSTALLED_IN}
    done = subprocess.run(
        [sys.executable, str(GUARD), "--check"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("!!! NOTHING WAS COMPARED: there is no valgrind.")


def test_the_counts_in_the_repository_are_those_of_the_parts(guard: ModuleType) -> None:
    told = json.loads((BENCHMARKS / "instruction" / "counts.json").read_text())
    assert told["tolerance_percent"] <= 3.0
    assert PLATFORM in told["kept"]
    for entry in told["kept"].values():
        assert entry["counts"].keys() == entry["spread_percent"].keys() == guard.PARTS.keys()
        # What differs from run to run must not be taken for a change.
        assert max(entry["spread_percent"].values()) < told["tolerance_percent"]
        assert entry["environment"].keys() == guard.describe().keys()


def test_a_script_that_fails_is_an_error(guard: ModuleType, tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit('the reason')")
    with pytest.raises(guard.callgrind.CountingFailed, match="the reason"):
        guard.callgrind.count(script, (1, 1, 2), (), tmp_path / "counted")


@needs_valgrind
def test_callgrind_counts_the_same_twice_and_sees_a_tenth_more_work(guard: ModuleType, tmp_path: Path) -> None:
    script = tmp_path / "work.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(guard.SCRIPTS)!r})\n"
        "from segment import segments\n"
        "for length in segments():\n"
        "    for _ in range(length):\n"
        "        sum(range(int(sys.argv[4])))\n"
    )
    lengths = (10, 10, 110)
    folder = tmp_path / "counted"
    once, again, more = (guard.callgrind.count(script, lengths, [work], folder) for work in ("1000", "1000", "1100"))
    assert again == pytest.approx(once, rel=0.001)
    assert guard.judge({"work": round(once)}, {"work": round(again)}, 3.0) == []
    (error,) = guard.judge({"work": round(once)}, {"work": round(more)}, 3.0)
    assert error.startswith("work: ")
    costs = guard.callgrind.costs(script, lengths, folder)
    assert sum(cost.own for cost in costs) == pytest.approx(more, rel=0.001)
    (adder,) = [cost for cost in costs if cost.function == "builtin_sum"]
    assert adder.calls == 1
    assert adder.own < adder.all < more
