"""Tell what an uploaded file is, and describe it as messages do."""

import mimetypes
import struct
from collections.abc import Callable
from typing import Any, Final

from pyruntime.testing.body import UploadedFile

PICTURE_TYPES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
)
_DEFAULT_SIZE: Final = (640, 480)


def picture_type(data: bytes) -> str | None:
    """Return the content type of a picture that browsers show, told from its first bytes, or None."""
    for start, kind in PICTURE_TYPES:
        if data.startswith(start) and (start != b"RIFF" or data[8:12] == b"WEBP"):
            return kind
    return None


def file_fields(
    keep: Callable[[UploadedFile], str], data: bytes, name: str, content_type: str, as_document: bool
) -> dict[str, Any]:
    """Keep a file that a user sends, and return the field of the message that describes it."""
    kind = content_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
    file_id = keep(UploadedFile(name, kind, data))
    described: dict[str, Any] = {"file_id": file_id, "file_unique_id": f"u{file_id}", "file_size": len(data)}
    named = {**described, "file_name": name, "mime_type": kind}
    picture = picture_type(data)
    if as_document:
        return {"document": named}
    if picture == "image/gif":
        width, height = _picture_size(data)
        moving = {**named, "width": width, "height": height, "duration": 1}
        return {"animation": moving, "document": named}
    if picture is not None:
        width, height = _picture_size(data)
        return {"photo": [{**described, "width": width, "height": height}]}
    if kind == "audio/ogg":
        return {"voice": {**described, "duration": 1, "mime_type": kind}}
    if kind.startswith("audio/"):
        return {"audio": {**named, "duration": 1}}
    if kind.startswith("video/"):
        return {"video": {**named, "width": 640, "height": 480, "duration": 1}}
    return {"document": named}


def _picture_size(data: bytes) -> tuple[int, int]:
    """Read width and height of a PNG or GIF; a usual size for other formats and for a cut one."""
    if data.startswith(b"\x89PNG") and len(data) >= 24:
        size: tuple[int, int] = struct.unpack(">II", data[16:24])
    elif data.startswith(b"GIF8") and len(data) >= 10:
        size = struct.unpack("<HH", data[6:10])
    else:
        size = _DEFAULT_SIZE
    return size if all(size) else _DEFAULT_SIZE
