"""Compare the runner with its peers: scenarios and contestants in turn, round after round, on pinned cores. Linux only.

    python benchmarks/compare.py                                    # all of it, short windows
    python benchmarks/compare.py --full --rounds 5 --name full      # all of it, long windows
    python benchmarks/compare.py --scenario echo --contestant ours grammy-runner --rounds 3

Writes ``benchmarks/result/NAME.json`` after each run, and at the end a table beside it. A contestant that fails is
named in the table with the reason.
"""

import argparse
import datetime
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import environment
import roster
import scenario
import table
from load_server.build import build
from machine import facts
from measurement import Bench, Failed, await_calm, measure

# Share of a core; more than this taken by other programs spoils a run.
DISTURBED = 0.05
# How long a run waits for others to finish; then it begins all the same.
CALM_TIMEOUT_S = 60.0
RESULT = Path(__file__).resolve().parent / "result"


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", nargs="+", default=[], metavar="NAME", help="default: all")
    parser.add_argument("--contestant", nargs="+", default=[], metavar="NAME", help="default: all")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--patience", type=int, default=3, help="repeat a disturbed run so often, at most (default: 3)")
    parser.add_argument("--full", action="store_true", help="long windows")
    parser.add_argument("--warmup-s", type=float, help="another warm-up")
    parser.add_argument("--seconds", type=float, help="another window")
    parser.add_argument("--updates", type=int, help="another number of updates where they are counted")
    parser.add_argument("--name", default="quick", help="of the result (default: quick)")
    parser.add_argument("--ours-python", type=Path, metavar="PATH", help="Python with this project built in place")
    parser.add_argument("--ours-free-threaded-python", type=Path, metavar="PATH", help="the same, free-threaded")
    parser.add_argument("--checkout", type=Path, metavar="FOLDER", help="take ours from here (built in place)")
    parser.add_argument("--into", type=Path, metavar="FILE", help="page that gets the tables between its markers")
    parser.add_argument("--list", action="store_true", help="name scenarios and contestants, and end")
    return parser.parse_args()


def window(options: argparse.Namespace) -> scenario.Window:
    """Return how long the runs take."""
    base = scenario.FULL if options.full else scenario.QUICK
    return scenario.Window(
        base.warmup_s if options.warmup_s is None else options.warmup_s,
        base.length_s if options.seconds is None else options.seconds,
        base.idle_s,
        options.updates or base.updates,
    )


def run_all(
    bench: Bench,
    scenarios: list[scenario.Scenario],
    contestants: list[roster.Contestant],
    rounds: int,
    patience: int,
    result: dict[str, Any],
    file: Path,
) -> None:
    """Run everything, round after round, each with another contestant first, and save what there is after each run."""
    for number in range(rounds):
        for load in scenarios:
            entrants = [contestant for contestant in contestants if contestant.takes_part(load)]
            first = number % max(1, len(entrants))
            for contestant in entrants[first:] + entrants[:first]:
                run: dict[str, Any] = {"scenario": load.name, "contestant": contestant.name, "round": number}
                run["settings"] = contestant.settings(load)
                run |= measure_in_peace(bench, load, contestant, patience)
                result["runs"].append(run)
                file.write_text(json.dumps(result, indent=1) + "\n")
                print(f"round {number + 1}  {table.line(run)}", file=sys.stderr, flush=True)


def measure_in_peace(
    bench: Bench, load: scenario.Scenario, contestant: roster.Contestant, patience: int
) -> dict[str, Any]:
    """Measure once; again, at most `patience` times, if other programs took more than a twentieth of a core.

    Whether a run is repeated does not depend on its figure. The calmest one counts, and says how many were dropped.
    """
    calmest: dict[str, Any] = {"foreign_share": float("inf")}
    for repeats in range(patience + 1):
        if patience:
            await_calm(DISTURBED, CALM_TIMEOUT_S)
        try:
            run = measure(bench, load, contestant)
        except Failed as failure:
            return {"failed": str(failure), "repeats": repeats}
        if run.get("foreign_share", 0.0) < calmest["foreign_share"]:
            calmest = run
        calmest["repeats"] = repeats
        if calmest.get("foreign_share", 0.0) <= DISTURBED:
            break
    return calmest


def main() -> None:
    """Prepare, run, write."""
    options = arguments()
    try:
        scenarios, contestants = scenario.select(options.scenario), roster.select(options.contestant)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    if options.list:
        print("scenarios:  ", *(load.name for load in scenarios))
        print("contestants:", *(contestant.name for contestant in contestants))
        return
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("two cores are needed: one for the bot, one for the server")
    wanted = {entrant.runtime for entrant in contestants if any(map(entrant.takes_part, scenarios))}
    found = environment.runtimes(options.ours_python, options.ours_free_threaded_python, wanted)
    (environment.BUILD / "log").mkdir(exist_ok=True)
    RESULT.mkdir(exist_ok=True)
    file = RESULT / f"{options.name}.json"
    python_path = options.checkout
    if python_path is None and (options.ours_python or options.ours_free_threaded_python):
        python_path = environment.CHECKOUT
    bench = Bench(
        server=build(),
        runtimes=found,
        window=window(options),
        certificate=environment.certificate() if any(load.is_tls for load in scenarios) else None,
        loops=environment.loops(found) if any(load.cpu_us for load in scenarios) else {},
        python_path=python_path,
        log=environment.BUILD / "log",
    )
    result: dict[str, Any] = {
        "name": options.name,
        "date": datetime.date.today().isoformat(),
        "command": " ".join(["python3", "benchmarks/compare.py", *sys.argv[1:]]),
        "machine": facts(),
        "versions": environment.versions(found),
        "window": asdict(bench.window),
        "rounds": options.rounds,
        "runs": [],
    }
    run_all(bench, scenarios, contestants, options.rounds, options.patience, result, file)
    page = table.page(result)
    file.with_suffix(".md").write_text(page)
    if options.into is not None:
        table.write_between_markers(options.into, page)
    print(page)


if __name__ == "__main__":
    main()
