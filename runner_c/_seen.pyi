"""Dedupe: the ids of accepted updates, as intervals."""

class Seen:
    """Remember update ids for at least `life_s` seconds (default 48 h), in intervals.

    Thread-safety: any thread.
    """

    def __init__(self, life_s: float = 172800.0) -> None: ...
    def accept(self, update_id: int) -> bool:
        """Add an id; return False when it was there already. O(1) next to the last one, else O(log n)."""
    def drop(self, update_id: int) -> None:
        """Remove an id, if it is there: its update was not handled and may come again."""
    def __contains__(self, update_id: int, /) -> bool: ...
    def __len__(self) -> int:
        """Return how many intervals are kept."""
