"""Calling methods: names, parameters, results."""

import gc
import threading
from pathlib import Path
from typing import Any

import pytest

import pyruntime.api
from pyruntime.api import ApiClient
from pyruntime.errors import BadReply, BadRequest, Conflict, NotFound, ReadTimeout, ServerError
from pyruntime.upload import encode_json


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("get_me", "getMe"),
        ("send_message", "sendMessage"),
        ("answer_callback_query", "answerCallbackQuery"),
        ("log_out", "logOut"),
        ("set_my_commands", "setMyCommands"),
    ],
)
def test_a_snake_case_name_calls_the_method(name: str, method: str, client: ApiClient, server: Any) -> None:
    getattr(client, name)(chat_id=1)
    assert server.calls[-1].path == f"/bot123456:SECRET-token_42/{method}"


def test_parameters_without_names_are_refused_and_the_message_names_the_method(client: ApiClient, server: Any) -> None:
    with pytest.raises(
        TypeError, match=r"send_message\(\) takes its parameters by name, as in send_message\(chat_id=1"
    ):
        client.send_message(1, "hi")
    assert server.calls == []


def test_a_method_is_called_by_a_string(client: ApiClient) -> None:
    with pytest.raises(ValueError, match="not the name of a method: 5"):
        client.call(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"token": None}, "token is a string, not NoneType"),
        ({"api_root": 5}, "api_root is a string, not int"),
        ({"timeout_s": "x"}, "timeout_s is a number of seconds above 0, not 'x'"),
        ({"timeout_s": -1}, "timeout_s is a number of seconds above 0, not -1"),
        ({"connect_timeout_s": float("inf")}, "connect_timeout_s"),
        ({"upload_timeout_s": True}, "upload_timeout_s"),
        ({"max_flood_wait_s": -1}, "max_flood_wait_s is a number of seconds from 0 on, not -1"),
        ({"max_retries": -1}, "max_retries is a whole number of 0 or more, not -1"),
        ({"max_reply_bytes": 0}, "max_reply_bytes is a whole number of 1 or more, not 0"),
        ({"max_idle_connections": 1.5}, "max_idle_connections"),
        ({"session": 5}, "session is a requests.Session, not 5"),
        ({"ssl_context": 5}, "ssl_context is an ssl.SSLContext, not 5"),
        ({"proxy": 5}, "proxy is a string, not int"),
    ],
)
def test_an_argument_that_cannot_work_is_refused_when_the_client_is_made(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        ApiClient(**{"token": "1:x", **options})
    assert hint in str(caught.value)


def test_the_bound_method_is_made_once(client: ApiClient) -> None:
    assert client.send_message is client.send_message


@pytest.mark.parametrize(
    "name", ["_private", "__deepcopy__", "SendMessage", "send", "send__message", "send_", "sendmessage"]
)
def test_what_cannot_be_a_method_is_an_attribute_error(name: str, client: ApiClient) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(client, name)


def test_the_camel_case_spelling_is_told_the_right_name(client: ApiClient) -> None:
    with pytest.raises(AttributeError, match=r"did you mean send_message\?$"):
        client.sendMessage  # noqa: B018


def test_a_method_newer_than_the_library_can_be_called(client: ApiClient, server: Any) -> None:
    assert client.call("brandNewMethod", method="x", self="y") is True
    assert server.calls[-1].parameters == {"method": "x", "self": "y"}


@pytest.mark.parametrize("result", [True, 42, "link", [1, 2], {"message_id": 5, "text": "\U0001f600 é"}, None, False])
def test_the_result_comes_back_as_plain_python(result: Any, client: ApiClient, server: Any) -> None:
    server.answer = lambda call: result
    assert client.get_me() == result


def test_parameters_go_as_json_and_none_is_left_out(client: ApiClient, server: Any) -> None:
    parameters = {
        "chat_id": -1001234567890,
        "text": "Grüße / \U0001f600 \u2028",
        "disable_notification": False,
        "reply_markup": {"inline_keyboard": [[{"text": "a", "callback_data": "b"}]]},
        "entities": [{"type": "bold", "offset": 0, "length": 2}],
        "latitude": 1.5,
    }
    client.send_message(**parameters, parse_mode=None, message_thread_id=None)
    assert server.calls[-1].parameters == parameters


def test_json_is_written_short_and_in_order() -> None:
    value = {"b": "é</a>\u2028", "a": [1, 2.5, None, True]}
    assert encode_json(value) == '{"b":"é</a>\u2028","a":[1,2.5,null,true]}'.encode()


def test_half_a_surrogate_pair_is_left_to_the_server(client: ApiClient, server: Any) -> None:
    client.send_message(chat_id=1, text="\ud83d")
    assert server.calls[-1].body.endswith(b'"\xed\xa0\xbd"}')


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_has_no_form_in_json_is_the_callers_error(value: Any, client: ApiClient, server: Any) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        client.send_message(chat_id=1, text=value)
    assert server.calls == []


def test_an_error_reply_carries_the_call(client: ApiClient, server: Any) -> None:
    server.answer = lambda call: (400, {"ok": False, "error_code": 400, "description": "Bad Request: chat not found"})
    with pytest.raises(BadRequest) as caught:
        client.send_photo(chat_id=1, photo=b"123", caption="x")
    assert str(caught.value) == "sendPhoto failed: 400 Bad Request: chat not found"
    assert caught.value.parameters == {"chat_id": 1, "photo": "<file file>", "caption": "x"}
    assert len(server.calls) == 1


def test_a_group_that_became_a_supergroup_is_told(client: ApiClient, server: Any) -> None:
    hint = {"migrate_to_chat_id": -1009}
    server.answer = lambda call: (400, {"ok": False, "error_code": 400, "description": "upgraded", "parameters": hint})
    with pytest.raises(BadRequest) as caught:
        client.send_message(chat_id=1, text="x")
    assert caught.value.migrate_to_chat_id == -1009


@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"[]", b"7", b"{}", b'{"ok":true}', b'{"ok":1,"result":1}', b'{"ok":"true","result":1}',
     b"\xff\xfe", b"[" * 100_000, b'{"ok":true,"result":' + b"9" * 6000 + b"}", b'{"ok":true,"result":1} trailing'],
)  # fmt: skip
def test_what_is_no_reply_of_the_bot_api_is_a_bad_reply(body: bytes, client: ApiClient, server: Any) -> None:
    server.answer = lambda call: (200, body)
    with pytest.raises(BadReply, match="sendMessage failed: HTTP 200 with a body that is no reply"):
        client.send_message(chat_id=1, text="x")
    assert len(server.calls) == 1


