"""Read HTTP/1.x replies.

Guarantees: gives exactly one final reply per request (interim 1xx ones are skipped) whatever the pieces it arrives in;
raises ``BadReply`` for everything that is not a well-formed reply within the limits; never asks for more than it needs
to know that a reply is complete.

Assumes: the request was a POST (so a reply has a body unless its status says no), and asked for no encoding.

Nearly every reply is one piece with a plain head: `runner_c.plain_reply` takes it apart in a fraction of a microsecond.
Reading one by the book takes 12 us.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pyruntime.errors import BadReply
from runner_c import plain_reply

__all__ = ["MAX_HEAD_BYTES", "Receive", "read_reply"]

# Gives at most as many bytes as asked for; b"" at the end of the stream; raises on failure and time-out.
Receive = Callable[[int], bytes]

MAX_HEAD_BYTES = 64 * 1024
_MAX_CHUNK_LINE_BYTES = 4 * 1024
_READ_BYTES = 64 * 1024
_BODY_READ_BYTES = 256 * 1024

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [^\r\n]*)?")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_CHUNK_LINE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)


def read_reply(first: bytes, receive: Receive, max_body_bytes: int) -> tuple[int, bytes, bool]:
    """Read one reply, of which the first piece is already here.

    Args:
        first: what the first read gave; not empty.
        receive: gives the pieces that follow the first one.
        max_body_bytes: largest body to accept.

    Returns:
        Status, body, and whether the connection may carry another request.

    Raises:
        BadReply: not HTTP/1.x, cut short, or over a limit.

    Blocks: in ``receive`` only.
    """
    plain = plain_reply(first, max_body_bytes)
    return (*plain, True) if plain is not None else _Reader(first, receive, max_body_bytes).read()


class _Reader:
    """Read a reply piece by piece, by the rules of RFC 9112.

    ``_data`` holds what has arrived, ``_at`` how far it has been used.
    """

    __slots__ = ("_at", "_data", "_max_body_bytes", "_receive")

    def __init__(self, first: bytes, receive: Receive, max_body_bytes: int) -> None:
        self._data = bytearray(first)
        self._at = 0
        self._receive = receive
        self._max_body_bytes = max_body_bytes

    def read(self) -> tuple[int, bytes, bool]:
        """Read up to the end of the final reply."""
        while True:
            minor, status, fields = self._head()
            if status == 101:
                raise BadReply(detail="the server switched to another protocol")
            if status >= 200:
                break
        options = {option.strip().lower() for option in b",".join(fields.get(b"connection", [])).split(b",")}
        keep_alive = b"close" not in options and (minor == 1 or b"keep-alive" in options)
        if status in (204, 304):
            body = b""
        elif b"transfer-encoding" in fields:
            coding = b",".join(fields[b"transfer-encoding"]).strip().lower()
            if coding != b"chunked":
                raise BadReply(detail=f"the reply has the transfer coding {_show(coding)}")
            body = self._chunked()
            # Both at once is either a broken server or an attack: the framing of what follows cannot be trusted.
            keep_alive = keep_alive and b"content-length" not in fields
        elif b"content-length" in fields:
            body = self._exactly(_content_length(fields[b"content-length"]))
        else:
            body = self._until_close()
            keep_alive = False
        if self._at < len(self._data):
            # More than was announced, and nobody asked for it.
            keep_alive = False
        return status, body, keep_alive

    def _fill(self, wanted: int) -> None:
        """Wait for at least one more byte."""
        piece = self._receive(wanted)
        if not piece:
            raise BadReply(detail="the reply was cut short")
        self._data += piece

    def _head(self) -> tuple[int, int, dict[bytes, list[bytes]]]:
        """Read a status line and header fields."""
        data, start, searched = self._data, self._at, self._at
        while True:
            opening = data[start : start + 7]
            if not b"HTTP/1.".startswith(opening):
                raise BadReply(detail=f"the reply is not HTTP/1.x: it starts with {_show(opening)}")
            found = _HEAD_END.search(data, searched)
            if (found.start() if found else len(data)) - start > MAX_HEAD_BYTES:
                raise BadReply(detail=f"the head of the reply is longer than {MAX_HEAD_BYTES} bytes")
            if found:
                break
            searched = max(start, len(data) - 3)
            self._fill(_READ_BYTES)
        self._at = found.end()
        lines = bytes(data[start : found.start()]).replace(b"\r\n", b"\n").split(b"\n")
        status_line = _STATUS_LINE.fullmatch(lines[0])
        if not status_line:
            raise BadReply(detail=f"the reply has the status line {_show(lines[0])}")
        return int(status_line[1]), int(status_line[2]), _fields(lines[1:])

    def _exactly(self, length: int) -> bytes:
        """Read a body of known length."""
        self._limit(length)
        end = self._at + length
        while len(self._data) < end:
            self._fill(min(end - len(self._data), _BODY_READ_BYTES))
        body = bytes(memoryview(self._data)[self._at : end])
        self._at = end
        return body

    def _until_close(self) -> bytes:
        """Read a body that ends with the connection."""
        while True:
            self._limit(len(self._data) - self._at)
            piece = self._receive(_READ_BYTES)
            if not piece:
                body = bytes(memoryview(self._data)[self._at :])
                self._at = len(self._data)
                return body
            self._data += piece

    def _chunked(self) -> bytes:
        """Read a chunked body with its extensions and trailer fields, which are passed over."""
        body = bytearray()
        while True:
            line = self._line(_MAX_CHUNK_LINE_BYTES)
            match = _CHUNK_LINE.fullmatch(line)
            if not match:
                raise BadReply(detail=f"the reply has the chunk size {_show(line)}")
            size = int(match[1], 16)
            if size == 0:
                break
            self._limit(len(body) + size)
            body += self._exactly(size)
            if self._line(2):
                raise BadReply(detail="a chunk of the reply is longer than it says")
            # What has been used is dropped now and then, so that many chunks do not pile up twice.
            if self._at > _BODY_READ_BYTES:
                del self._data[: self._at]
                self._at = 0
        left = MAX_HEAD_BYTES
        while True:
            line = self._line(left)
            if not line:
                return bytes(body)
            left -= len(line)

    def _line(self, limit: int) -> bytes:
        """Read up to a line end, which is dropped."""
        start = searched = self._at
        while True:
            end = self._data.find(b"\n", searched)
            if (end if end >= 0 else len(self._data)) - start > limit:
                raise BadReply(detail="a line of the reply is too long")
            if end >= 0:
                break
            searched = len(self._data)
            self._fill(_READ_BYTES)
        self._at = end + 1
        line = bytes(memoryview(self._data)[start:end])
        return line[:-1] if line.endswith(b"\r") else line

    def _limit(self, size: int) -> None:
        if size > self._max_body_bytes:
            raise BadReply(detail=f"the reply is larger than {self._max_body_bytes} bytes")


def _fields(lines: list[bytes]) -> dict[bytes, list[bytes]]:
    """Return the values of the header fields by lower-case name. Lines that are none are passed over."""
    fields: dict[bytes, list[bytes]] = {}
    values = [b""]
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            values[-1] += b" " + line.strip()
            continue
        name, colon, value = line.partition(b":")
        if colon:
            values = fields.setdefault(name.strip().lower(), [])
            values.append(value.strip())
    return fields


def _content_length(values: list[bytes]) -> int:
    """Return the one length that all Content-Length fields agree on."""
    lengths = {value.strip() for value in b",".join(values).split(b",")}
    length = lengths.pop()
    if lengths or not _LENGTH.fullmatch(length):
        raise BadReply(detail=f"the reply has the content length {_show(b','.join(values))}")
    return int(length)


def _show(raw: bytes | bytearray) -> str:
    """Return a printable form of bytes from the server, too short for anything secret that it may echo."""
    return repr(bytes(raw[:12]))[1:]
