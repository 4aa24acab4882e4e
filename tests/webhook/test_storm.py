"""Thousands of updates over a hundred connections, with everything that goes wrong on the way.

``STORM_UPDATES=10000 pytest tests/webhook/test_storm.py -m slow -s`` is the large form.
"""

import os
import random
import socket
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyruntime.testing import FakeBotApi

if TYPE_CHECKING:
    from tests.conftest import Program

BOT = """
import os, time
from pyruntime import Bot

bot = Bot()
ledger = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(ledger, b"life 0 0 - 0\\n")

def note(what, ctx):
    # One system call, so that a kill leaves a whole line or none.
    os.write(ledger, f"{what} {ctx.update['update_id']} {ctx.chat_id} {ctx.kind} {ctx.attempt}\\n".encode())

@bot.use
def handle(ctx, next):
    note("begin", ctx)
    time.sleep(0.004 if ctx.update["update_id"] % 2 else 0)
    note("end", ctx)
"""
CHATS = 120


class Storm:
    """The bot, the server that delivers to it, and what was handled."""

    def __init__(self, api: FakeBotApi, folder: Path, port: int, run: "Callable[..., Program]") -> None:
        self.api = api
        self.port = port
        self._folder = folder
        self._run = run
        self.lives = 0

    def start(self, *options: str) -> "Program":
        """Start the bot, in a new life."""
        self.lives += 1
        url = f"http://127.0.0.1:{self.port}/hook"
        return self._run(
            *("-m", "runner_c", "storm", "--webhook", url, "--listen", f"127.0.0.1:{self.port}"),
            *("--webhook-connections", "100", "--log-level", "error", *options),
            BOT_TOKEN=self.api.token,
            BOT_API_ROOT=self.api.url,
        )

    def send(self, count: int, rng: random.Random) -> None:
        """Let people write and press buttons, in many chats at once."""
        updates: list[dict[str, Any]] = []
        for number in range(count):
            chat_id = rng.randrange(1, CHATS + 1)
            chat = {"id": chat_id, "type": "private"}
            person = {"id": chat_id, "is_bot": False, "first_name": "Ann"}
            if rng.random() < 0.3:
                place = {"message_id": 1, "date": 1, "chat": chat}
                query = {"id": str(number), "from": person, "message": place, "chat_instance": "1", "data": "x"}
                updates.append({"callback_query": query})
            else:
                content = {"message_id": number + 2, "date": 1, "chat": chat, "from": person, "text": str(number)}
                updates.append({"message": content})
        self.api.push_many(updates)

    def spoil(self, count: int, rng: random.Random) -> None:
        """Make so many deliveries go wrong in some way, mixed with sound ones."""
        for _ in range(count):
            kind: Any = rng.choice(["slow", "drop_midway", "drop_after", "drop_before", "duplicate", "duplicate"])
            self.api.fault(kind, "webhook", 1, seconds=rng.random() * 0.3)

    def ledger(self) -> list[tuple[str, int, int, str, int]]:
        """Return what the bot noted, in the order of time."""
        rows = []
        for line in (self._folder / "ledger").read_text().splitlines():
            what, update_id, chat_id, kind, attempt = line.split()
            rows.append((what, int(update_id), int(chat_id), kind, int(attempt)))
        return rows


@pytest.fixture
def storm(tmp_path: Path, launch: "Callable[..., Program]") -> Iterator[Storm]:
    """Prepare a server that delivers as the real one does, but with shorter pauses."""
    (tmp_path / "storm.py").write_text(BOT)
    with FakeBotApi("123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc", first_update_id=1) as api:
        api.courier.pause_scale = 0.02
        api.courier.retry_after_scale = 0.02
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        yield Storm(api, tmp_path, port, launch)


def check(storm: Storm, count: int) -> int:
    """Each handled, in order per chat and queue, never two of a chat at once; return how many were handled again."""
    rows = storm.ledger()
    begun = [row for row in rows if row[0] == "begin"]
    ended = {row[1] for row in rows if row[0] == "end"}
    assert ended == set(range(1, count + 1)), f"{count - len(ended)} were lost"
    first_ends: dict[tuple[int, str], list[int]] = defaultdict(list)
    running: dict[int, int] = {}
    interrupted: dict[int, int] = {}
    seen: set[int] = set()
    for what, update_id, chat_id, kind, attempt in rows:
        if what == "life":
            interrupted |= running
            running.clear()
        elif what == "begin":
            assert chat_id not in running, f"{update_id} began while {running[chat_id]} ran"
            # One that was running when the process was killed runs again before what its chat has new.
            assert update_id in seen or chat_id not in interrupted, f"{update_id} went before {interrupted[chat_id]}"
            assert update_id not in seen or attempt > 1, f"{update_id} was handled again and did not know"
            running[chat_id] = update_id
            seen.add(update_id)
        else:
            running.pop(chat_id)
            if interrupted.get(chat_id) == update_id:
                del interrupted[chat_id]
            if update_id not in first_ends[chat_id, kind]:
                first_ends[chat_id, kind].append(update_id)
    for (chat_id, kind), ids in first_ends.items():
        assert ids == sorted(ids), f"chat {chat_id}, {kind}"
    return len(begun) - count


def without_kills(storm: Storm, count: int) -> None:
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    storm.send(count, rng)
    storm.spoil(count // 10, rng)
    program = storm.start("--store", "none", "--backlog", "30", "--concurrency", "4")
    storm.api.wait_until_delivered(timeout_s=240)
    assert program.stop() == 0
    refused = sum(each.status == 503 for each in storm.api.deliveries)
    resent = sum(each.is_resent for each in storm.api.deliveries)
    broken = sum(each.fault is not None for each in storm.api.deliveries)
    print(
        f"seed {seed}: {count} updates, {len(storm.api.deliveries)} requests, {refused} answered 503, "
        f"{resent} resent, {broken} spoiled, {storm.api.courier.most_at_once} at once"
    )
    assert check(storm, count) == 0
    assert storm.api.courier.most_at_once == 100
    assert resent > 0
    assert refused > 0
    assert {each.status for each in storm.api.deliveries} <= {200, 503, None}


def with_kills(storm: Storm, count: int, kills: int) -> None:
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    storm.send(count, rng)
    storm.spoil(count // 10, rng)
    storm.api.courier.pause_scale = 0.005
    for number in range(1, kills + 1):
        program = storm.start()
        storm.api.wait_until_delivered(count * number // (kills + 1), timeout_s=240)
        program.process.kill()
        program.wait()
    program = storm.start()
    storm.api.wait_until_delivered(timeout_s=240)
    assert program.stop() == 0
    resent = sum(each.is_resent for each in storm.api.deliveries)
    again = check(storm, count)
    print(f"seed {seed}: {count} updates, {kills} kills, {resent} resent, {again} handled again")
    assert len(storm.api.deliveries) > count


def test_each_update_is_handled_once_and_in_order(storm: Storm) -> None:
    without_kills(storm, 2000)


def test_kills_lose_nothing_that_was_taken(storm: Storm) -> None:
    with_kills(storm, 2000, 3)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ten_thousand_updates_are_handled_once_and_in_order(storm: Storm) -> None:
    without_kills(storm, int(os.environ.get("STORM_UPDATES", "10000")))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ten_kills_in_ten_thousand_updates_lose_nothing_that_was_taken(storm: Storm) -> None:
    with_kills(storm, int(os.environ.get("STORM_UPDATES", "10000")), 10)
