"""What an update outside of a runner has to do when its handlers have succeeded, and to let go of in any case."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from runner_c import Gate

if TYPE_CHECKING:
    from runner_c import Storage

__all__ = ["Unit"]


class Unit:
    """The staged writes and held keys of one call of `Bot.handle_update`; a runner's delivery does this itself.

    Thread-safety: none; it belongs to the thread that handles the update.
    """

    __slots__ = ("_held", "_writes")

    def __init__(self) -> None:
        self._writes: dict[tuple[int, str], tuple[Storage, bytes | None]] = {}
        self._held = ExitStack()

    def hold(self, gate: Gate, key: str) -> None:
        """Hold a key until `release`. *Blocks* until those before have let go of it."""
        self._held.enter_context(gate.turn([key]))

    def stage(self, storage: Storage, key: str, value: bytes | None) -> None:
        """Write `value` (None deletes) when the update has succeeded; a later one for the key replaces it."""
        self._writes[id(storage), key] = (storage, value)

    def commit(self) -> None:
        """Do the staged writes."""
        for (_, key), (storage, value) in self._writes.items():
            if value is None:
                storage.delete(key)
            else:
                storage.write(key, value)

    def release(self) -> None:
        """Let go of the keys."""
        self._held.close()
