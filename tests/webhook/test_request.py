"""What a webhook takes and what it refuses, over a real socket."""

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.webhook.conftest import SECRET, SECRET_HEADER, Site, message

Serve = Callable[..., Site]


def test_an_update_is_taken_handled_and_answered_with_nothing(serve: Serve) -> None:
    site = serve()
    status, headers, body = site.post(message(5))
    assert (status, body, headers["Content-Length"]) == (200, b"", "0")
    assert [update["update_id"] for update in site.wait_for_handled(1)] == [5]


def test_an_update_that_comes_again_is_taken_again_and_handled_once(serve: Serve) -> None:
    site = serve()
    for update_id in (5, 5, 4, 5, 6):
        assert site.post(message(update_id))[0] == 200
    assert [update["update_id"] for update in site.wait_for_handled(3)] == [5, 4, 6]


@pytest.mark.parametrize("secret", [None, "", "wrong", SECRET + "x", SECRET[:-1], SECRET.upper(), "ä"])
def test_without_the_right_secret_nothing_is_taken(serve: Serve, secret: str | None) -> None:
    site = serve()
    status, _, body = site.post(message(5), secret=secret)
    assert status == 401
    assert SECRET.encode() not in body
    assert site.app.handle is None


def test_without_a_secret_of_the_app_none_is_asked_for_and_that_is_said(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    site = serve(secret_token=None)
    assert site.post(message(5), secret=None)[0] == 200
    assert site.post(message(6), secret="any")[0] == 200
    assert "no secret_token" in caplog.text


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_only_post_is_taken(serve: Serve, method: str) -> None:
    status, headers, _ = serve().post(message(5), method=method)
    assert (status, headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_only_json_is_taken(serve: Serve, kind: str | None) -> None:
    assert serve().post(message(5), kind=kind)[0] == 400


def test_a_content_type_may_have_parameters_and_any_case(serve: Serve) -> None:
    assert serve().post(message(5), kind="Application/JSON; charset=utf-8")[0] == 200


def test_only_the_path_of_the_app_is_served(serve: Serve) -> None:
    site = serve(path="/telegram/a%20b")
    assert site.post(message(5), path="/telegram/a%20b")[0] == 200
    for path in ("/", "/telegram", "/telegram/a%20b/", "/telegram/a%20bc", "/x/telegram/a%20b"):
        assert site.post(message(6), path=path)[0] == 404, path
    assert len(site.wait_for_handled(1)) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"update"',
        b"{}",
        b'{"update_id": null}',
        b'{"update_id": "5"}',
        b'{"update_id": 5.0}',
        b'{"update_id": true}',
        b'{"update_id": -1}',
        b'{"update_id": 99999999999999999999}',
        b'{"update_id": 5',
        b'{"update_id": 5} 6',
        b'{"update_id": 05}',
        b'{"update_id": 5, "message": NaN}',
        b'{"update_id": 5, "message": -}',
        b'{"update_id": 5, "message": "\x01"}',
        b'{"update_id": 5, "message": "\xff"}',
        b'{"update_id": 5, "message": "\\ud83d"}',
        b"\xef\xbb\xbf" + b'{"update_id": 5}',
        b'{"update_id": 5, "message": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_update_is_refused_and_the_next_one_is_taken(serve: Serve, body: bytes) -> None:
    site = serve()
    assert site.post(body)[0] == 400
    assert site.post(message(6, "whole \U0001f600"))[0] == 200
    assert [update["update_id"] for update in site.wait_for_handled(1)] == [6]


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(serve: Serve) -> None:
    site = serve()
    with socket.create_connection(("127.0.0.1", site.port)) as connection:
        head = f"POST / HTTP/1.1\r\nHost: x\r\n{SECRET_HEADER}: {SECRET}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {1024 * 1024 + 1}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")
    assert site.post(message(6, "x" * (1023 * 1024)))[0] == 200
    assert [update["update_id"] for update in site.wait_for_handled(1)] == [6]


def test_a_body_in_chunks_is_taken(serve: Serve) -> None:
    site = serve()
    with socket.create_connection(("127.0.0.1", site.port)) as connection:
        head = f"POST / HTTP/1.1\r\nHost: x\r\n{SECRET_HEADER}: {SECRET}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for part in (b'{"update_id"', b": 5}"):
            connection.sendall(b"%x\r\n%b\r\n" % (len(part), part))
        connection.sendall(b"0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
    assert len(site.wait_for_handled(1)) == 1


def test_a_body_that_ends_too_early_is_not_taken(serve: Serve) -> None:
    site = serve()
    with socket.create_connection(("127.0.0.1", site.port)) as connection:
        head = f"POST / HTTP/1.1\r\nHost: x\r\n{SECRET_HEADER}: {SECRET}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: 40\r\n\r\n".encode() + b'{"update_id": 5}')
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    assert site.post(message(6))[0] == 200
    assert [update["update_id"] for update in site.wait_for_handled(1)] == [6]


@pytest.mark.parametrize("length", ["-1", "abc", "", "1e3", "16, 16"])
def test_a_content_length_that_is_no_number_is_refused(serve: Serve, length: str) -> None:
    site = serve()
    with socket.create_connection(("127.0.0.1", site.port)) as connection:
        head = f"POST / HTTP/1.1\r\nHost: x\r\n{SECRET_HEADER}: {SECRET}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    assert site.post(message(6))[0] == 200


def test_a_full_backlog_is_answered_with_503_and_retry_after_until_there_is_room(serve: Serve) -> None:
    go = threading.Event()
    site = serve(lambda ctx: go.wait(20), backlog=2, concurrency=2, retry_after_s=9)
    assert [site.post(message(number, chat_id=number))[0] for number in (1, 2)] == [200, 200]
    status, headers, _ = site.post(message(3, chat_id=3))
    assert (status, headers["Retry-After"]) == (503, "9")
    go.set()
    site.wait_for_handled(2)
    while site.post(message(3, chat_id=3))[0] != 200:
        pass
    assert sorted(update["update_id"] for update in site.wait_for_handled(3)) == [1, 2, 3]


def test_while_the_runner_drains_nothing_new_is_taken_and_what_was_taken_is_handled(serve: Serve) -> None:
    begun, go = threading.Event(), threading.Event()

    def handle(ctx: Any) -> None:
        begun.set()
        go.wait(20)

    site = serve(handle)
    site.post(message(1))
    assert begun.wait(20)
    stopping = threading.Thread(target=site.app.stop)
    stopping.start()
    taken = [1]
    try:
        while (answer := site.post(message(taken[-1] + 1)))[0] == 200:
            taken.append(taken[-1] + 1)
        assert (answer[0], answer[1]["Retry-After"]) == (503, "2")
        assert stopping.is_alive()
    finally:
        go.set()
        stopping.join(20)
    assert [update["update_id"] for update in site.handled] == taken
    assert site.post(message(1000))[0] == 503
    assert [update["update_id"] for update in site.handled] == taken
