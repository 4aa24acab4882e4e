"""Tell Telegram where the webhook is, and take it back."""

from __future__ import annotations

import logging
from typing import Any

from runner_c import ConfigError, Offers

__all__ = ["Registration"]

_log = logging.getLogger("pyruntime")


class Registration(Offers):
    """The updates of a webhook, as the runner sees them: they come by `offer`, after setWebhook was called.

    The runner calls `init` until it succeeds, as it does with polling, and `close` at its end.

    Args:
        api: the client of the bot.
        url: where Telegram is to post to.
        parameters: more of setWebhook.
        is_removed_at_end: call deleteWebhook when the runner has ended.
    """

    def __init__(self, api: Any, url: str, parameters: dict[str, Any], *, is_removed_at_end: bool) -> None:
        super().__init__()
        self._api = api
        self._url = url
        self._parameters = parameters
        self._is_removed_at_end = is_removed_at_end
        self._is_set = False

    def init(self) -> None:
        """Set the webhook. *Blocks* for one call; `interrupt` of the bot cuts it.

        Raises:
            ConfigError: Telegram does not take it.
            TelegramError: the call failed.
        """
        super().init()
        try:
            self._api.call_once("setWebhook", url=self._url, **self._parameters)
        except Exception as error:
            if getattr(error, "error_code", None) == 400:
                said = getattr(error, "description", None) or str(error)
                raise ConfigError(f"Telegram does not take the webhook: {said}") from None
            raise
        self._is_set = True
        _log.info("the webhook is set", extra={"action": "webhook.set"})

    def close(self) -> None:
        """Remove the webhook, if that was asked for; what goes wrong is told and changes nothing."""
        if not (self._is_set and self._is_removed_at_end):
            return
        self._is_set = False
        try:
            self._api.call_once("deleteWebhook")
            _log.info("the webhook is removed", extra={"action": "webhook.removed"})
        except Exception as error:
            _log.warning("the webhook could not be removed: %s", error, extra={"action": "webhook.not_removed"})
