"""Serve a page on which to chat with a bot: a fake Bot API server and its face."""

import base64
import itertools
import secrets
from collections.abc import Callable
from importlib.resources import files
from types import TracebackType
from typing import Any, Final, Self

import ujson

from pyruntime.testing.chat import Chat
from pyruntime.testing.connection import Connection
from pyruntime.testing.control import describe_call, guarded
from pyruntime.testing.dispatch import encode_error
from pyruntime.testing.guard import refuse_foreign
from pyruntime.testing.method.about import default_commands
from pyruntime.testing.server import FakeBotApi
from pyruntime.testing.stream import EventStream
from pyruntime.testing.wire import Request, build_reply

_MAX_MESSAGES_SHOWN: Final = 300
_MAX_CALLS_SHOWN: Final = 200
_IMAGE_TYPES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
)
_NAMES: Final = ("Ann", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gia", "Hugo", "Ida", "Jan", "Kim", "Lea")
_GROUPS: Final = ("Friends", "Team", "Family", "Neighbours", "Chess club", "Band")


class Playground:
    """Run a fake Bot API server with a page to chat with the bot; no token and no network needed.

    A context manager: entering starts it, leaving stops it.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 8081, token: str | None = None) -> None:
        """Prepare to listen on `host` and `port` (0 takes a free one); without `token` a random one is made."""
        self.token = token or f"{secrets.randbelow(900_000) + 100_000}:{secrets.token_urlsafe(24)}"
        self.server = FakeBotApi(self.token, host, port)
        add_playground_routes(self.server)

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


def add_playground_routes(server: FakeBotApi) -> None:
    """Add the page and what it talks to, and the first three chats, to a server."""
    page = Page(server)
    server.observe(page.on_change)
    server.add_route("GET", "/", page.show)
    server.add_route("GET", "/playground/file", page.send_file)
    server.add_route("GET", "/playground/events", page.open_events)
    for name, action in page.actions.items():
        server.add_route("POST", f"/playground/{name}", guarded(server, page.acting(action)))
    for _ in range(2):
        page.add_chat({"type": "private"})
    page.add_chat({"type": "group"})


class Page:
    """Answer the requests of the page, in the server's thread."""

    def __init__(self, server: FakeBotApi) -> None:
        """Show `server`."""
        self._server = server
        self._world = server.world
        self._keyboards: dict[int, Any] = {}
        self._people = itertools.count(1)
        self._groups = itertools.count(1)
        self._stream = EventStream(server.world, lambda: server.loop, self._snapshot, self._queue_state)
        self.actions: dict[str, Callable[[dict[str, Any]], Any]] = {
            "send": self._send,
            "press": self._press,
            "edit": self._edit,
            "chat": self.add_chat,
        }

    def on_change(self, kind: str, content: Any) -> None:
        """Pass a change on to the pages that are open."""
        if kind == "keyboard":
            self._keyboards[content["chat"]["id"]] = content["markup"]
        if kind in ("poll", "queue"):
            self._stream.touch()
        elif kind == "call":
            self._stream.tell(kind, describe_call(content))
        elif kind == "chat":
            self._stream.tell(kind, self._describe_chat(self._world.chats[content["id"]]))
        else:
            self._stream.tell(kind, content)

    def acting(self, action: Callable[[dict[str, Any]], Any]) -> Callable[[Request], Any]:
        """Make a handler that gives the decoded body to `action`."""

        def act(request: Request) -> Any:
            body = ujson.loads(request.body)
            if not isinstance(body, dict):
                raise TypeError("an object is expected")
            with self._world.lock:
                return action(body)

        return act

    def add_chat(self, body: dict[str, Any]) -> Any:
        """Add a private chat or a group, with a name of its own if none is given."""
        is_private = body.get("type") == "private"
        number = next(self._people if is_private else self._groups)
        name = str(body.get("name") or "").strip()[:64]
        if is_private:
            first_name = name or _NAMES[(number - 1) % len(_NAMES)]
            user = {"id": 1000 + number, "first_name": first_name, "language_code": "en"}
            chat = self._server.chat(1000 + number, "private", user=user)
        else:
            people = [each.user for each in self._world.chats.values() if each.type == "private"]
            title = name or _GROUPS[(number - 1) % len(_GROUPS)]
            chat = self._server.chat(-1000 - number, "group", user=people[0] if people else 1000, title=title)
        return {"id": chat.id}

    def show(self, connection: Connection, request: Request) -> None:
        """Send the page itself."""
        refusal = refuse_foreign(request, self._server.host, is_page=True)
        if refusal is not None:
            connection.reply(build_reply(refusal[0], encode_error(*refusal)))
            return
        nonce = secrets.token_urlsafe(16)
        page = files("pyruntime.testing").joinpath("playground.html").read_text(encoding="utf-8")
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
            "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        headers = (
            ("Content-Security-Policy", policy),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
        )
        body = page.replace("NONCE", nonce).encode()
        connection.reply(build_reply(200, body, content_type="text/html; charset=utf-8", headers=headers))

    def open_events(self, connection: Connection, request: Request) -> None:
        """Keep the connection open and send events over it."""
        refusal = refuse_foreign(request, self._server.host)
        if refusal is not None:
            connection.reply(build_reply(refusal[0], encode_error(*refusal)))
        else:
            self._stream.open(connection)

    def send_file(self, connection: Connection, request: Request) -> None:
        """Send a file that the bot or a user uploaded: pictures to be shown, anything else as a download."""
        refusal = refuse_foreign(request, self._server.host)
        with self._world.lock:
            file = self._world.files.get(request.arguments().get("id", ""))
        if refusal is not None or file is None:
            connection.reply(build_reply(*_as_error(refusal or (404, "Not Found"))))
            return
        kind = next((kind for start, kind in _IMAGE_TYPES if file.data.startswith(start)), None)
        headers: tuple[tuple[str, str], ...] = (("X-Content-Type-Options", "nosniff"),)
        if kind is None:
            name = "".join(letter for letter in file.name if letter.isascii() and (letter.isalnum() or letter in "._-"))
            headers += (("Content-Disposition", f'attachment; filename="{name or "file"}"'),)
        connection.reply(build_reply(200, file.data, content_type=kind or "application/octet-stream", headers=headers))

    def _send(self, body: dict[str, Any]) -> Any:
        chat = self._find_chat(body)
        fields: dict[str, Any] = {}
        if body.get("reply_to") is not None:
            fields["reply_to"] = chat.find(int(body["reply_to"]))
        if body.get("file") is not None:
            fields.update(self._store_file(body["file"]))
        for name in ("contact", "location"):
            if isinstance(body.get(name), dict):
                fields[name] = body[name]
        text = str(body["text"])[:4096] if body.get("text") else None
        if text is None and not fields:
            raise ValueError("there is nothing to send")
        return {"message_id": chat.send(text, user=self._find_user(body), **fields).id}

    def _store_file(self, file: dict[str, Any]) -> dict[str, Any]:
        data = base64.b64decode(str(file["base64"]), validate=True)
        name, kind = str(file.get("name") or "file"), str(file.get("type") or "application/octet-stream")
        file_id = self._server.add_file(data, name, kind)
        described: dict[str, Any] = {"file_id": file_id, "file_unique_id": f"u{file_id}", "file_size": len(data)}
        caption = {"caption": str(file["caption"])} if file.get("caption") else {}
        if any(data.startswith(start) for start, _ in _IMAGE_TYPES):
            return {"photo": [{**described, "width": 640, "height": 480}], **caption}
        return {"document": {**described, "file_name": name, "mime_type": kind}, **caption}

    def _press(self, body: dict[str, Any]) -> Any:
        chat = self._find_chat(body)
        query = chat.press({"callback_data": str(body["data"])}, int(body["message_id"]), user=self._find_user(body))
        return {"id": query.id}

    def _edit(self, body: dict[str, Any]) -> Any:
        return {"message_id": self._find_chat(body).edit(int(body["message_id"]), str(body["text"])[:4096]).id}

    def _find_chat(self, body: dict[str, Any]) -> Chat:
        chat = self._world.chats.get(int(body["chat_id"]))
        if chat is None:
            raise LookupError("there is no such chat")
        return chat

    def _find_user(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """Return who speaks: the user of the private chat `user_id`, or None for the chat's own."""
        speaker = self._world.chats.get(int(body.get("user_id") or 0))
        return None if speaker is None else speaker.user

    def _describe_chat(self, chat: Chat) -> dict[str, Any]:
        return {
            "info": chat.info,
            "user": chat.user,
            "messages": chat.messages[-_MAX_MESSAGES_SHOWN:],
            "keyboard": self._keyboards.get(chat.id),
        }

    def _snapshot(self) -> dict[str, Any]:
        transcript = self._server.transcript
        calls = [call for call in [*transcript.calls, *transcript.polls] if call.answered_at_ns]
        calls.sort(key=lambda call: call.number)
        return {
            "bot": self._world.bot_user,
            "chats": [self._describe_chat(chat) for chat in self._world.chats.values()],
            "commands": default_commands(self._world),
            "calls": [describe_call(call) for call in calls[-_MAX_CALLS_SHOWN:]],
            "queue": self._queue_state(),
        }

    def _queue_state(self) -> dict[str, Any]:
        return {
            "pending": self._server.pending_count(),
            "confirmed_offset": self._server.confirmed_offset,
            "next_update_id": self._server.next_update_id,
            "is_polled": self._server.is_polled,
            "polls": self._server.transcript.counts["getUpdates"],
        }


def _as_error(refusal: tuple[int, str]) -> tuple[int, bytes]:
    return refusal[0], encode_error(*refusal)
