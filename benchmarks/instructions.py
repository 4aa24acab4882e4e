"""Count the instructions that an update takes, and hold them to the counts that are kept in the repository.

    python benchmarks/instructions.py --check             fail where a part takes more than the tolerance more
    python benchmarks/instructions.py --update            keep the counts of now: say in the commit why they are so
    python benchmarks/instructions.py --profile PART      show which functions they are
    python benchmarks/instructions.py --pins              say what pip must install first, so that there is something to
                                                          compare; nothing if it is here

Time cannot guard against getting slower on a machine that others use as well. The number of instructions can: what
valgrind's callgrind counts in user space hardly depends on what else the machine does. It does not see system calls,
waits, cache misses, and threads that are in each other's way, because valgrind runs one at a time.

Each part is a script in ``instruction/part/`` that handles a short and a long series of updates after a warm-up. The
difference of the two counts, divided by the difference in updates, is the count, so that starting has no share in it.
Parts of one thread give the same count run after run; where threads hand over, counts differ by 0.2 % (``engine``,
``echo-bot``) and up to 0.5 % (``hand-off``; 1.1 % while three other programs fought for two cores). A change that has
nothing to do with a part, or another folder, may move it by up to 0.5 %: objects lie elsewhere in memory then. The
tolerance stands in ``instruction/counts.json`` and is 3 %. A part that is over it is counted twice more, and its lowest
count is taken.

Counts depend on Python, compiler and so on, which are kept beside them. Where one of these differs, or valgrind is
absent, nothing is compared: that is said in capitals and is no failure.
"""

import argparse
import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from instruction import callgrind
from instruction.comparison import Book, Entry, differences, judge, platform_name, table
from instruction.environment import counted_package, describe

HERE = Path(__file__).resolve().parent
COUNTS = HERE / "instruction" / "counts.json"
SCRIPTS = HERE / "instruction" / "part"
FOLDER = HERE / ".build" / "instruction"
UPDATE_ROUNDS = 3
RECOUNTS = 2
PROFILE_LINES = 30
ENGINE_FUNCTION = "__pyx_"
PINNED = ("cython", "ujson")
COMMAND = "python benchmarks/instructions.py"


@dataclass(frozen=True)
class Part:
    """Something whose instructions are counted.

    Args:
        script: name in `SCRIPTS`.
        lengths: updates of the warm-up, of the short and of the long segment.
        arguments: what follows them in the command line.
        calls_peer: whether the port of the peer follows that.
    """

    script: str
    lengths: tuple[int, int, int]
    arguments: tuple[str, ...] = ()
    calls_peer: bool = False

    @property
    def path(self) -> Path:
        """The script."""
        return SCRIPTS / f"{self.script}.py"


PARTS = {
    # Bursts of 1,000 updates on four workers: admission, lanes, ring, settlement.
    "engine": Part("engine", (1000, 1000, 4000), ("1000", "4")),
    # One update at a time: a poll, and the waking of a worker, for each.
    "hand-off": Part("engine", (200, 400, 2400), ("1", "1")),
    # A SQLite store: batches in, groups of ends out; making the updates is in it.
    "store": Part("store", (1000, 1000, 3000), ("256",)),
    # Bot.handle_update: session, filters, context, handler.
    "bot-layer": Part("bot_layer", (200, 200, 800)),
    # bot.api.send_message over a real socket: encoding, exchange, parsing.
    "call-path": Part("call_path", (100, 100, 500), calls_peer=True),
    # A poll for 100 updates over a real socket, its decoding and its admission.
    "decode-and-admit": Part("decode_and_admit", (1000, 1000, 3000), calls_peer=True),
    # All of it: from the poll to the reply.
    "echo-bot": Part("echo_bot", (300, 200, 800), calls_peer=True),
}


def count(part: Part) -> int:
    """Return the instructions per update of a part, from one run."""
    if not part.calls_peer:
        return round(callgrind.count(part.path, part.lengths, part.arguments, FOLDER))
    with callgrind.peer(SCRIPTS / "peer.py") as port:
        return round(callgrind.count(part.path, part.lengths, (*part.arguments, port), FOLDER))


