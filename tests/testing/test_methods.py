"""The methods of the Bot API that the fake server carries out, and their refusals."""

import urllib.request
from typing import Any

import pytest

from pyruntime.testing import FakeBotApi

KEYBOARD = {"inline_keyboard": [[{"text": "A", "callback_data": "a"}]]}
TRUE_FOR_A_CHAT = ["pinChatMessage", "unpinAllChatMessages", "setChatTitle", "leaveChat", "sendChatAction"]


@pytest.fixture
def chat(server: Any) -> Any:
    return server.chat(5)


def send(client: Any, **parameters: Any) -> dict[str, Any]:
    reply = client.call("sendMessage", **{"chat_id": 5, "text": "hello", **parameters})
    assert reply["ok"], reply
    return dict(reply["result"])


def test_get_me_describes_the_bot(client: Any) -> None:
    me = client.call("getMe")["result"]
    assert (me["id"], me["is_bot"], me["username"]) == (123456, True, "test_bot")


def test_message_ids_grow_per_chat(server: Any, client: Any, chat: Any) -> None:
    server.chat(6)
    assert [send(client)["message_id"], send(client)["message_id"]] == [1, 2]
    assert send(client, chat_id=6)["message_id"] == 1
    assert chat.send("x").id == 3


@pytest.mark.parametrize(
    ("parameters", "description"),
    [
        ({"text": "x"}, "chat_id is empty"),
        ({"chat_id": 99, "text": "x"}, "chat not found"),
        ({"chat_id": "@nobody", "text": "x"}, "chat not found"),
        ({"chat_id": "none", "text": "x"}, "chat not found"),
        ({"chat_id": 5}, "message text is empty"),
        ({"chat_id": 5, "text": "  "}, "message text is empty"),
        ({"chat_id": 5, "text": "x" * 4097}, "message is too long"),
        ({"chat_id": 5, "text": "<b>x", "parse_mode": "HTML"}, "can't parse entities: can't find end tag"),
        ({"chat_id": 5, "text": "x", "parse_mode": "XML"}, "unsupported parse_mode"),
        ({"chat_id": 5, "text": "x", "reply_parameters": {"message_id": 7}}, "message to be replied not found"),
        ({"chat_id": 5, "text": "x", "reply_markup": {"inline_keyboard": [[{"text": "A"}]]}}, "can't parse inline"),
        (
            {
                "chat_id": 5,
                "text": "x",
                "reply_markup": {"inline_keyboard": [[{"text": "A", "callback_data": "ä" * 33}]]},
            },
            "BUTTON_DATA_INVALID",
        ),
    ],
)
def test_bad_messages_are_refused(client: Any, chat: Any, parameters: dict[str, Any], description: str) -> None:
    reply = client.call("sendMessage", **parameters)
    assert reply["status"] == reply["error_code"] == 400
    assert reply["description"].startswith(f"Bad Request: {description}")


def test_a_chat_is_found_by_its_user_name(server: Any, client: Any) -> None:
    server.chat(-9, "channel", username="News")
    assert send(client, chat_id="@news")["chat"]["id"] == -9


def test_a_server_may_know_any_chat() -> None:
    with (
        FakeBotApi(knows_any_chat=True) as server,
        urllib.request.urlopen(f"{server.url}/bot{server.token}/sendMessage?chat_id=77&text=x", timeout=10) as reply,
    ):
        assert reply.status == 200
        assert server.chat(77).reply().text == "x"


def test_marks_become_entities(client: Any, chat: Any) -> None:
    message = send(client, text="<b>Ä</b> <a href='https://x.org'>y</a>", parse_mode="HTML")
    assert message["text"] == "Ä y"
    assert message["entities"] == [
        {"type": "bold", "offset": 0, "length": 1},
        {"type": "text_link", "offset": 2, "length": 1, "url": "https://x.org"},
    ]


def test_only_inline_keyboards_are_shown_in_messages(client: Any, chat: Any) -> None:
    assert send(client, reply_markup=KEYBOARD)["reply_markup"] == KEYBOARD
    assert "reply_markup" not in send(client, reply_markup={"keyboard": [[{"text": "A"}]]})


