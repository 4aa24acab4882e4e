"""Requests that nobody should send: valid ones with something broken, and what an honest reader makes of them."""

import json
import random
import re
from typing import Any

SECRET = "the-secret_of-1"
PATH = "/hook"

_INTERESTING = (
    b"\x00", b"\r\n", b"\n", b"\r\n\r\n", b" ", b":", b"\xff\xfe", b"{", b"}", b"[", b'"', b"\\", b"-1", b"1e999",
    b"NaN", b"null", b"99999999999999999999", b"\\ud800", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"GET / HTTP/1.0\r\n\r\n", b"%00", b"../", b"\xc3\x28",
)  # fmt: skip


def message(update_id: int, rng: random.Random) -> dict[str, Any]:
    """Return an update with a text of any kind."""
    text = "".join(rng.choice('abc \n"\\äß€😀') for _ in range(rng.randrange(40)))
    chat = {"id": update_id % 50 + 1, "type": "private"}
    return {"update_id": update_id, "message": {"message_id": update_id, "date": 1, "chat": chat, "text": text}}


def request(body: bytes, secret: str | None = SECRET, *, method: str = "POST", path: str = PATH) -> bytes:
    """Return a request as Telegram sends it."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    if secret is not None:
        head += f"X-Telegram-Bot-Api-Secret-Token: {secret}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def mutated(update_id: int, rng: random.Random) -> bytes:
    """Return a request that is broken in one to four ways; a few are sound."""
    update = json.dumps(message(update_id, rng), ensure_ascii=rng.random() < 0.5).encode()
    kind = rng.randrange(12)
    if kind == 0:
        secret = rng.choice([None, "", SECRET[:-1], SECRET + "x", SECRET.swapcase(), "x" * 5000, "\x7f"])
        return request(update, secret)
    if kind == 1:
        return request(update, method=rng.choice(["GET", "PUT", "post", "HEAD", "", "POST POST"]))
    if kind == 2:
        return request(
            update, path=rng.choice(["/", "/hook/", "/hoo", "/hook?x", "//hook", "*", "/%68ook", "/hook%00"])
        )
    if kind == 3:
        whole = request(update)
        return whole[: rng.randrange(1, len(whole))]
    if kind == 4:
        return request(rng.choice([b"[" * 5000, b'{"a":' * 5000, b"1", b"", b'{"update_id":%d}' % update_id, b"[{}]"]))
    if kind in (5, 6, 7):
        return request(_broken(update, rng))
    if kind == 8:
        wrong = len(update) + rng.choice([-5, -1, 1, 5, 1000])
        return request(update).replace(b"Content-Length: %d" % len(update), b"Content-Length: %d" % wrong)
    if kind == 9:
        cut = rng.randrange(len(update))
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (update[:cut], update[cut:]) if part)
        whole = request(update).partition(b"\r\n\r\n")[0].replace(b"Content-Length", b"X-Length")
        whole += b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        return _broken(whole, rng) if rng.random() < 0.5 else whole
    if kind == 10:
        return request(update)
    return _broken(request(update), rng)


def acceptable(sent: bytes) -> dict[str, Any] | None:
    """Return the update that an honest reader may take out of a request, or None if there is none to be taken."""
    head, _, rest = sent.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not head.startswith(b"POST ") or not re.search(
        rb"(?im)^[^\n]*" + re.escape(SECRET.encode()) + rb"[ \t]*\r?$", head
    ):
        return None
    if b"application/json" not in head.lower():
        return None
    bodies = [rest]
    bodies += [rest[: int(length)] for length in re.findall(rb"(?i)content-length:[ \t]*(\d{1,7})", head)]
    if b"chunked" in head.lower():
        bodies.append(_joined(rest))
    for body in bodies:
        try:
            update = json.loads(body.decode())
        except (ValueError, RecursionError):
            continue
        if isinstance(update, dict) and type(update.get("update_id")) is int:
            return update
    return None


def _joined(chunks: bytes) -> bytes:
    body = b""
    while True:
        size, end, chunks = chunks.lstrip(b"\r\n").partition(b"\r\n")  # empty lines do no harm
        found = re.match(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(;|$)", size)
        if not end or found is None or not int(found[1], 16):
            return body
        body += chunks[: int(found[1], 16)]
        chunks = chunks[int(found[1], 16) + 2 :]


def _broken(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(data) + 1)
        way = rng.randrange(5)
        if way == 0:
            data = data[:at] + rng.choice(_INTERESTING) + data[at:]
        elif way == 1:
            data = data[:at] + data[at + rng.randrange(1, 20) :]
        elif way == 2:
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        elif way == 3:
            end = min(len(data), at + rng.randrange(1, 30))
            data = data[:end] + data[at:end] + data[end:]
        else:
            data = data[:at] + bytes(rng.randrange(256) for _ in range(rng.randrange(1, 8))) + data[at:]
    return data or b"\n"
