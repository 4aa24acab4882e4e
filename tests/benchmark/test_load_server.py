"""Hold the load server of the benchmarks to what it serves: the rules of the real server, and any client's requests."""

import contextlib
import json
import random
import shutil
import socket
import ssl
import subprocess
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TOKEN = "424242:TEST"
FIRST_CHAT_ID = 5_000_000_000
Start = Callable[..., Any]


def test_an_update_looks_as_telegram_sends_it_and_weighs_as_much(start: Start, connect: Start) -> None:
    (update,) = connect(start("--one")).poll()
    message = update["message"]
    assert message["text"] == f"u{update['update_id']}"
    assert message["chat"]["id"] == message["from"]["id"]
    assert message["chat"]["type"] == "private"
    assert abs(message["date"] - time.time()) < 10
    assert message["reply_to_message"]["message_id"] < message["message_id"]
    assert 640 < len(json.dumps(update, separators=(",", ":"))) < 740


def test_the_bot_is_the_one_of_the_token_everywhere(start: Start, connect: Start) -> None:
    caller = connect(start("--one"))
    me = caller.call("getMe")
    assert (me["id"], me["is_bot"]) == (424242, True)
    (update,) = caller.poll()
    assert caller.answer(update)["from"]["id"] == 424242


def test_commands_have_their_entity(start: Start, connect: Start) -> None:
    (update,) = connect(start("--one", "--commands")).poll()
    assert update["message"]["text"] == f"/echo u{update['update_id']}"
    assert update["message"]["entities"] == [{"offset": 0, "length": 5, "type": "bot_command"}]


def test_a_sent_message_comes_back_with_the_next_id_of_its_chat(start: Start, connect: Start) -> None:
    caller = connect(start("--one"))
    text = 'quotes " backslash \\ line\n tab\t and é 🙂'
    first, second = (caller.call("sendMessage", chat_id=FIRST_CHAT_ID + 3, text=text) for _ in range(2))
    assert first["text"] == text
    assert first["chat"]["id"] == FIRST_CHAT_ID + 3
    assert second["message_id"] == first["message_id"] + 1


def test_an_offset_confirms_when_its_request_arrives(start: Start, connect: Start) -> None:
    caller = connect(start("--updates", 5))
    first = caller.poll(limit=2)[0]["update_id"]
    assert [update["update_id"] for update in caller.poll(first + 2)] == [first + 2, first + 3, first + 4]
    assert caller.call("getWebhookInfo")["pending_update_count"] == 3
    assert caller.poll(0)[0]["update_id"] == first + 2


def test_an_unconfirmed_update_is_handed_out_again(start: Start, connect: Start) -> None:
    caller = connect(start("--updates", 3))
    first = caller.poll(limit=2)
    assert caller.poll(first[1]["update_id"])[0] == first[1]


def test_the_limit_is_kept_between_1_and_100(start: Start, connect: Start) -> None:
    caller = connect(start("--updates", 300))
    first = caller.poll(limit=7)
    assert len(first) == 7
    base = first[0]["update_id"]
    assert len(caller.poll(base + 7, limit=0)) == 1
    assert len(caller.poll(base + 8, limit=1000)) == 100


def test_negative_offsets_keep_only_the_latest_and_wild_ones_are_ignored(start: Start, connect: Start) -> None:
    caller = connect(start("--updates", 20, "--first-id", 200_000_000))
    assert caller.poll(200_000_000 + 31)[0]["update_id"] == 200_000_000
    assert [update["update_id"] for update in caller.poll(-2)] == [200_000_018, 200_000_019]
    assert caller.call("getWebhookInfo")["pending_update_count"] == 2


def test_the_same_offset_at_once_gives_one_update_only(start: Start, connect: Start) -> None:
    caller = connect(start("--updates", 5))
    assert len(caller.poll()) == 5
    assert len(caller.poll()) == 1


def test_a_long_poll_ends_when_an_update_arrives_and_an_unchanged_offset_is_held_back(
    start: Start, connect: Start
) -> None:
    caller = connect(start("--rate", 4, "--gather-ms", 0))
    assert caller.poll(timeout=0) == []
    begun_s = time.monotonic()
    assert len(caller.poll(timeout=0)) == 1, "the same offset again: its timeout is stretched to 3 s"
    assert 0.2 < time.monotonic() - begun_s < 2


def test_a_long_poll_ends_empty_after_its_timeout(start: Start, connect: Start) -> None:
    caller = connect(start("--idle"))
    begun_s = time.monotonic()
    assert caller.poll(timeout=1) == []
    assert 1 <= time.monotonic() - begun_s < 2


def test_a_second_poller_ends_the_first_with_409_and_the_next_rivals_wait(start: Start, connect: Start) -> None:
    server = start("--idle")
    first, second, third = connect(server), connect(server), connect(server)
    begun_s = time.monotonic()
    first.ask("getUpdates", timeout=20)
    second.ask("getUpdates", timeout=20)
    assert first.hear() == 409
    assert time.monotonic() - begun_s < 2
    third.ask("getUpdates", timeout=20)
    assert second.hear() == 409
    assert time.monotonic() - begun_s >= 3
    assert first.call("getMe")["is_bot"], "the connection goes on"


def test_a_poller_that_hangs_up_leaves_no_conflict(start: Start, connect: Start) -> None:
    server = start("--rate", 20)
    first = connect(server)
    first.ask("getUpdates", timeout=20)
    server.wait_for("first_poll")
    first.http.close()
    assert connect(server).poll()
    assert server.stop()["conflicts"] == 0


