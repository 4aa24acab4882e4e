"""Playing the people in a chat, and waiting for the bot, from a test."""

import threading
import time
from typing import Any

import pytest


def test_a_sent_message_becomes_an_update_with_entities(server: Any, client: Any) -> None:
    chat = server.chat(5)
    chat.send("😀 /start@test_bot see https://example.org, #now @someone a@b.org 1/2")
    [update] = client.updates()
    message = update["message"]
    assert message["chat"] == {"id": 5, "type": "private", "first_name": "User 5"}
    assert message["from"]["id"] == 5
    assert [(entity["type"], entity["offset"], entity["length"]) for entity in message["entities"]] == [
        ("bot_command", 3, 15),
        ("url", 23, 19),
        ("hashtag", 44, 4),
        ("mention", 49, 8),
        ("email", 58, 7),
    ]


def test_groups_have_titles_and_speakers(server: Any, client: Any) -> None:
    group = server.chat(-100, "group", title="Us", user={"id": 8, "first_name": "Eve"})
    group.send("one")
    group.send("two", user=9)
    first, second = (update["message"] for update in client.updates())
    assert first["chat"] == {"id": -100, "type": "group", "title": "Us"}
    assert (first["from"]["first_name"], second["from"]["id"]) == ("Eve", 9)
    assert second["message_id"] == first["message_id"] + 1


def test_a_channel_posts(server: Any, client: Any) -> None:
    server.chat(-200, "channel").send("news")
    [update] = client.updates()
    assert update["channel_post"]["sender_chat"]["id"] == -200


def test_an_edit_is_an_edited_message(server: Any, client: Any) -> None:
    chat = server.chat(5)
    message = chat.send("one")
    chat.edit(message, "/two")
    update = client.updates()[1]
    assert update["edited_message"]["message_id"] == message.id
    assert update["edited_message"]["text"] == "/two"
    assert update["edited_message"]["entities"][0]["type"] == "bot_command"
    assert chat.messages[0].text == "/two"
    with pytest.raises(LookupError):
        chat.edit(99, "x")


def test_fields_and_replies_go_into_the_message(server: Any, client: Any) -> None:
    chat = server.chat(5)
    first = chat.send("one")
    chat.send("two", reply_to=first, message_thread_id=3)
    message = client.updates()[1]["message"]
    assert message["reply_to_message"]["text"] == "one"
    assert message["message_thread_id"] == 3


def test_reply_returns_each_message_of_the_bot_once_in_order(server: Any, client: Any) -> None:
    chat = server.chat(5)
    for number in range(3):
        client.call("sendMessage", chat_id=5, text=str(number))
    assert [chat.reply().text for _ in range(3)] == ["0", "1", "2"]
    with pytest.raises(
        TimeoutError, match=r"did not send anything in chat 5 within 0.01 s; the last calls were:\n<send"
    ):
        chat.reply(timeout_s=0.01)


def test_reply_is_woken_by_the_message(server: Any, client: Any, in_background: Any) -> None:
    chat = server.chat(5)
    waiting = in_background(lambda: chat.reply(timeout_s=10))
    client.call("sendMessage", chat_id=5, text="there")
    assert waiting.join().text == "there"
    assert waiting.duration_s < 5


