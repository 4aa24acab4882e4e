"""How the fake server refuses, and what a request may look like."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest


def test_another_token_is_unauthorized(server: Any, client: Any) -> None:
    status, body = client.request("GET", "/bot999:WRONG/getMe")
    assert status == 401
    assert json.loads(body) == {"ok": False, "error_code": 401, "description": "Unauthorized"}
    assert server.calls[-1].status == 401


def test_an_unknown_method_is_not_found(client: Any) -> None:
    reply = client.call("getNothing")
    assert (reply["status"], reply["error_code"]) == (404, 404)
    assert reply["description"] == "Not Found: method not found"


def test_other_paths_are_not_found(client: Any) -> None:
    assert client.request("GET", "/")[0] == 404
    assert client.request("GET", f"/file/bot{client.server.token}/nothing")[0] == 404


def test_methods_are_found_whatever_their_case(server: Any, client: Any) -> None:
    assert client.call("GETME")["result"]["is_bot"] is True
    assert server.calls[-1].method == "getMe"


def test_a_flood_is_refused_with_retry_after(server: Any, client: Any) -> None:
    server.fault("retry_after", "getMe", seconds=7)
    reply = client.call("getMe")
    assert reply == {
        "status": 429,
        "ok": False,
        "error_code": 429,
        "description": "Too Many Requests: retry after 7",
        "parameters": {"retry_after": 7},
    }
    assert client.call("getMe")["ok"]


@pytest.mark.parametrize("kind", ["json", "form", "query", "multipart"])
def test_parameters_come_in_four_ways(server: Any, client: Any, kind: str) -> None:
    server.chat(7)
    path = f"/bot{server.token}/sendMessage"
    values = {"chat_id": "7", "text": "grüße & =+%"}
    if kind == "json":
        body, content_type = json.dumps(values).encode(), "application/json; charset=utf-8"
    elif kind == "form":
        body, content_type = urlencode(values).encode(), "application/x-www-form-urlencoded"
    elif kind == "query":
        path, body, content_type = f"{path}?{urlencode(values)}", None, "text/plain"
    else:
        parts = [
            f'--XX\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in values.items()
        ]
        body, content_type = ("".join(parts) + "--XX--\r\n").encode(), 'multipart/form-data; boundary="XX"'
    status, reply = client.request("POST" if body else "GET", path, body, Content_Type=content_type)
    assert status == 200, reply
    assert json.loads(reply)["result"]["text"] == "grüße & =+%"
    assert server.calls[-1].chat_id == 7


@pytest.mark.parametrize("body", [b"{", b"[1]", b'"x"', b"\xff"])
def test_a_body_that_is_not_a_json_object_is_a_bad_request(server: Any, client: Any, body: bytes) -> None:
    path = f"/bot{server.token}/sendMessage"
    status, reply = client.request("POST", path, body, Content_Type="application/json")
    assert status == 400
    assert json.loads(reply)["description"] == "Bad Request: can't parse JSON object"


def test_a_nested_value_may_come_as_a_json_string(server: Any, client: Any) -> None:
    server.chat(7)
    markup = json.dumps({"inline_keyboard": [[{"text": "A", "callback_data": "a"}]]})
    reply = client.call("sendMessage", chat_id=7, text="x", reply_markup=markup)
    assert reply["result"]["reply_markup"]["inline_keyboard"][0][0]["text"] == "A"
    assert client.call("sendMessage", chat_id=7, text="x", reply_markup="{")["status"] == 400
