"""Stores: where updates, sessions and dead letters are kept so that nothing is lost.

`base` is the port; `sqlite` keeps everything in a file, `memory` in this process. `claims` and `accepted` are what
both know in memory, `encoding` is how both keep JSON.
"""

from runner_c.store.base import (
    Arrival,
    Claim,
    Counts,
    DeadLetter,
    DeadLetters,
    Failure,
    Pushed,
    Settlement,
    Store,
    Value,
    Verdict,
    Write,
)
from runner_c.store.url import open_dead_letters, open_store

__all__ = [
    "Arrival",
    "Claim",
    "Counts",
    "DeadLetter",
    "DeadLetters",
    "Failure",
    "Pushed",
    "Settlement",
    "Store",
    "Value",
    "Verdict",
    "Write",
    "open_dead_letters",
    "open_store",
]
