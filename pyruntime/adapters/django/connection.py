"""Database connections of handlers, which Django looks after in requests only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import close_old_connections

__all__ = ["database_connections"]


def database_connections(ctx: Any, next: Callable[[], Any]) -> None:
    """Give each update what a request has: dead connections are closed before, old ones (CONN_MAX_AGE) behind it.

    A middleware: ``bot.use(database_connections)``, before everything that uses the database. Each handler that runs
    has a connection of its own: keep `concurrency` below what the database takes.
    """
    close_old_connections()
    try:
        next()
    finally:
        close_old_connections()
