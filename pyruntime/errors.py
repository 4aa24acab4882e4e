"""What can go wrong with a call of the Bot API.

::

    TelegramError                 method, error_code, retry_after
    ├── ApiError                  the server answered, and the answer is an error
    │   ├── BadRequest            400
    │   ├── Unauthorized          401   the token is wrong or revoked
    │   ├── Forbidden             403   the bot was blocked or removed
    │   ├── NotFound              404   no such method
    │   ├── Conflict              409   another getUpdates runs, or a webhook is set
    │   ├── RetryAfter            429   too many requests; retry_after says how long
    │   └── ServerError           5xx
    └── NetworkError              no usable answer; error_code is None
        ├── ConnectFailed         name, address, proxy or certificate: nothing was sent
        ├── ConnectionLost        the connection ended before the first byte of a reply, or broke in it
        ├── ReadTimeout           the reply was not complete in time
        ├── BadReply              garbage, cut short, not JSON, too large
        └── Interrupted           cut by ``interrupt()`` from another thread

All of them pickle. None carries the token: messages name the method, never the URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "ApiError",
    "BadReply",
    "BadRequest",
    "ConnectFailed",
    "ConnectionLost",
    "Conflict",
    "Forbidden",
    "Interrupted",
    "NetworkError",
    "NotFound",
    "ReadTimeout",
    "RetryAfter",
    "ServerError",
    "TelegramError",
    "Unauthorized",
    "from_reply",
]


class TelegramError(Exception):
    """Stand for every failure of a Bot API call.

    Attributes:
        method: Bot API method that failed, such as ``sendMessage``.
        error_code: code of the error reply; None when there was no reply.
        retry_after: seconds after which Telegram allows the call again; None when it did not say.
    """

    method: str
    error_code: int | None = None
    retry_after: float | None = None


class ApiError(TelegramError):
    """Report that the server answered with an error.

    Attributes:
        parameters: parameters of the failed call, with files replaced by a short text.
        description: text of the server, such as ``Bad Request: chat not found``.
        migrate_to_chat_id: id of the supergroup that the group has become; None otherwise.
    """

    error_code: int

    def __init__(
        self,
        method: str = "",
        error_code: int = 0,
        description: str = "",
        *,
        parameters: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
        migrate_to_chat_id: int | None = None,
    ) -> None:
        super().__init__(method, error_code, description)
        self.method = method
        self.error_code = error_code
        self.description = description
        self.parameters: dict[str, Any] = dict(parameters or {})
        self.retry_after = retry_after
        self.migrate_to_chat_id = migrate_to_chat_id

    def __str__(self) -> str:
        return f"{self.method} failed: {self.error_code} {self.description}"


class BadRequest(ApiError):
    """Report 400: the parameters do not fit, or the target does not exist."""


class Unauthorized(ApiError):
    """Report 401: the token is wrong or revoked."""


class Forbidden(ApiError):
    """Report 403: the bot was blocked, removed, or may not do this."""


class NotFound(ApiError):
    """Report 404: the server knows no such method (or no such token)."""


class Conflict(ApiError):
    """Report 409: another getUpdates runs for this token, or a webhook is set."""


class RetryAfter(ApiError):
    """Report 429: too many requests; ``retry_after`` says how many seconds to wait."""


class ServerError(ApiError):
    """Report 5xx: the server, or a gateway before it, could not do its work."""


class NetworkError(TelegramError):
    """Report that no usable answer came.

    Attributes:
        detail: what happened, in a few words.
        may_have_arrived: False when it is certain that the server never got the whole request, so that sending
            it again cannot do the same thing twice.
    """

    def __init__(self, method: str = "", detail: str = "", may_have_arrived: bool = True) -> None:
        super().__init__(method, detail, may_have_arrived)
        self.method = method
        self.detail = detail
        self.may_have_arrived = may_have_arrived

    def __str__(self) -> str:
        return f"{self.method} failed: {self.detail}" if self.method else self.detail


class ConnectFailed(NetworkError):
    """Report that no connection came about: name, address, proxy, or certificate."""


class ConnectionLost(NetworkError):
    """Report that the connection ended without a reply, or broke in the middle of one."""


class ReadTimeout(NetworkError):
    """Report that the reply was not complete within the time limit."""


class BadReply(NetworkError):
    """Report a reply that is not one of the Bot API: garbage, cut short, not JSON, or too large."""


class Interrupted(NetworkError):
    """Report that ``interrupt()`` cut the call."""


_BY_CODE: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: RetryAfter,
}


def from_reply(
    method: str,
    reply: Mapping[str, Any],
    *,
    status: int = 0,
    parameters: Mapping[str, Any] | None = None,
) -> ApiError:
    """Make the fitting error of a decoded error reply.

    Args:
        method: Bot API method that was called.
        reply: the decoded JSON object. Fields that are missing or of a wrong type are passed over.
        status: HTTP status, which stands in for a missing ``error_code``.
        parameters: parameters of the call, files already replaced.
    """
    code = reply.get("error_code")
    if not isinstance(code, int) or isinstance(code, bool):
        code = status
    description = reply.get("description")
    hints = reply.get("parameters")
    if not isinstance(hints, Mapping):
        hints = {}
    migrate = hints.get("migrate_to_chat_id")
    kind = _BY_CODE.get(code)
    if kind is None:
        kind = ServerError if 500 <= code <= 599 else ApiError
    return kind(
        method,
        code,
        description if isinstance(description, str) else "(no description)",
        parameters=parameters,
        retry_after=_seconds(hints.get("retry_after")),
        migrate_to_chat_id=migrate if isinstance(migrate, int) and not isinstance(migrate, bool) else None,
    )


def _seconds(value: object) -> float | None:
    """Return a finite number of seconds, at least 0, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds < 1e9 else None
