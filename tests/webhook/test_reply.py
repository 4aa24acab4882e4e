"""The first call of a handler goes into the answer, if the app is asked for that."""

import threading
from collections.abc import Callable
from typing import Any

import ujson

from pyruntime.testing import FakeBotApi
from tests.webhook.conftest import Site, message

Serve = Callable[..., Site]


def test_the_first_call_is_in_the_answer_and_the_others_are_made(serve: Serve, api: FakeBotApi) -> None:
    results: list[Any] = []

    def handle(ctx: Any) -> None:
        results.append(ctx.reply("first"))
        results.append(ctx.reply("second"))

    site = serve(handle, reply_in_response=True)
    status, headers, body = site.post(message(1))
    site.wait_for_handled(1)
    assert status == 200
    assert headers["Content-Type"] == "application/json"
    assert ujson.loads(body) == {"method": "sendMessage", "chat_id": 7, "text": "first"}
    assert [call.parameters["text"] for call in api.wait_for("sendMessage")] == ["second"]
    assert results[0] is True
    assert results[1]["text"] == "second"


def test_a_handler_without_a_call_is_answered_when_it_has_ended(serve: Serve) -> None:
    site = serve(reply_in_response=True, reply_timeout_s=50)
    assert site.post(message(1))[::2] == (200, b"")


def test_a_failing_handler_is_answered_too(serve: Serve) -> None:
    def handle(ctx: Any) -> None:
        raise ValueError("no")

    assert serve(handle, reply_in_response=True, reply_timeout_s=50).post(message(1))[::2] == (200, b"")


def test_a_call_that_comes_too_late_is_made_as_usual(serve: Serve, api: FakeBotApi) -> None:
    go = threading.Event()

    def handle(ctx: Any) -> None:
        go.wait(20)
        ctx.reply("late")

    site = serve(handle, reply_in_response=True, reply_timeout_s=0.05)
    assert site.post(message(1))[::2] == (200, b"")
    go.set()
    assert api.wait_for("sendMessage")[0].parameters["text"] == "late"


def test_only_the_methods_that_were_named_go_into_answers(serve: Serve, api: FakeBotApi) -> None:
    def handle(ctx: Any) -> None:
        ctx.reply("called")
        ctx.api.send_chat_action(chat_id=7, action="typing")

    site = serve(handle, reply_in_response=["send_chat_action"])
    _, _, body = site.post(message(1))
    site.wait_for_handled(1)
    assert ujson.loads(body) == {"method": "sendChatAction", "chat_id": 7, "action": "typing"}
    assert [call.method for call in api.calls if call.method != "getMe"] == ["sendMessage"]


def test_what_must_be_known_and_what_has_files_is_called_as_usual(serve: Serve, api: FakeBotApi) -> None:
    def handle(ctx: Any) -> None:
        assert ctx.api.get_me()["is_bot"]
        ctx.api.send_document(chat_id=7, document=b"data")
        ctx.reply("in the answer")

    _, _, body = serve(handle, reply_in_response=True).post(message(1))
    assert ujson.loads(body)["text"] == "in the answer"
    assert len(api.calls_of("sendDocument")) == 1


def test_an_update_that_was_handled_before_is_answered_at_once(serve: Serve) -> None:
    site = serve(lambda ctx: ctx.reply("once"), reply_in_response=True, reply_timeout_s=50)
    assert site.post(message(1))[2]
    site.wait_for_handled(1)
    assert site.post(message(1))[::2] == (200, b"")  # within the 20 s of the client
    assert len(site.wait_for_handled(1)) == 1


def test_an_update_that_is_sent_again_while_it_is_handled_leaves_the_call_to_the_first_answer(serve: Serve) -> None:
    begun, go = threading.Event(), threading.Event()

    def handle(ctx: Any) -> None:
        begun.set()
        go.wait(20)
        ctx.reply("once")

    site = serve(handle, reply_in_response=True, reply_timeout_s=50)
    first: list[bytes] = []
    posting = threading.Thread(target=lambda: first.append(site.post(message(1))[2]))
    posting.start()
    assert begun.wait(20)
    assert site.post(message(1))[::2] == (200, b"")
    go.set()
    posting.join(20)
    assert ujson.loads(first[0])["text"] == "once"


def test_answers_of_many_chats_at_once_do_not_get_mixed_up(serve: Serve) -> None:
    site = serve(lambda ctx: ctx.reply(f"to {ctx.chat_id}"), reply_in_response=True, threads=16)
    wrong: list[Any] = []

    def talk(chat_id: int) -> None:
        for number in range(20):
            _, _, body = site.post(message(chat_id * 100 + number, chat_id=chat_id))
            call = ujson.loads(body)
            if (call["chat_id"], call["text"]) != (chat_id, f"to {chat_id}"):
                wrong.append(call)

    threads = [threading.Thread(target=talk, args=(chat_id,)) for chat_id in range(1, 17)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong
    assert len(site.wait_for_handled(320)) == 320
