"""Record the updates of a run in a file, one JSON object a line, to be replayed later.

A line is ``{"at": 1700000000.123, "update": {...}}``: the time of day of the admission in seconds, and the update as it
came. It is written in the order of admission, before the update is handled; once more when a store hands it out that it
has waited in, which a replay drops.

**Guarantees**

- What was admitted is in the file a second later at the most; a kill tears the last line at the worst.
- A file that cannot be written (a full disk) ends the recording, loudly, and nothing else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import threading
import time
from typing import Any, BinaryIO

from runner_c.errors import ConfigError
from runner_c.protocols import Keyer, Update
from runner_c.secret import describe_error
from runner_c.store.encoding import dump

__all__ = ["Recorder", "recording_keyer"]

FLUSH_S = 0.5

logger = logging.getLogger("runner_c")


class Recorder:
    """A file that updates are appended to. Made with the rights of its owner only: updates are private.

    Args:
        path: of the file; what is in it stays.

    Raises:
        ConfigError: it cannot be written, or it is there and begins with something else than a recorded update.

    Thread-safety: any thread.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        _check_beginning(self.path)
        try:
            self._file: BinaryIO | None = os.fdopen(
                os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600), "ab"
            )
            self._begin_a_line()
        except OSError as error:
            raise ConfigError(f"record: cannot write {self.path}: {error.strerror}") from None
        self.recorded = 0
        self._lock = threading.Lock()  # guards _file, _is_dirty and recorded; a leaf
        self._is_dirty = False
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._flush_now_and_then, name="runner_c-recorder", daemon=True)
        self._thread.start()

    def record(self, update: Update) -> None:
        """Append an update. What cannot be written is told and changes nothing for the caller."""
        try:
            line = b'{"at":%.6f,"update":%b}\n' % (time.time(), dump(update))
        except (TypeError, ValueError) as error:
            logger.error("an update cannot be recorded: %s", describe_error(error), extra={"action": "record.failed"})
            return
        with self._lock:
            if self._file is None:
                return
            try:
                self._file.write(line)
                self._is_dirty = True
                self.recorded += 1
            except OSError as error:
                self._give_up(error)

    def close(self) -> None:
        """Write what is left and close the file; harmless when it is closed."""
        self._is_over.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
        with self._lock:
            file, self._file = self._file, None
            if file is not None:
                try:
                    file.close()
                except OSError as error:
                    self._tell(error)

    def _begin_a_line(self) -> None:
        """Let a line that a kill has torn stand by itself."""
        assert self._file is not None
        if not self._file.tell():
            return
        with contextlib.suppress(OSError), open(self.path, "rb") as written:
            written.seek(-1, os.SEEK_END)
            if written.read(1) != b"\n":
                self._file.write(b"\n")

    def _flush_now_and_then(self) -> None:
        while not self._is_over.wait(FLUSH_S):
            with self._lock:
                if self._file is None:
                    return
                if self._is_dirty:
                    self._is_dirty = False
                    try:
                        self._file.flush()
                    except OSError as error:
                        self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        file, self._file = self._file, None
        self._tell(error)
        with contextlib.suppress(OSError):
            if file is not None:
                file.close()

    def _tell(self, error: OSError) -> None:
        logger.error(
            "the recording %s ends here: %s; the bot goes on",
            self.path,
            error.strerror,
            extra={"action": "record.ended"},
        )


def _check_beginning(path: str) -> None:
    """Keep a file from being appended to that is no recording: a slip of the shell must not spoil it."""
    with contextlib.suppress(OSError):
        kind = os.stat(path).st_mode
        if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
            raise ConfigError(f"record: {path} is no file: name one")
        if not stat.S_ISREG(kind):
            return
        with open(path, "rb") as written:
            if written.read(1) not in (b"", b"{"):
                raise ConfigError(f"record: {path} is there and is no recording: name another file")


def recording_keyer(keyer: Keyer | None, recorder: Recorder) -> Keyer:
    """Return a keyer that records each update: it is asked at each admission, in their order."""
    return _RecordingKeyer(keyer, recorder)


class _RecordingKeyer:
    def __init__(self, keyer: Keyer | None, recorder: Recorder) -> None:
        self._keyer = keyer
        self._recorder = recorder
        self.declared: frozenset[Any] = getattr(keyer, "declared", frozenset())

    def __call__(self, update: Update) -> Any:
        self._recorder.record(update)
        return None if self._keyer is None else self._keyer(update)
