"""The comparison with the peers: what it is made of fits together, its tables and drawings say what the runs gave."""

import importlib
import shutil
import subprocess
import sys
import xml.etree.ElementTree
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MODULES = ("machine", "load_server.build", "scenario", "roster", "measurement", "table", "plot")


@pytest.fixture(name="driver")
def make_driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The modules of the driver, which are no package, for one test."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield {name: importlib.import_module(name) for name in MODULES}
    for name in [name for name in sys.modules if name in MODULES or name.startswith("load_server")]:
        del sys.modules[name]


def run(contestant: str, number: int, rate: float, **more: Any) -> dict[str, Any]:
    """Return what one run may give."""
    main = {"rate": rate, "latency_ms": {"p50": 1.0, "p99": 10.0 * rate, "p999": 20.0}, "lost": 0}
    main |= {"order_violations": 1, "overlaps": 0, "duplicates": 0, "session_errors": 0}
    main |= {"histogram": [[0.5, 10], [1.0, 80], [8.0, 10]]}
    base = {"scenario": "echo", "contestant": contestant, "round": number, "settings": {"CONCURRENCY": "500"}}
    base |= {
        "main": main,
        "cpu_us_per_update": 20.0,
        "system_us_per_update": 8.0,
        "switches_per_update": 1.0,
        "resident_mb": 30.0,
        "complete": True,
    }
    return base | {"load_average": 1.0, "stolen_share": 0.0} | more


def result(*runs: dict[str, Any]) -> dict[str, Any]:
    """Return the result of some runs."""
    machine = {"cores": 2, "model": "a core", "system": "Linux"}
    window = {"length_s": 3.0, "warmup_s": 1.0, "updates": 1000}
    return {
        "command": "python3 benchmarks/compare.py",
        "date": "2026-01-01",
        "machine": machine,
        "versions": {},
        "window": window,
        "rounds": 3,
        "runs": [*runs],
    }


def test_every_scenario_names_contestants_that_exist(driver: dict[str, ModuleType]) -> None:
    contestants = {contestant.name: contestant for contestant in driver["roster"].CONTESTANTS}
    for scenario in driver["scenario"].SCENARIOS:
        assert set(scenario.entrants) <= set(contestants), scenario.name
        assert scenario.pair is None or driver["scenario"].select([scenario.pair])
    for contestant in contestants.values():
        folder = BENCHMARKS / "contestant" / ("grammy" if contestant.runtime == "node" else "")
        assert not contestant.file or (folder / contestant.file).is_file(), contestant.name


def test_the_driver_names_what_it_can_measure_and_refuses_the_rest() -> None:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, str(BENCHMARKS / "compare.py"), *arguments]
        return subprocess.run(line, capture_output=True, text=True)

    assert "echo" in call("--list").stdout
    assert "no such scenario: eccho" in call("--scenario", "eccho").stderr
    assert "no such contestant: theirs" in call("--contestant", "theirs").stderr


def test_a_table_has_medians_ratios_within_each_round_and_sums_of_flaws(driver: dict[str, ModuleType]) -> None:
    runs = [run("ours", number, rate) for number, rate in enumerate((100.0, 300.0, 200.0))]
    # Slower in the round in which ours was slow, too: the ratios are 2, 3 and 4.
    runs += [run("grammy-runner", number, rate) for number, rate in enumerate((50.0, 100.0, 50.0))]
    page = driver["table"].page(result(*runs))
    row = next(line for line in page.splitlines() if line.startswith("| runner_c, 3.11 |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1] == "200 (100 … 300)"
    assert cells[4] == "3.00"
    assert cells[-5:] == ["3", "0", "0", "0", "0"]


def test_a_contestant_that_failed_stands_in_the_table_with_the_reason(driver: dict[str, ModuleType]) -> None:
    failed = {key: value for key, value in run("aiogram", 0, 1.0).items() if key != "main"} | {"failed": "it ended"}
    page = driver["table"].page(result(run("ours", 0, 100.0), failed))
    assert "| aiogram | failed |" in page
    assert "- aiogram: failed in 1 of 1 rounds: it ended" in page


def test_tables_replace_what_stands_between_the_markers(driver: dict[str, ModuleType], tmp_path: Path) -> None:
    table, file = driver["table"], tmp_path / "page.md"
    file.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    table.write_between_markers(file, "new\n")
    assert file.read_text() == f"before\n{table.BEGIN}\n\nnew\n\n{table.END}\nafter\n"
    file.write_text("no markers")
    with pytest.raises(SystemExit):
        table.write_between_markers(file, "new\n")


def test_drawings_are_well_formed_and_name_everybody(driver: dict[str, ModuleType], tmp_path: Path) -> None:
    runs = [run(name, 0, 100.0, scenario=load) for name in ("ours", "bare") for load in ("echo", "network", "open")]
    files = driver["plot"].draw(result(*runs), tmp_path)
    assert [file.name for file in files] == ["echo.svg", "network.svg", "open.svg"]
    for file in files:
        text = "".join(xml.etree.ElementTree.fromstring(file.read_text("utf-8")).itertext())
        assert "runner_c, 3.11" in text
        assert "bare threads, 3.11" in text


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the driver needs Linux")
@pytest.mark.skipif(shutil.which("cc") is None and shutil.which("gcc") is None, reason="no C compiler")
def test_ours_is_measured_over_real_sockets_without_a_flaw(driver: dict[str, ModuleType], tmp_path: Path) -> None:
    scenario, roster, measurement = driver["scenario"], driver["roster"], driver["measurement"]
    runtimes = roster.Runtimes(Path(sys.executable), None, None, None, None, None)
    window = scenario.Window(warmup_s=0.2, length_s=0.5, idle_s=0.5, updates=500)
    server = driver["load_server.build"].build()
    bench = measurement.Bench(server, runtimes, window, None, {}, None, tmp_path)
    ours, nobody = roster.select(["ours"])[0], roster.select(["grammy-runner"])[0]
    for load in scenario.select(["hot", "both"]):
        got = measurement.measure(bench, load, ours)
        assert got["main"]["rate"] > 0
        assert 0 < got["system_us_per_update"] < got["cpu_us_per_update"] * 1.5
        assert got["switches_per_update"] > 0
        assert got["complete"] is True
        for flaw in ("order_violations", "overlaps", "lost", "duplicates", "session_errors"):
            assert got["main"][flaw] == 0, flaw
    with pytest.raises(measurement.Failed):
        measurement.measure(bench, scenario.select(["echo"])[0], nobody)
