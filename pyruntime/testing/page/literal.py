"""Write Python literals as people do: double quotes, long texts over several lines, files by their content."""

import base64
import re
from typing import Any, Final

from pyruntime.testing.body import UploadedFile
from pyruntime.testing.upload import picture_type

_WIDTH: Final = 88
_MAX_FILE_BYTES: Final = 64 * 1024


def quoted(text: str) -> str:
    """Return a string literal in double quotes where that takes no more escapes."""
    shown = repr(text)
    if shown[0] == "'" and '"' not in text:
        return f'"{shown[1:-1]}"'
    return shown


def literal(value: Any) -> str:
    """Return a literal of plain data, strings in double quotes."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(key)}: {literal(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(literal(each) for each in value) + "]"
    return repr(value)


def long_literal(text: str) -> str:
    """Return a string literal, over several lines in brackets if it is long."""
    if len(text) <= _WIDTH:
        return quoted(text)
    pieces: list[str] = []
    for line in text.splitlines(keepends=True):
        # Cut between words, where there are some.
        pieces += re.findall(rf".{{1,{_WIDTH}}}(?:\s|\Z)|.{{1,{_WIDTH}}}", line, re.DOTALL)
    return _in_brackets(pieces)


def is_short(file: UploadedFile) -> bool:
    """Tell whether the content of a file is a short text, which can stand where it is sent."""
    return len(file.data) <= _WIDTH and file.data.isascii() and b"\0" not in file.data


def file_literal(file: UploadedFile) -> str:
    """Return an expression for the content of a file; a large one is given by its beginning and its size."""
    data = file.data
    if is_short(file):
        return "b" + quoted(data.decode())
    is_large = len(data) > _MAX_FILE_BYTES
    text = base64.b64encode(data[:48] if is_large else data).decode()
    pieces = [text[start : start + _WIDTH] for start in range(0, len(text), _WIDTH)]
    return f"base64.b64decode{_in_brackets(pieces)}" + (f".ljust({len(data)})" if is_large else "")


def _in_brackets(pieces: list[str]) -> str:
    return "\n".join(["(", *(f"    {quoted(piece)}" for piece in pieces), ")"])


def is_shown_otherwise(file: UploadedFile) -> bool:
    """Tell whether a file would not be sent as a document unless that was asked for."""
    return picture_type(file.data) is not None or file.content_type.startswith(("audio/", "video/"))
