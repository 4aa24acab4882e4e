"""Find the entities that Telegram itself marks in plain text: commands, links, mentions, hashtags."""

import re
from typing import Any, Final

_MARKERS: Final = re.compile(r"[/@#$.:]")
_ENTITIES: Final = re.compile(
    r"(?P<url>\bhttps?://[^\s<>\"]+[^\s<>\".,;:!?'()\[\]]|\b(?:[a-z0-9-]+\.)+(?:com|org|net|dev|io|me|de|uk)\b(?:/[^\s<>\"]*[^\s<>\".,;:!?'()\[\]])?(?!@))"
    r"|(?P<email>\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b)"
    r"|(?P<bot_command>(?<![\w/<>])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z][A-Za-z0-9_]{2,31})?(?![\w/]))"
    r"|(?P<mention>(?<![\w@])@[A-Za-z][A-Za-z0-9_]{2,31}\b)"
    r"|(?P<hashtag>(?<![\w#])#\w*[^\W\d]\w*)"
    r"|(?P<cashtag>(?<![\w$])\$[A-Z]{1,8}\b)",
    re.IGNORECASE,
)


def find_entities(text: str) -> list[dict[str, Any]]:
    """Return the entities of `text` in order, offsets and lengths in UTF-16 units as in the Bot API."""
    if not _MARKERS.search(text):
        return []
    return [
        {
            "type": match.lastgroup,
            "offset": utf16_length(text[: match.start()]),
            "length": utf16_length(match.group()),
        }
        for match in _ENTITIES.finditer(text)
    ]


def utf16_length(text: str) -> int:
    """Count the UTF-16 units of `text`."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
