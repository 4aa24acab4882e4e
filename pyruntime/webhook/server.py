"""Serve a webhook app over HTTP, for the command line, behind a reverse proxy with TLS or a local Bot API server.

It is waitress: one thread reads and writes all connections, so that a slow client holds none of the threads in which
requests wait for the store.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from pyruntime.webhook.request import MAX_BODY_BYTES
from runner_c import ConfigError

__all__ = ["WebhookServer", "path_of"]

CONNECTIONS: Final = 1000
"""How many may be open; more wait to be accepted. Telegram uses 100 at most."""
IDLE_S: Final = 90
"""After so many seconds without a byte a connection is closed."""
MAX_HEADER_BYTES: Final = 32 * 1024
JOIN_S: Final = 5.0


def path_of(url: str) -> str:
    """Return the path that an address of a webhook asks for."""
    return urlsplit(url).path or "/"


class WebhookServer:
    """An HTTP server in a thread of its own.

    Args:
        app: a WSGI app.
        host, port: where to listen; port 0 takes a free one.
        threads: how many requests are answered at the same time.

    Raises:
        ConfigError: waitress is not installed.
        OSError: the address cannot be used.
    """

    def __init__(self, app: Callable[..., Any], host: str, port: int, threads: int) -> None:
        try:
            import waitress
        except ImportError:
            raise ConfigError("to serve a webhook waitress is needed: pip install 'runner_c[webhook]'") from None
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it warns of each request that waits a moment
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self._channels: dict[int, Any] = {}
        try:
            self._server = waitress.create_server(
                app,
                map=self._channels,
                sockets=[self._listener],
                threads=threads,
                ident="",
                connection_limit=CONNECTIONS,
                channel_timeout=IDLE_S,
                max_request_header_size=MAX_HEADER_BYTES,
                max_request_body_size=MAX_BODY_BYTES,
                asyncore_use_poll=True,
            )
        except BaseException:
            self._listener.close()
            raise
        self._thread = threading.Thread(target=self._server.run, name="runner_c-webhook", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what is being asked, close all connections, end the threads. *Blocks*, a few seconds at most."""
        self._server.task_dispatcher.shutdown()
        self._server.trigger.pull_trigger(self._close_all)
        self._thread.join(JOIN_S)

    def close(self) -> None:
        """Let go of a server that was never started."""
        self._server.task_dispatcher.shutdown()
        self._close_all()

    def _close_all(self) -> None:
        # In the server's thread; without any channel its loop ends.
        for channel in list(self._channels.values()):
            channel.close()