def test_a_reply_shows_the_message_replied_to(client: Any, chat: Any) -> None:
    asked = chat.send("question")
    assert send(client, reply_parameters={"message_id": asked.id})["reply_to_message"]["text"] == "question"
    assert "reply_to_message" not in send(
        client, reply_parameters={"message_id": 99, "allow_sending_without_reply": True}
    )


def test_an_edit_replaces_text_and_keyboard(client: Any, chat: Any) -> None:
    message = send(client, reply_markup=KEYBOARD)
    target = {"chat_id": 5, "message_id": message["message_id"]}
    edited = client.call("editMessageText", **target, text="*new*", parse_mode="Markdown")["result"]
    assert (edited["text"], edited["entities"][0]["type"], "reply_markup" in edited) == ("new", "bold", False)
    assert chat.next_edit().text == "new"
    assert chat.reply().text == "hello", "what was received before stays as it was"
    assert client.call("editMessageReplyMarkup", **target, reply_markup=KEYBOARD)["result"]["reply_markup"] == KEYBOARD
    reply = client.call("editMessageReplyMarkup", **target, reply_markup=KEYBOARD)
    assert reply["description"].startswith("Bad Request: message is not modified: specified new message content and")


def test_only_messages_of_the_bot_can_be_edited(client: Any, chat: Any) -> None:
    mine = chat.send("mine")
    refused = client.call("editMessageText", chat_id=5, message_id=mine.id, text="x")
    assert refused["description"] == "Bad Request: message can't be edited"
    refused = client.call("editMessageText", chat_id=5, message_id=99, text="x")
    assert refused["description"] == "Bad Request: message to edit not found"


def test_deleted_messages_are_gone(client: Any, chat: Any) -> None:
    message = send(client)
    target = {"chat_id": 5, "message_id": message["message_id"]}
    assert client.call("deleteMessage", **target)["result"] is True
    assert chat.messages == []
    assert client.call("deleteMessage", **target)["description"] == "Bad Request: message to delete not found"
    assert client.call("deleteMessages", chat_id=5, message_ids=[1, 2, 3])["result"] is True


def test_an_old_or_unknown_query_cannot_be_answered(server: Any, client: Any, chat: Any, day_time: Any) -> None:
    send(client, reply_markup=KEYBOARD)
    query = chat.press("A")
    day_time.now_s += 151
    for query_id in (query.id, "1"):
        reply = client.call("answerCallbackQuery", callback_query_id=query_id)
        assert "query is too old and response timeout expired or query ID is invalid" in reply["description"]


def test_forwards_and_copies(server: Any, client: Any, chat: Any) -> None:
    server.chat(6)
    mine = chat.send("mine")
    source = {"chat_id": 6, "from_chat_id": 5}
    forwarded = client.call("forwardMessage", **source, message_id=mine.id)["result"]
    assert (forwarded["text"], forwarded["forward_origin"]["sender_user"]["id"]) == ("mine", 5)
    assert client.call("copyMessage", **source, message_id=mine.id)["result"] == {"message_id": 2}
    assert client.call("copyMessages", **source, message_ids=[mine.id, 99])["result"] == [{"message_id": 3}]
    assert (
        client.call("copyMessage", **source, message_id=99)["description"] == "Bad Request: message to copy not found"
    )


def test_commands_are_kept_per_scope(client: Any, chat: Any) -> None:
    commands = [{"command": "start", "description": "Begin"}]
    assert client.call("getMyCommands")["result"] == []
    assert client.call("setMyCommands", commands=commands)["result"] is True
    assert client.call("getMyCommands")["result"] == commands
    assert client.call("getMyCommands", scope={"type": "chat", "chat_id": 5})["result"] == []
    assert client.call("setMyCommands", commands=[{"command": "No!", "description": "x"}])["status"] == 400
    assert client.call("deleteMyCommands")["result"] is True
    assert client.call("getMyCommands")["result"] == []


@pytest.mark.parametrize("method", TRUE_FOR_A_CHAT)
def test_methods_that_say_yes_check_the_chat(client: Any, chat: Any, method: str) -> None:
    chat.send("x")
    assert client.call(method, chat_id=5, message_id=1, action="typing", title="T")["result"] is True
    assert client.call(method, chat_id=99)["description"] == "Bad Request: chat not found"


