"""Updates and keys in the form in which rows hold them.

**Guarantees** that what is read is what was written, also for text that is no valid Unicode.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import cast

from runner_c.errors import StoreDamaged
from runner_c.protocols import Update
from runner_c.store.encoding import dump, load

ADVICE = "put the file aside to have it examined, and start with a copy that is whole, or with a new file"

__all__ = ["body_of", "joined_sheet", "keys_of", "sheet_of", "stored_keys", "stored_sheet"]


def body_of(body: bytes) -> Update:
    """Return an update that was stored as JSON. Raises StoreDamaged when it is that no more."""
    try:
        return cast(Update, load(body))
    except ValueError as error:
        raise StoreDamaged(f"an update in a store cannot be read ({error}); {ADVICE}") from error


def stored_sheet(
    seqs: Sequence[int], keys: Sequence[tuple[str, ...]], urgents: Sequence[bool], updates: Sequence[Update]
) -> bytes:
    """Return updates that are given out together as one body.

    Raises:
        TypeError, ValueError: one of them is no JSON.
    """
    return dump((seqs, keys, urgents, updates))


def joined_sheet(
    seqs: Sequence[int], keys: Sequence[tuple[str, ...]], urgents: Sequence[bool], updates: bytes
) -> bytes:
    """Return the same of updates that are a JSON array already."""
    return b"[" + dump((seqs, keys, urgents))[1:-1] + b"," + updates + b"]"


def sheet_of(body: bytes) -> Iterator[tuple[int, tuple[str, ...], bool, Update]]:
    """Yield number, keys, urgency and update of what `stored_sheet` stored."""
    try:
        seqs, keys, urgents, updates = load(body)
        found = list(zip(seqs, map(tuple, keys), urgents, updates, strict=True))
    except (ValueError, TypeError) as error:
        raise StoreDamaged(f"what a store had given out cannot be read ({error}); {ADVICE}") from error
    yield from found


def stored_keys(keys: tuple[str, ...]) -> str | None:
    """Return keys as a column."""
    if len(keys) == 1 and keys[0][:1] != "[":
        return keys[0]
    return json.dumps(keys) if keys else None


def keys_of(column: str | None) -> tuple[str, ...]:
    """Return what `stored_keys` stored."""
    if column is None:
        return ()
    return tuple(json.loads(column)) if column[:1] == "[" else (column,)
