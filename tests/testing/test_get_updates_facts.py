"""Each fact about getUpdates that the real server's source tells."""

import threading
import time
from typing import Any, cast

import pytest

from pyruntime.testing import FakeBotApi
from pyruntime.testing.loop import Loop, Timer
from pyruntime.testing.polling import Polling
from pyruntime.testing.update_queue import UpdateQueue, random_first_id


def push(server: FakeBotApi, message: Any, count: int) -> None:
    server.push_many([message(text=str(number)) for number in range(count)])


@pytest.mark.parametrize(("asked", "given"), [(1, 1), (0, 1), (-5, 1), (50, 50), (100, 100), (1000, 100), (None, 100)])
def test_the_limit_is_clamped_to_1_to_100_and_is_100_if_absent(
    server: Any, client: Any, message: Any, asked: int | None, given: int
) -> None:
    push(server, message, 120)
    parameters = {} if asked is None else {"limit": asked}
    assert client.ids(**parameters) == list(range(1000, 1000 + given))


def test_offset_0_or_none_or_a_low_one_starts_at_the_head(server: Any, new_client: Any, message: Any) -> None:
    push(server, message, 3)
    for parameters in ({}, {"offset": 0}, {"offset": 500}):
        server.stop()
        server.start()  # a fresh server process has no memory of earlier offsets
        assert new_client().ids(**parameters, limit=1) == [1000]


def test_updates_stay_until_an_offset_above_them_arrives(server: Any, client: Any, message: Any) -> None:
    push(server, message, 3)
    assert client.ids() == [1000, 1001, 1002]
    assert server.pending_count() == 3
    assert client.ids(offset=1002) == [1002]
    assert server.confirmed_offset == 1002
    assert [update["update_id"] for update in server.pending()] == [1002]


def test_an_offset_confirms_when_the_request_arrives_not_when_it_is_answered(
    server: Any, client: Any, message: Any, in_background: Any
) -> None:
    push(server, message, 2)
    poll = in_background(lambda: client.ids(offset=1002, timeout=20))
    server.wait_until_confirmed()
    server.wait_until_polled()
    assert server.confirmed_offset == 1002
    assert server.polls[-1].status is None
    push(server, message, 1)
    assert poll.join() == [1002]


def test_a_confirmed_update_does_not_come_back_when_an_older_offset_is_asked(
    server: Any, client: Any, message: Any
) -> None:
    push(server, message, 3)
    client.ids(offset=1002)
    assert client.ids(offset=1000) == [1002]
    assert server.confirmed_offset == 1002


def test_a_negative_offset_keeps_only_the_last_updates(server: Any, client: Any, message: Any) -> None:
    push(server, message, 10)
    assert client.ids(offset=-3) == [1007, 1008, 1009]
    assert server.pending_count() == 3


def test_an_offset_more_than_10_above_the_tail_is_ignored(server: Any, client: Any, message: Any) -> None:
    push(server, message, 3)
    assert client.ids(offset=1003 + 11) == [1000, 1001, 1002]
    assert server.pending_count() == 3


def test_an_offset_up_to_10_above_the_tail_confirms_everything(server: Any, client: Any, message: Any) -> None:
    push(server, message, 3)
    assert client.ids(offset=1003 + 10) == []
    assert server.pending_count() == 0


def test_the_same_offset_within_half_a_second_gets_one_update(server: Any, client: Any, message: Any) -> None:
    push(server, message, 5)
    assert len(client.ids(offset=1000)) == 5
    assert client.ids(offset=1000) == [1000]
    assert len(client.ids(offset=1001)) == 4


def test_the_same_offset_after_half_a_second_gets_all_again(server: Any, client: Any, message: Any) -> None:
    push(server, message, 5)
    client.ids(offset=1000)
    time.sleep(0.55)  # the rule itself is about real time
    assert len(client.ids(offset=1000)) == 5


def test_an_unchanged_offset_without_timeout_is_held_for_3_seconds(server: Any, client: Any) -> None:
    started = time.monotonic()
    assert client.ids(offset=1000) == []
    assert time.monotonic() - started < 1
    assert client.ids(offset=1000) == []
    assert 2.9 < time.monotonic() - started < 4


def test_a_stretched_poll_is_answered_as_soon_as_there_is_an_update(
    server: Any, client: Any, message: Any, in_background: Any
) -> None:
    client.ids(offset=1000)
    poll = in_background(lambda: client.ids(offset=1000, timeout=0))
    server.wait_until_polled()
    push(server, message, 1)
    assert poll.join() == [1000]
    assert poll.duration_s < 2


