"""Read a webhook request, and refuse what Telegram would not send.

What can be checked without reading the body is checked first, so that a stranger costs nothing. The body is read by the
standard library's decoder, which is strict: `ujson` takes ``01``, ``-`` and NaN for numbers.
"""

from __future__ import annotations

import hmac
import json
import re
from typing import Any, NoReturn

from pyruntime.webhook.answer import Refused
from runner_c import ConfigError, is_update

__all__ = ["SECRET_HEADER", "check_secret_token", "read_body", "read_update", "refuse_stranger"]

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"
"""The header in which Telegram repeats the secret token of setWebhook."""

_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")
_CHUNK_BYTES = 64 * 1024


def check_secret_token(secret_token: object) -> bytes | None:
    """Return the secret as bytes, or None if there is none.

    Raises:
        ConfigError: Telegram would not take it.
    """
    if secret_token is None:
        return None
    if not isinstance(secret_token, str) or not _SECRET.fullmatch(secret_token):
        raise ConfigError("secret_token is 1 to 256 characters of A-Z, a-z, 0-9, _ and -, as for setWebhook")
    return secret_token.encode()


def refuse_stranger(secret: bytes | None, given: str | None) -> None:
    """Refuse a request without the right secret, in a time that tells nothing of the secret.

    Raises:
        Refused: 401.
    """
    if secret is None:
        return
    if not hmac.compare_digest(secret, (given or "").encode("utf-8", "surrogateescape")):
        raise Refused(401, f"the header {SECRET_HEADER} is not the secret token of the webhook")


def read_body(environ: dict[str, Any], most_bytes: int) -> bytes:
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
        return _read(environ["wsgi.input"], most_bytes, None)
    if not (length.isascii() and length.isdigit()) or len(length) > 18:
        raise Refused(400, "the header Content-Length is missing or no number")
    if int(length) > most_bytes:
        raise Refused(413, f"an update has {most_bytes} bytes at most")
    return _read(environ["wsgi.input"], most_bytes, int(length))


def read_update(body: bytes, most_bytes: int) -> dict[str, Any]:
    """Return the update in a body.

    Raises:
        Refused: it is none (400), or too large (413).
    """
    if len(body) > most_bytes:
        raise Refused(413, f"an update has {most_bytes} bytes at most")
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


def _read(stream: Any, most_bytes: int, length: int | None) -> bytes:
    parts: list[bytes] = []
    left = most_bytes + 1 if length is None else length
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
    if length is None and len(body) > most_bytes:
        raise Refused(413, f"an update has {most_bytes} bytes at most")
    if length is not None and len(body) != length:
        raise Refused(400, "the body is shorter than its Content-Length")
    return body
