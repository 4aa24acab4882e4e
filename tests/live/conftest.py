"""Real bots in processes of their own, a fake Bot API server in this one, and what the transcript proves."""

import os
import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import runner_c
from pyruntime.testing import Call, FakeBotApi

if TYPE_CHECKING:
    from tests.conftest import Program

TOKEN = "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"
BOTS = Path(__file__).parent / "bots"
INSTALLED_IN = Path(next(iter(runner_c.__path__))).parent


@dataclass(frozen=True)
class Answer:
    """What the bot `answer.py` sent: which message it answered, in which life, and what it saw of itself."""

    chat_id: int
    number: int
    life: str
    most_running: int
    overlaps: int
    at_ns: int


class Crowd:
    """People in many chats who write numbers to the bot, and what it answered them.

    Thread-safety: one thread writes, any reads.
    """

    def __init__(self, api: FakeBotApi) -> None:
        self.api = api
        self.count = 0
        self.written: dict[int, list[int]] = defaultdict(list)
        self.written_at_ns: dict[int, int] = {}

    def write(self, chat_ids: Iterable[int]) -> None:
        """Write one message in each of these chats, in this order; their texts are numbers that go up by one."""
        updates = []
        for chat_id in chat_ids:
            self.written[chat_id].append(self.count)
            updates.append(message(chat_id, str(self.count)))
            self.count += 1
        self.api.push_many(updates)

    def write_in_turn(self, chats: int, each: int, rng: random.Random) -> None:
        """Write `each` messages in each of `chats` chats, in a random order."""
        order = [chat_id for chat_id in range(1, chats + 1) for _ in range(each)]
        rng.shuffle(order)
        self.write(order)

    def wait_for_answers(self, count: int | None = None, timeout_s: float = 60.0) -> list[Answer]:
        """Wait until so many messages (default: all that were written) are answered; return all answers so far."""
        self.api.wait_for(was_sent, self.count if count is None else count, timeout_s)
        return self.answers()

    def answers(self) -> list[Answer]:
        """Return the answers so far, in the order of their arrival."""
        return [read_answer(call) for call in self.api.calls if was_sent(call)]

    def assert_answered_once_in_order(self, answers: list[Answer] | None = None) -> None:
        """Check that each message of each chat has one answer, in the order of the messages."""
        found: dict[int, list[int]] = defaultdict(list)
        for answer in self.answers() if answers is None else answers:
            found[answer.chat_id].append(answer.number)
        wrong = {chat: (numbers, found[chat]) for chat, numbers in self.written.items() if numbers != found[chat]}
        assert not wrong, f"{len(wrong)} chats differ, such as {next(iter(wrong.items()))}"
        assert found.keys() == self.written.keys()

    def assert_never_overlapping(self, latency_s: float) -> None:
        """Check that no two handlers of a chat ran at once.

        The server holds each reply back for `latency_s`, so a handler is busy at least so long after its call
        arrived; and the bot itself counted how often it met another handler of the same chat.
        """
        last_ns: dict[int, int] = {}
        for answer in self.answers():
            assert answer.overlaps == 0
            before_ns = last_ns.get(answer.chat_id)
            assert before_ns is None or answer.at_ns - before_ns >= latency_s * 1e9, answer
            last_ns[answer.chat_id] = answer.at_ns


def message(chat_id: int, text: str) -> dict[str, Any]:
    """Return an update, without id, with a text message of a private chat."""
    person = {"id": chat_id, "first_name": f"User {chat_id}"}
    return {
        "message": {
            "message_id": 1,
            "from": {**person, "is_bot": False},
            "chat": {**person, "type": "private"},
            "date": 1_700_000_000,
            "text": text,
        }
    }


def was_sent(call: Call) -> bool:
    """Tell whether a call is a sendMessage that the server has carried out."""
    return call.method == "sendMessage" and call.result is not None


def read_answer(call: Call) -> Answer:
    """Read what the bot `answer.py` wrote."""
    number, life, most_running, overlaps = call.parameters["text"].split()
    assert isinstance(call.chat_id, int)
    return Answer(call.chat_id, int(number), life, int(most_running), int(overlaps), call.at_ns)


def most_at_once(calls: Iterable[Call], latency_s: float) -> int:
    """Return how many calls were without a reply at the same time, each for at least `latency_s`."""
    latency_ns = int(latency_s * 1e9)
    steps = sorted(step for call in calls for step in ((call.at_ns, 1), (call.at_ns + latency_ns, -1)))
    most = now = 0
    for _, change in steps:
        now += change
        most = max(most, now)
    return most


@pytest.fixture
def api() -> Iterator[FakeBotApi]:
    """Serve the Bot API on a free port, with a token that looks like a real one."""
    with FakeBotApi(token=TOKEN, max_calls=1_000_000) as server:
        yield server


@pytest.fixture
def crowd(api: FakeBotApi) -> Crowd:
    """Return people who write to the bot."""
    return Crowd(api)


@pytest.fixture
def count_at_once() -> Callable[[Iterable[Call], float], int]:
    """Return the function that counts calls without a reply."""
    return most_at_once


@pytest.fixture
def write() -> Callable[[int, str], dict[str, Any]]:
    """Return the function that makes an update of a chat id and a text."""
    return message


@pytest.fixture
def rng() -> random.Random:
    """Return a source of chance whose seed is shown when the test fails."""
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    return random.Random(seed)


@pytest.fixture
def launch(launch: "Callable[..., Program]") -> "Iterator[Callable[..., Program]]":
    """Launch programs as the fixture of the same name above; after the test, look for the token in all they wrote."""
    programs: list[Program] = []

    def start(*arguments: str, **variables: Any) -> "Program":
        program = launch(*arguments, **variables)
        programs.append(program)
        return program

    yield start
    for program in programs:
        program.close()
        written = program.out + program.err
        for secret in (TOKEN, TOKEN.partition(":")[2]):
            assert secret not in written


@pytest.fixture
def run_bot(api: FakeBotApi, launch: "Callable[..., Program]") -> "Callable[..., Program]":
    """Return a function that runs one of the bots by the command line and waits for its banner.

    Keyword arguments are environment variables. `server` is another server than `api`.
    """

    def start(name: str, *options: str, server: FakeBotApi = api, **variables: str) -> "Program":
        settings = {"BOT_TOKEN": server.token, "BOT_API_ROOT": server.url, **variables}
        program = launch("-m", "runner_c", str(BOTS / name), *options, **settings)
        program.wait_for("stop with Ctrl-C")
        return program

    return start


@pytest.fixture
def run_script(api: FakeBotApi, launch: "Callable[..., Program]") -> "Callable[..., Program]":
    """Return a function that runs a program of the folder `bots` by itself; keyword arguments are the environment."""

    def start(name: str, **variables: str) -> "Program":
        path = os.pathsep.join([str(BOTS), str(INSTALLED_IN)])
        return launch(str(BOTS / name), BOT_TOKEN=api.token, BOT_API_ROOT=api.url, PYTHONPATH=path, **variables)

    return start


@pytest.fixture
def pace() -> Callable[[float], None]:
    """Return a function that lets time go by between two acts of the world outside: for load, not to synchronise."""
    never = threading.Event()

    def wait(seconds: float) -> None:
        never.wait(seconds)

    return wait
