"""Take the updates by a webhook: serve it, have it set, and end it in the right order."""

import errno
import hashlib
import hmac
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from runner_c.command.settings import Settings, UsageError

if TYPE_CHECKING:
    from runner_c import RunnerHandle

__all__ = ["LISTEN_DEFAULT", "AddressInUse", "WebhookEntrance"]

LISTEN_DEFAULT = "127.0.0.1:8080"
SECRET_VARIABLE = "WEBHOOK_SECRET"


class AddressInUse(UsageError):
    """Report that another process listens where the webhook is to be served."""


class WebhookEntrance:
    """Serve the webhook of one run.

    Args:
        settings: with a `webhook`.
        token: the bot's; the secret of the webhook is made from it, unless WEBHOOK_SECRET gives one.
        stack: what has to be undone when the runner has ended.

    Raises:
        UsageError: there is neither a token nor WEBHOOK_SECRET.
    """

    def __init__(self, settings: Settings, token: str | None, stack: ExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._secret = os.environ.get(SECRET_VARIABLE, "").strip() or _secret_of(token)

    def begin(self, bot: Any, store: str | None, options: dict[str, Any]) -> "RunnerHandle":
        """Listen, start the runner (which sets the webhook), then serve.

        Raises:
            AddressInUse: another process listens there; it may be the one before this, in a redeploy.
            UsageError: the address cannot be used.
            ConfigError, StoreError: as `runner_c.run` raises them.
        """
        from pyruntime.webhook import webhook_app
        from pyruntime.webhook.server import WebhookServer, path_of

        settings = self._settings
        assert settings.webhook is not None
        app = webhook_app(
            bot,
            secret_token=self._secret,
            path=path_of(settings.webhook),
            url=settings.webhook,
            max_connections=settings.webhook_connections,
            remove_at_end=settings.remove_webhook,
            store=store,
            **options,
        )
        host, _, port = (settings.listen or LISTEN_DEFAULT).rpartition(":")
        try:
            server = WebhookServer(app, host, int(port), settings.webhook_connections)
        except OSError as error:
            problem = AddressInUse if error.errno == errno.EADDRINUSE else UsageError
            raise problem(f"the webhook cannot listen on {host}:{port}: {error.strerror}; see --listen") from None
        try:
            handle = app.start()
        except BaseException:
            server.close()
            raise
        server.start()
        self._stack.callback(server.stop)
        return handle


def _secret_of(token: str | None) -> str:
    """Return a secret that stays the same over restarts and tells nothing of the token."""
    if not token:
        raise UsageError(f"--webhook needs a secret that keeps strangers out: set {SECRET_VARIABLE}")
    return hmac.new(token.encode(), b"runner_c webhook secret", hashlib.sha256).hexdigest()
