"""The event of a stop: handlers, the poller and its waits sleep on it."""

class StopEvent:
    """Tell everybody that a run stops: set once, for good. Thread-safety: any thread but the main one may wait."""

    def __init__(self) -> None: ...
    def is_set(self) -> bool:
        """Tell whether it was set."""
    def set(self) -> None:
        """Set it, and wake all who wait."""
    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is set (True), or for `timeout_s` seconds (False). *Blocks*; only `set` wakes it."""
