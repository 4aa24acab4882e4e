"""The session store in memory."""

class MemoryStorage:
    """Keep sessions as JSON bytes in memory, for as long as the process lives.

    Thread-safety: any thread; who writes a key must hold its turn, which the engine sees to.
    """

    def __init__(self) -> None: ...
    def read(self, key: str) -> bytes | None:
        """Return the value of a key, or None."""

    def write(self, key: str, value: bytes) -> None:
        """Set the value of a key."""

    def delete(self, key: str) -> None:
        """Forget a key; no error where there is none."""

    def __len__(self) -> int:
        """Return how many keys have a value."""
