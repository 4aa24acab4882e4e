"""What a webhook request is answered with."""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

__all__ = ["Answer", "Refused"]


class Answer(NamedTuple):
    """An answer, ready to be sent by any framework.

    Attributes:
        status: 200: the update is taken. 503: try again later. 400, 401, 404, 405, 413: the request is not Telegram's.
        headers: names and values; the length of the body is not among them.
        body: JSON with a call of the Bot API, or one line of text on what was wrong, or nothing.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def status_line(self) -> str:
        """The status as WSGI wants it, such as ``200 OK``."""
        return f"{self.status} {HTTPStatus(self.status).phrase}"


class Refused(Exception):
    """A request is not taken; `answer` says why."""

    def __init__(self, status: int, reason: str, *headers: tuple[str, str]) -> None:
        super().__init__(reason)
        text = ("Content-Type", "text/plain; charset=utf-8")
        self.answer = Answer(status, [text, *headers], f"{reason}\n".encode())
