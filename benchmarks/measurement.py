"""One run: start the load server and a contestant, watch the window, and say what both used.

**Guarantees**: no process outlives its run; a contestant that fails is reported with the end of what it said.

**Assumes** Linux, and that nothing else of importance runs on the machine; the load average and the time stolen by
other virtual machines are part of each result.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from load_server.build import LoadServer
from roster import Contestant, Runtimes
from scenario import Scenario, Window

__all__ = ["Bench", "Failed", "await_calm", "measure"]

CONTESTANT_CORE = 0
SERVER_CORE = 1
TOKEN = "123456:" + "T" * 35
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A run gave no figure; the text says why."""


@dataclass(frozen=True)
class Bench:
    """What all runs share.

    Args:
        server: the load server.
        runtimes: what runs the contestants.
        window: how long a run takes.
        certificate: certificate and key of the server over TLS, and the authority to trust.
        loops: for each runtime, the rounds of work that take one microsecond there.
        python_path: folder that the Python of ours finds the checkout in, if it is not installed there.
        log: folder for what contestants print.
        drain_s: how long answers are awaited after the window. A contestant that has fetched more than it can answer
            in that time is ended while it still answers; its report is not ``complete``.
    """

    server: Path
    runtimes: Runtimes
    window: Window
    certificate: tuple[Path, Path, Path] | None
    loops: dict[str, float]
    python_path: Path | None
    log: Path
    drain_s: float = 30.0


def measure(bench: Bench, scenario: Scenario, contestant: Contestant) -> dict[str, Any]:
    """Run a contestant under a load once and return its figures. *Blocks* for the window and some seconds.

    Raises:
        Failed: there are none.
    """
    command = contestant.command(bench.runtimes)
    if command is None:
        raise Failed("what it needs is not here")
    log = bench.log / f"{scenario.name}-{contestant.name}.log"
    server_core = None if scenario.is_shared else SERVER_CORE
    cores = {CONTESTANT_CORE, SERVER_CORE} if scenario.is_shared else {CONTESTANT_CORE}
    options = _server_options(bench, scenario)
    with open(log, "wb") as output, LoadServer(options, cpu=server_core, binary=bench.server) as server:
        environment = _environment(bench, scenario, contestant, server)
        begun_s = time.monotonic()
        with _process(command, cores, output, environment) as entrant:
            try:
                return _watch(bench, scenario, entrant, server, begun_s)
            except Failed as failure:
                said = log.read_text("utf-8", "replace").strip()[-500:]
                raise Failed(f"{failure}; it said: {said}" if said else str(failure)) from None


def await_calm(share: float, timeout_s: float) -> None:
    """Wait until other programs take less than this share of a core. *Blocks* for half a second up to the time-out."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        begun_s, before_s = time.monotonic(), _cores_s()[0]
        time.sleep(0.5)
        if (_cores_s()[0] - before_s) / (time.monotonic() - begun_s) <= share:
            return


def _watch(
    bench: Bench, scenario: Scenario, entrant: subprocess.Popen[bytes], server: LoadServer, begun_s: float
) -> dict[str, Any]:
    window = bench.window
    result: dict[str, Any] = {}
    first_poll = _event(server, "first_poll", 60, entrant)
    result["first_poll_s"] = first_poll["t"] - begun_s
    if scenario.counts == "start":
        result["first_answer_s"] = _event(server, "first_answer", 60, entrant)["t"] - begun_s
        return result
    if scenario.counts == "idle":
        time.sleep(2.0)
        before = _Sample(entrant.pid, server.pid)
        time.sleep(window.idle_s)
        return result | _Sample(entrant.pid, server.pid).since(before)
    _event(server, "window_begin", window.warmup_s + 60, entrant)
    before = _Sample(entrant.pid, server.pid)
    # Without a fixed length (a number of updates) the slowest may take minutes.
    _event(server, "window_end", 300 if "--updates" in scenario.load else scenario.length_s(window) + 30, entrant)
    result |= _Sample(entrant.pid, server.pid).since(before)
    report = _event(server, "report", bench.drain_s + 30, entrant)
    result |= report
    answered = sum(report[group]["answered_in_window"] for group in ("main", "flooded") if group in report)
    if not answered:
        raise Failed("no answer in the window")
    result["cpu_us_per_update"] = result["cpu_s"] / answered * 1e6
    result["system_us_per_update"] = result["system_s"] / answered * 1e6
    result["switches_per_update"] = result["switches"] / answered
    return result


def _event(server: LoadServer, name: str, timeout_s: float, entrant: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Wait for an event of the server, as long as the contestant lives.

    Raises:
        Failed: it does not come in time, or one of the two has ended.
    """
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            return server.wait_for(name, 0.25)
        except TimeoutError:
            if entrant.poll() is not None:
                raise Failed(f"it ended with {entrant.returncode} before {name}") from None
            if time.monotonic() > deadline_s:
                raise Failed(f"no {name} within {timeout_s:.0f} s") from None
        except RuntimeError as error:
            raise Failed(str(error)) from None


