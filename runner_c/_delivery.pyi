"""What a handler can ask of the engine about the update that it runs."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from runner_c.protocols import Storage

class Delivery:
    """One update on its way through the handlers; `current()` returns it.

    Thread-safety: the thread that runs the handler, unless said otherwise.
    """

    @property
    def update(self) -> dict[str, Any]:
        """The update."""

    @property
    def attempt(self) -> int:
        """1 at the first delivery, more when it is repeated."""

    @property
    def sequence(self) -> int:
        """The place in the order of admission."""

    @property
    def bypassed(self) -> bool:
        """True when the update went past the lanes."""

    @property
    def declared(self) -> frozenset[Any]:
        """The middlewares whose keys were taken when the update was admitted."""

    @property
    def is_stopping(self) -> bool:
        """True from the moment in which the runner begins to stop. Any thread."""

    def wait(self, timeout_s: float) -> bool:
        """Sleep; return True at once when the runner stops, else False after `timeout_s` seconds.

        Whoever waits for longer than a moment inside a handler should wait here, and raise `Stopped` on True.
        """

    @property
    def storage(self) -> Storage | None:
        """Where sessions are kept by default: in the store of the run. None when it has none."""

    def stage(self, storage: Storage, key: str, value: bytes | None) -> None:
        """Have `storage` write a value (None: delete) when the update settles.

        Only if the handler succeeds and nobody ended the update meanwhile; a later call for the same storage and key
        replaces the earlier. An error of the storage then goes to the error handler.
        """

    def on_settled(self, release: Callable[[], None]) -> None:
        """Call `release` once when the update has been ended, whoever ends it.

        Raises:
            Stopped: it has been ended already; `release` was called.
        """

    def blocked(self, cancel: Callable[[], None]) -> AbstractContextManager[None]:
        """Hold no concurrency slot while the block waits for something that only another update can give.

        Leaving the block *blocks* until a slot is free. `cancel` is called, from another thread, when the wait has to
        end at once.
        """
