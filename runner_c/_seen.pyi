"""Dedupe: the ids of accepted updates, as intervals."""

class Seen:
    """Remember update ids for at least `life_s` seconds (default 48 h), in intervals.

    Thread-safety: any thread.
    """

    def __init__(self, life_s: float = 172800.0) -> None: ...
    def accept(self, update_id: int) -> bool:
        """Add an id; return False when it was there already. O(1) next to the last one, else O(log n)."""
    def accept_all(self, update_ids: list[int]) -> list[int]:
        """Add ids; return those that were not there, each once.

        Raises:
            TypeError: one of them is no integer of 64 bits; none was added.
        """
    def drop(self, update_id: int) -> None:
        """Remove an id, if it is there: its update was not handled and may come again."""
    def fill(self, first: int, last: int) -> None:
        """Add all ids from the first to the last, both included. O(number of intervals)."""
    def intervals(self) -> list[tuple[int, int]]:
        """Return the ids as pairs of first and last, in order; for a set younger than its life."""
    def __contains__(self, update_id: int, /) -> bool: ...
    def __len__(self) -> int:
        """Return how many intervals are kept."""