def test_a_gateway_that_knows_no_json_is_a_server_error(make_client: Any, server: Any) -> None:
    client = make_client(max_retries=0)
    server.answer = lambda call: (502, b"<html>nginx</html>")
    with pytest.raises(ServerError, match="sendMessage failed: 502 Bad Gateway"):
        client.send_message(chat_id=1, text="x")


def test_a_404_that_is_not_of_the_bot_api_is_not_taken_for_one(make_client: Any, server: Any) -> None:
    client = make_client(max_retries=0)
    server.answer = lambda call: (404, b"<html>no such page</html>")
    with pytest.raises(BadReply, match="is api_root right"):
        client.get_me()
    server.answer = lambda call: (404, {"ok": False, "error_code": 404, "description": "Not Found"})
    with pytest.raises(NotFound):
        client.get_me()


def test_get_updates_returns_the_list(client: ApiClient, server: Any) -> None:
    server.answer = lambda call: [{"update_id": 1}]
    assert client.get_updates(offset=1, limit=10, timeout=0, allowed_updates=("message",)) == [{"update_id": 1}]
    assert server.calls[-1].parameters == {"offset": 1, "limit": 10, "timeout": 0, "allowed_updates": ["message"]}
    client.get_updates()
    assert server.calls[-1].parameters == {}
    client.get_updates(allowed_updates=[])
    assert server.calls[-1].parameters == {"allowed_updates": []}


@pytest.mark.parametrize("result", [True, {}, [1], None, "x"])
def test_a_result_of_get_updates_that_is_no_list_of_updates_is_a_bad_reply(
    result: Any, client: ApiClient, server: Any
) -> None:
    server.answer = lambda call: result
    with pytest.raises(BadReply):
        client.get_updates()


