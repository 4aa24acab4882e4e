"""The playground seen from HTTP: the page, its events, what it can do, and who is kept out."""

import base64
import http.client
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from pyruntime.testing import Playground

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


@pytest.fixture
def playground() -> Iterator[Playground]:
    with Playground(port=0) as started:
        yield started


class PageClient:
    """Do what the page does."""

    def __init__(self, playground: Playground) -> None:
        server = playground.server
        self.connection = http.client.HTTPConnection(server.host, server.port, timeout=10)

    def ask(self, verb: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, bytes]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        self.connection.request(verb, path, None if body is None else json.dumps(body).encode(), sent)
        reply = self.connection.getresponse()
        return reply.status, reply.headers, reply.read()

    def do(self, action: str, **body: Any) -> dict[str, Any]:
        return dict(json.loads(self.ask("POST", f"/playground/{action}", body)[2]))


class Events:
    """Read the stream of events."""

    def __init__(self, playground: Playground) -> None:
        server = playground.server
        self.connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
        self.connection.request("GET", "/playground/events")
        self.reply = self.connection.getresponse()
        assert self.reply.headers["Content-Type"] == "text/event-stream"

    def next(self, wanted: str) -> Any:
        """Return the content of the next event of a kind."""
        while True:
            kind = self.reply.readline().decode().removeprefix("event: ").strip()
            data = self.reply.readline().decode().removeprefix("data: ")
            assert self.reply.readline() == b"\n"
            if kind == wanted:
                return json.loads(data)


@pytest.fixture
def page(playground: Playground) -> Iterator[PageClient]:
    client = PageClient(playground)
    yield client
    client.connection.close()


@pytest.fixture
def events(playground: Playground) -> Iterator[Events]:
    stream = Events(playground)
    yield stream
    stream.connection.close()
    stream.reply.close()


def call_bot(playground: Playground, method: str, **parameters: Any) -> Any:
    connection = http.client.HTTPConnection(playground.server.host, playground.server.port, timeout=10)
    try:
        body = json.dumps(parameters).encode()
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"/bot{playground.token}/{method}", body, headers)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def test_the_addresses_are_there_for_the_command_line(playground: Playground) -> None:
    assert playground.url == f"http://127.0.0.1:{playground.server.port}/"
    assert playground.api_root == playground.url.rstrip("/")
    assert re.fullmatch(r"\d+:[\w-]{20,}", playground.token)
    assert Playground().token != Playground().token


def test_the_page_is_one_file_that_loads_nothing_from_elsewhere(page: PageClient) -> None:
    status, headers, body = page.ask("GET", "/")
    text = body.decode()
    assert status == 200
    policy = headers["Content-Security-Policy"]
    nonce = re.search(r"script-src 'nonce-([\w-]+)'", policy)
    assert nonce is not None
    assert f'<script nonce="{nonce.group(1)}">' in text
    assert "default-src 'none'" in policy
    assert "NONCE" not in text
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", text)
    assert "@import" not in text
    assert "innerHTML" not in text


def test_a_new_page_gets_a_snapshot_with_two_people_and_a_group(events: Events) -> None:
    snapshot = events.next("snapshot")
    assert [chat["info"]["type"] for chat in snapshot["chats"]] == ["private", "private", "group"]
    assert snapshot["queue"] == {
        "pending": 0,
        "confirmed_offset": 0,
        "next_update_id": snapshot["queue"]["next_update_id"],
        "is_polled": False,
        "polls": 0,
    }


def test_what_is_said_reaches_the_bot_and_the_page(playground: Playground, page: PageClient, events: Events) -> None:
    chat = events.next("snapshot")["chats"][0]["info"]
    page.do("send", chat_id=chat["id"], text="/start")
    assert events.next("message")["text"] == "/start"
    assert events.next("queue")["pending"] == 1
    [update] = call_bot(playground, "getUpdates")["result"]
    assert update["message"]["entities"][0]["type"] == "bot_command"
    sent = call_bot(playground, "sendMessage", chat_id=chat["id"], text="hello")["result"]
    assert events.next("message")["text"] == "hello"
    call = events.next("call")
    assert (call["method"], call["status"], call["chat_id"]) == ("sendMessage", 200, chat["id"])
    target = {"chat_id": chat["id"], "message_id": sent["message_id"]}
    call_bot(playground, "editMessageText", **target, text="changed")
    assert events.next("edit")["text"] == "changed"
    call_bot(playground, "sendChatAction", chat_id=chat["id"], action="typing")
    assert events.next("action")["action"] == "typing"
    call_bot(playground, "deleteMessage", **target)
    assert events.next("delete")["message_id"] == sent["message_id"]
    call_bot(playground, "setMyCommands", commands=[{"command": "a", "description": "b"}])
    assert events.next("commands") == [{"command": "a", "description": "b"}]


def test_a_pressed_button_is_answered_on_the_page(playground: Playground, page: PageClient, events: Events) -> None:
    chat_id = events.next("snapshot")["chats"][0]["info"]["id"]
    markup = {"inline_keyboard": [[{"text": "A", "callback_data": "a"}]]}
    message = call_bot(playground, "sendMessage", chat_id=chat_id, text="?", reply_markup=markup)["result"]
    pressed = page.do("press", chat_id=chat_id, message_id=message["message_id"], data="a")["result"]
    call_bot(playground, "answerCallbackQuery", callback_query_id=pressed["id"], text="ok", show_alert=True)
    answer = events.next("answer")
    assert (answer["id"], answer["parameters"]["text"]) == (pressed["id"], "ok")


