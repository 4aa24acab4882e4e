"""`manage.py runbot`: the command line of runner_c, with Django set up and the bot of the settings."""

from __future__ import annotations

import sys
from argparse import REMAINDER
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from pyruntime.adapters.django.setting import setting
from runner_c.command.cli import main

__all__ = ["Command"]


class Command(BaseCommand):
    """Run the bot by polling (or with --webhook) until it is stopped; exit codes are those of runner_c."""

    help = "Run the Telegram bot of RUNNER_C['TARGET']. Options: those of python -m runner_c, behind --."

    def add_arguments(self, parser: CommandParser) -> None:
        """Leave everything behind the name of the command to runner_c."""
        parser.add_argument("options", nargs=REMAINDER, help="options of python -m runner_c")

    def handle(self, *_: Any, options: list[str], **__: Any) -> None:
        """Run it."""
        try:
            chosen = setting()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        given = options[1:] if options[:1] == ["--"] else options
        sys.exit(main([chosen["TARGET"], *chosen["ARGUMENTS"], *given]))
