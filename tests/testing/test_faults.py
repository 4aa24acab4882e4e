"""Each fault switch, seen from a bare client."""

import http.client
import json
import socket
import time
from typing import Any

import pytest


def send_by_hand(server: Any, sock: socket.socket, method: str = "sendMessage", **parameters: Any) -> None:
    body = json.dumps(parameters or {"chat_id": 1, "text": "hello"}).encode()
    head = f"POST /bot{server.token}/{method} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    sock.sendall(head.encode() + b"\r\n\r\n" + body)


def read_until_closed(sock: socket.socket) -> bytes:
    data = b""
    try:
        while part := sock.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    return data


def test_drop_before_closes_without_carrying_out(server: Any, raw_socket: socket.socket) -> None:
    server.chat(1)
    server.fault("drop_before", "sendMessage")
    send_by_hand(server, raw_socket)
    assert read_until_closed(raw_socket) == b""
    assert server.chat(1).messages == []
    assert server.calls[-1].fault == "drop_before"


def test_drop_after_carries_out_and_closes_without_a_byte(server: Any, raw_socket: socket.socket) -> None:
    server.chat(1)
    server.fault("drop_after", "sendMessage")
    send_by_hand(server, raw_socket)
    assert read_until_closed(raw_socket) == b""
    assert [message.text for message in server.chat(1).messages] == ["hello"]
    assert server.calls[-1].status is None


def test_drop_midway_closes_in_the_middle_of_the_reply(server: Any, raw_socket: socket.socket) -> None:
    server.chat(1)
    server.fault("drop_midway", "sendMessage")
    send_by_hand(server, raw_socket)
    head, _, body = read_until_closed(raw_socket).partition(b"\r\n\r\n")
    length = int(head.partition(b"Content-Length: ")[2])
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert 0 < len(body) < length
    assert len(server.chat(1).messages) == 1


def test_stall_sends_half_and_keeps_the_connection(server: Any, raw_socket: socket.socket) -> None:
    server.chat(1)
    server.fault("stall", "sendMessage")
    send_by_hand(server, raw_socket)
    assert raw_socket.recv(65536).startswith(b"HTTP/1.1 200 OK")
    raw_socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        raw_socket.recv(1)


def test_slow_answers_later(server: Any, client: Any) -> None:
    server.fault("slow", "getMe", seconds=0.2)
    started = time.monotonic()
    assert client.call("getMe")["ok"]
    assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_error_answers_5xx_without_carrying_out(server: Any, client: Any, code: int) -> None:
    server.chat(1)
    server.fault("error", "sendMessage", code=code)
    reply = client.call("sendMessage", chat_id=1, text="x")
    assert (reply["status"], reply["error_code"]) == (code, code)
    assert reply["description"] == "Internal Server Error: restart"
    assert server.chat(1).messages == []


@pytest.mark.parametrize(("kind", "code"), [("conflict", 409), ("unauthorized", 401), ("retry_after", 429)])
def test_refusals_carry_their_code(server: Any, client: Any, kind: Any, code: int) -> None:
    server.fault(kind)
    assert client.call("getUpdates")["error_code"] == code
    assert client.call("getUpdates")["ok"]


def test_a_refused_get_updates_confirms_nothing(server: Any, client: Any, message: Any) -> None:
    server.push(message())
    with server.fault("error", "getUpdates", times=None) as fault:
        for _ in range(3):
            assert client.call("getUpdates", offset=1001)["status"] == 500
        assert fault.hits == 3
    assert server.pending_count() == 1
    assert client.call("getUpdates", offset=1001)["ok"]


def test_duplicate_delivers_each_update_twice(server: Any, client: Any, message: Any) -> None:
    server.push_many([message(), message()])
    server.fault("duplicate", "getUpdates")
    assert client.ids() == [1000, 1000, 1001, 1001]


def test_shuffle_delivers_ids_in_falling_order(server: Any, client: Any, message: Any) -> None:
    server.push_many([message(), message(), message()])
    server.fault("shuffle", "getUpdates")
    assert client.ids() == [1002, 1001, 1000]


def test_garbage_is_a_sound_reply_that_is_not_json(server: Any, client: Any) -> None:
    server.fault("garbage", code=502)
    status, body = client.request("GET", f"/bot{server.token}/getMe")
    assert status == 502
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(body)
    assert client.call("getMe")["ok"], "the connection is still good"


def test_not_http_is_no_reply_at_all(server: Any, client: Any) -> None:
    server.fault("not_http")
    with pytest.raises(http.client.BadStatusLine):
        client.call("getMe")


def test_half_json_is_a_whole_reply_with_half_the_json(server: Any, client: Any, message: Any) -> None:
    server.push(message())
    server.fault("half_json", "getUpdates")
    status, body = client.request("GET", f"/bot{server.token}/getUpdates")
    assert status == 200
    assert body.startswith(b'{"ok":true')
    with pytest.raises(ValueError, match=r"."):
        json.loads(body)


def test_empty_is_a_reply_without_a_body(server: Any, client: Any) -> None:
    server.fault("empty")
    assert client.request("GET", f"/bot{server.token}/getMe") == (200, b"")


def test_huge_is_a_reply_of_10_mebibytes(server: Any, client: Any) -> None:
    server.fault("huge")
    status, body = client.request("GET", f"/bot{server.token}/getMe")
    assert status == 200
    assert len(body) > 10 * 1024 * 1024
    assert client.call("getMe")["ok"]


@pytest.mark.parametrize("kind", ["garbage", "not_http", "empty", "huge"])
def test_faults_that_spoil_any_reply_do_not_wait_for_updates(server: Any, client: Any, kind: Any) -> None:
    server.fault(kind, "getUpdates", size_bytes=10)
    started = time.monotonic()
    path = f"/bot{server.token}/getUpdates?timeout=20"
    if kind == "not_http":
        with pytest.raises(http.client.BadStatusLine):
            client.request("GET", path)
    else:
        client.request("GET", path)
    assert time.monotonic() - started < 5


def test_faults_apply_in_order_one_to_a_call_and_only_to_their_method(server: Any, client: Any) -> None:
    server.fault("error", "getMe", times=2)
    server.fault("unauthorized", "getMe")
    server.fault("conflict", "close")
    assert [client.call("getMe")["status"] for _ in range(4)] == [500, 500, 401, 200]
    assert client.call("close")["status"] == 409


def test_faults_can_be_cleared(server: Any, client: Any) -> None:
    fault = server.fault("error", times=None)
    assert client.call("getMe")["status"] == 500
    fault.clear()
    fault.clear()
    assert client.call("getMe")["status"] == 200
    server.fault("error", times=None)
    server.clear_faults()
    assert client.call("getMe")["status"] == 200


def test_an_unknown_fault_is_refused_with_the_list_of_kinds(server: Any) -> None:
    with pytest.raises(ValueError, match=r"unknown fault 'dropp'; there are: conflict, drop_after"):
        server.fault("dropp")
    with pytest.raises(ValueError, match="times must be at least 1"):
        server.fault("error", times=0)


def test_latency_delays_all_methods_or_one(server: Any, client: Any) -> None:
    def duration_s(method: str) -> float:
        started = time.monotonic()
        client.call(method)
        return time.monotonic() - started

    server.latency_s = 0.1
    server.latency_by_method_s["getMe"] = 0.0
    assert duration_s("close") >= 0.1
    assert duration_s("getMe") < 0.1
    server.latency_s = 0.0
    assert duration_s("close") < 0.1
