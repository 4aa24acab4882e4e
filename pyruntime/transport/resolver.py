"""Ask the name service, in a way that can be interrupted."""

from __future__ import annotations

import ipaddress
import socket
import threading
from typing import Any

from pyruntime.errors import Interrupted
from pyruntime.transport.guard import Guard

__all__ = ["Address", "resolve"]

# Family, kind, protocol, canonical name, address: as socket.getaddrinfo gives them.
Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]


def resolve(host: str, port: int, timeout_s: float, guard: Guard | None = None) -> list[Address]:
    """Return the addresses of a host, in the order in which to try them.

    With a guard the question is put in a thread of its own, because nothing can interrupt it: the caller comes back
    at once when it is cut, or after ``timeout_s``, and the thread ends when the name service answers.

    Raises:
        OSError: no such name, or (with a guard) no answer in time.
        Interrupted: the guard cut it.
    """
    if guard is None or _is_address(host):
        return _ask(host, port)
    answered = threading.Event()
    outcome: list[list[Address] | OSError] = []

    def ask() -> None:
        try:
            outcome.append(_ask(host, port))
        except OSError as error:
            outcome.append(error)
        answered.set()

    guard.watch_wait(answered.set)
    # A daemon, so that a dead name service does not hold up the exit of the program.
    threading.Thread(target=ask, name="pyruntime-resolver", daemon=True).start()
    answered.wait(timeout_s)
    guard.leave()
    if guard.is_cut:
        raise Interrupted(detail="interrupted", may_have_arrived=False)
    if not outcome:
        raise TimeoutError(f"the name service did not answer for {host}")
    if isinstance(outcome[0], OSError):
        raise outcome[0]
    return outcome[0]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _ask(host: str, port: int) -> list[Address]:
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except UnicodeError:
        raise OSError("not a valid host name") from None
