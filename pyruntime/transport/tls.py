"""The TLS context that all connections of a client share."""

from __future__ import annotations

import ssl
import threading

__all__ = ["TlsContext"]


class TlsContext:
    """Make the context at its first use, since that reads all known certificates (10 ms and more).

    Args:
        given: context to use instead of ``ssl.create_default_context()``, which checks certificate and host name
            against the certificates that the system knows (``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` are obeyed).

    Thread-safety: any thread.
    """

    def __init__(self, given: ssl.SSLContext | None = None) -> None:
        # Guards the making. Innermost lock.
        self._lock = threading.Lock()
        self._context = given

    def get(self) -> ssl.SSLContext:
        """Return the context."""
        with self._lock:
            if self._context is None:
                self._context = ssl.create_default_context()
            return self._context

    def renew_after_fork(self) -> None:
        """Replace the lock, which another thread of the parent may have held."""
        self._lock = threading.Lock()
