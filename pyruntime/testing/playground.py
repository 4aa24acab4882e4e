"""Serve a page on which to chat with a bot: a fake Bot API server and its face."""

import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import ujson

from pyruntime.testing.connection import Connection
from pyruntime.testing.control import guarded
from pyruntime.testing.dispatch import encode, encode_error
from pyruntime.testing.guard import refuse_foreign
from pyruntime.testing.page.action import Actions
from pyruntime.testing.page.description import Description, describe_delivery
from pyruntime.testing.page.recorder import Recorder
from pyruntime.testing.page.script import write_script
from pyruntime.testing.page.static import add_page_routes
from pyruntime.testing.server import FakeBotApi
from pyruntime.testing.stream import EventStream
from pyruntime.testing.upload import picture_type
from pyruntime.testing.wire import Request, build_reply

_HIDDEN: Final = b"<token>"


class Playground:
    """Run a fake Bot API server with a page to chat with the bot; no token and no network needed.

    A context manager: entering starts it, leaving stops it.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 8081, token: str | None = None, *, target: str = "bot:bot"
    ) -> None:
        """Prepare to listen on `host` and `port` (0 takes a free one); without `token` a random one is made.

        `target` (`module:bot` or `path/to/file.py:bot`) is from where the tests that the page saves import the bot,
        unless the page is told otherwise.
        """
        self.token = token or f"{secrets.randbelow(900_000) + 100_000}:{secrets.token_urlsafe(24)}"
        self.server = FakeBotApi(self.token, host, port)
        add_playground_routes(self.server, target)

    def start(self) -> Self:
        """Serve in a thread of its own. Raises: OSError if the port cannot be opened."""
        self.server.start()
        return self

    def stop(self) -> None:
        """End the server; safe to call twice."""
        self.server.stop()

    @property
    def api_root(self) -> str:
        """Return the root for the bot."""
        return self.server.url

    @property
    def url(self) -> str:
        """Return the address of the page."""
        return f"{self.server.url}/"

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()


def add_playground_routes(server: FakeBotApi, target: str = "bot:bot") -> None:
    """Add the page and what it talks to, and the first three chats, to a server."""
    page = Page(server, target)
    for _ in range(2):
        page.actions.add_chat({"type": "private"})
    page.actions.add_chat({"type": "group"}, tells_bot=False)
    server.observe(page.on_change)
    add_page_routes(server)
    for path, route in (("file", page.send_file), ("events", page.open_events), ("transcript", page.send_transcript)):
        server.add_route("GET", f"/playground/{path}", page.guarding(route))
    for name, action in page.actions.table.items():
        server.add_route("POST", f"/playground/{name}", guarded(server, page.acting(action)))


class Page:
    """Answer the requests of the page, in the server's thread."""

    def __init__(self, server: FakeBotApi, target: str) -> None:
        """Show `server`."""
        self._server = server
        self._world = server.world
        self._recorder = Recorder(server.world)
        self._description = Description(server, self._recorder, target)
        self.actions = Actions(server, self._recorder, self._description)
        self._stream = EventStream(
            server.world, lambda: server.loop, self._description.snapshot, self._description.state, self._encode
        )

    def on_change(self, kind: str, content: Any) -> None:
        """Pass a change on to the pages that are open."""
        self._recorder.on_change(kind, content)
        if kind in ("poll", "queue", "deed"):
            self._stream.touch()
        elif self._stream.is_watched:
            shown = self._shown(kind, content)
            if shown is not None:
                self._stream.tell(kind, shown)

    def acting(self, action: Callable[[dict[str, Any]], Any]) -> Callable[[Request], Any]:
        """Make a handler that gives the decoded body to `action`."""

        def act(request: Request) -> Any:
            body = ujson.loads(request.body)
            if not isinstance(body, dict):
                raise TypeError("an object is expected")
            with self._world.lock:
                return ujson.loads(self._encode(action(body)))

        return act

    def guarding(self, route: Callable[[Connection, Request], None]) -> Callable[[Connection, Request], None]:
        """Make a route that refuses other pages."""

        def guard(connection: Connection, request: Request) -> None:
            refusal = refuse_foreign(request, self._server.host)
            if refusal is not None:
                connection.reply(build_reply(refusal[0], encode_error(*refusal)))
            else:
                route(connection, request)

        return guard

    def open_events(self, connection: Connection, request: Request) -> None:
        """Keep the connection open and send events over it."""
        self._stream.open(connection)

    def send_file(self, connection: Connection, request: Request) -> None:
        """Send a file that the bot or a user uploaded: pictures to be shown, anything else as a download."""
        with self._world.lock:
            file = self._world.files.get(request.arguments().get("id", ""))
        if file is None:
            connection.reply(build_reply(404, encode_error(404, "Not Found")))
            return
        kind = picture_type(file.data)
        headers: tuple[tuple[str, str], ...] = (("X-Content-Type-Options", "nosniff"),)
        if kind is None:
            name = "".join(letter for letter in file.name if letter.isascii() and (letter.isalnum() or letter in "._-"))
            headers += (("Content-Disposition", f'attachment; filename="{name or "file"}"'),)
        connection.reply(build_reply(200, file.data, content_type=kind or "application/octet-stream", headers=headers))

    def send_transcript(self, connection: Connection, request: Request) -> None:
        """Send what was recorded: as a test (with `target`), or with `format=jsonl` as updates, one a line."""
        arguments = request.arguments()
        with self._world.lock:
            if arguments.get("format") == "jsonl":
                name, data = "updates.jsonl", self._recorder.updates()
            else:
                target = arguments.get("target") or self._description.target
                try:
                    script = write_script(self._recorder, self._world.files, target)
                except ValueError as error:
                    connection.reply(build_reply(400, encode_error(400, f"Bad Request: {error}")))
                    return
                name, data = "test_conversation.py", script.encode()
        headers = (
            ("Content-Disposition", f'attachment; filename="{name}"'),
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-store"),
        )
        data = data.replace(self._server.token.encode(), _HIDDEN)
        connection.reply(build_reply(200, data, content_type="text/plain; charset=utf-8", headers=headers))

    def _encode(self, content: Any) -> bytes:
        """Encode what goes to a page. The token stays here, whatever the bot says or sets as its webhook's address."""
        return encode(content).replace(self._server.token.encode(), _HIDDEN)

    def _shown(self, kind: str, content: Any) -> Any:
        """Return what a page is told of a change, or None if nothing."""
        describe = self._description
        if kind in ("message", "edit"):
            return describe.message(content)
        if kind == "keyboard":
            chat = self._world.chats[content.chat_id]
            return {"chat_id": chat.id, "keyboard": describe.keyboard(chat)}
        if kind == "call":
            return describe.call(content)
        if kind == "chat":
            chat = self._world.chats[content["id"]]
            return {**describe.chat(chat), **describe.commands()[str(chat.id)]}
        if kind == "members":
            return describe.members(content)
        if kind == "pin":
            return {"chat_id": content.id, "pinned": content.pinned}
        if kind == "reaction":
            return {**content, "reactions": describe.reactions(content["reactions"])}
        if kind == "commands":
            return describe.commands()
        if kind == "delivery":
            return describe_delivery(content)
        return content if kind in ("delete", "action", "answer") else None