def test_a_reply_keyboard_is_told_and_remembered(playground: Playground, events: Events) -> None:
    chat_id = events.next("snapshot")["chats"][0]["info"]["id"]
    markup = {"keyboard": [["A", "B"]]}
    call_bot(playground, "sendMessage", chat_id=chat_id, text="?", reply_markup=markup)
    assert events.next("keyboard")["markup"] == markup
    second = Events(playground)
    assert second.next("snapshot")["chats"][0]["keyboard"] == markup
    second.connection.close()
    second.reply.close()


def test_chats_can_be_added_and_people_speak_in_groups(
    playground: Playground, page: PageClient, events: Events
) -> None:
    snapshot = events.next("snapshot")
    added = page.do("chat", type="group", name="  Us  ")["result"]["id"]
    assert events.next("chat")["info"] == {"id": added, "type": "group", "title": "Us"}
    second = snapshot["chats"][1]
    page.do("send", chat_id=added, text="hi", user_id=second["info"]["id"])
    assert events.next("message")["from"] == second["user"]
    page.do("chat", type="private")
    assert events.next("chat")["info"]["first_name"] == "Cleo"


def test_own_messages_can_be_edited(playground: Playground, page: PageClient, events: Events) -> None:
    chat_id = events.next("snapshot")["chats"][0]["info"]["id"]
    sent = page.do("send", chat_id=chat_id, text="one")["result"]["message_id"]
    page.do("edit", chat_id=chat_id, message_id=sent, text="two")
    updates = call_bot(playground, "getUpdates")["result"]
    assert updates[1]["edited_message"]["text"] == "two"


def test_files_go_both_ways_and_only_pictures_are_shown(
    playground: Playground, page: PageClient, events: Events
) -> None:
    chat_id = events.next("snapshot")["chats"][0]["info"]["id"]
    picture = {"name": "p.png", "type": "image/png", "base64": base64.b64encode(PNG).decode(), "caption": "see"}
    page.do("send", chat_id=chat_id, file=picture)
    message = events.next("message")
    assert message["caption"] == "see"
    status, headers, body = page.ask("GET", f"/playground/file?id={message['photo'][0]['file_id']}")
    assert (status, headers["Content-Type"], body) == (200, "image/png", PNG)
    harmful = {"name": "x.html", "type": "text/html", "base64": base64.b64encode(b"<script>").decode()}
    page.do("send", chat_id=chat_id, file=harmful)
    file_id = events.next("message")["document"]["file_id"]
    _, headers, _ = page.ask("GET", f"/playground/file?id={file_id}")
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"] == 'attachment; filename="x.html"'
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert page.ask("GET", "/playground/file?id=none")[0] == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:8081"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_other_web_pages_are_kept_out(playground: Playground, page: PageClient, headers: dict[str, str]) -> None:
    for verb, path in (("POST", "send"), ("POST", "chat"), ("GET", "events"), ("GET", "file?id=x")):
        body = {"chat_id": 1001, "text": "x"} if verb == "POST" else None
        status, _, _ = page.ask(verb, f"/playground/{path}", body, **headers)
        assert status == 403, (verb, path)
    expected = 403 if "Host" in headers else 200
    assert page.ask("GET", "/", **headers)[0] == expected
    assert playground.server.pending_count() == 0


def test_the_page_is_served_under_its_own_names(playground: Playground, page: PageClient) -> None:
    port = playground.server.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", "192.168.1.5"):
        assert page.ask("GET", "/", Host=host)[0] == 200
        assert page.ask("POST", "/playground/chat", {"type": "group"}, Host=host, Origin=f"http://{host}")[0] == 200
    assert page.ask("POST", "/playground/chat", {}, Content_Type="text/plain")[0] == 415


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("send", {}),
        ("send", {"chat_id": 5, "text": "x"}),
        ("send", {"chat_id": 1001}),
        ("send", {"chat_id": 1001, "file": {"base64": "!"}}),
        ("press", {"chat_id": 1001, "message_id": 9, "data": "x"}),
        ("edit", {"chat_id": 1001, "message_id": 9, "text": "x"}),
        ("send", [1]),
    ],
)
def test_bad_requests_of_the_page_are_refused(page: PageClient, action: str, body: Any) -> None:
    status, _, reply = page.ask("POST", f"/playground/{action}", body)
    assert status == 400, reply


def test_a_page_that_is_closed_is_forgotten(playground: Playground) -> None:
    for _ in range(3):
        stream = Events(playground)
        stream.next("snapshot")
        stream.connection.close()
        stream.reply.close()
    chat = playground.server.chat(1001)
    for number in range(50):
        chat.send(str(number))
    assert playground.server.pending_count() == 50


def test_a_burst_of_messages_reaches_the_page_in_order(playground: Playground, events: Events) -> None:
    events.next("snapshot")
    chat = playground.server.chat(1001)
    for number in range(500):
        chat.send(str(number))
    assert [events.next("message")["text"] for _ in range(500)] == [str(number) for number in range(500)]
