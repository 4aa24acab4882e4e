"""Who takes part: how each contestant is started, and with which settings it is best."""

from dataclasses import dataclass, field
from pathlib import Path

from scenario import Scenario

__all__ = ["CONTESTANTS", "Contestant", "Runtimes", "select"]

_FOLDER = Path(__file__).parent / "contestant"


@dataclass(frozen=True)
class Runtimes:
    """The programs that run contestants; None: cannot be had here."""

    ours: Path | None
    ours_free_threaded: Path | None
    peers: Path | None
    node: Path | None
    grammy: Path | None
    capacity: Path | None


@dataclass(frozen=True)
class Contestant:
    """One program that answers.

    Args:
        name: how it is chosen on the command line.
        title: its name in the tables.
        runtime: the field of `Runtimes` that runs it.
        file: its file in ``contestant/``.
        environment: what it is told besides.
        best: what else it is told in a kind of load (`Scenario.kind`), because it was better there than without.
        keeps_order: whether it promises the order of a chat.
    """

    name: str
    title: str
    runtime: str
    file: str
    environment: dict[str, str] = field(default_factory=dict)
    best: dict[str, dict[str, str]] = field(default_factory=dict)
    keeps_order: bool = False

    def command(self, runtimes: Runtimes) -> list[str] | None:
        """Return its command line; None if what it needs is not there."""
        program: Path | None = getattr(runtimes, self.runtime)
        if program is None:
            return None
        if self.runtime == "capacity":
            return [str(program)]
        if self.runtime == "node":
            return [str(program), str(runtimes.grammy / self.file)] if runtimes.grammy else None
        return [str(program), str(_FOLDER / self.file)]

    def settings(self, scenario: Scenario) -> dict[str, str]:
        """Return its settings in a scenario, as environment variables."""
        return {"CONCURRENCY": "500"} | self.environment | self.best.get(scenario.kind, {})

    def takes_part(self, scenario: Scenario) -> bool:
        """Say whether it belongs to a scenario."""
        return not scenario.entrants or self.name in scenario.entrants


_FEW_THREADS = {"busy": {"CONCURRENCY": "8"}}

CONTESTANTS = (
    Contestant("c-loop", "C, one thread, epoll", "capacity", "", keeps_order=True),
    Contestant("ours", "runner_c, 3.11", "ours", "ours.py", keeps_order=True),
    Contestant("ours-done", 'runner_c, 3.11, ack="done"', "ours", "ours.py", {"ACK": "done"}, keeps_order=True),
    Contestant("ours-store", "runner_c, 3.11, store", "ours", "ours.py", {"STORE": "sqlite"}, keeps_order=True),
    Contestant("ours-free-threaded", "runner_c, 3.13t", "ours_free_threaded", "ours.py", keeps_order=True),
    Contestant(
        "ours-store-free-threaded",
        "runner_c, 3.13t, store",
        "ours_free_threaded",
        "ours.py",
        {"STORE": "sqlite"},
        keeps_order=True,
    ),
    Contestant("bare", "bare threads, 3.11", "ours", "bare_threads.py", best=_FEW_THREADS),
    Contestant("bare-free-threaded", "bare threads, 3.13t", "ours_free_threaded", "bare_threads.py", best=_FEW_THREADS),
    Contestant("bare-http-client", "http.client in threads, 3.11", "ours", "http_client_threads.py", best=_FEW_THREADS),
    Contestant("grammy-start", "grammY start", "node", "start.mjs", keeps_order=True),
    Contestant("grammy-runner", "grammY runner", "node", "runner.mjs"),
    Contestant("grammy-ordered", "grammY runner, sequentialize, session", "node", "ordered.mjs", keeps_order=True),
    Contestant("grammy-distribute", "grammY runner, distribute", "node", "distribute.mjs"),
    Contestant(
        "aiogram",
        "aiogram",
        "peers",
        "aiogram_polling.py",
        best={"busy": {"CONCURRENCY": "8"}, "waiting": {"CONCURRENCY": "200"}},
    ),
    Contestant(
        "pytelegrambotapi",
        "pyTelegramBotAPI",
        "peers",
        "pytelegrambotapi.py",
        {"CONCURRENCY": "64"},
        {"waiting": {"CONCURRENCY": "256"}},
    ),
    Contestant(
        "python-telegram-bot",
        "python-telegram-bot",
        "peers",
        "python_telegram_bot.py",
        {"CONCURRENCY": "64"},
        {"busy": {"CONCURRENCY": "1"}, "waiting": {"CONCURRENCY": "24", "POLL_INTERVAL": "0.3"}},
    ),
)


def select(names: list[str]) -> list[Contestant]:
    """Return the contestants of these names, in their own order; all when there is no name.

    Raises:
        ValueError: there is no such contestant.
    """
    known = {contestant.name for contestant in CONTESTANTS}
    if unknown := set(names) - known:
        raise ValueError(f"no such contestant: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    chosen = set(names) or known
    return [contestant for contestant in CONTESTANTS if contestant.name in chosen]
