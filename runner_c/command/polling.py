"""Take the updates by polling, the way in without an option."""

from typing import TYPE_CHECKING, Any

from runner_c.command import exit_code
from runner_c.command.logs import log
from runner_c.command.settings import Settings, UsageError
from runner_c.secret import describe_error

if TYPE_CHECKING:
    from runner_c import RunnerHandle

__all__ = ["PollingEntrance"]


class PollingEntrance:
    """Start a runner that polls; a webhook that is set is removed first, if the settings say so."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._is_webhook_removed = False

    def begin(self, bot: Any, store: str | None, options: dict[str, Any]) -> "RunnerHandle":
        """Start the runner.

        Raises:
            UsageError: the webhook cannot be removed.
            ConfigError, StoreError: as `runner_c.run` raises them.
        """
        from runner_c import run

        if self._settings.remove_webhook and not self._is_webhook_removed:
            _remove_webhook(bot)
            self._is_webhook_removed = True
        return run(bot, store=store, **options)


def _remove_webhook(bot: Any) -> None:
    api: Any = getattr(bot, "api", None)
    if not callable(getattr(api, "call", None)):
        raise UsageError("--remove-webhook: the target has no api to call deleteWebhook with")
    try:
        api.call("deleteWebhook")
    except Exception as error:
        if exit_code.of_error(error) == exit_code.UNAUTHORIZED:
            return  # polling says the same, with the right exit code
        raise UsageError(f"--remove-webhook: {describe_error(error)}") from None
    log.info("the webhook is removed", extra={"action": "webhook.removed"})
