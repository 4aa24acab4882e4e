"""The key functions that the engine knows."""

from typing import Any, Final

def by_chat(context: Any) -> str | None:
    """Return the chat an update belongs to, else its user, else None; the default order of `run`.

    In a private chat the chat's id is the user's id, so a payment query and the messages around it share a key.

    Args:
        context: an update (a dict), or anything with such a dict as its attribute ``update``.

    Thread-safety: any thread.
    """

def by_user(context: Any) -> str | None:
    """Return the user who caused an update; None where there is none (channel posts, polls).

    Args:
        context: an update (a dict), or anything with such a dict as its attribute ``update``.

    Thread-safety: any thread.
    """

def by_chat_thread(context: Any) -> str | None:
    """Return the chat and, in a forum, the topic; topics of one chat then run beside each other.

    Args:
        context: an update (a dict), or anything with such a dict as its attribute ``update``.

    Thread-safety: any thread.
    """

class Bypass:
    """The type of BYPASS."""

BYPASS: Final[Bypass]
"""What a keyer returns for an update that goes past the lanes, ahead of all ready updates."""

def keys_of(keys: Any) -> tuple[str, ...]:
    """Return the distinct keys in what a key function gave: a string, an iterable of strings, or None.

    Numbers become strings.

    Raises:
        TypeError: for anything else.
    """
