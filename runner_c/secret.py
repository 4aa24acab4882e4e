"""Keep bot tokens out of what people read."""

from __future__ import annotations

import re

from runner_c.trace import format_error

__all__ = ["TOKEN_SHAPE", "describe_error", "hide_tokens", "traceback_of"]

TOKEN_SHAPE = re.compile(r"(?<!\d)\d{5,}(?::|%3A)[A-Za-z0-9_-]{30,}", re.IGNORECASE)
"""What a token looks like, in plain and in URL spelling."""


def hide_tokens(text: str) -> str:
    """Return `text` with ``<token>`` in place of everything that looks like a bot token.

    >>> hide_tokens("https://localhost/bot123456:AAAAAAAAAABBBBBBBBBBCCCCCCCCCCDDDDD/getMe")
    'https://localhost/bot<token>/getMe'
    """
    return TOKEN_SHAPE.sub("<token>", text)


def describe_error(error: BaseException) -> str:
    """Return class and message of an error for one line of a log, without tokens; works for every error.

    >>> describe_error(OSError("no network"))
    'OSError: no network'
    """
    try:
        text = str(error)
    except Exception:
        text = "(its message cannot be read: str() of it fails)"
    return hide_tokens(f"{type(error).__name__}: {text}")


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an error as text, without tokens; what it was raised from is in it."""
    return hide_tokens(format_error(error))