def test_chat_actions_are_noted(client: Any, chat: Any) -> None:
    client.call("sendChatAction", chat_id=5, action="typing")
    assert chat.actions == ["typing"]


def upload(client: Any, method: str, field: str, data: bytes, name: str, **parameters: Any) -> tuple[int, bytes]:
    parts = b"".join(
        b'--XX\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (key.encode(), str(value).encode())
        for key, value in parameters.items()
    )
    head = (
        f'--XX\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\nContent-Type: image/png\r\n\r\n'
    )
    body = parts + head.encode() + data + b"\r\n--XX--\r\n"
    result: tuple[int, bytes] = client.request(
        "POST", f"/bot{client.server.token}/{method}", body, Content_Type="multipart/form-data; boundary=XX"
    )
    return result


def test_an_uploaded_file_can_be_downloaded(server: Any, client: Any, chat: Any) -> None:
    data = b"\r\n--X\x00\xff" * 1000
    status, _ = upload(client, "sendDocument", "document", data, "a;b.bin", chat_id=5, caption="see")
    assert status == 200
    document = chat.reply().document
    assert (document["file_name"], document["file_size"]) == ("a;b.bin", len(data))
    path = client.call("getFile", file_id=document["file_id"])["result"]["file_path"]
    assert client.request("GET", f"/file/bot{server.token}/{path}") == (200, data)
    assert server.calls[0].parameters["document"].data == data
    again = client.call("sendDocument", chat_id=5, document=document["file_id"])["result"]
    assert again["document"]["file_size"] == len(data)
    assert client.call("sendPhoto", chat_id=5, photo="nonsense")["status"] == 400
    assert client.call("sendPhoto", chat_id=5)["description"] == "Bad Request: there is no photo in the request"


def test_albums_take_attached_files(client: Any, chat: Any) -> None:
    media = '[{"type":"photo","media":"attach://one","caption":"#a"},{"type":"photo","media":"https://x.org/p.png"}]'
    status, _ = upload(client, "sendMediaGroup", "one", b"png", "p.png", chat_id=5, media=media)
    assert status == 200
    first, second = chat.reply(), chat.reply()
    assert first.media_group_id == second.media_group_id
    assert (first.photo[0]["file_size"], first.caption) == (3, "#a")


def test_files_of_users_can_be_fetched(server: Any, client: Any, chat: Any) -> None:
    file_id = server.add_file(b"abc", "x.txt")
    chat.send(document={"file_id": file_id, "file_unique_id": "1"})
    path = client.call("getFile", file_id=file_id)["result"]["file_path"]
    assert client.request("GET", f"/file/bot{server.token}/{path}") == (200, b"abc")
    assert client.call("getFile", file_id="none")["description"] == "Bad Request: invalid file_id"


@pytest.mark.parametrize(
    ("method", "parameters", "field"),
    [
        ("sendLocation", {"latitude": 1.5, "longitude": "2"}, "location"),
        ("sendVenue", {"latitude": 1, "longitude": 2, "title": "T", "address": "A"}, "venue"),
        ("sendContact", {"phone_number": "1", "first_name": "A"}, "contact"),
        ("sendPoll", {"question": "?", "options": ["a", {"text": "b"}]}, "poll"),
        ("sendDice", {}, "dice"),
        ("sendInvoice", {"title": "T", "prices": [{"label": "x", "amount": 5}], "currency": "XTR"}, "invoice"),
        ("sendGame", {"game_short_name": "g"}, "game"),
    ],
)
def test_other_kinds_of_messages(client: Any, chat: Any, method: str, parameters: dict[str, Any], field: str) -> None:
    assert field in client.call(method, chat_id=5, **parameters)["result"]


def test_parameters_of_a_wrong_shape_are_an_error_of_the_caller_not_a_hang(client: Any, chat: Any) -> None:
    for parameters in ({"chat_id": {}, "text": "x"}, {"chat_id": 5, "text": {"a": 1}}, {"chat_id": [5], "text": []}):
        assert client.call("sendMessage", **parameters)["status"] in (200, 400)
