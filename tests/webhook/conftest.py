"""A bot behind a webhook app that is served over a real socket, and a client that sends it what it likes."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import ujson

from pyruntime import Bot
from pyruntime.testing import FakeBotApi
from pyruntime.webhook import WebhookApp, webhook_app
from pyruntime.webhook.server import WebhookServer

SECRET = "the-secret_of-1"
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"


class Site:
    """A bot behind a webhook: what it handled, and a way to post to it."""

    def __init__(self, app: WebhookApp, port: int, bot: Bot, handled: list[dict[str, Any]]) -> None:
        self.app = app
        self.port = port
        self.bot = bot
        self.handled = handled
        self.changed = threading.Condition()

    def post(
        self,
        body: bytes | dict[str, Any],
        *,
        method: str = "POST",
        path: str = "/",
        secret: str | None = SECRET,
        kind: str | None = "application/json",
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request over a connection of its own; return status, headers and body of the answer."""
        content = body if isinstance(body, bytes) else ujson.dumps(body).encode()
        headers = {}
        if secret is not None:
            headers[SECRET_HEADER] = secret
        if kind is not None:
            headers["Content-Type"] = kind
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, content, headers)
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()
        finally:
            connection.close()

    def note(self, update: dict[str, Any]) -> None:
        """Remember that an update was handled."""
        with self.changed:
            self.handled.append(update)
            self.changed.notify_all()

    def wait_for_handled(self, count: int) -> list[dict[str, Any]]:
        """Return what was handled when it is `count` updates."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.handled) >= count, 20), f"{len(self.handled)} of {count}"
            return list(self.handled)


def message(update_id: int, text: str = "hello", chat_id: int = 7) -> dict[str, Any]:
    """Return an update with a message of a private chat."""
    user = {"id": chat_id, "is_bot": False, "first_name": "Ann"}
    content = {
        "message_id": update_id,
        "date": 1,
        "chat": {"id": chat_id, "type": "private", "first_name": "Ann"},
        "from": user,
        "text": text,
    }
    return {"update_id": update_id, "message": content}


@pytest.fixture
def api() -> Iterator[FakeBotApi]:
    """Serve the Bot API."""
    with FakeBotApi(knows_any_chat=True) as server:
        yield server


@pytest.fixture
def serve(api: FakeBotApi) -> Iterator[Callable[..., Site]]:
    """Return a function that serves a bot behind a webhook; its handler can be given, else it notes each update."""
    with ExitStack() as stack:

        def start(handler: Callable[[Any], object] | None = None, *, threads: int = 8, **options: Any) -> Site:
            bot = Bot(api.token, api.url)
            handled: list[dict[str, Any]] = []
            app = webhook_app(bot, **{"secret_token": SECRET, **options})
            server = WebhookServer(app, "127.0.0.1", 0, threads)
            site = Site(app, server.port, bot, handled)

            @bot.use
            def handle(ctx: Any, next: Callable[[], object]) -> None:
                if handler is not None:
                    handler(ctx)
                site.note(ctx.update)

            server.start()
            stack.callback(server.stop)
            stack.callback(app.stop, 5)
            return site

        yield start
