"""Bots that die again and again on one store, people who write meanwhile, and what must be left in the end."""

import array
import importlib.util
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import TimeoutExpired
from typing import TYPE_CHECKING, Any

import pytest

import runner_c
from pyruntime.testing import Call, FakeBotApi
from runner_c.store.sqlite.owner import HEADER

if TYPE_CHECKING:
    from tests.conftest import Program

BOT = Path(__file__).parent / "bots" / "ledger.py"
BANNER = "stop with Ctrl-C"
FAULT_POINTS = (
    "handled",
    "recorded",
    "push.begun",
    "push.durable",
    "settle.begun",
    "settle.durable",
    "claim.begun",
    "claim.done",
)
spec = importlib.util.spec_from_file_location("crash_ledger", Path(__file__).parent / "ledger.py")
assert spec is not None
assert spec.loader is not None
ledger_module = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = ledger_module
spec.loader.exec_module(ledger_module)

KEPT = 50
"""How many of the last numbers the bot keeps in a session."""


def has_fault_points() -> bool:
    """Tell whether the engine is built with the places where it can be made to die."""
    try:
        from runner_c import _fault
    except ImportError:
        return False
    return bool(_fault.is_compiled())


class People:
    """People in many chats who write numbers to the bot. The texts go up by one, over all chats.

    Thread-safety: one thread writes at a time.
    """

    def __init__(self, api: FakeBotApi) -> None:
        self.api = api
        self.count = 0
        self.written: dict[int, list[int]] = defaultdict(list)
        self._last: set[int] = set()

    def write(self, chats: Iterable[int], word: str = "") -> list[int]:
        """Write one message in each of these chats, in this order; return their numbers."""
        updates, numbers = [], []
        for chat in chats:
            numbers.append(self.count)
            self.written[chat].append(self.count)
            person = {"id": chat, "first_name": f"User {chat}"}
            message = {
                "message_id": self.count + 1,
                "from": {**person, "is_bot": False},
                "chat": {**person, "type": "private"},
                "date": 1_700_000_000,
                "text": f"{self.count} {word}".strip(),
            }
            updates.append({"message": message})
            self.count += 1
        self.api.push_many(updates)
        return numbers

    @contextmanager
    def writing(self, rng: random.Random, chats: int, every_s: float = 0.08) -> Iterator[None]:
        """Have a few messages written in random chats all the time: one in three in the first, which is busy."""
        chance = random.Random(rng.random())
        is_over = threading.Event()

        def write() -> None:
            while not is_over.wait(every_s * chance.uniform(0.5, 1.5)):
                count = chance.choice((1, 1, 1, 2, 3, 8))
                self.write(1 if chance.random() < 0.3 else chance.randint(2, chats) for _ in range(count))

        thread = threading.Thread(target=write, name="people")
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def write_last(self) -> None:
        """Write in each chat one last message, which never fails: its answer says that the chat is done with."""
        self._last.update(self.write(sorted(self.written), "last"))

    def wait_for_last(self, timeout_s: float = 120.0) -> None:
        """Wait until all last messages are answered.

        Raises: TimeoutError.
        """
        left = set(self._last)

        def is_all(call: Call) -> bool:
            if is_answer(call):
                left.discard(answered(call))
            return not left

        self.api.wait_for(is_all, 1, timeout_s)


def is_answer(call: Call) -> bool:
    """Tell whether a call is an answer that the server took."""
    return call.method == "sendMessage" and call.result is not None


def answered(call: Call) -> int:
    """Return the number that an answer is to."""
    return int(call.parameters["text"].split()[0])


def number_of(update: dict[str, Any]) -> int:
    """Return the number of a message."""
    return int(update["message"]["text"].split()[0])


def wait_for_banner_or_death(program: "Program", timeout_s: float = 60.0) -> None:
    """Wait until a program runs or has died."""
    latest = time.monotonic() + timeout_s
    while program.process.poll() is None:
        try:
            program.wait_for(BANNER, timeout_s=0.1)
            return
        except AssertionError:
            assert time.monotonic() < latest, program.err


