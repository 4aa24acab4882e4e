"""The bot layer: handlers, contexts, sessions and API calls, for bots run by `runner_c`."""

from __future__ import annotations

from pyruntime.api import ApiClient, InputFile
from pyruntime.bot import Bot
from pyruntime.composer import Composer
from pyruntime.context import Context
from pyruntime.errors import (
    ApiError,
    BadReply,
    BadRequest,
    Conflict,
    ConnectFailed,
    ConnectionLost,
    Forbidden,
    Interrupted,
    NetworkError,
    NotFound,
    ReadTimeout,
    RetryAfter,
    ServerError,
    TelegramError,
    Unauthorized,
)
from pyruntime.failure import BotError, ContextError, SessionError
from pyruntime.session import session
from pyruntime.view import View
from pyruntime.webhook import WebhookApp, webhook_app

__all__ = [
    "ApiClient",
    "ApiError",
    "BadReply",
    "BadRequest",
    "Bot",
    "BotError",
    "Composer",
    "Conflict",
    "ConnectFailed",
    "ConnectionLost",
    "Context",
    "ContextError",
    "Forbidden",
    "InputFile",
    "Interrupted",
    "NetworkError",
    "NotFound",
    "ReadTimeout",
    "RetryAfter",
    "ServerError",
    "SessionError",
    "TelegramError",
    "Unauthorized",
    "View",
    "WebhookApp",
    "session",
    "webhook_app",
]
