"""The Django app: its name, and the check of its settings."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register

__all__ = ["RunnerConfig"]


class RunnerConfig(AppConfig):
    """Register the check; nothing is started and no bot is imported before somebody asks for it."""

    name = "pyruntime.adapters.django"
    label = "runner_c"
    verbose_name = "Telegram bot"

    def ready(self) -> None:
        """Make `manage.py check` look at the setting RUNNER_C."""
        from pyruntime.adapters.django.setting import check

        register(check)
