"""Downloads: into a path only when the whole file is there, into file objects, again after a failure."""

import io
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from pyruntime.api import ApiClient
from pyruntime.errors import BadReply, ConnectFailed, NotFound, ServerError

CONTENT = bytes(range(256)) * 1000


@pytest.fixture(autouse=True)
def files(server: Any) -> None:
    def answer(call: Any) -> Any:
        if call.method == "getFile":
            return {"file_id": call.parameters["file_id"], "file_path": "photos/file 1.jpg"}
        return 200, CONTENT

    server.answer = answer


def test_a_file_is_downloaded_by_its_path(client: ApiClient, server: Any, tmp_path: Path) -> None:
    target = tmp_path / "out.jpg"
    assert client.download_file("photos/file 1.jpg", target) == len(CONTENT)
    assert target.read_bytes() == CONTENT
    assert server.calls[-1].path == "/file/bot123456:SECRET-token_42/photos/file%201.jpg"
    assert [path.name for path in tmp_path.iterdir()] == ["out.jpg"]


def test_a_file_object_of_the_bot_api_will_do(client: ApiClient, server: Any) -> None:
    class Lazy:
        file_path = "a/b"

    for file in ({"file_path": "a/b"}, Lazy(), {"file_id": "x"}):
        stream = io.BytesIO()
        stream.write(b"before ")
        assert client.download_file(file, stream) == len(CONTENT)
        assert stream.getvalue() == b"before " + CONTENT
    assert server.calls[-2].method == "getFile"


def test_without_path_or_id_there_is_nothing_to_download(client: ApiClient) -> None:
    with pytest.raises(ValueError, match="neither file_path nor file_id"):
        client.download_file({}, io.BytesIO())


def test_a_file_too_big_for_the_bot_api_has_no_path(client: ApiClient, server: Any) -> None:
    server.answer = lambda call: {"file_id": "x"}
    with pytest.raises(BadReply, match="no file_path"):
        client.download_file({"file_id": "x"}, io.BytesIO())


def test_an_error_reply_leaves_the_old_file_alone(client: ApiClient, server: Any, tmp_path: Path) -> None:
    target = tmp_path / "out.jpg"
    target.write_bytes(b"old")
    server.answer = lambda call: (404, {"ok": False, "error_code": 404, "description": "Not Found"})
    with pytest.raises(NotFound, match="download failed: 404 Not Found"):
        client.download_file("a/b", target)
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["out.jpg"]


@pytest.mark.usefixtures("no_pauses")
def test_a_failed_download_is_tried_again(client: ApiClient, server: Any, tmp_path: Path) -> None:
    server.answer = lambda call: (200, CONTENT) if len(server.calls) > 2 else (502, b"")
    client.download_file("a/b", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT
    server.answer = lambda call: (502, b"")
    with pytest.raises(ServerError):
        client.download_file("a/b", tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("target", ["path", "seekable", "pipe"])
def test_a_file_that_breaks_off_is_started_again_where_that_can_be_done(
    target: str, make_client: Any, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            content = b"x" * 200_000
            for sent in (150_000, 200_000):
                sock, _ = listener.accept()
                with sock:
                    while not sock.recv(65536).endswith(b"\r\n\r\n"):
                        pass
                    sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n")
                    sock.sendall(content[:sent])
                if target == "pipe":
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        client = make_client(api_root=f"http://127.0.0.1:{listener.getsockname()[1]}")
        if target == "path":
            assert client.download_file("a", tmp_path / "out") == 200_000
            assert (tmp_path / "out").read_bytes() == b"x" * 200_000
        elif target == "seekable":
            stream = io.BytesIO()
            assert client.download_file("a", stream) == 200_000
            assert stream.getvalue() == b"x" * 200_000
        else:
            stream = io.BytesIO()
            stream.seekable = lambda: False  # type: ignore[method-assign]
            with pytest.raises(BadReply, match="cut short"):
                client.download_file("a", stream)
        thread.join()


def test_a_destination_that_cannot_be_written_is_the_callers_error(client: ApiClient, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client.download_file("a/b", tmp_path / "no" / "such" / "folder")

    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        client.download_file("a/b", Full())


def test_a_local_bot_api_server_names_files_on_this_disk(client: ApiClient, server: Any, tmp_path: Path) -> None:
    (tmp_path / "local.bin").write_bytes(CONTENT)
    assert client.download_file(str(tmp_path / "local.bin"), tmp_path / "out") == len(CONTENT)
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert server.calls == []


def test_a_server_that_is_not_there_is_named_like_in_any_other_call(make_client: Any) -> None:
    client = make_client(api_root="http://127.0.0.2:9", max_retries=0)
    said = []
    for call in (client.get_me, lambda: client.download_file("a", io.BytesIO())):
        with pytest.raises(ConnectFailed) as caught:
            call()
        said.append(caught.value.detail)
    assert said == ["cannot connect to http://127.0.0.2:9: Connection refused"] * 2
