"""Serve the page and its parts: HTML, styles and scripts from this folder, and nothing from elsewhere.

Each page gets a nonce of its own, which its policy demands of every script and style: what a bot says can never run.
"""

import secrets
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from pyruntime.testing.connection import Connection
from pyruntime.testing.dispatch import encode_error
from pyruntime.testing.guard import refuse_foreign
from pyruntime.testing.wire import Request, build_reply

if TYPE_CHECKING:
    from pyruntime.testing.server import FakeBotApi

_TYPES: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
_SAFE: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)
_FOLDER: Final = "pyruntime.testing.page"


def add_page_routes(server: "FakeBotApi") -> None:
    """Add the page (at /) and its parts (at /playground/NAME) to a server."""

    def show(connection: Connection, request: Request) -> None:
        refusal = refuse_foreign(request, server.host, is_page=True)
        if refusal is not None:
            connection.reply(build_reply(refusal[0], encode_error(*refusal)))
            return
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
            "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        body = _read("page.html").replace(b"NONCE", nonce.encode())
        headers = (("Content-Security-Policy", policy), *_SAFE)
        connection.reply(build_reply(200, body, content_type="text/html; charset=utf-8", headers=headers))

    server.add_route("GET", "/", show)
    for part in files(_FOLDER).iterdir():
        kind = _TYPES.get(f".{part.name.rpartition('.')[2]}")
        if kind is not None:
            _add_part(server, part.name, kind)


def _add_part(server: "FakeBotApi", name: str, kind: str) -> None:
    def send(connection: Connection, request: Request) -> None:
        refusal = refuse_foreign(request, server.host)
        if refusal is not None:
            connection.reply(build_reply(refusal[0], encode_error(*refusal)))
        else:
            connection.reply(build_reply(200, _read(name), content_type=kind, headers=_SAFE))

    server.add_route("GET", f"/playground/{name}", send)


def _read(name: str) -> bytes:
    return files(_FOLDER).joinpath(name).read_bytes()
