"""Dead letters in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager

from runner_c.store.base import DeadLetter, DeadLetters
from runner_c.store.encoding import load
from runner_c.store.memory.entry import Entry

__all__ = ["MemoryDeadLetters"]


class MemoryDeadLetters(DeadLetters):
    """The dead letters of a store in memory.

    Args:
        opened: enters the lock of the store, and raises when the store is closed.
    """

    def __init__(self, opened: Callable[[], AbstractContextManager[None]]) -> None:
        self._opened = opened
        # By number, which is the order of deaths only by chance; guarded by the lock of the store.
        self._letters: dict[int, tuple[Entry, str, float]] = {}
        self._retried: set[int] = set()

    def list(self, *, after: int = 0, limit: int = 100) -> list[DeadLetter]:
        """Return letters by number."""
        with self._opened():
            numbers = sorted(number for number in self._letters if number > after)
            return [self._shown(number) for number in numbers[: max(0, limit)]]

    def show(self, number: int) -> DeadLetter | None:
        """Return one letter."""
        with self._opened():
            return self._shown(number) if number in self._letters else None

    def retry(self, numbers: Iterable[int]) -> int:
        """Ask for a new try of letters."""
        with self._opened():
            found = self._letters.keys() & set(numbers)
            self._retried |= found
            return len(found)

    def drop(self, numbers: Iterable[int]) -> int:
        """Forget letters."""
        with self._opened():
            found = self._letters.keys() & set(numbers)
            for number in found:
                del self._letters[number]
            self._retried -= found
            return len(found)

    def count(self) -> int:
        """Return how many there are."""
        with self._opened():
            return len(self._letters)

    def close(self) -> None:
        """Do nothing: they close with their store."""

    def __len__(self) -> int:
        """Return how many there are, to the store, which has the lock."""
        return len(self._letters)

    def bury(self, entry: Entry, error: str, now: float) -> None:
        """Take an update that was given up. The store has the lock."""
        self._letters[entry.seq] = (entry, error, now)

    def take_up(self, limit: int) -> tuple[Sequence[Entry], bool]:
        """Remove up to `limit` letters that are to be tried again, by number. The store has the lock.

        Returns:
            The updates, and whether there are more.
        """
        numbers = sorted(self._retried)[:limit]
        self._retried.difference_update(numbers)
        return [self._letters.pop(number)[0] for number in numbers], bool(self._retried)

    def _shown(self, number: int) -> DeadLetter:
        entry, error, died_at = self._letters[number]
        return DeadLetter(
            number,
            entry.update_id,
            load(entry.body),
            entry.keys,
            error,
            entry.attempt,
            died_at,
            number in self._retried,
        )
