"""Count the instructions of a script by callgrind, between the marks that ``part/segment.py`` sets.

Guarantees: counted is what that one process executes in user space, on all its threads, and nothing else; the script
gets an environment of its own, so that no variable of the caller's changes what is counted, and compiled modules
(``.pyc``) of its own, since a module that must be compiled when it is imported leaves other traces in memory.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

__all__ = ["Cost", "CountingFailed", "costs", "count", "find_valgrind", "last_file", "peer"]

MARK = "getloadavg"
TIME_LIMIT_S = 300.0
_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "PATH", "PYTHONPATH")
_TOTALS = re.compile(r"^totals: (\d+)$", re.MULTILINE)


class CountingFailed(Exception):
    """Say why there are no counts."""


class Cost(NamedTuple):
    """What a function cost.

    Args:
        own: instructions in the function itself.
        all: those of the functions that it called included.
        calls: how often it was called.
    """

    function: str
    library: str
    own: float
    all: float
    calls: float


def find_valgrind() -> str | None:
    """Return the version of valgrind, or None if there is none."""
    if shutil.which("valgrind") is None:
        return None
    told = subprocess.run(["valgrind", "--version"], check=True, capture_output=True, text=True).stdout
    return told.strip().removeprefix("valgrind-")


def count(script: Path, lengths: Sequence[int], further: Sequence[str], folder: Path) -> float:
    """Return the instructions per update: how much more the long segment took than the short one, for each more update.

    Args:
        script: what is counted.
        lengths: the numbers of updates of its segments, the first arguments: a warm-up, the short one, the long one.
        further: the arguments behind them.
        folder: where its compiled modules and the files of callgrind go; `costs` reads them.

    Raises:
        CountingFailed: the script or valgrind failed, or took too long.
    """
    command = [sys.executable, str(script), *map(str, lengths), *further]
    environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    environment |= {"PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1", "PYTHONPYCACHEPREFIX": str(folder / "pycache")}
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / f"callgrind.{script.stem}"
    for old in folder.glob(f"{base.name}*"):
        old.unlink()
    # Once as it is: it makes the compiled modules, and says what is wrong with the script more quickly.
    _run(command, environment)
    _run(
        ["valgrind", "--tool=callgrind", f"--dump-before={MARK}", f"--callgrind-out-file={base}", *command], environment
    )
    written = _written(script, folder)
    if len(written) != len(lengths):
        raise CountingFailed(f"{script} set {len(written)} marks that callgrind saw, instead of {len(lengths)}")
    _, short, long = (int(_TOTALS.findall(path.read_text())[-1]) for path in written)
    return (long - short) / (lengths[2] - lengths[1])


def costs(script: Path, lengths: Sequence[int], folder: Path) -> list[Cost]:
    """Return what each function cost per update in the last `count` of the script, the dearest first.

    Not by callgrind_annotate, which takes what a function called that had been entered before the counting began for
    its own work.
    """
    _, short, long = (_functions(path) for path in _written(script, folder))
    updates = lengths[2] - lengths[1]
    found = []
    for place in short.keys() | long.keys():
        pairs = zip(short.get(place, (0, 0, 0)), long.get(place, (0, 0, 0)), strict=True)
        found.append(Cost(*place, *((later - earlier) / updates for earlier, later in pairs)))
    return sorted(found, key=lambda cost: -cost.own)


@contextmanager
def peer(script: Path) -> Iterator[str]:
    """Run the peer as long as the context is open, and give its port."""
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def last_file(script: Path, folder: Path) -> Path:
    """Return the file on the long segment of the last `count` of the script."""
    return _written(script, folder)[-1]


def _written(script: Path, folder: Path) -> list[Path]:
    return sorted(folder.glob(f"callgrind.{script.stem}.*"), key=lambda path: int(path.suffix[1:]))


def _functions(path: Path) -> dict[tuple[str, str], list[int]]:
    """Return for each function and its library the instructions of its own, those with its callees, and the calls."""
    names: dict[str, dict[str, str]] = {"fn": {}, "ob": {}}
    found: dict[tuple[str, str], list[int]] = {}

    def name(kind: str, value: str) -> str:
        # "(7) name" where it is met first, "(7)" from then on.
        number, _, text = value.partition(" ")
        return names[kind].setdefault(number, text)

    library = callee_library = function = callee = ""
    calls: int | None = None
    for line in path.read_text().splitlines():
        key, is_named, value = line.partition("=")
        if is_named:
            if key == "ob":
                library = callee_library = name("ob", value)
            elif key == "cob":
                callee_library = name("ob", value)
            elif key == "fn":
                function = name("fn", value)
            elif key == "cfn":
                callee = name("fn", value)
            elif key == "calls":
                calls = int(value.split()[0])
        elif line[:1] in "0123456789+-*" and line:
            instructions = int(line.split()[1])
            if calls is None:
                found.setdefault(_place(function, library), [0, 0, 0])[0] += instructions
                continue
            numbers = found.setdefault(_place(callee, callee_library), [0, 0, 0])
            # A call within a call of the same function is written as one of another function, with this mark.
            if not callee.endswith("'2"):
                numbers[1] += instructions
            numbers[2] += calls
            calls, callee_library = None, library
    return found


def _place(function: str, library: str) -> tuple[str, str]:
    return function.removesuffix("'2"), Path(library).name


def _run(command: Sequence[str], environment: dict[str, str]) -> None:
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIME_LIMIT_S)
    except subprocess.TimeoutExpired as error:
        raise CountingFailed(f"not done after {TIME_LIMIT_S:g} s: {' '.join(command)}") from error
    if done.returncode:
        raise CountingFailed(f"exit code {done.returncode} of: {' '.join(command)}\n{done.stderr}")
