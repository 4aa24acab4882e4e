"""JSON as stores keep it.

**Guarantees** that what can be written can be read again, also text that is no valid Unicode and numbers of any size;
what is nested too deep for that is refused.
"""

from __future__ import annotations

import json
from typing import Any

import ujson

from runner_c.protocols import Update

__all__ = ["dump", "dump_update", "load"]


def dump(value: object) -> bytes:
    """Return a value as JSON.

    Raises:
        TypeError, ValueError: it is none.
    """
    try:
        # In ASCII: a third faster than UTF-8, and a tenth larger where a fifth of the texts are Cyrillic.
        text: str = ujson.dumps(value, escape_forward_slashes=False, allow_nan=False)
        return text.encode("ascii")
    except (ValueError, OverflowError, RecursionError):
        pass
    try:
        # What the faster one does not know.
        body = json.dumps(value, allow_nan=False).encode()
        load(body)
        return body
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def load(body: bytes) -> Any:
    """Return what `dump` wrote.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return ujson.loads(body)
    except ValueError:
        return json.loads(body)


def dump_update(update: Update) -> bytes:
    """Return an update as JSON that can be read two levels down in another one. Raises like `dump`."""
    return dump([[update]])[2:-2]
