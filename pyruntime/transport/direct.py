"""Calls over our own connections: the hot path.

What is sent again, exactly: a request that went out over a *reused* connection and is certain not to have arrived
(``ConnectionLost.may_have_arrived`` is False, see ``connection.py``) goes out once more, at once, over a new one.
Nothing else is ever sent twice here; what may be tried again later is for the caller to judge.
"""

from __future__ import annotations

import socket
import ssl
import threading

from pyruntime.errors import ConnectionLost, NetworkError
from pyruntime.transport.connection import Connection
from pyruntime.transport.dial import connect
from pyruntime.transport.endpoint import Endpoint
from pyruntime.transport.guard import Guard
from pyruntime.transport.pool import Pool
from pyruntime.transport.tls import TlsContext

__all__ = ["DirectTransport"]

_CALL_READ_BYTES = 16 * 1024
# A full batch is 70 KB and more. Read in few pieces, it comes sooner: each piece is a turn at the interpreter.
_POLL_READ_BYTES = 256 * 1024


class DirectTransport:
    """Carry JSON calls over keep-alive connections, as many as there are threads that call.

    Args:
        endpoint: where to.
        tls: TLS context for https; by default certificate and host name are checked.
        connect_timeout_s: seconds to get a connection, TLS included.
        timeout_s: seconds until a reply must be complete.
        max_reply_bytes: largest body of a reply.
        max_idle: idle connections to keep.
        idle_s: seconds to keep them.

    Thread-safety: any thread.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        tls: TlsContext | None = None,
        connect_timeout_s: float = 10.0,
        timeout_s: float = 60.0,
        max_reply_bytes: int = 64 * 1024 * 1024,
        max_idle: int = 512,
        idle_s: float = 50.0,
    ) -> None:
        self._endpoint = endpoint
        self._tls = tls or TlsContext()
        # Of the last connection that worked: only hints, so it does not matter which thread writes last.
        self._tls_session: ssl.SSLSession | None = None
        self._family: socket.AddressFamily | None = None
        self._connect_timeout_s = connect_timeout_s
        self._timeout_s = timeout_s
        self._max_reply_bytes = max_reply_bytes
        self._heads: dict[str, bytes] = {}
        self._pool = Pool(max_idle, idle_s)
        # The connection that the long poll keeps for itself between two polls.
        self._poll_pool = Pool(1, idle_s)
        # Guards the set of calls that interrupt() cuts.
        self._lock = threading.Lock()
        self._pending: set[Guard] = set()

    @property
    def idle_count(self) -> int:
        """Connections that wait for the next call."""
        return len(self._pool)

    def call(self, method: str, body: bytes) -> tuple[int, bytes]:
        """Send a JSON body to a method and return the HTTP status and body of the reply.

        Raises:
            NetworkError: no usable reply.

        Blocks: at most the two time limits together.
        """
        try:
            head = self._heads[method]
        except KeyError:
            head = self._heads[method] = self._endpoint.head(method)
        request = b"%b%d\r\n\r\n%b" % (head, len(body), body)
        pool = self._pool
        connection = pool.take()
        try:
            if connection is not None:
                try:
                    reply = connection.exchange(request, self._timeout_s)
                    pool.give(connection)
                    return reply
                except ConnectionLost as error:
                    if error.may_have_arrived:
                        raise
            connection = self._connect(pool.epoch, None)
            reply = connection.exchange(request, self._timeout_s)
        except NetworkError as error:
            self._complete(error, method)
            raise
        self._learn_from(connection)
        pool.give(connection)
        return reply

    def call_guarded(self, method: str, body: bytes, timeout_s: float | None = None) -> tuple[int, bytes]:
        """Do as ``call`` does, over a connection kept for that, in a way that ``interrupt`` can cut at any point.

        Args:
            timeout_s: seconds until the reply must be complete; by default as for ``call``.

        Raises:
            Interrupted: ``interrupt`` was called meanwhile.
            NetworkError: no usable reply.
        """
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        request = b"%b%d\r\n\r\n%b" % (self._endpoint.head(method), len(body), body)
        pool = self._poll_pool
        guard = Guard()
        with self._lock:
            self._pending.add(guard)
        try:
            connection = pool.take()
            if connection is not None:
                try:
                    return self._exchange_guarded(connection, request, limit_s, guard)
                except ConnectionLost as error:
                    if error.may_have_arrived:
                        raise
            connection = self._connect(pool.epoch, guard)
            return self._exchange_guarded(connection, request, limit_s, guard)
        except NetworkError as error:
            self._complete(error, method)
            raise
        finally:
            with self._lock:
                self._pending.discard(guard)

    def interrupt(self) -> None:
        """Cut every pending ``call_guarded``. Harmless when none is pending; later ones work again.

        Blocks: not noticeably. Thread-safety: any thread.
        """
        with self._lock:
            pending = list(self._pending)
        for guard in pending:
            guard.cut()

    def close(self) -> None:
        """Close the idle connections, and the busy ones when their reply is complete. Later calls open new ones."""
        self._pool.clear()
        self._poll_pool.clear()

    def renew_after_fork(self) -> None:
        """Give up what was inherited, in the child of a fork."""
        self._lock = threading.Lock()
        self._pending = set()
        self._pool.renew_after_fork()
        self._poll_pool.renew_after_fork()

    def _exchange_guarded(
        self, connection: Connection, request: bytes, timeout_s: float, guard: Guard
    ) -> tuple[int, bytes]:
        """Exchange over a connection that the guard can cut, and keep it afterwards unless it was."""
        try:
            connection.guard_with(guard)
            reply = connection.exchange(request, timeout_s)
            self._learn_from(connection)
        except BaseException:
            guard.leave()
            connection.close()
            raise
        connection.leave_guard()
        if guard.is_cut:
            # The cut came after the last byte: the reply counts, the connection has been shut.
            connection.close()
        self._poll_pool.give(connection)
        return reply

    def _connect(self, epoch: int, guard: Guard | None) -> Connection:
        return connect(
            self._endpoint,
            self._connect_timeout_s,
            self._max_reply_bytes,
            ssl_context=self._tls.get() if self._endpoint.is_tls else None,
            tls_session=self._tls_session,
            prefer=self._family,
            guard=guard,
            epoch=epoch,
            first_read_bytes=_CALL_READ_BYTES if guard is None else _POLL_READ_BYTES,
        )

    def _learn_from(self, connection: Connection) -> None:
        """Remember what makes the next connection quicker, after a reply: with TLS 1.3 the session comes only then."""
        if connection.is_open:
            self._family = connection.family
            self._tls_session = connection.tls_session or self._tls_session

    def _complete(self, error: NetworkError, method: str) -> None:
        """Add the method to an error, and make sure that it does not repeat the token with the server's words."""
        error.method = method
        error.detail = self._endpoint.scrub(error.detail)
        error.args = (method, error.detail, error.may_have_arrived)
