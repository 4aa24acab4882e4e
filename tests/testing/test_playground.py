"""The playground seen from HTTP: the page, its events, what it can do, and who is kept out."""

import base64
import re
from typing import Any

import pytest

from pyruntime.testing import Playground
from tests.testing.playground_client import Events, PageClient, call_bot

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


def test_the_addresses_are_there_for_the_command_line(playground: Playground) -> None:
    assert playground.url == f"http://127.0.0.1:{playground.server.port}/"
    assert playground.api_root == playground.url.rstrip("/")
    assert re.fullmatch(r"\d+:[\w-]{20,}", playground.token)
    assert Playground().token != Playground().token


def test_the_page_and_its_parts_load_nothing_from_elsewhere(page: PageClient) -> None:
    status, headers, body = page.ask("GET", "/")
    text = body.decode()
    assert status == 200
    policy = headers["Content-Security-Policy"]
    nonce = re.search(r"script-src 'nonce-([\w-]+)'", policy)
    assert nonce is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "NONCE" not in text
    tags = re.findall(r"<(?:script|link rel=\"stylesheet\")[^>]*>", text)
    assert len(tags) == 4
    assert all(f'nonce="{nonce.group(1)}"' in tag for tag in tags)
    assert not re.search(r"\son[a-z]+\s*=", text), "no handler stands in the HTML"
    left = re.findall(r"/playground/([a-z]+\.(?:js|css))", text)
    parts: dict[str, str] = {}
    while left:
        name = left.pop()
        status, headers, body = page.ask("GET", f"/playground/{name}")
        assert status == 200, name
        assert headers["Content-Type"].startswith("text/css" if name.endswith("css") else "text/javascript")
        parts[name] = body.decode()
        left += [each for each in re.findall(r'from "\./([a-z]+\.js)"', parts[name]) if each not in parts]
    assert len(parts) > 15
    for name, part in parts.items():
        assert not re.search(r"""(src|href|url|import)\s*[=(]\s*["']?(https?:)?//""", part), name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", part), name
        assert len(part.splitlines()) <= 400, name


def test_a_new_page_gets_a_snapshot_with_two_people_and_a_group(events: Events) -> None:
    snapshot = events.next("snapshot")
    assert [chat["info"]["type"] for chat in snapshot["chats"]] == ["private", "private", "group"]
    assert [user["first_name"] for user in snapshot["chats"][2]["members"]] == ["Ann", "Ben"]
    assert snapshot["queue"] == {
        "pending": 0,
        "confirmed_offset": 0,
        "next_update_id": snapshot["queue"]["next_update_id"],
        "is_polled": False,
        "polls": 0,
        "faults": [],
        "latency_s": 0,
        "webhook": None,
        "recorded": 0,
        "is_recorded_whole": True,
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
    assert events.next("commands")[str(chat["id"])]["commands"] == [{"command": "a", "description": "b"}]


def test_a_pressed_button_is_answered_on_the_page(playground: Playground, page: PageClient, events: Events) -> None:
    chat_id = events.next("snapshot")["chats"][0]["info"]["id"]
    markup = {"inline_keyboard": [[{"text": "A", "callback_data": "a"}]]}
    message = call_bot(playground, "sendMessage", chat_id=chat_id, text="?", reply_markup=markup)["result"]
    pressed = page.do("press", chat_id=chat_id, message_id=message["message_id"], data="a")
    call_bot(playground, "answerCallbackQuery", callback_query_id=pressed["id"], text="ok", show_alert=True)
    answer = events.next("answer")
    assert (answer["id"], answer["parameters"]["text"]) == (pressed["id"], "ok")


def test_a_reply_keyboard_is_told_and_remembered(playground: Playground, events: Events) -> None:
    chat_id = events.next("snapshot")["chats"][0]["info"]["id"]
    markup = {"keyboard": [["A", "B"]]}
    call_bot(playground, "sendMessage", chat_id=chat_id, text="?", reply_markup=markup)
    assert events.next("keyboard") == {
        "chat_id": chat_id,
        "keyboard": {"markup": markup, "users": None, "message_id": 1},
    }
    second = Events(playground)
    assert second.next("snapshot")["chats"][0]["keyboard"]["markup"] == markup
    second.close()
    call_bot(playground, "sendMessage", chat_id=chat_id, text="?", reply_markup={"remove_keyboard": True})
    assert events.next("keyboard")["keyboard"] is None


def test_chats_can_be_added_and_people_speak_in_groups(
    playground: Playground, page: PageClient, events: Events
) -> None:
    snapshot = events.next("snapshot")
    added = page.do("chat", type="group", name="  Us  ")["id"]
    assert events.next("chat")["info"] == {"id": added, "type": "group", "title": "Us"}
    second = snapshot["chats"][1]
    page.do("send", chat_id=added, text="hi", user_id=second["info"]["id"])
    assert events.next("message")["new_chat_members"][0]["is_bot"], "the bot was added first"
    assert events.next("message")["from"] == second["user"]
    page.do("chat", type="private")
    assert events.next("chat")["info"]["first_name"] == "Cleo"


def test_own_messages_can_be_edited(playground: Playground, page: PageClient, events: Events) -> None:
    chat_id = events.next("snapshot")["chats"][0]["info"]["id"]
    sent = page.do("send", chat_id=chat_id, text="one")["message_id"]
    page.do("edit", chat_id=chat_id, message_id=sent, text="two")
    updates = call_bot(playground, "getUpdates")["result"]
    assert updates[1]["edited_message"]["text"] == "two"


def test_files_go_both_ways_and_only_pictures_are_shown(
    playground: Playground, page: PageClient, events: Events
) -> None:
    chat_id = events.next("snapshot")["chats"][0]["info"]["id"]
    picture = {"name": "p.png", "type": "image/png", "base64": base64.b64encode(PNG).decode()}
    page.do("send", chat_id=chat_id, files=[picture], text="see")
    message = events.next("message")
    assert message["caption"] == "see"
    status, headers, body = page.ask("GET", f"/playground/file?id={message['photo'][0]['file_id']}")
    assert (status, headers["Content-Type"], body) == (200, "image/png", PNG)
    harmful = {"name": "x.html", "type": "text/html", "base64": base64.b64encode(b"<script>").decode()}
    page.do("send", chat_id=chat_id, files=[harmful])
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
    for verb, path in (
        ("POST", "send"),
        ("POST", "chat"),
        ("GET", "events"),
        ("GET", "file?id=x"),
        ("GET", "main.js"),
        ("GET", "transcript"),
    ):
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
        ("send", {"chat_id": 1001, "files": [{"base64": "!"}]}),
        ("send", {"chat_id": 1001, "files": [{"base64": ""}] * 11}),
        ("unsend", {"chat_id": 1001, "message_id": 9}),
        ("react", {"chat_id": 1001, "message_id": 9, "emoji": ["x"]}),
        ("pin", {"chat_id": 1001, "message_id": 9}),
        ("forward", {"chat_id": 1001, "from_chat_id": 1002, "message_id": 9}),
        ("choose", {"chat_id": 1001, "query_id": "9", "result_id": "1"}),
        ("chat", {"type": "planet"}),
        ("member", {"chat_id": -1001, "user_id": 5}),
        ("member", {"chat_id": 1001, "user_id": 1002}),
        ("fault", {"kind": "no such thing"}),
        ("fault", {"kind": "error", "times": 0}),
        ("latency", {"latency_s": -1}),
        ("resend", {"update_id": 5}),
        ("call", {"number": 5}),
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
        stream.close()
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
