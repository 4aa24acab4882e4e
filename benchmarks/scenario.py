"""What is measured: the load, what the machine is shared like, and what counts."""

from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "SCENARIOS", "Scenario", "Window", "select"]


@dataclass(frozen=True)
class Window:
    """How long one run takes, in seconds, and how many updates one of a fixed size has."""

    warmup_s: float
    length_s: float
    idle_s: float
    updates: int


QUICK = Window(warmup_s=2.0, length_s=3.0, idle_s=5.0, updates=20_000)
FULL = Window(warmup_s=4.0, length_s=10.0, idle_s=10.0, updates=20_000)


@dataclass(frozen=True)
class Scenario:
    """One kind of load.

    Args:
        name: how it is chosen on the command line.
        title: heading of its table.
        why: what it is about, in a sentence.
        load: arguments of the load server. ``{warmup}``, ``{seconds}`` and ``{updates}`` are filled in.
        counts: what its table is about: "rate", "latency", "idle" or "start".
        is_shared: whether contestant and server may use both cores; otherwise each has one of its own.
        has_session: whether a counter per chat is kept and checked.
        cpu_us: work of each handler, in µs of CPU, on data of its own; 0: none.
        is_tls: whether all goes over TLS, with certificate checks.
        limit: the most updates/s that the load allows anybody, if it has such a limit.
        entrants: names of contestants that take part; empty: all.
        pair: name of the scenario that this one is to be compared with.
    """

    name: str
    title: str
    why: str
    load: tuple[str, ...]
    counts: str = "rate"
    is_shared: bool = False
    has_session: bool = False
    cpu_us: int = 0
    is_tls: bool = False
    limit: float | None = None
    entrants: tuple[str, ...] = ()
    pair: str | None = None

    @property
    def kind(self) -> str:
        """Name the kind of load, which decides on the best settings.

        "steady": updates come at a rate, one now and then, or not at all. Otherwise there is always something to
        fetch, and calls take time ("waiting") or are answered at once ("busy").
        """
        if "--rate" in self.load or self.counts in ("idle", "start"):
            return "steady"
        return "waiting" if "--latency-ms" in self.load else "busy"

    def length_s(self, window: Window) -> float:
        """Return the length of its window: longer than usual where that many updates would not tell.

        A p99 needs many. Handlers that compute end in bunches where 500 of them share the cores.
        """
        return window.length_s * (4 if self.counts == "latency" or self.cpu_us else 1)

    def arguments(self, window: Window) -> list[str]:
        """Return the arguments of the load server."""
        seconds = self.length_s(window)
        values = {"warmup": window.warmup_s, "seconds": seconds, "updates": window.updates}
        return [part.format(**values) for part in self.load]


_TIMED = ("--warmup-s", "{warmup}", "--seconds", "{seconds}")
_ECHO = ("--chats", "1000", *_TIMED)
_NETWORK = ("--chats", "1000", "--latency-ms", "50", *_TIMED)
_OPEN = ("--chats", "200", "--gather-ms", "0", "--rate", "300", "--poisson", "7", "--latency-ms", "20", *_TIMED)
_FLOOD = ("--chats", "200", "--gather-ms", "0", "--rate", "300", "--poisson", "7", "--latency-ms", "5", *_TIMED)
_HOT = ("--chats", "20", "--latency-ms", "5", *_TIMED)
_MIXED = ("--chats", "1000", "--latency-ms", "5", *_TIMED)
_OURS = ("ours", "ours-free-threaded")
_STORED = ("ours-store", "ours-store-free-threaded")
_BEST = (*_OURS, "bare", "grammy-runner", "pytelegrambotapi")
_ORDERED = (*_OURS, *_STORED, "ours-done", "bare", "grammy-ordered", "aiogram", "pytelegrambotapi")
_STEADY = (*_OURS, *_STORED, "bare", "grammy-runner", "grammy-ordered", "pytelegrambotapi")
_COMPUTING = (*_OURS, "bare-free-threaded")
_OVER_TLS = (*_OURS, "grammy-runner", "pytelegrambotapi")
_CALM = (*_OURS, "bare", "grammy-runner", "pytelegrambotapi")

