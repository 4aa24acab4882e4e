"""Turn a result into Markdown tables.

python benchmarks/table.py benchmarks/result/full.json [--into benchmarks/README.md]
"""

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from roster import CONTESTANTS
from scenario import SCENARIOS, Scenario

__all__ = ["line", "page", "write_between_markers"]

Run = dict[str, Any]
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
_FLAWS = ("order_violations", "overlaps", "lost", "duplicates", "session_errors")


def line(run: Run) -> str:
    """Return what one run gave, in one line for the terminal."""
    start = f"{run['scenario']:<12} {run['contestant']:<20}"
    if "failed" in run:
        return f"{start} FAILED: {run['failed']}"
    if "first_answer_s" in run:
        return f"{start} {run['first_answer_s']:.3f} s to the first answer"
    if "main" not in run:
        return f"{start} {run['cpu_share']:.3%} of a core, {run['resident_mb']:.1f} MB"
    main = run["main"]
    flaws = " ".join(f"{name}={main[name]}" for name in _FLAWS if main.get(name))
    latency = main["latency_ms"]
    return (
        f"{start} {main['rate']:9,.0f}/s {run['cpu_us_per_update']:8.1f} µs "
        f"({run['system_us_per_update']:.1f} in the kernel, {run['switches_per_update']:.1f} sleeps)  "
        f"p50 {latency['p50']:.2f} p99 {latency['p99']:.2f} ms  {run['resident_mb']:.0f} MB  "
        f"core {run['cpu_share']:.0%} server {run['server_busy']:.0%} others {run['foreign_share']:.0%}"
        f"{'' if run['complete'] else '  cut'}  {flaws}"
    )


def page(result: dict[str, Any]) -> str:
    """Return all tables of a result, with the machine and the versions."""
    parts = [_heading(result)]
    for scenario in SCENARIOS:
        runs = [run for run in result["runs"] if run["scenario"] == scenario.name]
        if runs:
            parts.append(f"### {scenario.title}\n\n{scenario.why}\n\n{_table(scenario, runs, result['runs'])}")
    return "\n\n".join(parts) + "\n"


def write_between_markers(file: Path, text: str) -> None:
    """Replace what stands between the markers of a page.

    Raises:
        SystemExit: the page has no markers.
    """
    old = file.read_text("utf-8")
    if BEGIN not in old or END not in old:
        raise SystemExit(f"{file} has no lines {BEGIN} and {END}")
    before, rest = old.split(BEGIN, 1)
    file.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{rest.split(END, 1)[1]}", "utf-8")


def _heading(result: dict[str, Any]) -> str:
    machine, versions, window = result["machine"], result["versions"], result["window"]
    loads = [run["load_average"] for run in result["runs"] if "load_average" in run]
    stolen = [run["stolen_share"] for run in result["runs"] if "stolen_share" in run]
    lines = [
        f"Measured {result['date']}: {result['rounds']} interleaved rounds, windows of {window['length_s']:g} s after "
        f"{window['warmup_s']:g} s of warm-up, {window['updates']:,} updates from the start. "
        "Medians; in brackets the smallest and the largest of the rounds.",
        "",
        f"- Command: `{result['command']}`",
        f"- Machine: {machine['cores']} cores, {machine['model']}, {machine['system']}",
        f"- Versions: {_brief(versions)}",
    ]
    if loads:
        lines.append(
            f"- Load average while measuring {min(loads):.1f} to {max(loads):.1f}; time that other virtual machines "
            f"took: {statistics.median(stolen):.1%} of a core (median), {max(stolen):.1%} (worst run)"
        )
    return "\n".join(lines)


def _brief(versions: dict[str, str]) -> str:
    shown = []
    for name, said in versions.items():
        if name == "peers_packages":
            wanted = ("aiogram", "pytelegrambotapi", "python-telegram-bot", "uvloop", "requests", "ujson")
            shown.append(", ".join(part for part in said.split() if part.split("==")[0].lower() in wanted))
        elif name == "checkout":
            shown.append(f"this project at {said}")
        elif name == "peers":
            continue
        else:
            free_threaded = " free-threaded" if "free-threading" in said else ""
            shown.append(" ".join(said.split()[:2]) + free_threaded if said.startswith("Python") else said)
    return "; ".join(shown)


def _table(scenario: Scenario, runs: list[Run], everything: list[Run]) -> str:
    makers: dict[str, Callable[[Scenario, list[Run], list[Run], list[Run]], dict[str, str]]] = {
        "rate": _rate_row,
        "latency": _latency_row,
        "idle": _idle_row,
        "start": _start_row,
    }
    rows, notes = [], []
    for contestant in CONTESTANTS:
        mine = [run for run in runs if run["contestant"] == contestant.name]
        if not mine:
            continue
        good = [run for run in mine if "failed" not in run]
        concurrency = mine[0]["settings"]["CONCURRENCY"]
        name = contestant.title + (f" ({concurrency})" if concurrency != "500" else "")
        if len(good) < len(mine):
            why = next(run["failed"] for run in mine if "failed" in run).splitlines()[-1][:200]
            notes.append(f"- {contestant.title}: failed in {len(mine) - len(good)} of {len(mine)} rounds: {why}")
        row = makers[scenario.counts](scenario, good, runs, everything) if good else {"": "failed"}
        rows.append({"contestant": name, **row})
    columns = max((list(row) for row in rows), key=len)
    lines = [" | ".join(columns), " | ".join(["---"] + ["---:"] * (len(columns) - 1))]
    for row in rows:
        cells = [row.get(column, "") for column in columns]
        if "" in row and "" not in columns:
            cells[1] = "failed"
        lines.append(" | ".join(cells))
    text = "\n".join(f"| {line} |" for line in lines)
    return text + ("\n\n" + "\n".join(notes) if notes else "")


