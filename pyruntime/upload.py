"""Files among the parameters of a call, and the multipart body that carries them in a stream.

Assumes: a file keeps its length while it is sent; one that shrinks ends the upload with an error.
"""

from __future__ import annotations

import io
import mimetypes
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import ujson

from pyruntime.argument import kind_of

__all__ = ["InputFile", "MultipartBody", "describe_files", "encode_json", "has_files", "plain_parameters"]

_PIECE_BYTES = 256 * 1024
_SCALARS = frozenset({str, int, float, bool, type(None)})


class InputFile:
    """Name a file to upload, wherever the Bot API takes one.

    Args:
        source: path of the file, its content, or a binary file object. A file object is read from its present
            position. One that cannot seek can be sent only once: a call with it is not tried again.
        filename: name that Telegram shows; by default that of the source, else ``file``.
        content_type: by default guessed from the name.

    >>> InputFile(b"1,2,3", filename="table.csv")
    InputFile(filename='table.csv')
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes],
        filename: str | None = None,
        content_type: str | None = None,
    ) -> None:
        self._path: Path | None = None
        self._stream: IO[bytes] | None = None
        self._content = b""
        if isinstance(source, (str, os.PathLike)):
            self._path = Path(source)
            name: object = self._path.name
        elif isinstance(source, (bytes, bytearray, memoryview)):
            self._content = bytes(source)
            name = None
        elif callable(getattr(source, "read", None)):
            self._stream = source
            name = getattr(source, "name", None)
            name = os.path.basename(name) if isinstance(name, str) else None
        else:
            raise TypeError(f"cannot upload {kind_of(source)}")
        self.filename: str = filename or (name if isinstance(name, str) and name else "file")
        self.content_type: str = content_type or mimetypes.guess_type(self.filename)[0] or "application/octet-stream"
        self._start = self._position()

    def __repr__(self) -> str:
        return f"InputFile(filename={self.filename!r})"

    @property
    def is_repeatable(self) -> bool:
        """Whether it can be sent again."""
        return self._stream is None or self._start is not None

    def size_bytes(self) -> int | None:
        """Return how much there is to send; None if that is not known beforehand.

        Raises:
            OSError: the file cannot be found.
        """
        if self._path is not None:
            return self._path.stat().st_size
        if self._stream is None:
            return len(self._content)
        if self._start is None:
            return None
        end = self._stream.seek(0, io.SEEK_END)
        self._stream.seek(self._start)
        return max(0, end - self._start)

    def pieces(self) -> Iterator[bytes]:
        """Read the content from the start, piece by piece.

        Raises:
            OSError: the file cannot be read.
        """
        if self._path is not None:
            with self._path.open("rb", buffering=0) as file:
                yield from _pieces(file)
        elif self._stream is None:
            yield self._content
        else:
            if self._start is not None:
                self._stream.seek(self._start)
            yield from _pieces(self._stream)

    def _position(self) -> int | None:
        """Return where a file object stands; None if it cannot seek."""
        if self._stream is None:
            return None
        try:
            return self._stream.tell() if self._stream.seekable() else None
        except (AttributeError, OSError):
            return None


class MultipartBody:
    """Write the parameters of a call as ``multipart/form-data``, without holding the files in memory.

    A file that is the value of a parameter becomes the part of that name. One deeper down (``media=[...]``) becomes a
    part of its own, and the text ``attach://name`` stands in its place.

    ``requests`` sends it as a stream: it iterates over it, and asks for ``len`` to tell the server the length.

    Raises:
        OSError: a file cannot be found.

    Thread-safety: owner only.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._boundary = secrets.token_hex(16)
        self._files: list[tuple[str, InputFile]] = []
        self.failure: OSError | None = None
        fields = bytearray()
        for name, value in parameters.items():
            if value is None:
                continue
            file = _as_file(value)
            if file is not None:
                self._files.append((name, file))
                continue
            if type(value) is not str:
                content = encode_json(self._attach(value))
            else:
                content = value.encode("utf-8", "surrogatepass")
            fields += self._part_head(name) + content + b"\r\n"
        self._fields = bytes(fields)
        self._parts = [(self._part_head(name, file), file) for name, file in self._files]
        self._end = f"--{self._boundary}--\r\n".encode("ascii")
        self._sizes = [file.size_bytes() for _, file in self._files]

    @property
    def content_type(self) -> str:
        """Value of the Content-Type header."""
        return f"multipart/form-data; boundary={self._boundary}"

    @property
    def is_repeatable(self) -> bool:
        """Whether it can be sent again."""
        return all(file.is_repeatable for _, file in self._files)

    @property
    def size_bytes(self) -> int | None:
        """Length of the body; None if one of the files does not tell its own."""
        size = len(self._fields) + len(self._end)
        for (head, _), file_size in zip(self._parts, self._sizes, strict=True):
            if file_size is None:
                return None
            size += len(head) + file_size + 2
        return size

    def __bool__(self) -> bool:
        # Without asking for the length.
        return True

    def __len__(self) -> int:
        """Return the length of the body.

        Raises:
            TypeError: it is not known beforehand; ``requests`` then sends it chunked.
        """
        size = self.size_bytes
        if size is None:
            raise TypeError("the length is not known")
        return size

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body from its start. A failure to read a file is also kept in ``failure``.

        Raises:
            OSError: a file cannot be read, or is shorter than it was.
        """
        yield self._fields
        for (head, file), size in zip(self._parts, self._sizes, strict=True):
            yield head
            left = size
            pieces = file.pieces()
            while left != 0:
                try:
                    piece = next(pieces, b"")
                    if not piece:
                        if left is None:
                            break
                        raise OSError(f"{file.filename} became shorter while it was uploaded")
                except OSError as error:
                    self.failure = error
                    raise
                if left is not None:
                    # What was appended meanwhile is left out: the length has been announced.
                    piece = piece[:left]
                    left -= len(piece)
                yield piece
            yield b"\r\n"
        yield self._end

    def _attach(self, value: object) -> object:
        """Return the value with each file in it replaced by a reference to a part."""
        file = _as_file(value)
        if file is not None:
            name = f"file{len(self._files)}"
            self._files.append((name, file))
            return f"attach://{name}"
        if isinstance(value, Mapping):
            return {key: self._attach(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._attach(item) for item in value]
        return value

    def _part_head(self, name: str, file: InputFile | None = None) -> bytes:
        head = f'--{self._boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"'
        if file is not None:
            head += f'; filename="{_quoted(file.filename)}"\r\nContent-Type: {_quoted(file.content_type)}'
        return (head + "\r\n\r\n").encode("utf-8", "surrogatepass")


def encode_json(value: object) -> bytes:
    """Return a value as JSON.

    Raises:
        TypeError, ValueError, OverflowError: it has no form in JSON.
    """
    # Half a surrogate pair goes through, so that it is Telegram that refuses it, as any other bad text.
    # By position: ensure_ascii, encode_html_chars, escape_forward_slashes, sort_keys, indent, allow_nan. By name takes
    # twice as long, and this is in the hot path.
    return ujson.dumps(value, False, False, False, False, False, False).encode("utf-8", "surrogatepass")


def has_files(value: object) -> bool:
    """Return whether there is a file in a value, at any depth."""
    if type(value) in _SCALARS:
        return False
    # dict first: this runs for every keyboard, and to ask whether something is a Mapping takes long.
    if isinstance(value, (dict, Mapping)):
        return any(map(has_files, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(has_files, value))
    return _is_file(value)


def plain_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters without those that are None."""
    return {name: value for name, value in parameters.items() if value is not None}


def describe_files(value: Any) -> Any:
    """Return a copy of a value with a short text in the place of each file."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, Mapping):
        return {key: describe_files(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [describe_files(item) for item in value]
    file = _as_file(value)
    return value if file is None else f"<file {file.filename}>"


def _is_file(value: object) -> bool:
    return isinstance(value, (InputFile, os.PathLike, bytes, bytearray, memoryview)) or callable(
        getattr(value, "read", None)
    )


def _as_file(value: Any) -> InputFile | None:
    if type(value) in _SCALARS or not _is_file(value):
        return None
    return value if isinstance(value, InputFile) else InputFile(value)


def _pieces(file: Any) -> Iterator[bytes]:
    while piece := file.read(_PIECE_BYTES):
        if not isinstance(piece, bytes):
            raise OSError("a file to upload must be opened in binary mode")
        yield piece


def _quoted(text: str) -> str:
    """Return a text that cannot end the quoted string or the header line it is put into, as browsers write it."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