@dataclass(frozen=True)
class Letter:
    """A dead letter: the number of the message, and what the store says of it."""

    number: int
    attempts: int
    error: str


class World:
    """One store, one ledger, and the lives of the bot that uses them.

    Attributes: `program`, the present or last life; `lives`, how many there were; `ends`, what they ended by;
    `errors`, what those that are over wrote to stderr.
    """

    def __init__(self, api: FakeBotApi, people: People, launch: "Callable[..., Program]", folder: Path) -> None:
        self.api = api
        self.people = people
        self.folder = folder / "store"
        self.folder.mkdir()
        self.url = f"sqlite:{self.folder / 'bot.db'}"
        self.lives = 0
        self.ends: Counter[str] = Counter()
        self.errors: list[str] = []
        self.program: Program | None = None
        self._ledger = folder / "ledger"
        self._marked: dict[int, int] = {}
        self._launch = launch

    # Living

    def start(self, *options: str, waits: bool = True, **variables: str) -> "Program":
        """Begin a life; wait for its banner, unless told not to. Keyword arguments are environment variables."""
        self.lives += 1
        variables = {
            "BOT_TOKEN": self.api.token,
            "BOT_API_ROOT": self.api.url,
            "LEDGER": str(self._ledger),
            "LIFE": str(self.lives),
            **variables,
        }
        program = self._launch("-m", "runner_c", str(BOT), "--store", self.url, *options, **variables)
        self.program = program
        if waits:
            program.wait_for(BANNER)
        return program

    def bury(self, cause: str) -> int:
        """Note the end of the present life, waiting for it; return its exit code."""
        assert self.program is not None
        code = self.program.wait(60.0)
        self.errors.append(self.program.err)
        self.program.close()
        self._marked[self.lives + 1] = self._count_marks()
        self.ends[cause] += 1
        return code

    def _count_marks(self) -> int:
        """Count the updates that the last life had marked as running; see `runner_c.store.sqlite.owner`."""
        file = self.folder / "bot.db-runner"
        words = array.array("q", file.read_bytes() if file.exists() else b"")
        return len(set(words[HEADER:]) - {0})

    def live_and_die(self, after_s: float, *options: str, since: str = "banner", **variables: str) -> None:
        """Live until a `kill -9`, so long after the banner (or since the `start` of the process), or a death before."""
        program = self.start(*options, waits=False, **variables)
        if since == "banner":
            wait_for_banner_or_death(program)
        try:
            program.process.wait(after_s)
        except TimeoutExpired:
            program.send(signal.SIGKILL)
            cause = f"{since} killed"
        else:
            cause = "died at a fault point"
        assert self.bury(cause) == -signal.SIGKILL, program.err

    def finish(self, *options: str, **variables: str) -> None:
        """Live until everything is handled, and stop with TERM."""
        program = self.start(*options, **variables)
        self.people.write_last()
        try:
            self.people.wait_for_last()
        except TimeoutError as error:
            raise AssertionError(f"{error}\nstderr ends with:\n{program.err[-5000:]}") from None
        code = program.stop()
        assert code == 0, program.err
        self.bury("stopped")

    def is_done_before_death(self, timeout_s: float = 120.0) -> bool:
        """Wait until all last messages are answered, or the present life has died; return whether they are."""
        assert self.program is not None
        latest = time.monotonic() + timeout_s
        while time.monotonic() < latest:
            try:
                self.people.wait_for_last(0.05)
            except TimeoutError:
                if self.program.process.poll() is not None:
                    return False
            else:
                return True
        raise AssertionError(f"it neither ended nor died: {self.program.err}")

    # What is left

    def ledger(self) -> Any:
        """Return the ledger as it is now."""
        return ledger_module.Ledger(self._ledger)

    def dead_letters(self) -> list[Letter]:
        """Return what the store gave up."""
        store = runner_c.open_store(self.url)
        try:
            letters, after = [], 0
            while found := store.dead.list(after=after):
                letters += [Letter(number_of(one.update), one.attempts, one.error) for one in found]
                after = found[-1].number
            assert len(letters) == store.counts().dead
            return letters
        finally:
            store.close()

    def assert_journal_empty(self) -> None:
        """Check that the store holds no update that is not done with."""
        store = runner_c.open_store(self.url)
        try:
            counts = store.counts()
            assert (counts.waiting, counts.given) == (0, 0), counts
        finally:
            store.close()

    def sessions(self) -> dict[int, dict[str, Any]]:
        """Return the session of each chat as the store has it."""
        store = runner_c.open_store(self.url)
        try:
            found = store.load([str(chat) for chat in self.people.written])
            return {int(key): json.loads(value.value) for key, value in found.items()}
        finally:
            store.close()

    # What must hold

    def assert_all_done(self, dead: Iterable[int] = (), is_retrying: bool = False) -> None:
        """Check everything at the end: each update done or dead, each chat in order, each session right.

        Args:
            dead: the numbers of the dead letters.
            is_retrying: an update may be tried more than once in a life.
        """
        ledger = self.ledger()
        self.assert_journal_empty()
        assert self.api.pending_count() == 0
        ledger.check_chats(self.people.written, dead, is_retrying)
        answers = {answered(call) for call in self.api.calls if is_answer(call)}
        sessions = self.sessions()
        for chat, numbers in self.people.written.items():
            done = [number for number in numbers if number not in dead]
            assert answers.issuperset(done)
            session = sessions.get(chat, {})
            shown = f"chat {chat}: {len(done)} are done, {done[-3:]} were the last; the session is {session}"
            assert session.get("count", 0) == len(done), shown
            assert session.get("recent", []) == done[-KEPT:], shown

    def assert_suspects_first_and_alone(self, dead: Iterable[int] = ()) -> None:
        """Check how each life went on with what ran when the one before died; `dead` are the dead letters."""
        self.ledger().check_suspects(self._marked, set(dead))

    def figures(self) -> str:
        """Sum up."""
        people = self.people
        return f"{people.count} updates in {len(people.written)} chats; {dict(self.ends)}; {self.ledger().figures()}"