def test_all_ways_to_send_parameters_are_understood(start: Start, connect: Start) -> None:
    server = start("--updates", 6)
    caller = connect(server)
    updates = caller.poll()
    answers = [{key: str(value) for key, value in caller.answer_to(update).items()} for update in updates]
    path = f"/bot{TOKEN}/sendMessage"
    parts = "".join(
        f'--XyZ\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in answers[2].items()
    )
    json_type = {"Content-Type": "application/json; charset=utf-8"}
    escaped = '{"nested": {"a": ["}", "\\""]}, "chat_id": "%s", "text": "\\u0075%s"}'
    requests: list[tuple[str, str, Any, dict[str, str]]] = [
        ("GET", f"{path}?{urllib.parse.urlencode(answers[0])}", None, {}),
        ("POST", path, urllib.parse.urlencode(answers[1]), {"Content-Type": "application/x-www-form-urlencoded"}),
        ("POST", path, parts + "--XyZ--\r\n", {"Content-Type": "multipart/form-data; boundary=XyZ"}),
        ("POST", path, json.dumps(answers[3]), json_type),
        ("POST", path, escaped % (answers[4]["chat_id"], answers[4]["text"][1:]), json_type),
        ("POST", path, iter([b'{"chat_id":', json.dumps(answers[5])[12:].encode()]), json_type),  # chunked
    ]
    for (method, target, body, headers), wanted in zip(requests, answers, strict=True):
        caller.http.request(method, target, body, headers)
        got = json.loads(caller.http.getresponse().read())
        assert got["ok"], (got, method, headers)
        assert got["result"]["text"] == wanted["text"]
    report = server.wait_for("report")
    assert (report["main"]["answered"], report["connections"], report["bad_requests"]) == (6, 1, 0)


def test_requests_in_pieces_in_a_row_and_without_keep_alive_are_served(start: Start) -> None:
    server = start("--idle")
    request = f"GET /bot{TOKEN}/getMe HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), 10) as link:
        for byte in request:
            link.sendall(bytes([byte]))
        link.sendall(request + request.replace(b"1.1", b"1.0"))
        heard = b"".join(iter(lambda: link.recv(65536), b""))
    assert heard.count(b"HTTP/1.1 200 OK") == 3
    assert heard.count(b"Connection: close") == 1


def test_errors_are_told_as_the_real_server_tells_them(start: Start, connect: Start) -> None:
    caller = connect(start("--idle"))
    assert caller.call("noSuchMethod") == 404
    assert caller.call("sendMessage", text="u1") == 400
    assert caller.call("sendMessage", chat_id=1, text="u1") == 400
    assert caller.call("sendMessage", chat_id=FIRST_CHAT_ID) == 400
    assert caller.call("sendMessage", chat_id=FIRST_CHAT_ID, text="x" * 4097) == 400
    assert caller.call("deleteWebhook", drop_pending_updates=True) is True


def test_it_speaks_tls(build: ModuleType, start: Start, connect: Start, tmp_path: Path) -> None:
    if not build.speaks_tls(build.build()) or shutil.which("openssl") is None:
        pytest.skip("no OpenSSL")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    command += f" -addext subjectAltName=DNS:localhost -keyout {key} -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True)
    server = start("--updates", 120, "--latency-ms", 1, "--tls", certificate, key)
    context = ssl.create_default_context(cafile=str(certificate))
    connect(server, context).echo_all(120)
    report = server.wait_for("report")
    assert (report["main"]["answered"], report["connections"]) == (120, 1)


def test_garbage_is_refused_and_harms_nobody(start: Start, connect: Start) -> None:
    server = start("--idle")
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    form = f'{{"chat_id": {FIRST_CHAT_ID}, "text": "u1 \\u00e9 \\\\", "reply": [{{"a": "b"}}]}}'
    whole = (
        f"POST /bot{TOKEN}/sendMessage?limit=5&text=%75 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(form)}\r\n\r\n{form}"
    ).encode()
    garbage = [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"BREW / HTTP/1.1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        b"GET / HTTP/1.1\r\n" + b"a" * 70_000,
        b"POST /bot1:a/close HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=\r\nContent-Length: 2\r\n\r\n--",
    ]
    for _ in range(150):
        spoilt = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        garbage.append(bytes(spoilt[: chance.randrange(1, len(spoilt) + 1)]))
    for request in garbage:
        with socket.create_connection(("127.0.0.1", server.port), 10) as link, contextlib.suppress(ConnectionError):
            link.sendall(request)
    assert connect(server).call("getMe")["is_bot"]
    assert server.stop()["connections"] == len(garbage) + 1


def test_many_connections_at_once_get_their_own_answers(start: Start, connect: Start) -> None:
    server = start("--updates", 200, "--chats", 200, "--latency-ms", 20)
    poller, callers = connect(server), [connect(server) for _ in range(100)]
    first = poller.poll()
    second = poller.poll(first[-1]["update_id"] + 1)
    for updates in (first, second):
        for caller, update in zip(callers, updates, strict=True):
            caller.ask_to_answer(update)
        for caller, update in zip(callers, updates, strict=True):
            assert caller.hear()["text"] == f"u{update['update_id']}"
    report = server.wait_for("report")
    assert (report["main"]["answered"], report["connections"]) == (200, 101)