def test_a_long_poll_answers_1_to_2_ms_after_the_first_update_with_what_came_meanwhile(
    server: Any, client: Any, message: Any, in_background: Any
) -> None:
    poll = in_background(lambda: client.ids(timeout=20))
    server.wait_until_polled()
    pushed_ns = time.monotonic_ns()
    push(server, message, 20)
    assert poll.join() == list(range(1000, 1020))
    waited_s = (server.polls[0].answered_at_ns - pushed_ns) / 1e9
    assert 0.0009 < waited_s < 0.5  # nobody can promise the upper end on a busy machine


def test_a_long_poll_without_updates_ends_empty_when_its_timeout_is_over(server: Any, client: Any) -> None:
    started = time.monotonic()
    assert client.ids(timeout=1) == []
    assert 0.95 < time.monotonic() - started < 3


class RecordingLoop:
    """Stand for the server's loop and keep the delays that are asked for."""

    def __init__(self) -> None:
        self.delays_s: list[float] = []

    def call_later(self, delay_s: float, callback: Any) -> Timer:
        self.delays_s.append(delay_s)
        return Timer(callback)


@pytest.mark.parametrize(("asked_s", "given_s"), [(50, 50), (51, 50), (10**9, 50), (30, 30)])
def test_the_timeout_is_clamped_to_50_seconds(asked_s: int, given_s: int) -> None:
    loop = RecordingLoop()
    polling = Polling(UpdateQueue(1), time.time, threading.RLock())
    polling.attach(cast(Loop, loop))
    assert polling.arrive(0, 100, asked_s, lambda updates: None, lambda description: None) is not None
    assert loop.delays_s == [given_s]


def test_a_negative_timeout_means_none() -> None:
    polling = Polling(UpdateQueue(1), time.time, threading.RLock())
    answers: list[Any] = []
    assert polling.arrive(0, 100, -5, answers.append, answers.append) is None
    assert answers == [[]]


def test_update_ids_start_at_random_and_grow_by_one(server: Any, message: Any) -> None:
    assert random_first_id(1) == random_first_id(1)
    assert len({random_first_id(None) for _ in range(5)}) > 1
    assert FakeBotApi(seed=7).next_update_id == FakeBotApi(seed=7).next_update_id
    assert server.push(message()) == 1000
    assert server.push(message()) == 1001


def test_update_ids_can_jump_down_when_the_queue_is_empty(server: Any, client: Any, message: Any) -> None:
    push(server, message, 2)
    server.jump_update_ids(50)
    assert server.push(message()) == 1002, "not while updates are pending"
    assert client.ids(offset=1003) == []
    assert server.push(message()) == 50
    assert client.ids(offset=1003) == [50], "the old offset is far above the tail, so it is ignored"
    client.ids(offset=51)
    assert server.pending_count() == 0
    assert server.confirmed_offset == 51


def test_a_reply_is_cut_at_4_mebibytes(server: Any, client: Any, message: Any) -> None:
    server.push_many([message(text="x" * 1_000_000) for _ in range(6)])
    assert len(client.ids()) == 4


def test_a_single_update_above_4_mebibytes_is_delivered(server: Any, client: Any, message: Any) -> None:
    server.push(message(text="x" * 5_000_000))
    assert len(client.ids()) == 1


def test_a_second_poller_ends_the_first_with_a_conflict(
    server: Any, new_client: Any, message: Any, in_background: Any
) -> None:
    first = in_background(lambda: new_client().call("getUpdates", timeout=20))
    server.wait_until_polled()
    second = in_background(lambda: new_client().ids(timeout=20))
    reply = first.join()
    assert (reply["status"], reply["error_code"], reply["ok"]) == (409, 409, False)
    assert reply["description"] == (
        "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
    )
    server.wait_until_polled()
    push(server, message, 1)
    assert second.join() == [1000]


def test_further_conflicts_are_reported_3_seconds_after_the_first(
    server: Any, new_client: Any, message: Any, in_background: Any
) -> None:
    polls = []
    for _ in range(3):
        count = len(server.polls)
        poll = in_background(lambda: new_client().call("getUpdates", timeout=20))
        server.wait_for("getUpdates", count=count + 1)
        server.wait_until_polled()
        polls.append(poll)
    assert polls[0].join()["error_code"] == 409
    assert polls[1].join()["error_code"] == 409
    assert 2.5 < polls[1].duration_s < 5
    assert polls[0].duration_s < 2
    push(server, message, 1)
    assert polls[2].join()["ok"]


def test_a_webhook_ends_the_waiting_poll(server: Any, client: Any, new_client: Any, in_background: Any) -> None:
    poll = in_background(lambda: new_client().call("getUpdates", timeout=20))
    server.wait_until_polled()
    assert client.call("setWebhook", url="https://example.org/hook")["description"] == "Webhook was set"
    reply = poll.join()
    assert (reply["status"], reply["description"]) == (409, "Conflict: terminated by setWebhook request")