def _rate_row(scenario: Scenario, good: list[Run], runs: list[Run], everything: list[Run]) -> dict[str, str]:
    def rate(run: Run) -> float:
        return float(run["main"]["rate"])

    row = {
        "updates/s": _spread([rate(run) for run in good], "{:,.0f}"),
        "CPU µs each": _median([run["cpu_us_per_update"] for run in good], "{:,.0f}"),
        "MB": _median([run["resident_mb"] for run in good], "{:,.0f}"),
    }
    if scenario.limit is not None:
        row["of the limit"] = _median([rate(run) / scenario.limit for run in good], "{:.0%}")
    has_runner = any(run["contestant"] == "grammy-runner" for run in runs)
    row["times grammY runner"] = _ratio(good, runs, "grammy-runner" if has_runner else "grammy-ordered", rate)
    row["times pyTelegramBotAPI"] = _ratio(good, runs, "pytelegrambotapi", rate)
    if scenario.pair is not None:
        name = good[0]["contestant"]
        other = [run for run in everything if run["scenario"] == scenario.pair and run["contestant"] == name]
        row[f"times its own {scenario.pair}"] = _ratio(good, other, name, rate)
    return row | _flaw_cells(good)


def _latency_row(scenario: Scenario, good: list[Run], runs: list[Run], everything: list[Run]) -> dict[str, str]:
    def p99(run: Run) -> float:
        return float(run["main"]["latency_ms"]["p99"])

    row = {
        "p50 ms": _median([run["main"]["latency_ms"]["p50"] for run in good], "{:,.2f}"),
        "p99 ms": _spread([p99(run) for run in good], "{:,.2f}"),
        "p99.9 ms": _median([run["main"]["latency_ms"]["p999"] for run in good], "{:,.2f}"),
        "CPU µs each": _median([run["cpu_us_per_update"] for run in good], "{:,.0f}"),
    }
    if scenario.pair is not None:
        name = good[0]["contestant"]
        other = [run for run in everything if run["scenario"] == scenario.pair and run["contestant"] == name]
        row["p99, times without"] = _ratio(good, other, name, p99)
    return row | _flaw_cells(good)


def _idle_row(scenario: Scenario, good: list[Run], runs: list[Run], everything: list[Run]) -> dict[str, str]:
    return {
        "of a core": _spread([run["cpu_share"] for run in good], "{:.3%}"),
        "MB": _median([run["resident_mb"] for run in good], "{:,.1f}"),
    }


def _start_row(scenario: Scenario, good: list[Run], runs: list[Run], everything: list[Run]) -> dict[str, str]:
    return {
        "to the first answer, s": _spread([run["first_answer_s"] for run in good], "{:.3f}"),
        "to the first poll, s": _median([run["first_poll_s"] for run in good], "{:.3f}"),
    }


def _flaw_cells(good: list[Run]) -> dict[str, str]:
    """Return what went wrong, summed over the rounds. With a flood both groups count."""
    groups = [run[group] for run in good for group in ("main", "flooded") if group in run]
    # A contestant that fetched more than it can answer was ended while it still answered.
    was_cut = not all(run["complete"] for run in good)

    def total(name: str) -> int:
        return sum(int(group.get(name, 0)) for group in groups)

    return {
        "out of order": f"{total('order_violations'):,}",
        "overlaps": f"{total('overlaps'):,}",
        "lost": "backlog cut" if was_cut else f"{total('lost'):,}",
        "twice": f"{total('duplicates'):,}",
        "wrong counts": f"{total('session_errors'):,}",
    }


def _ratio(good: list[Run], others: list[Run], name: str, figure: Callable[[Run], float]) -> str:
    """Return the median of the ratios within each round to another contestant."""
    base = {run["round"]: figure(run) for run in others if run["contestant"] == name and "failed" not in run}
    ratios = [figure(run) / base[run["round"]] for run in good if base.get(run["round"])]
    return f"{statistics.median(ratios):.2f}" if ratios else ""


def _median(values: list[float], form: str) -> str:
    return form.format(statistics.median(values))


def _spread(values: list[float], form: str) -> str:
    middle = form.format(statistics.median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({form.format(min(values))} … {form.format(max(values))})"


def main() -> None:
    """Print the tables of a result, or write them into a page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("result", type=Path)
    parser.add_argument("--into", type=Path)
    options = parser.parse_args()
    text = page(json.loads(options.result.read_text("utf-8")))
    if options.into is None:
        print(text)
    else:
        write_between_markers(options.into, text)


if __name__ == "__main__":
    main()
