"""What the tests of power cuts share: the shim, records of a workload, and the cuts of a record."""

import importlib.util
import os
import platform
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import runner_c

HERE = Path(__file__).parent
INSTALLED_IN = str(Path(next(iter(runner_c.__path__))).parent)
STORE = "bot.db"
STEPS = 120
LIVES = 2
PATTERNS = ("none", "none", "all", "prefix", "prefix", "random", "random", "random", "random")


def load(name: str) -> ModuleType:
    """Load a file of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(f"power_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for annotations
    spec.loader.exec_module(module)
    return module


model = load("replay")
promises = load("promise")

RunRecorded = Callable[..., Any]


@dataclass
class Recording:
    """A workload that was run and recorded."""

    name: str
    record: Any
    folder: Path

    def cut(self, seed: int | str, folder: Path, at: int | None = None) -> Any:
        """Cut the power and return the report on what is left.

        Args:
            seed: with the record it decides everything.
            folder: where to put the files that are left; it is removed.
            at: the moment; None leaves it to the seed.
        """
        rng = random.Random(f"{self.name} {seed}")
        cut = rng.choice(self.record.moments()) if at is None else at
        torn = 0
        if rng.random() < 0.5 and cut < len(self.record.operations):
            torn = rng.randint(0, len(self.record.operations[cut].data))
        pattern = rng.choice(PATTERNS)
        contents = model.Disk(self.record, cut, torn).after_the_cut(pattern, rng, rng.choice((512, 4096)))
        contents |= model.leftovers(self.folder, STORE, rng)
        for part in ("copy", "left"):
            model.write_files(contents, folder / part)
        damage = promises.damage_of(folder / "copy" / STORE)
        report = promises.check(folder / "left" / STORE, promises.Promise.of(self.record.notes(cut)))
        report.damage = damage or report.damage
        report.about = f"{self.folder.parent}: seed {seed}, before operation {cut}, torn at {torn}, pattern {pattern}"
        shutil.rmtree(folder)
        print(report.about, f"replays {report.replays}")
        return report

    def cut_often(self, seeds: Iterable[int], folder: Path) -> Counter[str]:
        """Cut with each seed; count the cuts that damaged, lost or got something wrong, and the replays of all."""
        counts: Counter[str] = Counter()
        for seed in seeds:
            report = self.cut(seed, folder / str(seed))
            counts["damaged"] += bool(report.damage)
            counts["lossy"] += bool(report.lost)
            counts["lost"] += len(report.lost)
            counts["wrong"] += bool(report.wrong)
            counts["replays"] += report.replays
            counts["posing"] += report.posing
        print(self.name, dict(counts))
        return counts


@pytest.fixture(scope="session")
def run_recorded(tmp_path_factory: pytest.TempPathFactory) -> RunRecorded:
    """Return a function that runs Python with arguments under the shim; the record of a folder goes into a log."""
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        pytest.skip("writes are recorded by LD_PRELOAD, in the way of Linux with glibc")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("the shim that records writes needs a C compiler")
    shim = tmp_path_factory.mktemp("shim") / "record.so"
    options = ["-O2", "-Wall", "-shared", "-fPIC"]
    subprocess.run([compiler, *options, str(HERE / "record.c"), "-o", str(shim), "-ldl", "-lpthread"], check=True)

    def run(*arguments: str, folder: Path, log: Path, **variables: str) -> Any:
        folder.mkdir(exist_ok=True)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("BOT_", "RUNNER_"))},
            "PYTHONPATH": INSTALLED_IN,
            "LD_PRELOAD": " ".join(filter(None, (str(shim), os.environ.get("LD_PRELOAD")))),
            "RECORD_FOLDER": str(folder),
            "RECORD_LOG": str(log),
            **variables,
        }
        command = [sys.executable, "-P", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return model.Record(log, folder)

    return run


@pytest.fixture(scope="session")
def recording(run_recorded: RunRecorded, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Recording]:
    """Return a function that runs the workload in two lives and records it, once for each set of arguments."""
    made: dict[tuple[bool, str], Recording] = {}

    def record(*, is_threaded: bool = False, synchronous: str = "FULL") -> Recording:
        key = (is_threaded, synchronous)
        if key not in made:
            name = f"{'threads' if is_threaded else 'calm'}-{synchronous}"
            home = tmp_path_factory.mktemp(name)
            folder = home / "disk"
            for life in range(LIVES):
                arguments = [str(HERE / "workload.py"), str(folder / STORE), "power", str(STEPS), f"--life={life}"]
                arguments += [f"--synchronous={synchronous}", *["--threads"] * is_threaded]
                found = run_recorded(*arguments, folder=folder, log=home / "record", PROBE=str(home / "probe.db"))
            made[key] = Recording(name, found, folder)
        return made[key]

    return record


@pytest.fixture
def replay() -> ModuleType:
    """Return the model of a disk."""
    return model


@pytest.fixture
def rng() -> random.Random:
    """Return a source of chance whose seed is shown when the test fails."""
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    return random.Random(seed)
