"""Handlers that run too long: found, told of, and dealt with.

**Guarantees**

- Each overdue handler is reported once, with its update, its age and the Python stack of its thread.
- An exception of a policy function is logged and changes nothing else.
- More than `WRITTEN_OFF_LIMIT` threads that hang at the same time end the run, with an error that says so.

**Assumes** one time-out for all handlers of a run, so that they come due in the order in which they began.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runner_c import _watch
from runner_c._sink import Sink
from runner_c.errors import HandlerTimeout, TooManyWrittenOff
from runner_c.protocols import Update
from runner_c.trace import format_stack

__all__ = ["WRITTEN_OFF_LIMIT", "Monitor", "Overdue", "stack_of"]

WRITTEN_OFF_LIMIT = 100
"""How many abandoned handlers may hang at the same time."""

logger = logging.getLogger("runner_c")


@dataclass(frozen=True, slots=True)
class Overdue:
    """A handler past its deadline, as a policy function gets it."""

    update: Update
    age_s: float
    """How long it has run, in seconds."""
    thread: int
    """The identifier of its thread."""
    stack: str
    """The Python stack of that thread, as text."""


def stack_of(thread: int) -> str:
    """Return the Python stack of a thread as text; empty when the thread has gone. Thread-safety: any thread."""
    frame = sys._current_frames().get(thread)
    return "" if frame is None else format_stack(frame)


class Monitor:
    """Watch the handlers of one run from a thread of its own.

    Args:
        sink: the sink of the run.
        policy: "report", "interrupt", "abandon", or a function of an `Overdue` that returns one of these or None.
        give_up: called with an error when too many threads hang.
    """

    def __init__(self, sink: Sink, policy: Any, give_up: Callable[[BaseException], object]) -> None:
        self._sink = sink
        self._policy = policy
        self._give_up = give_up
        self._ended = threading.Event()
        self._written_off: list[threading.Thread] = []
        self.thread = threading.Thread(target=self._run, name=f"{sink.name}-monitor", daemon=True)

    def start(self) -> None:
        """Begin to watch. Raises RuntimeError when the system gives no thread."""
        self.thread.start()

    def stop(self) -> None:
        """Stop watching and wait until the thread has ended; a policy function that hangs is left behind after 1 s."""
        self._ended.set()
        if self.thread.ident is not None and self.thread is not threading.current_thread():
            self.thread.join(1.0)

    def _run(self) -> None:
        while not self._ended.wait(max(0.001, _watch.next_deadline_s(self._sink))):
            for sequence, update, age_s, thread in _watch.overdue(self._sink):
                try:
                    self._deal_with(sequence, Overdue(update, age_s, thread, stack_of(thread)))
                except BaseException:
                    logger.exception("the handler time-out could not be dealt with", extra={"action": "timeout.failed"})

    def _deal_with(self, sequence: int, overdue: Overdue) -> None:
        if not _watch.is_running(self._sink, sequence):
            return
        policy = self._policy
        names = [thread.name for thread in threading.enumerate() if thread.ident == overdue.thread]
        logger.error(
            "update %s has been running for %.1f s in thread %s\n%r\n%s",
            overdue.update.get("update_id"),
            overdue.age_s,
            names[0] if names else overdue.thread,
            overdue.update,
            overdue.stack.rstrip(),
            extra={"action": "timeout.overdue"},
        )
        if callable(policy):
            policy = policy(overdue)
        if policy == "interrupt":
            _watch.interrupt(self._sink, sequence, HandlerTimeout)
        elif policy == "abandon":
            self._abandon(sequence, overdue)
        elif policy not in (None, "report"):
            raise ValueError(
                f'a function for on_timeout returns "report", "interrupt", "abandon" or None, not {policy!r}'
            )

    def _abandon(self, sequence: int, overdue: Overdue) -> None:
        threads = [thread for thread in threading.enumerate() if thread.ident == overdue.thread]
        if not _watch.abandon(self._sink, sequence):
            return
        self._written_off = [thread for thread in self._written_off + threads if thread.is_alive()]
        logger.error(
            "update %s was abandoned; %d written-off threads hang",
            overdue.update.get("update_id"),
            len(self._written_off),
            extra={"action": "timeout.abandoned"},
        )
        if len(self._written_off) > WRITTEN_OFF_LIMIT:
            self._give_up(
                TooManyWrittenOff(
                    f"{len(self._written_off)} handlers hang past their deadline; the runner ends. "
                    "Find out what they wait for: their stacks are in the log"
                )
            )
