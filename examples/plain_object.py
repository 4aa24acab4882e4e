"""Run an object that knows nothing of our bot layer: two methods are enough, here over the standard library.

Run it with `python -m runner_c examples.plain_object --playground`.
"""

import contextlib
import http.client
import json
import os
import socket
import threading
from typing import Any
from urllib.parse import urlsplit


class CallFailed(Exception):
    """Report a refused call. The engine looks at `error_code` and `retry_after`."""

    def __init__(self, method: str, reply: dict[str, Any]) -> None:
        super().__init__(f"{method}: {reply.get('description')}")
        self.error_code = reply.get("error_code")
        self.retry_after = reply.get("parameters", {}).get("retry_after")


class PlainBot:
    """Answer every text with its length."""

    def __init__(self, token: str, api_root: str) -> None:
        self._token = token
        self._root = urlsplit(api_root)
        self._poll = self._connection()
        self._own = threading.local()

    def get_updates(
        self, *, offset: int | None, limit: int, timeout: int, allowed_updates: list[str] | None
    ) -> list[dict[str, Any]]:
        """Fetch the next updates: the first of the two methods that the engine needs."""
        asked = {"offset": offset, "limit": limit, "timeout": timeout, "allowed_updates": allowed_updates}
        updates: list[dict[str, Any]] = self._call(self._poll, "getUpdates", asked)
        return updates

    def handle_update(self, update: dict[str, Any]) -> None:
        """Handle one update: the second. It runs in many threads, so each has a connection of its own."""
        message = update.get("message", {})
        if "text" in message:
            if not hasattr(self._own, "connection"):
                self._own.connection = self._connection()
            answer = {"chat_id": message["chat"]["id"], "text": f"{len(message['text'])} characters"}
            self._call(self._own.connection, "sendMessage", answer)

    def interrupt(self) -> None:
        """Cut the long poll, so that a stop need not wait for it. Optional; only a shutdown wakes the other thread."""
        if self._poll.sock is not None:
            with contextlib.suppress(OSError):
                self._poll.sock.shutdown(socket.SHUT_RDWR)

    def _connection(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._root.scheme == "https" else http.client.HTTPConnection
        return kind(self._root.hostname or "", self._root.port, timeout=60)

    def _call(self, connection: http.client.HTTPConnection, method: str, parameters: dict[str, Any]) -> Any:
        body = json.dumps({name: value for name, value in parameters.items() if value is not None})
        try:
            connection.request(
                "POST", f"{self._root.path}/bot{self._token}/{method}", body, {"Content-Type": "application/json"}
            )
            reply = json.loads(connection.getresponse().read())
        except BaseException:
            connection.close()
            raise
        if not reply["ok"]:
            raise CallFailed(method, reply)
        return reply["result"]


bot = PlainBot(os.environ.get("BOT_TOKEN", ""), os.environ.get("BOT_API_ROOT", "https://api.telegram.org"))
