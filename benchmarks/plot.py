"""Draw a result as SVG files for the documentation: bars of rates, and how latencies are spread.

    python benchmarks/plot.py benchmarks/result/full.json [--folder docs/figure]

The colours are of middle brightness and the ground is clear, so that both a light and a dark page can carry them.
"""

import argparse
import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from roster import CONTESTANTS
from scenario import SCENARIOS, Scenario

__all__ = ["bars", "curves"]

Run = dict[str, Any]
INK, RULE = "#7d8590", "#7d859055"
COLOURS = {"ours": "#2f81f7", "bare": "#8b949e", "grammy": "#d4760b", "other": "#8957e5"}
DASHES = ("", "6 3", "2 3", "8 3 2 3")
FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"
WIDTH, NAME_WIDTH, LABEL_WIDTH, ROW, TOP = 840, 290, 110, 26, 52


@dataclass
class Bar:
    """One contestant: its median, and the smallest and largest of its rounds."""

    name: str
    title: str
    middle: float
    low: float
    high: float


def bars(title: str, unit: str, rows: list[Bar], form: str = "{:,.0f}", limit: float | None = None) -> str:
    """Return a drawing with a bar for each row, a whisker for its spread, and a line for a limit."""
    height = TOP + ROW * len(rows) + 14
    room = WIDTH - NAME_WIDTH - LABEL_WIDTH
    largest = max([row.high for row in rows] + ([limit] if limit else [])) or 1.0

    def x(value: float) -> float:
        return NAME_WIDTH + value / largest * room

    parts = [_text(0, 20, title, size=16, weight=600), _text(0, 39, unit, size=12)]
    for number, row in enumerate(rows):
        y = TOP + number * ROW
        middle = y + ROW / 2
        colour = COLOURS[_kind(row.name)]
        parts.append(_text(NAME_WIDTH - 10, middle + 4.5, row.title, anchor="end"))
        parts.append(
            f"<rect x='{NAME_WIDTH}' y='{y + 4}' width='{max(1.0, x(row.middle) - NAME_WIDTH):.1f}' "
            f"height='{ROW - 8}' rx='2' fill='{colour}'/>"
        )
        if row.high > row.low:
            parts.append(_line(x(row.low), middle, x(row.high), middle, INK, 1.5))
            parts += [_line(x(end), middle - 4, x(end), middle + 4, INK, 1.5) for end in (row.low, row.high)]
        place = x(row.high) + 8
        if limit is not None and abs(x(limit) - place - 25) < 45:
            place = x(limit) + 8
        parts.append(_text(place, middle + 4.5, form.format(row.middle), weight=600))
    if limit is not None:
        parts.append(_line(x(limit), TOP - 4, x(limit), height - 10, INK, 1.5, "4 3"))
        parts.append(
            _text(x(limit) + 4, TOP - 8, f"the most that the load allows: {limit:,.0f}", size=11, anchor="end")
        )
    return _drawing(height, title, parts)


def curves(title: str, lines: list[tuple[str, str, list[tuple[float, float]]]]) -> str:
    """Return a drawing with a curve for each contestant: the share of updates that took longer than a time.

    Args:
        title: the heading.
        lines: name, title, and points of milliseconds and share.
    """
    left, top, bottom, right = 70, TOP + 10, 400, WIDTH - 310
    height = bottom + 46
    points = [point for _, _, line in lines for point in line]
    first = math.floor(math.log10(min(ms for ms, _ in points)))
    last = math.ceil(math.log10(max(ms for ms, _ in points)))
    floor = 1e-4

    def x(ms: float) -> float:
        return left + (math.log10(ms) - first) / (last - first) * (right - left)

    def y(share: float) -> float:
        return top + math.log10(max(share, floor)) / math.log10(floor) * (bottom - top)

    parts = [_text(0, 20, title, size=16, weight=600), _text(0, 39, "share of updates that took longer", size=12)]
    for power in range(first, last + 1):
        parts.append(_line(x(10.0**power), top, x(10.0**power), bottom, RULE, 1))
        parts.append(_text(x(10.0**power), bottom + 18, _power(power), size=12, anchor="middle"))
    parts.append(
        _text((left + right) / 2, bottom + 38, "milliseconds until the answer has left", size=12, anchor="middle")
    )
    for share, name in ((1.0, "all"), (0.1, "10 %"), (0.01, "1 %"), (0.001, "0.1 %"), (0.0001, "0.01 %")):
        parts.append(_line(left, y(share), right, y(share), RULE, 1))
        parts.append(_text(left - 8, y(share) + 4, name, size=12, anchor="end"))
    seen: dict[str, int] = {}
    for number, (name, label, line) in enumerate(lines):
        kind = _kind(name)
        dash = DASHES[seen.get(kind, 0) % len(DASHES)]
        seen[kind] = seen.get(kind, 0) + 1
        path = " ".join(f"{x(ms):.1f},{y(share):.1f}" for ms, share in line)
        style = f"fill='none' stroke='{COLOURS[kind]}' stroke-width='2' stroke-dasharray='{dash}'"
        parts.append(f"<polyline points='{path}' {style}/>")
        place = top + 8 + number * 20
        parts.append(_line(right + 18, place, right + 50, place, COLOURS[kind], 2, dash))
        parts.append(_text(right + 58, place + 4, label, size=12))
    return _drawing(height, title, parts)