def press_and_answer(server: Any, client: Any, *button: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    query = server.chat(5).press(*button)
    update = client.updates(offset=query.update_id)[0]["callback_query"]
    assert client.call("answerCallbackQuery", callback_query_id=update["id"], text="done")["ok"]
    return update, query.answer()


def test_a_pressed_button_sends_its_callback_data(server: Any, client: Any) -> None:
    server.chat(5)
    keyboard = {"inline_keyboard": [[{"text": "Yes", "callback_data": "y"}], [{"text": "Web", "url": "https://x.org"}]]}
    client.call("sendMessage", chat_id=5, text="?", reply_markup=keyboard)
    message = server.chat(5).reply()
    for button in (("y",), ("Yes",), (message.buttons[0],), ("Yes", message), ("y", message.id)):
        update, answer = press_and_answer(server, client, *button)
        assert (update["data"], update["message"]["text"], update["from"]["id"]) == ("y", "?", 5)
        assert answer["text"] == "done"
    with pytest.raises(LookupError, match=r"no button 'No' in chat 5; there are \['Yes', 'Web'\]"):
        server.chat(5).press("No")
    with pytest.raises(ValueError, match="has no callback data"):
        server.chat(5).press("Web")


def test_a_query_that_is_not_answered_is_an_error(server: Any) -> None:
    with pytest.raises(TimeoutError, match="did not answer query"):
        server.chat(5).inline_query("x").answer(timeout_s=0.01)


def test_an_inline_query_is_answered(server: Any, client: Any) -> None:
    query = server.chat(5).inline_query("cats")
    assert client.updates()[0]["inline_query"]["query"] == "cats"
    assert client.call("answerInlineQuery", inline_query_id=query.id, results=[])["ok"]
    assert query.answer()["results"] == []


def test_a_blocked_bot_is_forbidden_and_told(server: Any, client: Any) -> None:
    chat = server.chat(5)
    chat.block()
    reply = client.call("sendMessage", chat_id=5, text="x")
    assert (reply["status"], reply["description"]) == (403, "Forbidden: bot was blocked by the user")
    assert client.updates()[0]["my_chat_member"]["new_chat_member"]["status"] == "kicked"
    chat.block(False)
    assert client.call("sendMessage", chat_id=5, text="x")["ok"]


def test_a_migrated_group_names_its_new_id(server: Any, client: Any) -> None:
    server.chat(-5, "group").migrate(-1005)
    reply = client.call("sendMessage", chat_id=-5, text="x")
    assert (reply["status"], reply["parameters"]) == (400, {"migrate_to_chat_id": -1005})
    assert client.call("sendMessage", chat_id=-1005, text="x")["result"]["chat"]["type"] == "supergroup"


def test_chats_and_queries_of_pushed_updates_become_known(server: Any, client: Any, message: Any) -> None:
    server.push(message(chat_id=77))
    assert client.call("sendMessage", chat_id=77, text="x")["result"]["message_id"] == 2
    server.push({"callback_query": {"id": "abc", "from": {"id": 1}, "chat_instance": "1", "data": "d"}})
    assert client.call("answerCallbackQuery", callback_query_id="abc")["ok"]


def test_an_update_needs_a_kind(server: Any) -> None:
    with pytest.raises(ValueError, match="an update needs a kind"):
        server.push({"update_id": 5})


def test_wait_for_counts_calls_that_came_before_and_after(server: Any, client: Any, in_background: Any) -> None:
    server.chat(5)
    client.call("sendMessage", chat_id=5, text="1")
    waiting = in_background(lambda: server.wait_for("sendMessage", count=3))
    client.call("getMe")
    for text in ("2", "3", "4"):
        client.call("sendMessage", chat_id=5, text=text)
    assert [call.parameters["text"] for call in waiting.join()] == ["1", "2", "3"]


def test_wait_for_takes_a_predicate(server: Any, client: Any, in_background: Any) -> None:
    server.chat(5)
    waiting = in_background(lambda: server.wait_for(lambda call: call.status == 400))
    client.call("sendMessage", chat_id=5, text="fine")
    client.call("sendMessage", chat_id=5, text="")
    [call] = waiting.join()
    assert call.error == "Bad Request: message text is empty"


def test_wait_for_sees_how_a_long_poll_ended(server: Any, client: Any, message: Any, in_background: Any) -> None:
    poll = in_background(lambda: client.ids(timeout=20))
    server.wait_until_polled()
    waiting = in_background(lambda: server.wait_for(lambda call: call.update_ids == [1000]))
    server.push(message())
    assert waiting.join()[0].method == "getUpdates"
    assert poll.join() == [1000]


def test_wait_for_wakes_once_for_many_calls(server: Any, client: Any) -> None:
    server.chat(5)
    tests: list[int] = []

    def is_send(call: Any) -> bool:
        tests.append(call.number)
        return bool(call.method == "sendMessage")

    waiting = threading.Thread(target=server.wait_for, args=(is_send, 50))
    waiting.start()
    for _ in range(50):
        client.call("sendMessage", chat_id=5, text="x")
    waiting.join(10)
    assert tests == list(range(1, 51)), "each call is looked at once, in order"


def test_wait_for_says_what_came_instead(server: Any, client: Any) -> None:
    client.call("getMe")
    started = time.monotonic()
    with pytest.raises(
        TimeoutError, match=r"0 of 1 calls matched sendMessage within 0.05 s; the last calls were:\n<getMe"
    ):
        server.wait_for("sendMessage", timeout_s=0.05)
    assert time.monotonic() - started < 2


def test_the_transcript_can_be_cleared_and_is_bounded(server: Any, client: Any) -> None:
    client.call("getMe")
    server.clear_calls()
    assert server.calls == []
    assert server.counters()["calls"] == {"getMe": 1}


def test_waiting_for_confirmation_tells_what_is_pending(server: Any, client: Any, message: Any) -> None:
    server.push(message())
    with pytest.raises(TimeoutError, match="1 updates pending, confirmed offset 0"):
        server.wait_until_confirmed(timeout_s=0.01)
    client.ids(offset=1001)
    server.wait_until_confirmed()
    server.wait_until_confirmed(1001)
