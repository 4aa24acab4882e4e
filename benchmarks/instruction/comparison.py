"""The counts that are kept in the repository, and what is said when others are found."""

import json
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Book", "Entry", "differences", "judge", "platform_name", "table"]

ABOUT = (
    "Instructions per update, by part. benchmarks/instructions.py --update writes this file, --check fails when a part "
    "takes more than tolerance_percent more. spread_percent is what the runs behind a count differed by."
)


def platform_name() -> str:
    """Return the name of this Python version and architecture, such as ``cpython-311-x86_64-linux-gnu``."""
    return str(sysconfig.get_config_var("SOABI"))


@dataclass(frozen=True)
class Entry:
    """The counts of one Python version and architecture.

    Args:
        environment: what they were made with, see `environment.describe`.
        counts: instructions per update of each part.
        spread_percent: by how much the runs of each part differed that the count was chosen from.
    """

    environment: dict[str, str]
    counts: dict[str, int]
    spread_percent: dict[str, float] = field(default_factory=dict)


class Book:
    """The file of the counts.

    Args:
        path: where it is; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        told: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        self.tolerance_percent = float(told.get("tolerance_percent", 3.0))
        self._entries = {name: Entry(**entry) for name, entry in told.get("kept", {}).items()}

    def find(self, platform: str) -> Entry | None:
        """Return the counts of a platform, or None."""
        return self._entries.get(platform)

    def keep(self, platform: str, entry: Entry) -> None:
        """Replace the counts of a platform, in the file too."""
        self._entries[platform] = entry
        kept = {name: vars(self._entries[name]) for name in sorted(self._entries)}
        told = {"about": ABOUT, "tolerance_percent": self.tolerance_percent, "kept": kept}
        self._path.write_text(json.dumps(told, indent=2) + "\n")


def differences(kept: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Return a line for each thing that is not as it was when the counts were made."""
    return [
        f"{name}: {kept.get(name, 'unknown')} there, {here.get(name, 'unknown')} here"
        for name in sorted(kept.keys() | here.keys())
        if kept.get(name) != here.get(name)
    ]


def judge(kept: Mapping[str, int], now: Mapping[str, int], tolerance_percent: float) -> list[str]:
    """Return an error for each part of `now` that takes more than is tolerated, or of which nothing is kept."""
    errors = []
    for part, count in now.items():
        if part not in kept:
            errors.append(f"{part}: {count:,} instructions per update, and no count of it is kept")
        elif count > kept[part] * (1 + tolerance_percent / 100):
            errors.append(
                f"{part}: {kept[part]:,} instructions per update are kept, and now it takes {count:,}: "
                f"{_change_percent(kept[part], count):+.1f} %, of which {tolerance_percent:g} % are tolerated"
            )
    return errors


def table(kept: Mapping[str, int], now: Mapping[str, int]) -> list[str]:
    """Return the counts as lines of text."""
    lines = [f"{'part':<18}{'kept':>10}{'now':>10}{'change':>10}"]
    for part, count in now.items():
        before = f"{kept[part]:,}" if part in kept else "-"
        change = f"{_change_percent(kept[part], count):+.2f} %" if part in kept else "-"
        lines.append(f"{part:<18}{before:>10}{count:>10,}{change:>10}")
    return lines


def _change_percent(before: int, now: int) -> float:
    return (now / before - 1) * 100
