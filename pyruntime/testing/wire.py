"""Parse HTTP/1.1 requests from bytes as they come, and build replies.

Guarantees: a request comes out whole or not at all, whatever way its bytes were cut; what follows it stays for the next
one (pipelining); no head or body grows past its limit.
Assumes: one parser per connection, used by one thread.
"""

from typing import Final
from urllib.parse import unquote_plus

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_BODY_BYTES: Final = 64 * 1024 * 1024

REASONS: Final = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class MalformedRequest(Exception):
    """Say that the peer does not speak HTTP as it should; the connection is beyond repair."""

    def __init__(self, status: int, description: str) -> None:
        """Carry the HTTP status to answer before closing."""
        super().__init__(description)
        self.status = status
        self.description = description


class Request:
    """Hold one HTTP request."""

    __slots__ = ("_head", "_lower_head", "body", "keeps_alive", "path", "query", "verb")

    def __init__(self, verb: str, target: str, head: bytes, lower_head: bytes, keeps_alive: bool) -> None:
        """Take the request line apart; `head` is everything up to the empty line."""
        self.verb = verb
        self.path, _, self.query = target.partition("?")
        self._head = head
        self._lower_head = lower_head
        self.keeps_alive = keeps_alive
        self.body = b""

    def header(self, name: bytes) -> str:
        """Return the value of the header `name` (given in lower case), or an empty string."""
        return find_header(self._head, self._lower_head, name)

    def arguments(self) -> dict[str, str]:
        """Decode the query string."""
        return decode_pairs(self.query)


class RequestParser:
    """Cut a stream of bytes into requests."""

    __slots__ = ("_buffer", "_chunks", "_left", "_request", "wants_continue")

    def __init__(self) -> None:
        """Start with nothing received."""
        self._buffer = bytearray()
        self._request: Request | None = None
        self._chunks: ChunkedBody | None = None
        self._left = 0
        self.wants_continue = False

    @property
    def buffered_bytes(self) -> int:
        """Count the bytes that were received and are in no request yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer."""
        self._buffer += data

    def next(self) -> Request | None:
        """Return the next whole request, or None until more bytes come.

        Raises: MalformedRequest.
        """
        if self._request is None and not self._read_head():
            return None
        request = self._request
        assert request is not None
        buffer = self._buffer
        if self._chunks is not None:
            if not self._chunks.take(buffer):
                return None
            request.body = bytes(self._chunks.body)
        elif self._left:
            if len(buffer) < self._left:
                return None
            request.body = bytes(buffer[: self._left])
            del buffer[: self._left]
        self._request = self._chunks = None
        self._left = 0
        self.wants_continue = False
        return request

    def _read_head(self) -> bool:
        buffer = self._buffer
        if not buffer:
            return False
        while buffer[:2] == b"\r\n":
            del buffer[:2]
        end = buffer.find(b"\r\n\r\n")
        if end < 0 or end > MAX_HEAD_BYTES:
            if len(buffer) > MAX_HEAD_BYTES:
                raise MalformedRequest(431, "request head is too large")
            return False
        head = bytes(buffer[: end + 2])
        del buffer[: end + 4]
        line, _, _ = head.partition(b"\r\n")
        words = line.split(b" ")
        if len(words) != 3 or words[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
            raise MalformedRequest(400, "malformed request line")
        lower = head.lower()
        connection = find_header(head, lower, b"connection").lower() if b"\r\nconnection:" in lower else ""
        keeps_alive = "close" not in connection if words[2] == b"HTTP/1.1" else "keep-alive" in connection
        request = Request(words[0].decode("latin-1"), words[1].decode("latin-1"), head, lower, keeps_alive)
        encoding = find_header(head, lower, b"transfer-encoding").lower() if b"\r\ntransfer-encoding:" in lower else ""
        length = find_header(head, lower, b"content-length")
        if encoding:
            if encoding != "chunked" or length:
                raise MalformedRequest(400, "unsupported transfer encoding")
            self._chunks = ChunkedBody()
        elif length:
            if not (length.isascii() and length.isdigit()) or lower.count(b"\r\ncontent-length:") > 1:
                raise MalformedRequest(400, "malformed content length")
            self._left = int(length)
            if self._left > MAX_BODY_BYTES:
                raise MalformedRequest(413, "request body is too large")
        self.wants_continue = b"\r\nexpect:" in lower and "100-continue" in find_header(head, lower, b"expect").lower()
        self._request = request
        return True


class ChunkedBody:
    """Put a chunked body together, however its bytes arrive."""

    __slots__ = ("_is_in_trailer", "_left", "body")

    def __init__(self) -> None:
        self.body = bytearray()
        self._left = 0  # bytes of the current chunk that are still to come, with its line end
        self._is_in_trailer = False

    def take(self, buffer: bytearray) -> bool:
        """Move what can be decoded out of `buffer`; True when the body is whole."""
        while True:
            if self._left:
                part = buffer[: self._left]
                del buffer[: len(part)]
                self.body += part
                self._left -= len(part)
                if self._left:
                    return False
                if self.body[-2:] != b"\r\n":
                    raise MalformedRequest(400, "malformed chunk")
                del self.body[-2:]
            end = buffer.find(b"\r\n")
            if end < 0:
                if len(buffer) > MAX_HEAD_BYTES:
                    raise MalformedRequest(400, "malformed chunk")
                return False
            line = bytes(buffer[:end])
            del buffer[: end + 2]
            if self._is_in_trailer:
                if not line:
                    return True
                continue
            digits = line.partition(b";")[0].strip()
            if not digits or len(digits) > 8 or digits.strip(b"0123456789abcdefABCDEF"):
                raise MalformedRequest(400, "malformed chunk size")
            size = int(digits, 16)
            if size == 0:
                self._is_in_trailer = True
            elif len(self.body) + size > MAX_BODY_BYTES:
                raise MalformedRequest(413, "request body is too large")
            else:
                self._left = size + 2


def find_header(head: bytes, lower_head: bytes, name: bytes) -> str:
    start = lower_head.find(b"\r\n" + name + b":")
    if start < 0:
        return ""
    start += len(name) + 3
    return head[start : head.index(b"\r\n", start)].strip().decode("latin-1")


def decode_pairs(text: str) -> dict[str, str]:
    """Decode `a=b&c=d` as in query strings and urlencoded bodies; a later value replaces an earlier one."""
    pairs: dict[str, str] = {}
    for pair in text.split("&"):
        name, equals, value = pair.partition("=")
        if equals:
            pairs[unquote_plus(name)] = unquote_plus(value)
    return pairs


_JSON_HEADS: Final = {
    status: (
        f"HTTP/1.1 {status} {reason}\r\nServer: fake-bot-api\r\nContent-Type: application/json\r\n"
        "Connection: keep-alive\r\nContent-Length: "
    ).encode()
    for status, reason in REASONS.items()
}


def build_reply(
    status: int,
    body: bytes,
    content_type: str = "application/json",
    headers: tuple[tuple[str, str], ...] = (),
    keeps_alive: bool = True,
) -> bytes:
    """Build a whole HTTP reply."""
    if content_type == "application/json" and keeps_alive and not headers and status in _JSON_HEADS:
        return b"%b%d\r\n\r\n%b" % (_JSON_HEADS[status], len(body), body)
    lines = [
        f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}",
        "Server: fake-bot-api",
        f"Content-Type: {content_type}",
        f"Connection: {'keep-alive' if keeps_alive else 'close'}",
        f"Content-Length: {len(body)}",
    ]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
