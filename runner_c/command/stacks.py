"""Print what every thread is doing and which updates are in flight, for somebody who looks at a stuck bot."""

import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from runner_c.trace import format_stack

if TYPE_CHECKING:
    from runner_c import RunnerHandle

__all__ = ["print_stacks"]

LISTED = 1000
"""How many updates are listed at most."""


def print_stacks(handle: "RunnerHandle", stream: TextIO, clean: Callable[[str], str]) -> None:
    """Write all Python stacks with the names of their threads, then the updates in flight.

    Nothing is paused or changed: the threads run on while their stacks are read.

    Args: clean, a function that takes tokens out of the text.
    """
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    lines = [f"--- stacks of process {os.getpid()}, {len(names)} threads"]
    for ident, frame in sys._current_frames().items():
        lines.append(f"thread {names.get(ident, 'not started by Python')} ({ident})")
        lines.append(format_stack(frame).rstrip("\n"))
    held = handle.in_flight()
    lines.append(f"--- updates in flight: {len(held)}, oldest first")
    for each in held[:LISTED]:
        kind = next((name for name in each.update if name != "update_id"), "empty")
        where = f" in thread {names.get(each.thread, each.thread)}" if each.thread is not None else ""
        lines.append(f"update {each.update.get('update_id')} {kind}, {each.state} for {each.age_s:.1f} s{where}")
    if len(held) > LISTED:
        lines.append(f"and {len(held) - LISTED} more")
    lines.append("--- end of stacks")
    stream.write(clean("\n".join(lines)) + "\n")
    stream.flush()
