"""Uploads: where files may stand, what goes over the wire, and that no file is ever held in memory."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pyruntime
from pyruntime.api import ApiClient, InputFile
from pyruntime.errors import ApiError, ConnectionLost
from pyruntime.upload import MultipartBody


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cat.jpg"
    path.write_bytes(b"\xff\xd8 picture \r\n--x")
    return path


def test_every_kind_of_file_is_uploaded(client: ApiClient, server: Any, file: Path) -> None:
    content = file.read_bytes()
    with file.open("rb") as opened:
        for value, name in (
            (file, "cat.jpg"),
            (content, "file"),
            (bytearray(content), "file"),
            (memoryview(content), "file"),
            (opened, "cat.jpg"),
            (io.BytesIO(content), "file"),
            (InputFile(str(file)), "cat.jpg"),
            (InputFile(file, filename="dog.jpg"), "dog.jpg"),
            (InputFile(io.BytesIO(content), "mouse.jpg"), "mouse.jpg"),
        ):
            client.send_photo(chat_id=1, photo=value, caption="Grüße", disable_notification=True, parse_mode=None)
            assert server.calls[-1].parts == {
                "chat_id": (None, b"1"),
                "photo": (name, content),
                "caption": (None, "Grüße".encode()),
                "disable_notification": (None, b"true"),
            }


def test_a_file_is_sent_with_its_length(client: ApiClient, server: Any, file: Path) -> None:
    client.send_photo(chat_id=1, photo=file)
    headers = server.calls[-1].headers
    assert int(headers["Content-Length"]) == len(server.calls[-1].body)
    assert "Transfer-Encoding" not in headers
    assert b"Content-Type: image/jpeg\r\n" in server.calls[-1].body


def test_files_in_a_media_group_are_attached(client: ApiClient, server: Any, file: Path) -> None:
    media = [
        {"type": "photo", "media": file, "caption": "one"},
        {"type": "video", "media": InputFile(b"film", "film.mp4"), "thumbnail": b"thumb"},
        {"type": "photo", "media": "AgACAgIAAxkBAAI"},
    ]
    client.send_media_group(chat_id=1, media=media, reply_markup={"a": 1})
    parts = server.calls[-1].parts
    assert json.loads(parts["media"][1]) == [
        {"type": "photo", "media": "attach://file0", "caption": "one"},
        {"type": "video", "media": "attach://file1", "thumbnail": "attach://file2"},
        {"type": "photo", "media": "AgACAgIAAxkBAAI"},
    ]
    assert parts["file0"] == ("cat.jpg", file.read_bytes())
    assert parts["file1"] == ("film.mp4", b"film")
    assert parts["file2"] == ("file", b"thumb")
    assert json.loads(parts["reply_markup"][1]) == {"a": 1}
    assert media[0]["media"] is file


def test_names_cannot_break_out_of_their_header(client: ApiClient, server: Any) -> None:
    client.send_document(chat_id=1, document=InputFile(b"x", 'a"b\r\nX: y.txt', content_type="text/plain\r\nX: y"))
    parts = server.calls[-1].parts
    assert parts["document"] == ("a%22b%0D%0AX: y.txt", b"x")
    assert b"\r\nX: y" not in server.calls[-1].body


def test_a_name_beyond_ascii_is_sent_as_it_is(client: ApiClient, server: Any) -> None:
    client.send_document(chat_id=1, document=InputFile(b"x", "Grüße 😀.txt"))
    assert server.calls[-1].parts["document"][0] == "Grüße 😀.txt"


def test_a_file_object_is_read_from_where_it_stands(client: ApiClient, server: Any) -> None:
    stream = io.BytesIO(b"headcontent")
    stream.seek(4)
    client.send_document(chat_id=1, document=stream)
    assert server.calls[-1].parts["document"][1] == b"content"


def test_an_empty_file_is_sent(client: ApiClient, server: Any) -> None:
    client.send_document(chat_id=1, document=b"")
    assert server.calls[-1].parts["document"] == ("file", b"")


def test_a_pipe_is_sent_in_chunks(client: ApiClient, server: Any) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, b"from a pipe")
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        client.send_document(chat_id=1, document=InputFile(pipe, "pipe.txt"))
    assert server.calls[-1].headers["Transfer-Encoding"] == "chunked"
    assert server.calls[-1].parts["document"] == ("pipe.txt", b"from a pipe")


@pytest.mark.usefixtures("no_pauses")
def test_an_upload_that_is_tried_again_sends_the_whole_file_again(client: ApiClient, server: Any) -> None:
    stream = io.BytesIO(b"content")
    server.answer = lambda call: len(server.calls) > 2 or (500, {"ok": False, "error_code": 500, "description": "D"})
    assert client.send_document(chat_id=1, document=stream) is True
    assert [call.parts["document"][1] for call in server.calls] == [b"content"] * 3


@pytest.mark.usefixtures("no_pauses")
def test_a_pipe_is_never_sent_again(client: ApiClient, server: Any, too_many: Any) -> None:
    for reply in ((500, {"ok": False, "error_code": 500, "description": "D"}), too_many(0)):
        read_end, write_end = os.pipe()
        os.write(write_end, b"from a pipe")
        os.close(write_end)
        server.calls.clear()
        server.answer = lambda call, reply=reply: reply
        with os.fdopen(read_end, "rb") as pipe, pytest.raises(ApiError):
            client.send_document(chat_id=1, document=pipe)
        assert len(server.calls) == 1


def test_a_file_that_is_not_there_is_the_callers_error(client: ApiClient, server: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client.send_document(chat_id=1, document=tmp_path / "nothing")
    assert server.calls == []


class Shrinking(io.BytesIO):
    """Promise more than it gives."""

    def seek(self, offset: int, whence: int = 0) -> int:
        return super().seek(offset, whence) + (100 if whence == 2 else 0)


def test_a_file_that_shrinks_meanwhile_ends_the_upload(client: ApiClient, server: Any) -> None:
    with pytest.raises(OSError, match="notes became shorter while it was uploaded"):
        client.send_document(chat_id=1, document=InputFile(Shrinking(b"short"), "notes"))
    assert client.send_message(chat_id=1, text="x") is True


def test_what_a_file_gains_meanwhile_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old")
    body = MultipartBody({"document": path})
    with path.open("ab") as log:
        log.write(b" and new")
    data = b"".join(body)
    assert len(data) == len(body)
    assert b"\r\n\r\nold\r\n--" in data


def test_a_file_opened_as_text_is_refused(client: ApiClient, file: Path) -> None:
    with (file.parent / "text").open("w+") as text:
        text.write("hello")
        text.seek(0)
        with pytest.raises(OSError, match="binary mode"):
            client.send_document(chat_id=1, document=text)


def test_what_is_no_file_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot upload an int"):
        InputFile(5)  # type: ignore[arg-type]


def test_an_upload_to_nobody_is_a_network_error(make_client: Any, file: Path) -> None:
    client = make_client(api_root="http://127.0.0.2:9", max_retries=0)
    with pytest.raises(Exception, match=r"sendPhoto failed: cannot connect to http://127.0.0.2:9: "):
        client.send_photo(chat_id=1, photo=file)


def test_a_reply_lost_after_an_upload_is_not_a_reason_to_repeat_it(client: ApiClient, server: Any, file: Path) -> None:
    def answer(call: Any) -> Any:
        raise ConnectionAbortedError

    server.answer = answer
    with pytest.raises(ConnectionLost):
        client.send_photo(chat_id=1, photo=file)
    assert len(server.calls) == 1


MEMORY = """
import resource, socket, sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from pyruntime.api import ApiClient

listener = socket.create_server(("127.0.0.1", 0))
received = 0

def serve():
    global received
    sock, _ = listener.accept()
    with sock:
        head = b""
        while b"\\r\\n\\r\\n" not in head:
            head += sock.recv(65536)
        head, _, rest = head.partition(b"\\r\\n\\r\\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        received = len(rest)
        while received < length:
            received += len(sock.recv(1 << 20))
        sock.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 25\\r\\n\\r\\n{"ok":true,"result":true}')

threading.Thread(target=serve).start()
client = ApiClient("1:x", "http://127.0.0.1:%d" % listener.getsockname()[1])
import requests
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert client.send_document(chat_id=1, document=Path(sys.argv[1])) is True
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
client.close()
listener.close()
assert received > 200 * 1024 * 1024, received
print(grown)
"""


def test_a_file_of_200_mb_is_sent_in_a_stream(tmp_path: Path) -> None:
    big = tmp_path / "big.bin"
    with big.open("wb") as file:
        file.truncate(200 * 1024 * 1024)
    place = str(Path(next(iter(pyruntime.__path__))).parent)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(big), place], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 30 * 1024
