"""The view that takes a bot's updates: ``path("telegram/", webhook)``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from pyruntime.adapters.django.setting import import_bot, setting
from pyruntime.webhook import WebhookApp, webhook_app

__all__ = ["app", "webhook"]

_lock = threading.Lock()  # guards _app
_app: WebhookApp | None = None


def app() -> WebhookApp:
    """Return the webhook app of this process, made at the first call; `app().start()` starts the bot at once.

    Raises:
        ImproperlyConfigured: the setting RUNNER_C is not what it has to be.
        ConfigError: one of its options is not.
    """
    global _app
    with _lock:
        if _app is None:
            chosen = setting()
            _app = webhook_app(import_bot(), secret_token=chosen["SECRET_TOKEN"], **chosen["OPTIONS"])
        return _app


def _webhook(request: HttpRequest) -> HttpResponse:
    """Take an update from Telegram."""
    answer: dict[str, Any] = {}
    parts: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], error: Any = None) -> Callable[[bytes], object]:
        answer["status"] = int(status.partition(" ")[0])
        answer["headers"] = headers
        return parts.append

    # By WSGI, so that a body that is too large is never read. Django's own object knows how to read what is left.
    parts += app()({**request.META, "wsgi.input": request}, start_response)
    return HttpResponse(b"".join(parts), status=answer["status"], headers=dict(answer["headers"]))


webhook = csrf_exempt(_webhook)
"""The view. Telegram brings a secret of its own instead of Django's cookie."""
