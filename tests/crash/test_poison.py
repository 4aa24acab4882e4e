"""Updates that kill the process, in a crowd of innocent ones: the guilty alone become dead letters, and soon."""

import signal
from collections.abc import Callable
from typing import Any

import pytest

CHATS = 80
POISONED = 40
BUSY = 64
LONE_CRASHES = 3
CODES: dict[str, set[int]] = {
    "kill": {-signal.SIGKILL},
    "exit": {9},
    "null": {-signal.SIGSEGV},
    # Without the GIL, faulthandler itself may crash when it shows the stacks of threads that run.
    "abort": {-signal.SIGABRT, -signal.SIGSEGV},
}


def live_until_done(world: Any, death: str) -> int:
    """Start the bot again each time it dies, as a supervisor does, until all is handled; return how often it died."""
    # A few more than are asked for: some may end between the look and the death.
    variables = {"HANDLER_S": "0.3", "AGAIN_S": "0:0.005", "BUSY": str(BUSY + 8), "DEATH": death}
    for deaths in range(20):
        world.start("--concurrency", "100", waits=False, **variables)
        if world.is_done_before_death():
            # An answer is not yet a commit: a life that died later may have left its update to this one.
            world.people.write_last()
            world.people.wait_for_last()
            assert world.program.stop() == 0
            world.bury("stopped")
            print(world.figures())
            return deaths
        assert world.bury(death) in CODES[death], world.errors[-1]
    raise AssertionError("it dies again and again")


def write_crowd(people: Any, poisoned: list[int]) -> list[int]:
    """Write four messages in each chat, with a poison after the first in some; return the numbers of the poisons."""
    poisons = []
    for round_number in range(4):
        people.write(range(1, CHATS + 1))
        if round_number == 0:
            poisons = people.write(poisoned, "poison")
    people.write_last()
    return poisons


def busy_at_first_death(world: Any) -> int:
    """Return how many handlers ran when the first life died."""
    first = [line for line in world.ledger().lines if line.life == 1]
    return sum(1 if line.event == "begin" else -1 for line in first)


@pytest.mark.parametrize("death", CODES)
def test_a_poison_is_given_up_after_three_deaths_alone_and_nobody_beside_it(
    world: Any, people: Any, death: str
) -> None:
    poisons = write_crowd(people, [POISONED])
    deaths = live_until_done(world, death)
    assert busy_at_first_death(world) >= BUSY
    letters = world.dead_letters()
    assert [letter.number for letter in letters] == poisons
    assert f"died {LONE_CRASHES} times" in letters[0].error
    assert deaths == 1 + LONE_CRASHES
    world.assert_all_done(dead=poisons)
    world.assert_suspects_first_and_alone(dead=poisons)


@pytest.mark.parametrize("chats", [[POISONED, POISONED + 20], [POISONED, POISONED]], ids=["two chats", "one chat"])
def test_of_two_poisons_both_are_given_up_and_nobody_beside_them(world: Any, people: Any, chats: list[int]) -> None:
    poisons = write_crowd(people, chats)
    deaths = live_until_done(world, "kill")
    assert busy_at_first_death(world) >= BUSY
    assert sorted(letter.number for letter in world.dead_letters()) == poisons
    assert deaths <= 2 * (1 + LONE_CRASHES)
    world.assert_all_done(dead=poisons)
    world.assert_suspects_first_and_alone(dead=poisons)


def test_a_kill_from_outside_condemns_nobody_unless_it_comes_three_times_to_the_same_update_alone(
    world: Any, people: Any, pace: Callable[[float], None]
) -> None:
    people.write(range(1, CHATS + 1))
    people.write_last()
    for _ in range(LONE_CRASHES + 2):
        world.live_and_die(0.2, "--concurrency", "100", HANDLER_S="0.5", AGAIN_S="0.02")
    world.finish(HANDLER_S="0.01")
    condemned = [letter.number for letter in world.dead_letters()]
    cut_off = world.ledger().cut_off()
    print(f"{world.figures()}; {len(condemned)} condemned")
    assert all(cut_off[number] > LONE_CRASHES for number in condemned), cut_off
    world.assert_all_done(dead=condemned)
