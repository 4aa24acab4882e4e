"""The store in this process: nothing is lost but at its end.

`store` is the port; `backlog` is what waits and who of it is next; `letter` are the dead letters; `entry` is one
update as all three hold it.
"""

from runner_c.store.memory.letter import MemoryDeadLetters
from runner_c.store.memory.store import MemoryStore

__all__ = ["MemoryDeadLetters", "MemoryStore"]
