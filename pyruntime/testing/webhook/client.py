"""Post to a webhook over one connection, in plain HTTP or TLS, that is kept for the next update.

Guarantees: `on_end` of a request is called once, whatever happens, unless `close` is called before.
Assumes: everything runs in the loop's thread; one request at a time.
"""

import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Final

from pyruntime.testing.loop import Loop
from pyruntime.testing.wire import ChunkedBody, MalformedRequest, find_header

_RECEIVE_BYTES: Final = 64 * 1024
_MAX_ANSWER_BYTES: Final = 1024 * 1024
_DRIPS: Final = 16
_NOT_NOW: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Answer:
    """What came back: a status with headers and body, or an error."""

    __slots__ = ("body", "content_type", "error", "retry_after", "status")

    def __init__(self, status: int | None, error: str | None = None) -> None:
        """Hold a status, or say what went wrong."""
        self.status = status
        self.error = error
        self.content_type = ""
        self.retry_after = ""
        self.body = b""


class WebhookConnection:
    """Send requests to one host; see `post`."""

    def __init__(
        self,
        loop: Loop,
        host: str,
        port: int,
        number: int,
        on_idle_close: Callable[["WebhookConnection"], None],
        tls: tuple[ssl.SSLContext, str] | None = None,
    ) -> None:
        """Begin to connect; `on_idle_close` is told when the peer closes between two requests.

        Args: tls is a context and the name that the peer must have; None speaks plain HTTP.
        """
        self.number = number
        self.is_open = True
        self._loop = loop
        self._on_idle_close = on_idle_close
        self._on_end: Callable[[Answer], None] | None = None
        self._parts: list[bytes] = []
        self._pause_s = 0.0
        self._is_closed_behind = False
        self._received = bytearray()
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._socket.setblocking(False)
        self._is_connected = False
        self._tls = tls
        self._refusal: str | None = None
        loop.watch(self._socket, self._on_readable, self._on_writable)
        with contextlib.suppress(BlockingIOError):
            try:
                self._socket.connect((host, port))
            except BlockingIOError:
                raise
            except OSError as error:
                self._refusal = error.strerror or str(error)
        loop.watch_writes(self._socket, True)

    def post(
        self,
        request: bytes,
        on_end: Callable[[Answer], None],
        *,
        drip_s: float = 0.0,
        is_cut_short: bool = False,
        is_closed_behind: bool = False,
    ) -> None:
        """Send a request and call `on_end` with the answer.

        Args: drip_s spreads the request over so many seconds; is_cut_short leaves its last quarter away and closes;
        is_closed_behind closes as soon as it is sent, without waiting for the answer.
        """
        if is_cut_short:
            request = request[: len(request) - len(request) // 4]
        self._on_end = on_end
        self._received.clear()
        self._is_closed_behind = is_closed_behind or is_cut_short
        if drip_s > 0:
            step = max(1, len(request) // _DRIPS)
            self._parts = [request[at : at + step] for at in range(0, len(request), step)]
            self._pause_s = drip_s / len(self._parts)
        else:
            self._parts = [request]
            self._pause_s = 0.0
        self._loop.watch_writes(self._socket, True)

    def abort(self, error: str) -> None:
        """End the request with an error, and the connection."""
        self._end(Answer(None, error))

    def close(self) -> None:
        """Close the connection and tell nobody."""
        self._on_end = None
        if self.is_open:
            self.is_open = False
            self._loop.forget(self._socket)
            self._socket.close()

    def _end(self, answer: Answer) -> None:
        on_end = self._on_end
        self.close()
        if on_end is not None:
            on_end(answer)

    def _on_writable(self) -> None:
        if not self.is_open:
            return
        self._loop.watch_writes(self._socket, False)
        if not self._is_connected:
            number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number or self._refusal:
                self._end(Answer(None, "Connection refused" if number else self._refusal))
                return
            self._is_connected = True
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None and not self._shake_hands(*self._tls):
            return
        if not self._parts:
            return
        try:
            sent = self._socket.send(self._parts[0])
        except _NOT_NOW:
            sent = 0
        except OSError:
            self._end(Answer(None, "Connection reset by peer"))
            return
        self._parts[0] = self._parts[0][sent:]
        if not self._parts[0]:
            del self._parts[0]
        if self._parts and self._pause_s:
            self._loop.call_later(self._pause_s, self._go_on)
        elif self._parts:
            self._loop.watch_writes(self._socket, True)
        elif self._is_closed_behind:
            self._end(Answer(None, "Connection closed"))

    def _shake_hands(self, context: ssl.SSLContext, name: str) -> bool:
        """Go on with the handshake; True when it is done."""
        try:
            if not isinstance(self._socket, ssl.SSLSocket):
                self._loop.forget(self._socket)
                self._socket = context.wrap_socket(self._socket, do_handshake_on_connect=False, server_hostname=name)
                self._loop.watch(self._socket, self._on_readable, self._on_writable)
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLWantWriteError:
            self._loop.watch_writes(self._socket, True)
            return False
        except (OSError, ValueError) as error:
            reason = getattr(error, "verify_message", None) or getattr(error, "reason", None) or error
            self._end(Answer(None, f"SSL error: {str(reason).replace('_', ' ').lower()}"))
            return False
        self._tls = None
        return True

    def _go_on(self) -> None:
        if self.is_open and self._on_end is not None:
            self._loop.watch_writes(self._socket, True)

    def _on_readable(self) -> None:
        if not self.is_open:
            return
        if not self._is_connected or self._tls is not None:
            self._on_writable()
            return
        data = b""
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
            while isinstance(self._socket, ssl.SSLSocket) and (left := self._socket.pending()):
                data += self._socket.recv(left)
        except _NOT_NOW:
            if not data:
                return
        except OSError:
            pass  # what came before is read; without it the connection is at its end
        if self._on_end is None:
            # The peer closes, or says what nobody asked for.
            self.close()
            self._on_idle_close(self)
            return
        self._received += data
        answer, keeps_alive = self._read_answer(is_end=not data)
        if answer is None:
            if not data or len(self._received) > _MAX_ANSWER_BYTES:
                self._end(Answer(None, "Connection closed by the webhook" if not data else "the answer is too large"))
            return
        if not keeps_alive or self._parts:
            self._end(answer)
            return
        on_end, self._on_end = self._on_end, None
        on_end(answer)

    def _read_answer(self, is_end: bool) -> tuple[Answer | None, bool]:
        """Return the answer when it is whole, and whether the connection can be used again."""
        while True:
            head, gap, rest = bytes(self._received).partition(b"\r\n\r\n")
            if not gap:
                return None, False
            words = head.partition(b"\r\n")[0].split(b" ")
            if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
                return Answer(None, "the webhook does not speak HTTP"), False
            if words[1] != b"100":
                break
            del self._received[: len(head) + 4]
        head += b"\r\n"
        lower = head.lower()
        answer = Answer(int(words[1]))
        answer.content_type = find_header(head, lower, b"content-type")
        answer.retry_after = find_header(head, lower, b"retry-after")
        keeps_alive = words[0] == b"HTTP/1.1" and find_header(head, lower, b"connection").lower() != "close"
        length = find_header(head, lower, b"content-length")
        if find_header(head, lower, b"transfer-encoding").lower() == "chunked":
            chunks = ChunkedBody()
            try:
                if not chunks.take(bytearray(rest)):
                    return None, False
            except MalformedRequest:
                return Answer(None, "the webhook does not speak HTTP"), False
            answer.body = bytes(chunks.body)
        elif length.isdigit() or answer.status == 204:
            wanted = int(length or 0)
            if len(rest) < wanted:
                return None, False
            answer.body = rest[:wanted]
        elif is_end:
            answer.body = rest
            keeps_alive = False
        else:
            return None, False
        return answer, keeps_alive
