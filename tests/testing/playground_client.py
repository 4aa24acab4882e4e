"""Do what the playground's page does, over bare HTTP: post actions, read the stream of events."""

import http.client
import json
from typing import Any

from pyruntime.testing import Playground


class PageClient:
    """Post what the page posts."""

    def __init__(self, playground: Playground) -> None:
        server = playground.server
        self.connection = http.client.HTTPConnection(server.host, server.port, timeout=10)

    def ask(self, verb: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, bytes]:
        """Return status, headers and body of the reply to any request."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        self.connection.request(verb, path, None if body is None else json.dumps(body).encode(), sent)
        reply = self.connection.getresponse()
        return reply.status, reply.headers, reply.read()

    def do(self, action: str, **body: Any) -> Any:
        """Return the result of an action, which must not be refused."""
        status, _, reply = self.ask("POST", f"/playground/{action}", body)
        assert status == 200, reply
        return json.loads(reply)["result"]

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


class Events:
    """Read the stream of events."""

    def __init__(self, playground: Playground) -> None:
        server = playground.server
        self.connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
        self.connection.request("GET", "/playground/events")
        self.reply = self.connection.getresponse()
        assert self.reply.headers["Content-Type"] == "text/event-stream"

    def next(self, wanted: str) -> Any:
        """Return the content of the next event of a kind."""
        while True:
            kind = self.reply.readline().decode().removeprefix("event: ").strip()
            data = self.reply.readline().decode().removeprefix("data: ")
            assert self.reply.readline() == b"\n"
            if kind == wanted:
                return json.loads(data)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()
        self.reply.close()


def call_bot(playground: Playground, method: str, **parameters: Any) -> Any:
    """Call a method of the Bot API, as the bot; return the whole reply."""
    connection = http.client.HTTPConnection(playground.server.host, playground.server.port, timeout=10)
    try:
        body = json.dumps(parameters).encode()
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"/bot{playground.token}/{method}", body, headers)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()
