"""Errors: which one for which reply, that they pickle, and that none tells the token."""

import pickle
import traceback
from typing import Any

import pytest

from pyruntime import errors
from pyruntime.api import ApiClient
from pyruntime.errors import ApiError, NetworkError, TelegramError, from_reply


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, errors.BadRequest),
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (429, errors.RetryAfter),
        (500, errors.ServerError),
        (502, errors.ServerError),
        (599, errors.ServerError),
        (418, ApiError),
    ],
)
def test_each_code_has_its_class(code: int, kind: type[ApiError]) -> None:
    error = from_reply("sendMessage", {"ok": False, "error_code": code, "description": "D"}, parameters={"a": 1})
    assert type(error) is kind
    assert isinstance(error, TelegramError)
    assert (error.method, error.error_code, error.description, error.parameters) == ("sendMessage", code, "D", {"a": 1})
    assert str(error) == f"sendMessage failed: {code} D"
    assert error.retry_after is None
    assert error.migrate_to_chat_id is None


def test_hints_of_the_server_become_attributes() -> None:
    hints = {"retry_after": 7, "migrate_to_chat_id": -1001234567890}
    error = from_reply("sendMessage", {"error_code": 429, "description": "D", "parameters": hints})
    assert error.retry_after == 7
    assert error.migrate_to_chat_id == -1001234567890


@pytest.mark.parametrize("bad", [None, True, [], {}, "x", "inf", "nan", -1, 1e300])
def test_a_senseless_hint_is_passed_over(bad: Any) -> None:
    error = from_reply("m", {"error_code": 429, "parameters": {"retry_after": bad, "migrate_to_chat_id": str(bad)}})
    assert error.retry_after is None
    assert error.migrate_to_chat_id is None


@pytest.mark.parametrize(
    "reply", [{}, {"error_code": "400", "description": 5, "parameters": [1]}, {"error_code": True}]
)
def test_a_reply_without_sense_takes_the_http_status(reply: dict[str, Any]) -> None:
    error = from_reply("m", reply, status=403)
    assert type(error) is errors.Forbidden
    assert error.description == "(no description)"


KINDS = [getattr(errors, name) for name in errors.__all__ if name != "from_reply"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if issubclass(kind, ApiError)])
def test_api_errors_pickle(kind: type[ApiError]) -> None:
    error = kind("sendPhoto", 429, "D", parameters={"chat_id": 1}, retry_after=3.0, migrate_to_chat_id=-5)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if issubclass(kind, NetworkError)])
def test_network_errors_pickle(kind: type[NetworkError]) -> None:
    error = kind(detail="gone", may_have_arrived=False)
    error.method = "sendPhoto"
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error) == "sendPhoto failed: gone"
    assert vars(copy) == vars(error)
    assert copy.error_code is None


def test_the_tree_in_the_docstring_names_every_class() -> None:
    for kind in KINDS:
        assert kind.__name__ in str(errors.__doc__)


def everything_about(error: BaseException) -> str:
    """All that a log could show of an error, its causes and contexts included."""
    text = "".join(traceback.format_exception(error))
    chain: list[BaseException] = [error]
    for link in chain:
        text += f"{link!s} {link!r} {link.args!r} {vars(link)!r}"
        chain += [other for other in (link.__cause__, link.__context__) if other is not None and other not in chain]
    return text


BAD_ANSWERS: dict[str, Any] = {
    "error that repeats the URL": lambda call: (400, {"ok": False, "error_code": 400, "description": call.path}),
    "no JSON": lambda call: (200, b"<html>" + call.path.encode()),
    "no JSON, 502": lambda call: (502, b"<html>" + call.path.encode()),
    "no JSON, 404": lambda call: (404, b"<html>" + call.path.encode()),
    "JSON of another kind": lambda call: (200, [call.path]),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
@pytest.mark.parametrize("road", ["direct", "requests"])
def test_no_error_of_a_reply_tells_the_token(name: str, road: str, server: Any, make_client: Any) -> None:
    import requests

    server.answer = BAD_ANSWERS[name]
    with requests.Session() as session:
        client = make_client(max_retries=0, session=session if road == "requests" else None)
        for call in (
            lambda: client.send_message(chat_id=1, text="x"),
            lambda: client.send_document(chat_id=1, document=b"x"),
            lambda: client.get_updates(),
            lambda: client.call_once("getMe"),
        ):
            with pytest.raises(TelegramError) as caught:
                call()
            assert "SECRET" not in everything_about(caught.value)


@pytest.mark.parametrize("road", ["direct", "requests", "proxy"])
@pytest.mark.parametrize("root", ["http://127.0.0.2:{port}", "http://no-such-host.invalid", "https://127.0.0.1:{port}"])
def test_no_error_of_the_network_tells_the_token(road: str, root: str, server: Any, make_client: Any) -> None:
    import requests

    with requests.Session() as session:
        client = make_client(
            api_root=root.format(port=server.port),
            max_retries=0,
            session=session if road == "requests" else None,
            proxy="http://127.0.0.3:9" if road == "proxy" else None,
        )
        for call in (
            lambda: client.send_message(chat_id=1, text="x"),
            lambda: client.send_document(chat_id=1, document=b"x"),
            lambda: client.get_updates(),
            lambda: client.download_file("a/b.jpg", "/dev/null/nowhere"),
        ):
            with pytest.raises((NetworkError, OSError)) as caught:
                call()
            assert "SECRET" not in everything_about(caught.value)


def test_neither_the_client_nor_its_methods_show_the_token(server: Any) -> None:
    client = ApiClient("123456:SECRET-token_42", server.root)
    assert repr(client) == f"ApiClient(bot 123456 at {server.root})"
    assert "SECRET" not in repr(client.send_message) + str(client.send_message)
    bad_token = "123456:SEC" + "RET token\r\nX: y"
    with pytest.raises(ValueError, match="token") as caught:
        ApiClient(bad_token)
    assert "SECRET" not in everything_about(caught.value)
