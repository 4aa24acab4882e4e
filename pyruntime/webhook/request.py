"""Read a webhook request, and refuse what Telegram would not send.

What can be checked without reading the body is checked first, so that a stranger costs nothing. The body is read by the
standard library's decoder, which is strict: `ujson` takes ``01``, ``-`` and NaN for numbers.
"""

from __future__ import annotations

import hmac
import json
import re
from typing import Any, Final, NoReturn
from urllib.parse import unquote

from pyruntime.webhook.answer import Refused
from runner_c import ConfigError, is_update

__all__ = ["MAX_BODY_BYTES", "SECRET_HEADER", "Gate", "read_body", "read_update"]

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"
"""The header in which Telegram repeats the secret token of setWebhook."""

MAX_BODY_BYTES: Final = 1024 * 1024
"""The largest update that is taken: many times what Telegram sends."""

_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")
_SECRET_KEY = "HTTP_" + SECRET_HEADER.upper().replace("-", "_")
_CHUNK_BYTES = 64 * 1024


class Gate:
    """Let through what comes to the right place with the right secret.

    Args:
        secret_token: None: anybody may pass.
        path: None: any place is right.

    Raises:
        ConfigError: Telegram would not take the secret, or the path is none.

    Thread-safety: any thread.
    """

    def __init__(self, secret_token: object, path: object) -> None:
        if secret_token is not None and not (isinstance(secret_token, str) and _SECRET.fullmatch(secret_token)):
            raise ConfigError("secret_token is 1 to 256 characters of A-Z, a-z, 0-9, _ and -, as for setWebhook")
        if path is not None and not (isinstance(path, str) and path.startswith("/")):
            raise ConfigError(f"path is None or begins with a slash, not {path!r}")
        self._secret = None if secret_token is None else secret_token.encode()
        self._path = None if path is None else unquote(path).encode()

    def check(self, environ: dict[str, Any]) -> None:
        """Look at a WSGI request.

        Raises:
            Refused: it came to another place (404), or without the secret (401).
        """
        if self._path is not None:
            asked = f"{environ.get('SCRIPT_NAME') or ''}{environ.get('PATH_INFO') or ''}"
            if asked.encode("latin-1", "replace") != self._path:
                raise Refused(404, "there is nothing here")
        self.check_secret(environ.get(_SECRET_KEY))

    def check_secret(self, given: str | bytes | None) -> None:
        """Compare the secret, in a time that tells nothing of it.

        Raises:
            Refused: 401.
        """
        if self._secret is None:
            return
        said = given if isinstance(given, bytes) else (given or "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(self._secret, said):
            raise Refused(401, f"the header {SECRET_HEADER} is not the secret token of the webhook")


def read_body(environ: dict[str, Any]) -> bytes:
    """Return the body of a WSGI request. *Blocks* until the client has sent it.

    Raises:
        Refused: it is no POST of JSON (405, 400), too large (413), or does not come whole (400).
    """
    if environ.get("REQUEST_METHOD") != "POST":
        raise Refused(405, "updates are sent by POST", ("Allow", "POST"))
    kind = str(environ.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(400, "updates are sent as application/json")
    length = str(environ.get("CONTENT_LENGTH") or "")
    if not length and environ.get("wsgi.input_terminated"):
        return _read(environ["wsgi.input"], None)
    if not (length.isascii() and length.isdigit()) or len(length) > 18:
        raise Refused(400, "the header Content-Length is missing or no number")
    if int(length) > MAX_BODY_BYTES:
        raise _too_large()
    return _read(environ["wsgi.input"], int(length))


def read_update(body: bytes) -> dict[str, Any]:
    """Return the update in a body.

    Raises:
        Refused: it is none (400), or too large (413).
    """
    if len(body) > MAX_BODY_BYTES:
        raise _too_large()
    try:
        update = json.loads(body.decode(), parse_constant=_refuse_constant)
        if b"\\ud" in body.lower():
            json.dumps(update, ensure_ascii=False).encode()  # half of a character cannot be written any more
    except (ValueError, RecursionError):
        raise Refused(400, "the body is no JSON in UTF-8") from None
    if not is_update(update) or update["update_id"] < 0:
        raise Refused(400, "the body is no update: an object with an integer update_id")
    return dict(update)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _too_large() -> Refused:
    return Refused(413, f"an update has {MAX_BODY_BYTES} bytes at most")


def _read(stream: Any, length: int | None) -> bytes:
    parts: list[bytes] = []
    left = MAX_BODY_BYTES + 1 if length is None else length
    while left > 0:
        try:
            part = stream.read(min(left, _CHUNK_BYTES))
        except Exception:  # whatever a server raises when its client goes away
            raise Refused(400, "the body cannot be read") from None
        if not part:
            break
        parts.append(part)
        left -= len(part)
    body = b"".join(parts)
    if length is None and len(body) > MAX_BODY_BYTES:
        raise _too_large()
    if length is not None and len(body) != length:
        raise Refused(400, "the body is shorter than its Content-Length")
    return body
