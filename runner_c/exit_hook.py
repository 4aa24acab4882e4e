"""Know what runs, and stop it when the interpreter exits.

**Guarantees**

- A run that nobody stopped is stopped before the interpreter waits for its threads, whether or not somebody still
  holds its handle; handlers have `GRACE_S` to end.
- One bot is polled by one run at a time: a second one is refused.
- A forked child does nothing here: the runs are its parent's.

**Assumes** `threading._register_atexit`, the hook that concurrent.futures uses. Plain atexit functions run after the
interpreter has joined threads: too late to end ours.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from typing import Any, Protocol

from runner_c.errors import RunnerError

__all__ = ["GRACE_S", "Stoppable", "add", "remove"]

GRACE_S = 10.0
"""How long, in seconds, handlers may go on when the interpreter exits."""


class Stoppable(Protocol):
    """What is stopped at the exit."""

    pid: int
    supplier: object
    future: Future[Any]

    def ask_to_stop(self, timeout_s: float | None) -> None:
        """Begin the stop; does not block."""
        ...


# Guards _running and _is_hooked; a leaf.
_lock = threading.Lock()
_running: set[Stoppable] = set()
_is_hooked = False


def add(life: Stoppable) -> None:
    """Remember a run that begins. Thread-safety: any thread.

    Raises:
        RunnerError: its supplier is in use by another run.
    """
    global _is_hooked
    with _lock:
        if life.supplier is not None and any(other.supplier is life.supplier for other in _running):
            raise RunnerError("this bot is being run already; stop that run first, one bot has one poller")
        _running.add(life)
        if not _is_hooked:
            threading._register_atexit(_stop_all)  # type: ignore[attr-defined]
            _is_hooked = True


def remove(life: Stoppable) -> None:
    """Forget a run that has ended. Thread-safety: any thread."""
    with _lock:
        _running.discard(life)


def _stop_all() -> None:
    running = [life for life in list(_running) if life.pid == os.getpid()]
    for life in running:
        life.ask_to_stop(GRACE_S)
    for life in running:
        life.future.exception()


def _forget_the_parent() -> None:
    """In a forked child: the lock may be held by a thread that is not there."""
    global _lock
    _lock = threading.Lock()
    _running.clear()


os.register_at_fork(after_in_child=_forget_the_parent)
