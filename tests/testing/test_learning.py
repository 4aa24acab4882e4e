"""What the fake server learns from updates that did not happen there: those that a test makes, and recorded ones."""

from typing import Any

import pytest

BOT = {"id": 777, "is_bot": True, "first_name": "Shop", "username": "shop_bot"}
ANN = {"id": 41, "is_bot": False, "first_name": "Ann"}
BEN = {"id": 42, "is_bot": False, "first_name": "Ben"}
PRIVATE = {"id": 41, "type": "private", "first_name": "Ann"}
GROUP = {"id": -9, "type": "supergroup", "title": "Garden"}


def message(message_id: int, *, chat: Any = PRIVATE, user: Any = ANN, **fields: Any) -> dict[str, Any]:
    return {"message_id": message_id, "date": 1_700_000_000, "chat": chat, "from": user, **fields}


def press(of: dict[str, Any], query_id: str = "q1") -> dict[str, Any]:
    return {"callback_query": {"id": query_id, "from": ANN, "chat_instance": "1", "data": "a", "message": of}}


def test_the_bot_can_edit_and_delete_the_message_whose_button_was_pressed(server: Any, client: Any) -> None:
    server.learn(press(message(70, user=BOT, text="menu")))
    assert client.call("answerCallbackQuery", callback_query_id="q1")["ok"]
    assert client.call("editMessageText", chat_id=41, message_id=70, text="new")["result"]["text"] == "new"
    assert client.call("deleteMessage", chat_id=41, message_id=70)["ok"]


def test_a_message_that_the_bot_has_edited_is_not_set_back_by_a_press_that_shows_its_old_form(
    server: Any, client: Any
) -> None:
    menu = message(70, user=BOT, text="menu")
    server.learn(press(menu))
    client.call("editMessageText", chat_id=41, message_id=70, text="new")
    server.learn(press(menu, "q2"))
    assert "not modified" in client.call("editMessageText", chat_id=41, message_id=70, text="new")["description"]


def test_what_is_replied_to_and_pinned_is_known(server: Any, client: Any) -> None:
    server.learn({"message": message(8, reply_to_message=message(5, user=BOT, text="old"))})
    server.learn({"message": message(9, pinned_message=message(6, text="mine"))})
    assert client.call("editMessageText", chat_id=41, message_id=5, text="new")["ok"]
    assert client.call("forwardMessage", chat_id=41, from_chat_id=41, message_id=6)["result"]["text"] == "mine"
    assert "can't be edited" in client.call("editMessageText", chat_id=41, message_id=6, text="x")["description"]


def test_an_edited_message_is_known_in_its_newest_form(server: Any, client: Any) -> None:
    server.learn({"message": message(5, text="old")})
    server.learn({"edited_message": message(5, text="new", edit_date=1_700_000_001)})
    assert client.call("forwardMessage", chat_id=41, from_chat_id=41, message_id=5)["result"]["text"] == "new"


def test_people_come_and_go(server: Any, client: Any) -> None:
    def status(user_id: int) -> Any:
        reply = client.call("getChatMember", chat_id=-9, user_id=user_id)
        return reply.get("result", {}).get("status") or reply["description"]

    server.learn({"message": message(1, chat=GROUP, text="hello")})
    assert status(41) == "member"  # the first whom we hear of need not have made the group
    assert client.call("getChatAdministrators", chat_id=-9)["result"] == []
    server.learn({"message": message(2, chat=GROUP, new_chat_members=[BEN])})
    assert status(42) == "member"
    server.learn({"message": message(3, chat=GROUP, left_chat_member=BEN)})
    assert "not found" in status(42)
    change = {"chat": GROUP, "from": ANN, "date": 1, "old_chat_member": {"user": BEN, "status": "left"}}
    server.learn({"chat_member": {**change, "new_chat_member": {"user": BEN, "status": "member"}}})
    assert status(42) == "member"


def test_a_group_from_which_the_bot_was_removed_refuses_it_until_it_is_back(server: Any, client: Any) -> None:
    for state, is_refused in (("member", False), ("kicked", True), ("administrator", False)):
        member = {"user": BOT, "status": state}
        server.learn({"my_chat_member": {"chat": GROUP, "from": ANN, "date": 1, "new_chat_member": member}})
        reply = client.call("sendMessage", chat_id=-9, text="x")
        assert (reply.get("error_code") == 403) is is_refused


def test_a_group_that_became_a_supergroup_says_so(server: Any, client: Any) -> None:
    group = {"id": -8, "type": "group", "title": "Garden"}
    server.learn({"message": message(1, chat=group, migrate_to_chat_id=-1008)})
    reply = client.call("sendMessage", chat_id=-8, text="x")
    assert reply["parameters"]["migrate_to_chat_id"] == -1008
    assert client.call("sendMessage", chat_id=-1008, text="x")["ok"]


def test_a_file_can_be_sent_again_and_not_fetched(server: Any, client: Any) -> None:
    sizes = [{"file_id": name, "file_unique_id": "u" + name, "width": 9, "height": 9} for name in ("small", "big")]
    server.learn({"message": message(1, photo=sizes)})
    sent = client.call("sendPhoto", chat_id=41, photo="big")["result"]
    assert sent["photo"][0]["file_id"] == "big"
    assert "temporarily unavailable" in client.call("getFile", file_id="big")["description"]


def test_the_bot_s_messages_leave_the_ids_of_those_that_come_free(server: Any, client: Any) -> None:
    updates = [{"message": message(number, text="x")} for number in (10, 12, 13, 16)]
    server.prepare_for([*updates, press(message(11, user=BOT, text="menu"))])
    found = []
    for update in updates:
        server.learn(update)
        found.append([client.call("sendMessage", chat_id=41, text="x")["result"]["message_id"] for _ in range(2)])
    assert found == [[11, 14], [15, 17], [18, 19], [20, 21]]
    assert client.call("getMe")["result"]["username"] == "shop_bot"


@pytest.mark.parametrize(
    "content",
    [
        None,
        7,
        [],
        {},
        {"chat": 5},
        {"chat": {"id": "x"}},
        {"chat": {"id": -5, "type": "group"}, "new_chat_members": 7, "from": "Ann", "left_chat_member": []},
        {"chat": {"id": -6}, "message_id": "one", "reply_to_message": 5, "new_chat_member": 5},
        {"message": {"chat": {}}, "from": {"id": "x"}},
        {"chat": {"id": -7, "type": "group", "user": 1, "members": 2}, "from": {"id": [1]}, "message_id": 1},
    ],
)
def test_an_update_that_makes_no_sense_teaches_nothing_and_harms_nothing(
    server: Any, client: Any, content: Any
) -> None:
    for kind in ("message", "edited_message", "callback_query", "my_chat_member", "chat_member", "poll"):
        server.prepare_for([{"update_id": 1, kind: content}])
        server.learn({"update_id": 1, kind: content})
    assert client.call("getMe")["ok"]
