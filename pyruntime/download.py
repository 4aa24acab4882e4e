"""Where a download goes."""

from __future__ import annotations

import io
import os
import secrets
import shutil
from types import TracebackType
from typing import IO, Any

__all__ = ["Destination"]


class Destination:
    """Take the pieces of a download: into a file that appears only when it is whole, or into a file object.

    Used in a ``with`` statement; what was not kept is removed at its end.

    Args:
        target: path, or binary file object that is written to from its present position.

    Thread-safety: owner only.
    """

    def __init__(self, target: str | os.PathLike[str] | IO[bytes]) -> None:
        self._path: str | None = None
        self._part: str | None = None
        self._start: int | None = None
        self.size_bytes = 0
        if isinstance(target, (str, os.PathLike)):
            self._path = os.fspath(target)
            # Beside the target, so that the last step is a rename within one file system.
            self._part = f"{self._path}.{secrets.token_hex(4)}.part"
            self._file: Any = io.BufferedWriter(io.FileIO(self._part, "x"))
        else:
            self._file = target
            try:
                self._start = target.tell() if target.seekable() else None
            except (AttributeError, OSError):
                self._start = None

    def __enter__(self) -> Destination:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._part is not None:
            self._file.close()
            if os.path.exists(self._part):
                os.remove(self._part)

    def write(self, piece: bytes) -> None:
        """Add a piece."""
        self._file.write(piece)
        self.size_bytes += len(piece)

    def copy(self, path: str) -> None:
        """Add a file of this machine."""
        with open(path, "rb") as source:
            shutil.copyfileobj(source, self._file, 256 * 1024)
            self.size_bytes += source.tell()

    def reset(self) -> bool:
        """Forget what came so far. Return False if that cannot be done."""
        if self._path is None and self.size_bytes:
            if self._start is None:
                return False
            self._file.seek(self._start)
            self._file.truncate()
        return True

    def keep(self) -> None:
        """Put the file in its place: it is whole."""
        if self._path is not None and self._part is not None:
            self._file.close()
            os.replace(self._part, self._path)