@pytest.mark.parametrize("code", [409, 429, 500, 502])
def test_get_updates_is_never_tried_again(code: int, client: ApiClient, server: Any) -> None:
    server.answer = lambda call: (code, {"ok": False, "error_code": code, "description": "D"})
    for poll in (client.get_updates, lambda: client.call("getUpdates"), lambda: client.call_once("getUpdates")):
        with pytest.raises(Exception, match=f"getUpdates failed: {code}") as caught:
            poll()
        assert caught.value.error_code == code  # type: ignore[attr-defined]
    assert len(server.calls) == 3


def test_call_once_is_never_tried_again(client: ApiClient, server: Any) -> None:
    server.answer = lambda call: (409, {"ok": False, "error_code": 409, "description": "D"})
    with pytest.raises(Conflict):
        client.call_once("getMe")
    server.answer = lambda call: (500, {"ok": False, "error_code": 500, "description": "D"})
    with pytest.raises(ServerError):
        client.call_once("getMe")
    assert server.methods() == ["getMe", "getMe"]


def test_a_poll_may_take_ten_seconds_longer_than_telegram_waits(
    client: ApiClient, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyruntime.api._POLL_GRACE_S", 0.2)
    release = threading.Event()
    server.answer = lambda call: release.wait(10)
    with pytest.raises(ReadTimeout, match=r"within 0\.2 s"):
        client.get_updates(timeout=0)
    release.set()


def test_the_same_parameters_go_through_a_session(make_client: Any, server: Any) -> None:
    import requests

    with requests.Session() as session:
        session.headers["X-Mine"] = "yes"
        client = make_client(session=session)
        server.answer = lambda call: []
        client.send_message(chat_id=1, text="x")
        client.get_updates(offset=5)
        client.send_document(chat_id=1, document=b"x")
        client.close()
        client.send_message(chat_id=2, text="x")
    assert [call.headers["X-Mine"] for call in server.calls] == ["yes"] * 4
    assert server.calls[0].parameters == {"chat_id": 1, "text": "x"}
    assert server.calls[1].parameters == {"offset": 5}


def test_two_hundred_threads_share_a_client_and_each_gets_its_own_reply(client: ApiClient, server: Any) -> None:
    server.answer = lambda call: call.parameters["text"]
    start = threading.Barrier(200)
    wrong: list[Any] = []

    def hammer(number: int) -> None:
        start.wait(30)
        for turn in range(5):
            text = f"{number}/{turn}"
            try:
                if client.send_message(chat_id=number, text=text) != text:
                    wrong.append(text)
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=hammer, args=(number,)) for number in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(server.calls) == 1000


def test_a_closed_client_can_be_used_again(client: ApiClient, server: Any) -> None:
    server.answer = lambda call: []
    for _ in range(3):
        client.get_updates()
        client.send_message(chat_id=1, text="x")
        client.close()
    assert len(server.calls) == 6


def test_a_client_that_nobody_closes_leaves_no_warning(server: Any) -> None:
    import gc

    client = ApiClient("123456:SECRET-token_42", server.root)
    client.send_message(chat_id=1, text="x")
    client.call_once("getMe")
    del client
    gc.collect()


def test_a_token_with_a_line_end_is_taken_without_it(server: Any, make_client: Any, tmp_path: Path) -> None:
    client = ApiClient("123456:SECRET-token_42\n", server.root)
    client.get_me()
    client.close()
    assert server.calls[0].path == "/bot123456:SECRET-token_42/getMe"


def test_a_client_that_replaces_call_sees_every_call(client: ApiClient) -> None:
    class Recorder(ApiClient):
        def __init__(self) -> None:
            self.calls: list[Any] = []

        def call(self, method: str, /, *unnamed: Any, **parameters: Any) -> Any:
            self.calls.append((method, parameters))

    recorder = Recorder()
    recorder.send_message(chat_id=1, text="x")
    assert recorder.calls == [("sendMessage", {"chat_id": 1, "text": "x"})]
    seen: list[str] = []
    client.call = lambda method, **parameters: seen.append(method)  # type: ignore[method-assign]
    client.send_photo(chat_id=1, photo="id")
    assert seen == ["sendPhoto"]


def test_a_bound_method_is_renewed_after_a_fork_without_its_client() -> None:
    send = ApiClient("123456:SECRET-token_42").send_message
    gc.collect()
    assert any(send.func.__self__ is caller for caller in pyruntime.api._callers)
