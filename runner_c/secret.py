"""Keep bot tokens out of what people read."""

from __future__ import annotations

import re

__all__ = ["TOKEN_SHAPE", "hide_tokens"]

TOKEN_SHAPE = re.compile(r"(?<!\d)\d{5,}(?::|%3A)[A-Za-z0-9_-]{30,}", re.IGNORECASE)
"""What a token looks like, in plain and in URL spelling."""


def hide_tokens(text: str) -> str:
    """Return `text` with ``<token>`` in place of everything that looks like a bot token.

    >>> hide_tokens("https://localhost/bot123456:AAAAAAAAAABBBBBBBBBBCCCCCCCCCCDDDDD/getMe")
    'https://localhost/bot<token>/getMe'
    """
    return TOKEN_SHAPE.sub("<token>", text)
