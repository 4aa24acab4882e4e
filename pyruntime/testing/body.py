"""Decode the parameters of a Bot API call from the query string and from JSON, urlencoded and multipart bodies."""

from dataclasses import dataclass, field
from typing import Any

import ujson

from pyruntime.testing.wire import Request, decode_pairs


class UnreadableBody(Exception):
    """Say that a body is not what its content type claims."""


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """Hold a file that came in a multipart body."""

    name: str
    content_type: str
    data: bytes = field(repr=False)


def read_parameters(request: Request) -> dict[str, Any]:
    """Return the parameters of `request`; those of the body win over those of the query string.

    Values of JSON bodies keep their types; the others are strings, and files are `UploadedFile`.
    Raises: UnreadableBody.
    """
    parameters: dict[str, Any] = dict(decode_pairs(request.query)) if request.query else {}
    if not request.body:
        return parameters
    content_type = request.header(b"content-type")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        decoded = _read_json(request.body)
        if not parameters:
            return decoded
        parameters.update(decoded)
    elif kind == "application/x-www-form-urlencoded":
        parameters.update(decode_pairs(request.body.decode("utf-8", "replace")))
    elif kind == "multipart/form-data":
        parameters.update(_read_multipart(request.body, content_type))
    return parameters


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        decoded = ujson.loads(body)
    except ValueError as error:
        raise UnreadableBody("Bad Request: can't parse JSON object") from error
    if not isinstance(decoded, dict):
        raise UnreadableBody("Bad Request: can't parse JSON object")
    return decoded


def _read_multipart(body: bytes, content_type: str) -> dict[str, Any]:
    boundary = _attribute(content_type, "boundary")
    if not boundary:
        raise UnreadableBody("Bad Request: boundary not found")
    delimiter = b"--" + boundary.encode("latin-1")
    parts = (b"\r\n" + body).split(b"\r\n" + delimiter)
    if len(parts) < 2 or not parts[-1].startswith(b"--"):
        raise UnreadableBody("Bad Request: multipart body is cut off")
    fields: dict[str, Any] = {}
    for part in parts[1:-1]:
        head, blank, content = part.partition(b"\r\n\r\n")
        if not blank:
            raise UnreadableBody("Bad Request: multipart part has no headers")
        name, value = _read_part(head.decode("utf-8", "replace"), content)
        if name:
            fields[name] = value
    return fields


def _read_part(head: str, content: bytes) -> tuple[str, str | UploadedFile]:
    name = filename = None
    content_type = "application/octet-stream"
    for line in head.split("\r\n"):
        key, _, value = line.partition(":")
        lowered = key.strip().lower()
        if lowered == "content-disposition":
            name = _attribute(value, "name")
            filename = _attribute(value, "filename")
        elif lowered == "content-type":
            content_type = value.strip()
    if filename is None:
        return name or "", content.decode("utf-8", "replace")
    return name or "", UploadedFile(filename or "file", content_type, content)


def _attribute(header: str, name: str) -> str | None:
    """Read `name=value` or `name="value"` after a semicolon."""
    for part in _split_attributes(header)[1:]:
        key, equals, value = part.strip().partition("=")
        if equals and key.strip().lower() == name:
            value = value.strip()
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1].replace('\\"', '"').replace("%22", '"')
            return value
    return None


def _split_attributes(header: str) -> list[str]:
    parts = [""]
    is_quoted = False
    previous = ""
    for letter in header:
        if letter == '"' and previous != "\\":
            is_quoted = not is_quoted
        if letter == ";" and not is_quoted:
            parts.append("")
        else:
            parts[-1] += letter
        previous = letter
    return parts
