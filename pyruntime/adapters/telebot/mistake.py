"""Bring the errors of telebot handlers to the engine, each of them once.

telebot has three ways with an error: with class-based middlewares it logs it, in its thread pool it hands it to the
polling loop, without threads it raises it into the loop, where it ends the whole batch. In all of them the
`exception_handler` of the bot is asked first. So a guard in its place sees every error, in every release; what the real
one does not take is kept and raised when telebot is through with the update.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["ErrorGuard", "RepeatFilter"]


class ErrorGuard:
    """Stand in for the `exception_handler` of a bot.

    Thread-safety: any thread; each has errors of its own.
    """

    def __init__(self) -> None:
        self.inner: Any = None
        self._local = threading.local()

    @property
    def is_open(self) -> bool:
        """True while this thread handles an update."""
        return getattr(self._local, "errors", None) is not None

    def open(self) -> None:
        """Begin an update in this thread."""
        self._local.errors = []

    def close(self) -> list[BaseException]:
        """End the update, and return the errors that nobody took, oldest first."""
        errors: list[BaseException] = self._local.errors
        self._local.errors = None
        return errors

    def handle(self, exception: Exception) -> bool:
        """Ask the bot's own handler; keep what it does not take, and say that it is taken care of.

        Outside of an update, as in telebot's own polling, the answer is that of the bot's handler.
        """
        is_taken = self.inner is not None and bool(self.inner.handle(exception))
        if is_taken or not self.is_open:
            return is_taken
        self._local.errors.append(exception)
        return True


class RepeatFilter(logging.Filter):
    """Keep telebot's log from telling what the engine tells anyway, and from telling the token.

    telebot logs the message of an error of a function-based middleware, and then raises it.
    """

    def __init__(self, guard: ErrorGuard, is_raised: Callable[[], bool], clean: Callable[[str], str]) -> None:
        super().__init__()
        self._guard = guard
        self._is_raised = is_raised
        self._clean = clean

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record of telebot is to be written; take the token out of it."""
        if not self._guard.is_open:
            return True
        message = record.getMessage()
        if record.levelno == logging.ERROR and self._is_raised():
            error = sys.exc_info()[1]
            if error is not None and message == str(error):
                return False
        clean = self._clean(message)
        if clean != message:
            record.msg, record.args = clean, None
        return True