def test_polling_is_a_conflict_while_a_webhook_is_set(server: Any, client: Any) -> None:
    client.call("setWebhook", url="https://example.org/hook")
    reply = client.call("getUpdates")
    assert reply["error_code"] == 409
    assert "webhook is active" in reply["description"]
    assert client.call("deleteWebhook")["description"] == "Webhook was deleted"
    assert client.ids() == []


def test_updates_live_24_hours_and_queries_a_shorter_time(
    server: Any, client: Any, message: Any, day_time: Any
) -> None:
    person = {"id": 1, "is_bot": False, "first_name": "A"}
    server.push({"inline_query": {"id": "1", "from": person, "query": "", "offset": ""}})
    server.push({"callback_query": {"id": "2", "from": person, "data": "x", "chat_instance": "1"}})
    server.push({"shipping_query": {"id": "3", "from": person, "invoice_payload": ""}})
    server.push({"pre_checkout_query": {"id": "4", "from": person, "invoice_payload": ""}})
    server.push(message())

    def kinds() -> list[str]:
        return [next(key for key in update if key != "update_id") for update in server.pending()]

    assert kinds() == ["inline_query", "callback_query", "shipping_query", "pre_checkout_query", "message"]
    day_time.now_s += 31
    assert kinds() == ["callback_query", "shipping_query", "pre_checkout_query", "message"]
    day_time.now_s += 120
    assert kinds() == ["message"]
    assert client.ids() == [1004]
    day_time.now_s += 24 * 3600
    assert client.ids(offset=1001) == []
    assert server.pending_count() == 0


def test_an_expired_update_behind_a_live_one_is_not_delivered(
    server: Any, client: Any, message: Any, day_time: Any
) -> None:
    server.push(message())
    server.chat(1).inline_query("x")
    server.push(message())
    day_time.now_s += 31
    assert client.ids() == [1000, 1002]


def test_by_default_three_kinds_are_left_out(server: Any, client: Any) -> None:
    chat = {"id": 1, "type": "private"}
    content = {"chat": chat, "date": 0}
    for kind in ("chat_member", "message_reaction", "message_reaction_count"):
        assert server.push({kind: content}) is None
    assert server.push({"my_chat_member": content}) == 1000
    assert server.push({"a_kind_of_next_year": {}}) == 1001
    assert server.counters()["filtered"] == 3


def test_allowed_updates_are_remembered_from_the_last_call_that_gave_them(
    server: Any, client: Any, message: Any
) -> None:
    client.ids(allowed_updates=["chat_member", "callback_query"])
    assert server.push(message()) is None
    client.ids(offset=1)
    assert server.push({"chat_member": {"chat": {"id": 1, "type": "private"}}}) == 1000
    client.request("GET", f"/bot{server.token}/getUpdates?offset=2&allowed_updates=%5B%22message%22%5D")
    assert server.push(message()) == 1001
    client.ids(offset=3, allowed_updates=[])
    assert server.push({"chat_member": {"chat": {"id": 1, "type": "private"}}}) is None
    assert client.call("getWebhookInfo")["result"].get("allowed_updates") is None


def test_filtering_leaves_what_is_queued_already(server: Any, client: Any, message: Any) -> None:
    push(server, message, 1)
    assert client.ids(allowed_updates=["callback_query"]) == [1000]


@pytest.mark.parametrize("method", ["deleteWebhook", "setWebhook"])
def test_drop_pending_updates_empties_the_queue(server: Any, client: Any, message: Any, method: str) -> None:
    push(server, message, 3)
    assert client.call(method)["ok"]
    assert server.pending_count() == 3
    assert client.call(method, drop_pending_updates=True)["ok"]
    assert server.pending_count() == 0


def test_the_webhook_info_tells_url_and_pending_updates(server: Any, client: Any, message: Any) -> None:
    push(server, message, 2)
    client.call("setWebhook", url="https://example.org/", secret_token="s-1", max_connections=500)
    info = client.call("getWebhookInfo")["result"]
    assert (info["url"], info["pending_update_count"], info["max_connections"]) == ("https://example.org/", 2, 100)
    assert "secret_token" not in info
    assert client.call("setWebhook", url="https://x/", secret_token="no spaces")["status"] == 400


def test_a_poller_that_went_away_is_forgotten(server: Any, new_client: Any, message: Any, raw_socket: Any) -> None:
    body = b'{"timeout":20}'
    raw_socket.sendall(
        b"POST /bot%b/getUpdates HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (server.token.encode(), len(body), body)
    )
    server.wait_until_polled()
    raw_socket.close()
    server.wait_until_polled(is_polled=False)
    push(server, message, 1)
    assert new_client().ids() == [1000]