@pytest.fixture
def api() -> Iterator[FakeBotApi]:
    """Serve the Bot API on a free port."""
    with FakeBotApi(max_calls=10_000_000) as server:
        yield server


@pytest.fixture
def people(api: FakeBotApi) -> People:
    """Return people who write to the bot."""
    return People(api)


@pytest.fixture
def world(api: FakeBotApi, people: People, launch: "Callable[..., Program]", tmp_path: Path) -> World:
    """Return a store, a ledger and a bot that is not running yet."""
    return World(api, people, launch, tmp_path)


@pytest.fixture
def read_ledger() -> Callable[[Path], Any]:
    """Return what reads a ledger and checks it."""
    return ledger_module.Ledger  # type: ignore[no-any-return]


@pytest.fixture
def rng() -> random.Random:
    """Return a source of chance whose seed is shown when the test fails, and which CRASH_SEED fixes."""
    seed = int(os.environ.get("CRASH_SEED") or random.randrange(1_000_000))
    print(f"seed {seed}")
    return random.Random(seed)


@pytest.fixture
def pace() -> Callable[[float], None]:
    """Return a function that lets time go by between two acts of the world outside: for load, not to synchronise."""
    never = threading.Event()

    def wait(seconds: float) -> None:
        never.wait(seconds)

    return wait


@pytest.fixture
def faults(rng: random.Random) -> Callable[[], dict[str, str]]:
    """Return a function that chooses where in the engine the next life may die; it returns the environment for that.

    Empty in a build without fault points: the test then kills at random moments only, and says so.
    """
    if not has_fault_points():
        print("this build has no fault points: kills at random moments only")
        return dict
    chance = random.Random(rng.random())

    def choose() -> dict[str, str]:
        if chance.random() < 0.3:
            return {}
        return {"RUNNER_C_FAULT": f"{chance.choice(FAULT_POINTS)}:{chance.choice((0.01, 0.1, 0.5))}"}

    return choose