class _Sample:
    """What contestant, server and everybody else have used so far."""

    def __init__(self, entrant: int, server: int) -> None:
        self.time_s = time.monotonic()
        self.resident_kb = self.peak_kb = 0
        self.cpu_s = self.system_s = 0.0
        self.switches = 0
        for member in _family(entrant):
            with contextlib.suppress(OSError):
                self.cpu_s += _cpu_s(member)
                self.system_s += _system_s(member)
                self.switches += _switches(member)
                status = _status(member)
                self.resident_kb += status["VmRSS"]
                self.peak_kb += status["VmHWM"]
        busy_s, self.stolen_s = _cores_s()
        self.foreign_s = busy_s - self.cpu_s - _cpu_s(server) - time.process_time()

    def since(self, before: "_Sample") -> dict[str, float]:
        """Return what was used in between, and the memory at the end."""
        length_s = self.time_s - before.time_s
        return {
            "cpu_s": self.cpu_s - before.cpu_s,
            "system_s": self.system_s - before.system_s,
            "switches": self.switches - before.switches,
            "cpu_share": (self.cpu_s - before.cpu_s) / length_s,
            "resident_mb": self.resident_kb / 1024,
            "peak_mb": self.peak_kb / 1024,
            "foreign_share": max(0.0, (self.foreign_s - before.foreign_s) / length_s),
            "stolen_share": (self.stolen_s - before.stolen_s) / length_s,
            "load_average": os.getloadavg()[0],
        }


def _cpu_s(pid: int) -> float:
    """Return the CPU time of a process; the clock is that of clock_getcpuclockid(3)."""
    return time.clock_gettime(~pid << 3 | 2)


def _system_s(pid: int) -> float:
    """Return how much CPU time a process has spent in the kernel, by the kernel's own accounts."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[12]) * _TICK_S


def _switches(pid: int) -> int:
    """Return how often the threads of a process that are there now went to sleep."""
    count = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        with contextlib.suppress(OSError):
            count += int(status.read_text().partition("\nvoluntary_ctxt_switches:")[2].split(None, 1)[0])
    return count


def _cores_s() -> tuple[float, float]:
    """Return how long the two cores were busy, and how long other virtual machines had them."""
    busy = stolen = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name in (f"cpu{CONTESTANT_CORE}", f"cpu{SERVER_CORE}"):
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
            busy += user + nice + system + irq + softirq
            stolen += steal
    return busy * _TICK_S, stolen * _TICK_S


def _family(pid: int) -> list[int]:
    members = [pid]
    with contextlib.suppress(OSError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                members += _family(int(child))
    return members


def _status(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS:", "VmHWM:"))}


def _server_options(bench: Bench, scenario: Scenario) -> list[str]:
    options = [*scenario.arguments(bench.window), "--drain-s", f"{bench.drain_s:g}"]
    if scenario.is_tls:
        if bench.certificate is None:
            raise Failed("no certificate could be made")
        options += ["--tls", str(bench.certificate[0]), str(bench.certificate[1])]
    return options


def _environment(bench: Bench, scenario: Scenario, contestant: Contestant, server: LoadServer) -> dict[str, str]:
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "LANG": "C.UTF-8",
        "API_ROOT": server.api_root,
        "BOT_TOKEN": TOKEN,
        **contestant.settings(scenario),
    }
    if bench.python_path is not None and contestant.runtime.startswith("ours"):
        environment["PYTHONPATH"] = str(bench.python_path)
    if scenario.has_session:
        environment["SESSION"] = "1"
    if scenario.cpu_us:
        if contestant.runtime not in bench.loops:
            raise Failed("its runtime was not calibrated")
        environment["CPU_LOOPS"] = str(round(bench.loops[contestant.runtime] * scenario.cpu_us))
    if scenario.is_tls and bench.certificate is not None:
        environment["CA_FILE"] = str(bench.certificate[2])
    return environment


@contextlib.contextmanager
def _process(
    command: list[str], cores: set[int], output: IO[bytes], environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process on some cores, and end it when the block is left."""
    usual = os.sched_getaffinity(0)
    # A child begins where its parent is; nothing has to run between fork and exec.
    os.sched_setaffinity(0, cores)
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
    finally:
        os.sched_setaffinity(0, usual)
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
