"""How a connection to the Bot API is opened: the addresses of its host in turn, then TLS.

Guarantees: nothing stays open when it fails; all of it together takes no longer than its time limit; a guard can cut it
at any point.
"""

from __future__ import annotations

import socket
import ssl
import sys
from time import monotonic

from pyruntime.errors import ConnectFailed, Interrupted
from pyruntime.transport.connection import FIRST_READ_BYTES, Connection, reason_of, seconds_until
from pyruntime.transport.endpoint import Endpoint
from pyruntime.transport.guard import Guard
from pyruntime.transport.resolver import resolve

__all__ = ["connect"]


def connect(
    endpoint: Endpoint,
    timeout_s: float,
    max_reply_bytes: int,
    *,
    ssl_context: ssl.SSLContext | None = None,
    tls_session: ssl.SSLSession | None = None,
    prefer: socket.AddressFamily | None = None,
    guard: Guard | None = None,
    epoch: int = 0,
    first_read_bytes: int = FIRST_READ_BYTES,
) -> Connection:
    """Open a connection: each address of the host in turn, then TLS.

    Args:
        timeout_s: seconds for all of it. Each address gets an equal share of what is left.
        ssl_context: needed for ``https``. Host name and certificate are checked as it says.
        tls_session: session of an earlier connection under the same context, to save the long handshake.
        prefer: kind of address to try first. Where the way over one kind is broken, that saves a wait each time.
        guard: cuts it from another thread, also in the middle.

    Raises:
        ConnectFailed: no address answered, or the certificate was not accepted.
        Interrupted: the guard cut it.

    Blocks: up to ``timeout_s``. The name service may take longer if there is no guard.
    """
    deadline = monotonic() + timeout_s
    try:
        sock = _connect_any(endpoint, deadline, prefer, guard)
        try:
            if ssl_context is not None:
                sock = _start_tls(sock, endpoint.host, ssl_context, tls_session, deadline, guard)
        except BaseException:
            if guard is not None:
                guard.leave()
            sock.close()
            raise
    except OSError as error:
        if guard is not None and guard.is_cut:
            raise Interrupted(detail="interrupted", may_have_arrived=False) from error
        raise ConnectFailed(
            detail=f"cannot connect to {endpoint.root}: {reason_of(error)}", may_have_arrived=False
        ) from error
    return Connection(sock, max_reply_bytes, epoch, first_read_bytes)


def _connect_any(
    endpoint: Endpoint, deadline: float, prefer: socket.AddressFamily | None, guard: Guard | None
) -> socket.socket:
    """Return a socket connected to the first address that answers."""
    addresses = resolve(endpoint.host, endpoint.port, seconds_until(deadline), guard)
    addresses.sort(key=lambda address: address[0] != prefer)
    failure: OSError | None = None
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        sock: socket.socket | None = None
        try:
            sock = socket.socket(family, kind, protocol)
            sock.settimeout(seconds_until(deadline) / (len(addresses) - index))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _find_dead_peers(sock)
            if guard is not None:
                guard.watch(sock)
            sock.connect(address)
            return sock
        except BaseException as error:
            if guard is not None:
                guard.leave()
            if sock is not None:
                sock.close()
            if not isinstance(error, OSError) or (guard is not None and guard.is_cut):
                raise
            failure = error
    raise failure or OSError("the name has no address")


def _find_dead_peers(sock: socket.socket) -> None:
    """Let the kernel notice within about 30 s that the way to the server is gone."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform.startswith("linux"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)


def _start_tls(
    sock: socket.socket,
    host: str,
    context: ssl.SSLContext,
    session: ssl.SSLSession | None,
    deadline: float,
    guard: Guard | None,
) -> ssl.SSLSocket:
    """Return the socket with TLS on it. The given one is closed if that fails."""
    if guard is not None:
        # wrap_socket() moves the descriptor to a new object: for that moment a cut is only remembered.
        guard.leave()
    sock.settimeout(seconds_until(deadline))
    secured = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False, session=session)
    try:
        if guard is not None:
            guard.watch(secured)
        secured.do_handshake()
    except BaseException:
        if guard is not None:
            guard.leave()
        secured.close()
        raise
    return secured