def check(book: Book) -> int:
    """Compare what can be compared; return the exit code."""
    here = describe()
    kept = book.find(platform_name())
    if callgrind.find_valgrind() is None:
        return _tell_nothing_compared("there is no valgrind", ["install it, for example: apt-get install valgrind"])
    if kept is None:
        return _tell_nothing_compared(
            f"nothing is kept for {platform_name()}", [f"to keep its counts: {COMMAND} --update"]
        )
    if different := differences(kept.environment, here):
        return _tell_nothing_compared("the kept counts were made with something else", different)
    print(f"Python {here['python']}, valgrind {here['valgrind']}, {counted_package()}", flush=True)
    now = {name: count(part) for name, part in PARTS.items()}
    for _ in range(RECOUNTS):
        for name in now:
            if judge(kept.counts, {name: now[name]}, book.tolerance_percent):
                now[name] = min(now[name], count(PARTS[name]))
    print("\n".join(table(kept.counts, now)))
    errors = judge(kept.counts, now, book.tolerance_percent)
    for error in errors:
        print(f"ERROR: {error}")
    if errors:
        print(f"Where they are: {COMMAND} --profile PART. If what they buy is worth it: {COMMAND} --update")
        return 1
    if any(now[name] < kept.counts[name] * (1 - book.tolerance_percent / 100) for name in now):
        print(f"Faster than what is kept. So that it stays so: {COMMAND} --update")
    print(f"No part takes over {book.tolerance_percent:g} % more than what is kept.")
    return 0


def update(book: Book) -> int:
    """Keep the counts of now; return the exit code."""
    here = describe()
    print(f"Python {here['python']}, valgrind {here['valgrind']}, {counted_package()}", flush=True)
    counts: dict[str, int] = {}
    spread_percent: dict[str, float] = {}
    for name, part in PARTS.items():
        found = [count(part) for _ in range(UPDATE_ROUNDS)]
        counts[name] = round(statistics.median(found))
        spread_percent[name] = round((max(found) - min(found)) / counts[name] * 100, 2)
    before = book.find(platform_name())
    book.keep(platform_name(), Entry(here, counts, spread_percent))
    print("\n".join(table(before.counts if before else {}, counts)))
    print(f"The runs of one part differed by {max(spread_percent.values()):g} % at most. Kept in {COUNTS}")
    return 0


def pins(book: Book) -> int:
    """Print what pip must install so that counts can be compared: nothing if it is here; return the exit code."""
    kept, here = book.find(platform_name()), describe()
    if kept is not None and any(kept.environment[name] != here[name] for name in PINNED):
        print(" ".join(f"{name}=={kept.environment[name]}" for name in PINNED))
    return 0


def profile(name: str) -> int:
    """Count one part and show where its instructions are; return the exit code."""
    part = PARTS[name]
    print(f"{name}: {count(part):,} instructions per update of {counted_package()}")
    costs = callgrind.costs(part.path, part.lengths, FOLDER)
    libraries: dict[str, float] = {}
    for cost in costs:
        libraries[cost.library] = libraries.get(cost.library, 0) + cost.own
    print(f"\n{'own':>10}  library")
    for library, own in sorted(libraries.items(), key=lambda pair: -pair[1]):
        if own >= 1:
            print(f"{own:>10,.0f}  {library}")
    print("\nThe functions that take most themselves")
    _print_costs(costs[:PROFILE_LINES])
    print("\nThe functions of the engine that take most with all that they call")
    ours = [cost for cost in costs if cost.function.startswith(ENGINE_FUNCTION)]
    _print_costs(sorted(ours, key=lambda cost: -cost.all)[:PROFILE_LINES])
    print(f"\nAll of it, for kcachegrind: {callgrind.last_file(part.path, FOLDER)}")
    return 0


def _print_costs(costs: Iterable[callgrind.Cost]) -> None:
    print(f"{'own':>10}{'with calls':>12}{'calls':>8}  function")
    for cost in costs:
        print(f"{cost.own:>10,.0f}{cost.all:>12,.0f}{cost.calls:>8.2f}  {cost.function}  [{cost.library}]")


def _tell_nothing_compared(reason: str, lines: Iterable[str]) -> int:
    print(f"!!! NOTHING WAS COMPARED: {reason}. The instructions per update are NOT CHECKED here.")
    for line in lines:
        print(f"    {line}")
    return 0


def main() -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true")
    mode.add_argument("--update", action="store_true")
    mode.add_argument("--profile", metavar="PART", choices=PARTS)
    mode.add_argument("--pins", action="store_true")
    options = parser.parse_args()
    book = Book(COUNTS)
    try:
        if options.check:
            return check(book)
        if options.pins:
            return pins(book)
        if callgrind.find_valgrind() is None:
            print("ERROR: this needs valgrind, for example: apt-get install valgrind")
            return 1
        return update(book) if options.update else profile(options.profile)
    except callgrind.CountingFailed as error:
        print(f"ERROR: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
