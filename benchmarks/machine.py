"""Say on what a figure was measured."""

import os
import platform
import sys


def describe() -> str:
    """Return one line on the Python and the machine."""
    gil = "with the GIL" if getattr(sys, "_is_gil_enabled", lambda: True)() else "free-threaded"
    return f"Python {platform.python_version()} {gil}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def resident_kb() -> int:
    """Return the resident memory of this process in KB (Linux)."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def facts() -> dict[str, object]:
    """Return what a result should say about the machine (Linux)."""
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        models = {line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")}
    return {
        "cores": os.cpu_count(),
        "model": ", ".join(sorted(models)) or platform.machine(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_average_before": os.getloadavg()[0],
    }