SCENARIOS = (
    Scenario(
        "cold",
        "Saturation, from the start",
        "An echo bot starts and finds many updates of 1,000 chats waiting. Nothing is warm; the clock runs from its "
        "first poll to its last answer.",
        ("--chats", "1000", "--updates", "{updates}"),
        entrants=(*_BEST, "grammy-start", "grammy-distribute"),
    ),
    Scenario(
        "echo",
        "Saturation, once warm",
        "An echo bot, 1,000 chats, always something to fetch; a core for the bot, another for the server.",
        _ECHO,
    ),
    Scenario(
        "session",
        "Saturation with a session",
        "As before, with a counter in a session of each chat, which the server checks.",
        (*_ECHO, "--session"),
        has_session=True,
        entrants=_ORDERED,
    ),
    Scenario(
        "network",
        "A network of 50 ms",
        "Each call takes 50 ms until its reply is there; 500 at the same time allow 10,000 updates/s.",
        _NETWORK,
        limit=10_000.0,
        entrants=(*_BEST, "aiogram"),
    ),
    Scenario(
        "hot",
        "Twenty busy chats with a session",
        "20 chats, calls of 5 ms, a counter per chat. In order, one at a time per chat, that allows 4,000 updates/s; "
        "what goes beyond breaks the order.",
        (*_HOT, "--session"),
        has_session=True,
        limit=4_000.0,
        entrants=_ORDERED,
    ),
    Scenario(
        "open",
        "300 updates/s at random moments",
        "Arrivals at random moments (Poisson), 200 chats, calls of 20 ms. Latency is from the moment an update is "
        "there to the moment its answer has left.",
        _OPEN,
        counts="latency",
        entrants=(*_STEADY, "ours-done", "bare-http-client", "aiogram"),
    ),
    Scenario(
        "calm",
        "300 updates/s without a flood",
        "The base of the next one: calls of 5 ms.",
        _FLOOD,
        counts="latency",
        entrants=_CALM,
    ),
    Scenario(
        "flood",
        "300 updates/s, and one chat sends 1,000 at once",
        "The same, and half a second into the window one chat sends 1,000 messages. Latency is that of the others.",
        (*_FLOOD, "--flood", "0:1000@0.5"),
        counts="latency",
        pair="calm",
        entrants=_CALM,
    ),
    Scenario(
        "cpu-1",
        "Handlers that compute for 2 ms, one core",
        "Each handler computes for about 2 ms of its runtime on data of its own.",
        _ECHO,
        cpu_us=2000,
        entrants=_COMPUTING,
    ),
    Scenario(
        "cpu-2",
        "Handlers that compute for 2 ms, two cores",
        "The same on both cores.",
        _ECHO,
        is_shared=True,
        cpu_us=2000,
        pair="cpu-1",
        entrants=_COMPUTING,
    ),
    Scenario(
        "mixed-1",
        "Handlers that compute for 0.2 ms and wait for a call of 5 ms, one core",
        "Each handler computes for about 0.2 ms of its runtime on data of its own, then calls.",
        _MIXED,
        cpu_us=200,
        entrants=_COMPUTING,
    ),
    Scenario(
        "mixed-2",
        "Handlers that compute for 0.2 ms and wait for a call of 5 ms, two cores",
        "The same on both cores.",
        _MIXED,
        is_shared=True,
        cpu_us=200,
        entrants=_COMPUTING,
        pair="mixed-1",
    ),
    Scenario(
        "both",
        "Saturation, both cores open to all",
        "The echo bot with nothing pinned: bot and server share both cores.",
        _ECHO,
        is_shared=True,
        entrants=(*_STEADY, "bare-free-threaded"),
    ),
    Scenario(
        "idle",
        "Idle",
        "CPU and memory of a bot that waits in a long poll.",
        ("--chats", "1000", "--idle"),
        counts="idle",
        entrants=(*_BEST, "aiogram", "python-telegram-bot"),
    ),
    Scenario(
        "start",
        "Start",
        "From the start of the process to its first answer, one update waiting.",
        ("--chats", "1000", "--one"),
        counts="start",
        entrants=(*_BEST, "aiogram", "python-telegram-bot"),
    ),
    Scenario(
        "tls-echo",
        "Saturation over TLS",
        "As `echo`, over TLS with a certificate of its own authority; everybody checks it.",
        _ECHO,
        is_tls=True,
        entrants=_OVER_TLS,
    ),
    Scenario(
        "tls-network",
        "A network of 50 ms over TLS",
        "As `network`, over TLS.",
        _NETWORK,
        is_tls=True,
        limit=10_000.0,
        entrants=_OVER_TLS,
    ),
    Scenario(
        "tls-hot",
        "Twenty busy chats with a session over TLS",
        "As `hot`, over TLS.",
        (*_HOT, "--session"),
        has_session=True,
        is_tls=True,
        limit=4_000.0,
        entrants=(*_OURS, "grammy-ordered", "pytelegrambotapi"),
    ),
    Scenario(
        "tls-open",
        "300 updates/s at random moments over TLS",
        "As `open`, over TLS.",
        _OPEN,
        counts="latency",
        is_tls=True,
        entrants=_OVER_TLS,
    ),
    Scenario(
        "tls-both",
        "Saturation over TLS, both cores open to all",
        "As `both`, over TLS.",
        _ECHO,
        is_shared=True,
        is_tls=True,
        entrants=_OVER_TLS,
    ),
)


def select(names: list[str]) -> list[Scenario]:
    """Return the scenarios of these names, in their own order; all when there is no name.

    Raises:
        ValueError: there is no such scenario.
    """
    known = {scenario.name for scenario in SCENARIOS}
    if unknown := set(names) - known:
        raise ValueError(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    chosen = set(names) or known
    return [scenario for scenario in SCENARIOS if scenario.name in chosen]
