"""Replay a recording: a supplier of updates that come as they came once, or faster."""

from __future__ import annotations

import logging
import math
import os
import stat
import threading
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

from runner_c._intake import is_update
from runner_c.errors import ConfigError
from runner_c.protocols import Update
from runner_c.store.encoding import load

__all__ = ["Replay"]

logger = logging.getLogger("runner_c")

LONGEST_S = 1e11
"""What is later than this is no time of day, in seconds since 1970."""


class Replay:
    """Supply the updates of a recording; the run ends behind the last one.

    ::

        run(bot, source=Replay("updates.jsonl", speed=10))

    A line is what `Recorder` wrote, or a bare update; a bare one is due when its message was sent, or at once. A line
    that is neither is told with its number and left out; at the end of the file, where a kill tears lines, silently.

    Args:
        path: of the file.
        speed: 1.0 (default) keeps the distances in time, 10 makes them ten times shorter, `math.inf` leaves them out.

    Raises:
        ConfigError: the file cannot be read, or is a pipe, or the speed is not above 0.

    Thread-safety: one runner at a time; `interrupt` from any thread.
    """

    def __init__(self, path: str | os.PathLike[str], speed: float = 1.0) -> None:
        if not isinstance(speed, (int, float)) or isinstance(speed, bool) or math.isnan(speed) or speed <= 0:
            raise ConfigError(f"the speed of a replay is a number above 0, not {speed!r}")
        self.path = os.fspath(path)
        self.supplied = 0
        self.damaged = 0
        self._speed = speed
        self._file: BinaryIO | None = None
        self._line = 0
        self._next: tuple[float | None, Update] | None = None
        self._origin: tuple[float, float] | None = None
        self._is_over = threading.Event()
        self._open().close()

    def init(self) -> None:
        """Begin at the first line."""
        self.close()
        self._is_over.clear()
        self._line = self.supplied = self.damaged = 0
        self._next = self._origin = None
        self._file = self._open()

    def supply(self, limit: int) -> list[Update]:
        """Return what is due. *Blocks* until something is; `interrupt` ends the wait.

        Raises:
            StopIteration: that was all.
        """
        found: list[Update] = []
        while len(found) < limit:
            if self._next is None:
                self._next = self._read()
            if self._next is None:
                if found:
                    break
                raise StopIteration
            at_s, update = self._next
            if (wait_s := self._wait_s(at_s)) > 0:
                if found or self._is_over.wait(min(wait_s, threading.TIMEOUT_MAX)):
                    break
                continue
            found.append(update)
            self._next = None
        self.supplied += len(found)
        return found

    def updates(self) -> Iterator[Update]:
        """Read the updates of the whole file, due or not; changes nothing for `supply`. *Blocks* on the disk."""
        with self._open() as file:
            for line in file:
                found = _update_of(line)
                if found is not None:
                    yield found[1]

    def interrupt(self) -> None:
        """End a wait."""
        self._is_over.set()

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _open(self) -> BinaryIO:
        try:
            kind = os.stat(self.path).st_mode
            if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
                # A pipe would be waited for here, and could not be begun anew.
                raise ConfigError(f"replay: {self.path} cannot be read more than once: save the recording in a file")
            return open(self.path, "rb")
        except OSError as error:
            raise ConfigError(f"replay: cannot read {self.path}: {error.strerror}") from None

    def _wait_s(self, at_s: float | None) -> float:
        if at_s is None or self._speed == math.inf:
            return 0.0
        now_s = time.monotonic()
        if self._origin is None:
            self._origin = (at_s, now_s)
        return (at_s - self._origin[0]) / self._speed - (now_s - self._origin[1])

    def _read(self) -> tuple[float | None, Update] | None:
        file = self._file
        assert file is not None, "init() opens the file"
        for line in file:
            self._line += 1
            if not line.strip():
                continue
            found = _update_of(line)
            if found is not None:
                return found
            if line.endswith(b"\n"):
                self.damaged += 1
                logger.error(
                    "%s, line %d is no recorded update and is left out: %.80r",
                    self.path,
                    self._line,
                    line,
                    extra={"action": "replay.damaged"},
                )
        return None


def _update_of(line: bytes) -> tuple[float | None, Update] | None:
    try:
        found: Any = load(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    if isinstance(found.get("update"), dict) and "at" in found:
        at_s = _time_of(found["at"])
        if at_s is None:
            return None
        found = found["update"]
    else:
        at_s = _date_of(found)
    return (at_s, found) if is_update(found) else None


def _date_of(update: Update) -> float | None:
    for content in update.values():
        if isinstance(content, dict) and (at_s := _time_of(content.get("date"))) is not None:
            return at_s
    return None


def _time_of(value: object) -> float | None:
    """Return a time of day in seconds, if the value can be one."""
    return float(value) if isinstance(value, (int, float)) and abs(value) < LONGEST_S else None
