"""One keep-alive connection to the Bot API.

Guarantees: a connection that failed, was cut or gave an odd reply is closed and never used again; the time limit of a
reply counts from the moment the request is sent, not from the last byte; ``ConnectionLost.may_have_arrived`` is False
only when it is certain that the server never had the whole request.

Assumes: one thread uses it at a time.

When is that certain? A Bot API server acts on a request when it has all of it, so

1. if handing the request to the kernel failed before its last byte, the server cannot have it all;
2. if the server has ended the stream (FIN) without a byte of reply, and its kernel has acknowledged nothing of the
   request by then, it has closed before the request came: the race of every keep-alive connection that the server
   gives up. ``SIOCOUTQ`` (Linux) tells the number of bytes not acknowledged: at least as many as the request has. (A
   few may be an alert that the TLS layer sends at the end of the stream, so "more than none" would not do.) A FIN
   carries the acknowledgement of everything that came before it, so the proof holds even if a separate one was lost.

A reset without a FIN proves nothing: then, and on other systems, ``may_have_arrived`` is True.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import ssl
import struct
import sys
import termios
from collections.abc import Callable
from functools import partial
from time import monotonic

from pyruntime.errors import BadReply, ConnectionLost, Interrupted, NetworkError, ReadTimeout
from pyruntime.transport.guard import Guard
from pyruntime.transport.reply import read_reply
from pyruntime.transport.secured import SecuredSocket
from runner_c import exchange, exchange_reply, is_quiet, receive, receive_reply

__all__ = ["FIRST_READ_BYTES", "Connection", "reason_of", "seconds_until"]

FIRST_READ_BYTES = 16 * 1024
_IS_LINUX = sys.platform.startswith("linux")
_KERNEL_TIMEOUT = struct.Struct("@ll")


class Connection:
    """Carry requests and replies one after another.

    Attributes:
        idle_since: ``time.monotonic()`` at the end of the last reply.
        epoch: for the pool: which generation of it this connection belongs to.

    Thread-safety: owner only; but a guard may shut the socket down from any thread.
    """

    __slots__ = (
        "_begin",
        "_deadline",
        "_first_read_bytes",
        "_guard",
        "_is_open",
        "_is_tls",
        "_max_reply_bytes",
        "_receive_first",
        "_recv",
        "_secured",
        "_send",
        "_sock",
        "_timeout_s",
        "epoch",
        "idle_since",
    )

    def __init__(
        self, sock: socket.socket, max_reply_bytes: int, epoch: int = 0, first_read_bytes: int = FIRST_READ_BYTES
    ) -> None:
        self._sock = sock
        self._first_read_bytes = first_read_bytes
        self._send: Callable[[bytes | memoryview], int] = sock.send
        self._recv: Callable[[int], bytes] = sock.recv
        self._is_tls = isinstance(sock, ssl.SSLSocket)
        # Sockets that have been replaced, by gevent for one, are left to their own methods.
        self._begin: Callable[[bytes, int], bytes | int] | None = None
        self._receive_first: Callable[[int], bytes] = sock.recv
        if _IS_LINUX and type(sock) is socket.socket:
            if first_read_bytes <= FIRST_READ_BYTES:
                self._begin = partial(exchange, sock.fileno())
                self._receive_first = partial(receive, sock.fileno())
            else:
                self._begin = partial(exchange_reply, sock.fileno())
                self._receive_first = partial(receive_reply, sock.fileno())
        self._secured: SecuredSocket | None = None
        if _IS_LINUX and type(sock) is ssl.SSLSocket:
            self._secured = SecuredSocket(sock)
            self._send = self._secured.send
            self._recv = self._secured.receive
            self._receive_first = self._secured.receive_first
        self._timeout_s = 0.0
        self._deadline = 0.0
        self._is_open = True
        self._max_reply_bytes = min(max_reply_bytes, sys.maxsize)
        self._guard: Guard | None = None
        self.epoch = epoch
        self.idle_since = 0.0

    @property
    def is_open(self) -> bool:
        """Whether another request may be sent."""
        return self._is_open

    @property
    def family(self) -> socket.AddressFamily:
        """The kind of address it goes to."""
        return socket.AddressFamily(self._sock.family)

    @property
    def tls_session(self) -> ssl.SSLSession | None:
        """The TLS session to resume by the next connection; None without TLS."""
        return self._sock.session if isinstance(self._sock, ssl.SSLSocket) else None

    def guard_with(self, guard: Guard) -> None:
        """Let the guard cut the exchanges from now on.

        Raises:
            Interrupted: the guard has cut the call already.
        """
        guard.watch(self._sock)
        self._guard = guard

    def leave_guard(self) -> None:
        """End what ``guard_with`` began."""
        if self._guard is not None:
            self._guard.leave()
            self._guard = None

    def close(self) -> None:
        """Close the connection. Harmless when it is closed."""
        self._is_open = False
        self.leave_guard()
        # They know the number of the descriptor, which may soon be somebody else's.
        self._begin = None
        if self._secured is None:
            self._receive_first = self._recv
        self._sock.close()

    def is_quiet(self) -> bool:
        """Return whether nothing has arrived since the last reply, by one look that does not wait.

        The end of the stream and bytes that nobody asked for (a TLS alert, for one) count as noise.
        """
        # Not recv() with MSG_DONTWAIT: on a socket with a time-out Python waits before it.
        if self._begin is not None:
            return is_quiet(self._sock.fileno())
        look = select.poll()
        look.register(self._sock, select.POLLIN)
        return not look.poll(0)

    def exchange(self, request: bytes, timeout_s: float) -> tuple[int, bytes]:
        """Send a request and read its reply.

        Args:
            request: head and body.
            timeout_s: seconds until the reply must be complete.

        Returns:
            HTTP status and body.

        Raises:
            ConnectionLost, ReadTimeout, BadReply, Interrupted: see their docstrings. The connection is closed then.

        Blocks: up to ``timeout_s``; a guard wakes it.
        """
        try:
            if self._timeout_s != timeout_s:
                self._set_timeout(timeout_s)
            self._deadline = monotonic() + timeout_s
            if self._secured is not None:
                self._secured.deadline = self._deadline
            try:
                begin = self._begin or self._begin_by_methods
                piece = begin(request, self._first_read_bytes)
                if isinstance(piece, int):
                    self._send_rest(request, piece)
                    piece = self._receive_first(self._first_read_bytes)
                if not piece:
                    raise self._explain_silence(len(request))
                status, body, is_reusable = read_reply(piece, self._receive, self._max_reply_bytes)
            except OSError as error:
                raise self._explain_read(error, timeout_s) from error
            except BadReply as error:
                if self._guard is not None and self._guard.is_cut:
                    raise Interrupted(detail="interrupted") from error
                raise
        except BaseException:
            self.close()
            raise
        if not is_reusable:
            self.close()
        return status, body

    def _set_timeout(self, timeout_s: float) -> None:
        """Bound each wait on the socket.

        On Linux the kernel does it for plain sockets: they stay blocking, which saves the poll() that Python would
        otherwise do before each send and recv. Secured ones go by the deadline.
        """
        if self._secured is not None:
            pass
        elif _IS_LINUX and not self._is_tls:
            # The kernel takes 0 for "for ever".
            microseconds = max(1, int(timeout_s * 1e6))
            packed = _KERNEL_TIMEOUT.pack(*divmod(microseconds, 1_000_000))
            if self._sock.gettimeout() is not None:
                self._sock.settimeout(None)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, packed)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, packed)
        else:
            self._sock.settimeout(max(timeout_s, 1e-6))
        self._timeout_s = timeout_s

    def _begin_by_methods(self, request: bytes, limit: int) -> bytes | int:
        """Send, and receive if all was sent, with the methods of the socket; errors of the first half are explained."""
        try:
            sent = self._send(request)
        except OSError as error:
            raise self._explain_send(error) from error
        return self._receive_first(limit) if sent == len(request) else sent

    def _send_rest(self, request: bytes, sent: int) -> None:
        """Send what the first send left over; `sent` below 0 is the negative errno with which that failed."""
        try:
            if sent < 0:
                raise OSError(-sent, os.strerror(-sent))
            with memoryview(request) as view:
                while sent < len(request):
                    self._set_timeout(seconds_until(self._deadline))
                    sent += self._send(view[sent:])
        except OSError as error:
            raise self._explain_send(error) from error

    def _receive(self, wanted: int) -> bytes:
        """Read a further piece of a reply within what is left of its time."""
        self._set_timeout(seconds_until(self._deadline))
        return self._recv(wanted)

    def _explain_send(self, error: OSError) -> NetworkError:
        if self._guard is not None and self._guard.is_cut:
            return Interrupted(detail="interrupted", may_have_arrived=False)
        if _is_time_up(error):
            return ConnectionLost(detail="the server took no data within the time of the call", may_have_arrived=False)
        return ConnectionLost(detail=f"connection lost while sending: {reason_of(error)}", may_have_arrived=False)

    def _explain_read(self, error: OSError, timeout_s: float) -> NetworkError:
        if self._guard is not None and self._guard.is_cut:
            return Interrupted(detail="interrupted")
        if _is_time_up(error):
            return ReadTimeout(detail=f"no complete reply within {timeout_s:g} s")
        return ConnectionLost(detail=f"connection lost: {reason_of(error)}")

    def _explain_silence(self, request_bytes: int) -> NetworkError:
        """Explain the end of the stream before the first byte of a reply."""
        if self._guard is not None and self._guard.is_cut:
            return Interrupted(detail="interrupted")
        return ConnectionLost(
            detail="connection closed by the server before it replied",
            may_have_arrived=self._unacknowledged_bytes() < request_bytes,
        )

    def _unacknowledged_bytes(self) -> int:
        """Return how much of what was sent the peer's kernel is known to lack."""
        if not _IS_LINUX:
            return 0
        try:
            answer = fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        except OSError:
            return 0
        return int.from_bytes(answer, sys.byteorder)


def _is_time_up(error: OSError) -> bool:
    """Tell our own time limit from ETIMEDOUT, which says that the network gave up."""
    return isinstance(error, BlockingIOError) or (isinstance(error, TimeoutError) and error.errno is None)


def seconds_until(deadline: float) -> float:
    """Return the seconds that are left.

    Raises:
        TimeoutError: none.
    """
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def reason_of(error: OSError) -> str:
    """Return what the system says of an error, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {error.verify_message}"
    if isinstance(error, TimeoutError) and not error.strerror:
        return "timed out"
    return error.strerror or str(error) or type(error).__name__