def rate_rows(scenario: Scenario, runs: list[Run]) -> list[Bar]:
    """Return the bars of a scenario, the fastest first."""
    rows = []
    for contestant in CONTESTANTS:
        rates = [run["main"]["rate"] for run in runs if run["contestant"] == contestant.name and "failed" not in run]
        if rates:
            middle = statistics.median(rates)
            rows.append(Bar(contestant.name, contestant.title, middle, min(rates), max(rates)))
    return sorted(rows, key=lambda row: -row.middle)


def latency_curve(runs: list[Run]) -> list[tuple[float, float]]:
    """Return the share of updates slower than each border of the histograms, all rounds together."""
    counts: dict[float, int] = {}
    for run in runs:
        for border_ms, count in run["main"]["histogram"]:
            counts[border_ms] = counts.get(border_ms, 0) + count
    total = sum(counts.values())
    slower, points = total, []
    for border_ms in sorted(counts):
        slower -= counts[border_ms]
        points.append((border_ms, slower / total))
    return points


def draw(result: dict[str, Any], folder: Path) -> list[Path]:
    """Write a file for each scenario that can be drawn, and return them."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for scenario in SCENARIOS:
        runs = [run for run in result["runs"] if run["scenario"] == scenario.name and "failed" not in run]
        if not runs:
            continue
        text = None
        if scenario.counts == "rate":
            text = bars(scenario.title, "updates per second", rate_rows(scenario, runs), limit=scenario.limit)
        elif scenario.counts == "latency":
            lines = []
            for contestant in CONTESTANTS:
                mine = [run for run in runs if run["contestant"] == contestant.name]
                if mine:
                    lines.append((contestant.name, contestant.title, latency_curve(mine)))
            text = curves(scenario.title, lines)
        if text is not None:
            file = folder / f"{scenario.name}.svg"
            file.write_text(text, "utf-8")
            written.append(file)
    return written


def _kind(name: str) -> str:
    kind = name.split("-")[0]
    return "bare" if kind == "c" else kind if kind in COLOURS else "other"


def _power(power: int) -> str:
    return f"{10.0**power:,.0f}" if power >= 0 else f"{10.0**power:.{-power}f}"


def _text(x: float, y: float, text: str, size: int = 13, weight: int = 400, anchor: str = "start") -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' font-weight='{weight}' text-anchor='{anchor}' "
        f"fill='{INK}'>{escape(text)}</text>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float, dash: str = "") -> str:
    dashes = f" stroke-dasharray='{dash}'" if dash else ""
    return (
        f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{colour}' "
        f"stroke-width='{width}'{dashes}/>"
    )


def _drawing(height: float, title: str, parts: list[str]) -> str:
    inside = "\n".join(parts)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height:.0f}' width='{WIDTH}' "
        f"height='{height:.0f}' {FONT} role='img' aria-label='{escape(title)}'>\n{inside}\n</svg>\n"
    )


def main() -> None:
    """Draw a result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("result", type=Path)
    parser.add_argument("--folder", type=Path, default=Path(__file__).resolve().parent.parent / "docs" / "figure")
    options = parser.parse_args()
    for file in draw(json.loads(options.result.read_text("utf-8")), options.folder):
        print(file)


if __name__ == "__main__":
    main()
