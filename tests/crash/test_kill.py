"""`kill -9` at random moments while people write, over and over: what a durable store promises.

CRASH_KILLS changes the number of kills of the long runs.
"""

import os
import random
from collections.abc import Callable
from typing import Any

import pytest

CHATS = 12
MANY = int(os.environ.get("CRASH_KILLS", "1000"))


def live_and_die_often(
    kills: int, world: Any, rng: random.Random, faults: Callable[[], dict[str, str]], *options: str, **more: str
) -> None:
    """Let the bot live and die so many times while people write; then let it handle what is left."""
    with world.people.writing(rng, CHATS):
        for _ in range(kills):
            if rng.random() < 0.2:
                world.live_and_die(rng.uniform(0.0, 0.15), *options, since="start", **faults(), **more)
            else:
                world.live_and_die(rng.uniform(0.0, 0.4), *options, **faults(), **more)
    world.finish(*options, **more)
    print(world.figures())


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kills", [8, pytest.param(MANY, marks=pytest.mark.slow)])
def test_kills_lose_no_update_and_each_session_shows_each_update_once(
    world: Any, rng: random.Random, faults: Callable[[], dict[str, str]], kills: int
) -> None:
    live_and_die_often(kills, world, rng, faults, HANDLER_S="0:0.02", LONE_CRASHES="1000000")
    assert not world.dead_letters()
    world.assert_all_done()
    world.assert_suspects_first_and_alone()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kills", [8, pytest.param(MANY, marks=pytest.mark.slow)])
def test_with_failing_handlers_each_update_is_completed_or_a_dead_letter_and_never_both(
    world: Any, rng: random.Random, faults: Callable[[], dict[str, str]], kills: int
) -> None:
    live_and_die_often(
        kills, world, rng, faults, "--max-attempts", "3", HANDLER_S="0:0.01", LONE_CRASHES="1000000", FAIL_SHARE="0.2"
    )
    letters = world.dead_letters()
    failures = world.ledger().failures()
    print(f"{sum(failures.values())} failures, {len(letters)} dead letters")
    for letter in letters:
        assert failures[letter.number] >= 3, f"given up too early: {letter}; {world.ledger().story(letter.number)}"
        assert "failed by chance" in letter.error
    world.assert_all_done(dead=[letter.number for letter in letters], is_retrying=True)
    world.assert_suspects_first_and_alone()
