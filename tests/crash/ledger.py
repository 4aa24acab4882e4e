"""What the ledger of `bots/ledger.py` must look like in the end, whatever the lives ended by.

The rule behind most checks: a handler sees in its session exactly what its predecessors in the chat left there, at
whatever attempt and in whatever life. So each line of the i-th message of a chat says "i were done before me, the last
was the one before me", dead letters left out; anything lost, done twice or done out of order breaks a line.

Where handlers fail by chance, how a message ends can differ from life to life until that is durable. So only the first
line of a chat in a life is held against the final result, and each other one against the line before it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

__all__ = ["Ledger", "Line"]


@dataclass(frozen=True)
class Line:
    """An event of a message: begin, end or fail; what the session had before is `seen` and `last`."""

    event: str
    life: int
    chat: int
    number: int
    attempt: int
    seen: int
    last: int


class Ledger:
    """The lines that the bots of all lives wrote, in the order in which they did."""

    def __init__(self, path: Path) -> None:
        rows = [row.split() for row in path.read_text().splitlines()] if path.exists() else []
        self.lines = [Line(event, *map(int, numbers)) for event, *numbers in rows]

    def story(self, number: int) -> str:
        """Tell what happened to a message."""
        return f"the lines of {number}: {[line for line in self.lines if line.number == number]}"

    def ended(self) -> set[int]:
        """Return the messages whose handler came to its end, whether or not that was noted in the store."""
        return {line.number for line in self.lines if line.event == "end"}

    def failures(self) -> Counter[int]:
        """Count the failures of each message."""
        return Counter(line.number for line in self.lines if line.event == "fail")

    def cut_off(self) -> Counter[int]:
        """Count how often each message was begun and neither ended nor failed: the process died meanwhile."""
        changes: Counter[int] = Counter()
        for line in self.lines:
            changes[line.number] += 1 if line.event == "begin" else -1
        return +changes

    def figures(self) -> str:
        """Sum up."""
        begun = [line for line in self.lines if line.event == "begin"]
        again = sum(line.attempt > 1 for line in begun)
        repeats = len(begun) - len({line.number for line in begun})
        lives = len({line.life for line in begun})
        return f"{len(begun)} handlings in {lives} lives, {repeats} repeats, {again} marked as redelivered"

    def check_chats(
        self, written: Mapping[int, Sequence[int]], dead: Collection[int] = (), is_retrying: bool = False
    ) -> None:
        """Check of each chat: nothing lost, in order, repetitions marked, never two at once, sessions as they must be.

        Args:
            written: the messages of each chat.
            dead: those which are dead letters.
            is_retrying: a message may be tried more than once in a life.
        """
        by_chat: dict[int, list[Line]] = defaultdict(list)
        for line in self.lines:
            by_chat[line.chat].append(line)
        ended = self.ended()
        for chat, numbers in written.items():
            lost = [number for number in numbers if number not in ended and number not in dead]
            assert not lost, f"chat {chat}: lost {lost[:5]}; {self.story(lost[0])}"
            self._check_chat(chat, numbers, dead, by_chat[chat], is_retrying)

    def _check_chat(
        self, chat: int, numbers: Sequence[int], dead: Collection[int], lines: list[Line], is_retrying: bool
    ) -> None:
        before: dict[int, tuple[int, int]] = {}
        count, last = 0, -1
        for number in numbers:
            before[number] = count, last
            if number not in dead:
                count, last = count + 1, number
        followers = dict(pairwise(numbers))
        begun: dict[int, Line] = {}
        running: Line | None = None
        latest: Line | None = None
        for line in lines:
            if line.event != "begin":
                assert running is not None, line
                assert (running.life, running.number, running.attempt) == (line.life, line.number, line.attempt)
                latest, running = line, None
                continue
            assert running is None or running.life < line.life, f"two at once: {running}, {line}"
            expected = before[line.number]
            if latest is not None and latest.life == line.life:
                is_again = line.number == latest.number and latest.event == "fail" and is_retrying
                next_one = followers.get(latest.number)
                while next_one != line.number and next_one in dead:
                    next_one = followers.get(next_one)
                assert is_again or line.number == next_one, f"out of order: {latest}, {line}"
                if is_retrying:
                    is_done = latest.event == "end"
                    expected = (latest.seen + 1, latest.number) if is_done else (latest.seen, latest.last)
            assert (line.seen, line.last) == expected, (
                f"it should have seen {expected}: {line}; {self.story(line.number)}"
            )
            before_it = begun.get(line.number)
            if before_it is not None:
                # A failure that was not durable is forgotten, and the attempt after it counts as none.
                least = before_it.attempt + 1 if before_it.life == line.life else 2
                assert line.attempt >= least, f"repeated, not marked: {self.story(line.number)}"
            begun[line.number] = line
            running = line
        assert all(one < other for one, other in pairwise(begun)), f"chat {chat} was begun out of order"

    def check_suspects(self, marked: Mapping[int, int], dead: Collection[int] = ()) -> None:
        """Check each life: what ran when the one before died runs before all others, and nothing beside it.

        Earlier messages of its chat go before it: their ends may not have been durable. A suspect that had to wait for
        such a one stands at the end of the line then. And more may have been running than can be seen here: what a
        worker had just taken, and what had just ended. So others may go before a suspect, but no more than were marked
        beside it. Where the life before handled nothing, it is not known whether it took over the suspects.

        Args:
            marked: how many updates were marked as running when each life began.
            dead: dead letters; a suspect that was given up does not run.
        """
        last_life = {line.number: line.life for line in self.lines}
        left: dict[int, int] = {}
        first: set[int] = set()
        running: dict[int, Line] = {}
        life = others = most_others = 0
        for line in self.lines:
            if line.life != life:
                cut_off = [one for one in running.values() if one.number not in dead or last_life[one.number] > life]
                left = {one.number: one.chat for one in cut_off} if line.life == life + 1 else {}
                first, running, life, others = set(left), {}, line.life, 0
                most_others = marked[life] - len(left) if left else 0
            if line.event != "begin":
                del running[line.number]
                left.pop(line.number, None)
                continue
            first.discard(line.number)
            if line.number not in left:
                waiting = {number for number, chat in left.items() if chat == line.chat and line.number < number}
                others += not waiting
                first -= waiting
            story = f"{line}; suspects {left}, running {list(running.values())}"
            assert not first or others <= most_others, f"before the suspects {first}: {story}"
            assert not any(number in left for number in running), f"beside a suspect: {story}"
            assert line.number not in left or not running, f"a suspect is not alone: {story}"
            running[line.number] = line
