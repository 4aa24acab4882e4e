"""`kill -9` at random moments while people write: what `ack="done"` promises, and what `ack="fetch"` does not."""

import random
import signal
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pyruntime.testing import FakeBotApi

CHATS = 30
EVERY_S = 0.15


@contextmanager
def people_writing(crowd: Any, rng: random.Random) -> Iterator[None]:
    """Have a message written in a random chat every 150 ms, and a few at once now and then."""
    is_over = threading.Event()

    def write() -> None:
        while not is_over.wait(EVERY_S):
            count = 5 if rng.random() < 0.05 else 1
            crowd.write(rng.randint(1, CHATS) for _ in range(count))

    thread = threading.Thread(target=write, name="people")
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def live_and_die(
    kills: int, ack: str, crowd: Any, run_bot: Callable[..., Any], pace: Callable[[float], None], rng: random.Random
) -> None:
    """Kill the bot so many times while people write; then let a last life handle what is left, and stop it."""
    chance = random.Random(rng.random())
    with people_writing(crowd, rng):
        for life in range(kills):
            program = run_bot("answer.py", "--ack", ack, HANDLER_S="0.2:1", LIFE=str(life))
            pace(chance.uniform(0.0, 1.2))
            program.send(signal.SIGKILL)
            assert program.wait() == -signal.SIGKILL
            program.close()
    program = run_bot("answer.py", "--ack", ack, HANDLER_S="0.2:1", LIFE="last")
    crowd.api.wait_until_confirmed(timeout_s=300)
    assert program.stop() == 0


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kills", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_with_ack_done_no_update_is_lost_and_each_chat_stays_in_order(
    api: FakeBotApi,
    crowd: Any,
    run_bot: Callable[..., Any],
    pace: Callable[[float], None],
    rng: random.Random,
    kills: int,
) -> None:
    live_and_die(kills, "done", crowd, run_bot, pace, rng)
    answers = crowd.answers()
    times = Counter(answer.number for answer in answers)
    lost = set(range(crowd.count)) - times.keys()
    repeats = Counter(times.values())
    lives = Counter(answer.life for answer in answers)
    print(
        f"ack=done: {kills} kills, {crowd.count} updates, {len(lost)} lost, {len(answers) - len(times)} repeats; "
        f"updates by number of times handled: {dict(sorted(repeats.items()))}; "
        f"{len(lives)} lives of {kills + 1} answered something"
    )
    assert not lost
    assert api.pending_count() == 0
    in_life: dict[tuple[str, int], int] = {}
    first_handled: dict[int, list[int]] = defaultdict(list)
    for answer in answers:
        assert answer.overlaps == 0
        assert answer.number > in_life.get((answer.life, answer.chat_id), -1), "twice, or out of order, in one life"
        in_life[answer.life, answer.chat_id] = answer.number
        if answer.number not in first_handled[answer.chat_id]:
            first_handled[answer.chat_id].append(answer.number)
    assert first_handled == crowd.written


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_with_ack_fetch_no_update_is_handled_twice_and_a_kill_loses_what_was_in_memory(
    crowd: Any, run_bot: Callable[..., Any], pace: Callable[[float], None], rng: random.Random
) -> None:
    live_and_die(50, "fetch", crowd, run_bot, pace, rng)
    times = Counter(answer.number for answer in crowd.answers())
    print(f"ack=fetch: 50 kills, {crowd.count} updates, {crowd.count - len(times)} lost")
    assert set(times.values()) == {1}
