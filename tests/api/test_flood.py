"""429: the chat waits exactly as long as Telegram says, nobody else does, and nobody waits for ever."""

import threading
from time import monotonic
from typing import Any

import pytest

import runner_c
from pyruntime.api import ApiClient
from pyruntime.errors import RetryAfter
from pyruntime.flood import FloodGate


def test_a_call_waits_as_long_as_told_and_then_works(client: ApiClient, server: Any, too_many: Any) -> None:
    times: list[float] = []

    def answer(call: Any) -> Any:
        times.append(monotonic())
        return too_many(0.3) if len(times) == 1 else True

    server.answer = answer
    assert client.send_message(chat_id=1, text="x") is True
    assert 0.3 <= times[1] - times[0] < 2
    assert len(client._caller.floods) == 0
    assert client._caller.floods.is_active is False


def test_other_threads_of_the_chat_wait_as_well_and_other_chats_do_not(
    client: ApiClient, server: Any, too_many: Any
) -> None:
    blocked = threading.Event()
    times: dict[str, float] = {}

    def answer(call: Any) -> Any:
        text = call.parameters["text"]
        if text == "first" and not blocked.is_set():
            blocked.set()
            times["blocked"] = monotonic()
            return too_many(0.5)
        times[text] = monotonic()
        return True

    server.answer = answer
    first = threading.Thread(target=client.send_message, kwargs={"chat_id": 7, "text": "first"})
    first.start()
    assert blocked.wait(10)
    while not client._caller.floods.is_active:
        pass
    others = [
        threading.Thread(target=client.send_message, kwargs={"chat_id": chat, "text": text})
        for chat, text in ((7, "same"), ("7", "same, as text"), (8, "other"))
    ]
    for thread in others:
        thread.start()
    # A method that names no chat goes through too.
    client.call("answerCallbackQuery", text="no chat")
    for thread in [first, *others]:
        thread.join()
    assert times["other"] - times["blocked"] < 0.4
    assert times["no chat"] - times["blocked"] < 0.4
    for text in ("first", "same", "same, as text"):
        assert times[text] - times["blocked"] >= 0.5


def test_a_429_without_a_chat_blocks_that_method_only(make_client: Any, server: Any, too_many: Any) -> None:
    client = make_client(max_flood_wait_s=0)
    server.answer = lambda call: too_many(30) if call.method == "answerCallbackQuery" else True
    for _ in range(3):
        with pytest.raises(RetryAfter):
            client.answer_callback_query(callback_query_id="1")
    # The later ones did not even go out.
    assert server.methods() == ["answerCallbackQuery"]
    assert client.answer_inline_query(inline_query_id="1") is True
    assert client.send_message(chat_id=1, text="x") is True


def test_more_than_the_limit_is_raised_at_once_and_the_chat_stays_blocked(
    client: ApiClient, server: Any, too_many: Any
) -> None:
    server.answer = lambda call: too_many(3600)
    started = monotonic()
    with pytest.raises(RetryAfter, match=r"retry after 3600$") as caught:
        client.send_message(chat_id=1, text="x")
    assert caught.value.retry_after == 3600
    with pytest.raises(RetryAfter, match=r"retry after 3600 \(told to an earlier call\)") as caught:
        client.send_photo(chat_id=1, photo=b"x")
    assert caught.value.retry_after == pytest.approx(3600, abs=5)
    assert caught.value.error_code == 429
    assert monotonic() - started < 5
    assert len(server.calls) == 1


def test_the_waits_of_one_call_are_bounded_in_all(make_client: Any, server: Any, too_many: Any) -> None:
    client = make_client(max_flood_wait_s=0.5)
    server.answer = lambda call: too_many(0.2)
    started = monotonic()
    with pytest.raises(RetryAfter):
        client.send_message(chat_id=1, text="x")
    assert 0.35 < monotonic() - started < 5
    assert len(server.calls) == 3


def test_a_429_that_does_not_say_how_long_waits_a_second(make_client: Any, server: Any) -> None:
    client = make_client(max_flood_wait_s=0.9)
    server.answer = lambda call: (429, b"<html>Too Many Requests</html>")
    with pytest.raises(RetryAfter):
        client.send_message(chat_id=1, text="x")
    assert 0 < client._caller.floods.left_s("sendMessage", {"chat_id": 1}) <= 1
    assert len(server.calls) == 1


def test_a_wait_inside_a_delivery_ends_when_the_runner_stops(
    client: ApiClient, server: Any, too_many: Any, delivery: Any
) -> None:
    server.answer = lambda call: too_many(30)
    outcome: list[BaseException] = []

    def send() -> None:
        try:
            client.send_message(chat_id=1, text="x")
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    while not delivery.waits:
        thread.join(0.01)
    stopped = monotonic()
    delivery.stop()
    thread.join(5)
    assert monotonic() - stopped < 0.5
    assert isinstance(outcome[0], runner_c.Stopped)
    assert delivery.waits == [pytest.approx(30, abs=1)]


def test_a_wait_outside_a_runner_ends_when_the_client_is_closed(client: ApiClient, server: Any, too_many: Any) -> None:
    server.answer = lambda call: too_many(30)
    outcome: list[BaseException] = []

    def send() -> None:
        try:
            client.send_message(chat_id=1, text="x")
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    while not client._caller.floods.is_active:
        thread.join(0.01)
    while thread.is_alive():
        client.close()
        thread.join(0.05)
    assert isinstance(outcome[0], RetryAfter)
    # Closing does not forget what Telegram asked for.
    assert client._caller.floods.left_s("sendMessage", {"chat_id": 1}) > 20


def test_a_shorter_wish_does_not_shorten_a_longer_one() -> None:
    gate = FloodGate()
    gate.block("sendMessage", {"chat_id": 1}, 30)
    gate.block("sendMessage", {"chat_id": 1}, 1)
    assert gate.left_s("sendPhoto", {"chat_id": "1"}) > 20


def test_names_of_channels_are_compared_without_case() -> None:
    gate = FloodGate()
    gate.block("sendMessage", {"chat_id": "@Channel"}, 30)
    assert gate.left_s("sendMessage", {"chat_id": "@channel"}) > 20
    assert gate.left_s("sendMessage", {"chat_id": "@other"}) == 0


def test_what_is_over_costs_no_memory() -> None:
    gate = FloodGate()
    for chat in range(1000):
        gate.block("sendMessage", {"chat_id": chat}, 0)
    assert gate.left_s("sendMessage", {"chat_id": 1}) == 0
    assert len(gate) == 0
    assert gate.is_active is False


class WaitingBot:
    """A bot of one update, whose handler runs into a 429."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._updates = [{"update_id": 1, "message": {"chat": {"id": 7}}}]
        self._cut = threading.Event()

    def get_updates(self, **options: Any) -> list[dict[str, Any]]:
        if self._updates:
            return [self._updates.pop()]
        self._cut.wait(30)
        return []

    def interrupt(self) -> None:
        self._cut.set()

    def handle_update(self, update: dict[str, Any]) -> None:
        self._client.send_message(chat_id=7, text="x")


def test_a_runner_that_stops_does_not_wait_for_a_flood_to_pass(client: ApiClient, server: Any, too_many: Any) -> None:
    asked = threading.Event()

    def answer(call: Any) -> Any:
        asked.set()
        return too_many(30)

    server.answer = answer
    handle = runner_c.run(WaitingBot(client))
    assert asked.wait(10)
    while not client._caller.floods.is_active:
        pass
    report = handle.stop(timeout_s=20)
    assert report.duration_s < 2
    assert [update["update_id"] for update in report.unfinished] == [1]
    assert len(server.calls) == 1
