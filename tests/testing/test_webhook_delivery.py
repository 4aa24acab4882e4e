"""The facts of webhook delivery, against small HTTP servers of our own."""

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ujson

from pyruntime import ApiClient, InputFile
from pyruntime.errors import BadRequest, Conflict
from pyruntime.testing import FakeBotApi
from tests.testing.hook import Hook

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"


@pytest.fixture
def now_s() -> list[float]:
    return [1_000_000.0]


@pytest.fixture
def api(now_s: list[float]) -> Iterator[FakeBotApi]:
    with FakeBotApi(clock=lambda: now_s[0], knows_any_chat=True, first_update_id=1) as server:
        server.courier.pause_scale = 0.02
        yield server


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.close()


@pytest.fixture
def client(api: FakeBotApi) -> Iterator[ApiClient]:
    client = ApiClient(api.token, api.url, max_retries=0)
    yield client
    client.close()


def test_an_update_is_posted_as_json_with_the_secret_and_forgotten_when_it_is_taken(
    api: FakeBotApi, hook: Hook, client: ApiClient
) -> None:
    api.chat(7).send("before")
    client.set_webhook(url=hook.url, secret_token="s-1_A")
    api.chat(7).send("after")
    api.wait_until_delivered(2)
    assert hook.ids() == [1, 2]
    assert hook.heads[0]["path"] == "/hook"
    assert hook.heads[0][SECRET_HEADER] == "s-1_A"
    assert hook.heads[0]["Content-Type"] == "application/json"
    assert api.pending_count() == 0
    assert [(each.update_id, each.lane, each.status, each.attempt) for each in api.deliveries] == [
        (1, "chat 7", 200, 1),
        (2, "chat 7", 200, 1),
    ]


def test_connections_are_kept(api: FakeBotApi, hook: Hook, client: ApiClient) -> None:
    client.set_webhook(url=hook.url)
    for number in range(20):
        api.chat(7).send("hello")
        api.wait_until_delivered(number + 1)
    assert len(hook.addresses) == 1


def test_a_chat_is_in_order_and_a_press_comes_beside_its_messages(
    api: FakeBotApi, hook: Hook, client: ApiClient
) -> None:
    go = threading.Event()
    hook.answer = lambda update: (200, {}, b"") if go.wait(20) else (500, {}, b"")
    client.set_webhook(url=hook.url)
    keyboard = {"inline_keyboard": [[{"text": "x", "callback_data": "x"}]]}
    client.send_message(chat_id=7, text="press", reply_markup=keyboard)
    for text in ("one", "two", "three"):
        api.chat(7).send(text)
    api.chat(7).press("x")
    api.chat(8).send("other")
    hook.wait_for(3)
    assert sorted(hook.ids()) == [1, 4, 5]
    go.set()
    api.wait_until_delivered(5)
    assert [update_id for update_id in hook.ids() if update_id < 4] == [1, 2, 3]
    lanes = {each.update_id: each.lane for each in api.deliveries}
    assert lanes[4] == "callback_query of user 7"


def test_never_more_requests_at_once_than_were_allowed(api: FakeBotApi, hook: Hook, client: ApiClient) -> None:
    hook.answer = lambda update: (200, {}, b"")
    client.set_webhook(url=hook.url, max_connections=3)
    api.push_many([{"message": {"message_id": n, "chat": {"id": n, "type": "private"}}} for n in range(1, 200)])
    api.wait_until_delivered(199, timeout_s=20)
    assert hook.most_running <= 3
    assert api.courier.most_at_once == 3
    assert len(hook.addresses) == 3


@pytest.mark.parametrize("status", [500, 302, 400, 503, 0])
def test_what_is_not_taken_is_sent_again_at_once_then_after_growing_pauses(
    api: FakeBotApi, hook: Hook, client: ApiClient, status: int
) -> None:
    left = [5]

    def answer(update: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        left[0] -= 1
        return (status if left[0] > 0 else 200, {}, b"")

    hook.answer = answer
    client.set_webhook(url=hook.url)
    api.chat(7).send("first")
    api.chat(7).send("second")
    api.wait_until_delivered(2, timeout_s=20)
    assert hook.ids() == [1, 1, 1, 1, 1, 2]
    times = [at for _, at in hook.seen]
    pauses = [later - sooner for sooner, later in itertools.pairwise(times)][:4]
    assert pauses[1] >= 0.04 * 0.98  # 2, 4, 8 s, scaled
    assert pauses[2] >= 0.08 * 0.98
    assert pauses[3] >= 0.16 * 0.98
    assert [each.attempt for each in api.deliveries] == [1, 2, 3, 4, 5, 1]


def test_retry_after_is_honoured(api: FakeBotApi, hook: Hook, client: ApiClient) -> None:
    answers = [(503, {"Retry-After": "30"}, b""), (503, {"Retry-After": "99999"}, b""), (200, {}, b"")]
    hook.answer = lambda update: answers.pop(0)
    api.courier.retry_after_scale = 0.0001
    client.set_webhook(url=hook.url)
    api.chat(7).send("hello")
    api.wait_until_delivered(1, timeout_s=20)
    assert [each.retry_after_s for each in api.deliveries] == [30, 3600, None]
    assert hook.seen[2][1] - hook.seen[1][1] >= 0.36 * 0.98


def test_get_webhook_info_says_what_is_pending_and_what_went_wrong(
    api: FakeBotApi, hook: Hook, client: ApiClient
) -> None:
    hook.answer = lambda update: (503, {"Retry-After": "3600"}, b"")
    client.set_webhook(url=hook.url, max_connections=7, allowed_updates=["message"])
    for text in ("one", "two"):
        api.chat(7).send(text)
    api.wait_until(lambda: "last_error_date" in api.webhook_info())
    info = client.get_webhook_info()
    assert info["pending_update_count"] == 2
    assert info["max_connections"] == 7
    assert info["allowed_updates"] == ["message"]
    assert info["last_error_date"] == 1_000_000
    assert info["last_error_message"] == "Wrong response from the webhook: 503 Service Unavailable"
    assert api.webhook_info() == info
    assert "secret_token" not in info


def test_nobody_there_is_an_error_that_is_tried_again(api: FakeBotApi, hook: Hook, client: ApiClient) -> None:
    hook.close()
    client.set_webhook(url=hook.url)
    api.chat(7).send("hello")
    api.wait_until(lambda: len(api.deliveries) >= 3)
    assert api.deliveries[0].error == "Connection refused"
    assert api.pending_count() == 1
    hook.__init__()  # type: ignore[misc]
    client.set_webhook(url=hook.url)
    api.wait_until_delivered(1, timeout_s=20)


def test_an_answer_that_does_not_come_in_time_is_no_answer(api: FakeBotApi, hook: Hook, client: ApiClient) -> None:
    api.courier.timeout_s = 0.1
    go = threading.Event()
    hook.answer = lambda update: (200, {}, b"") if go.wait(20) else (500, {}, b"")
    client.set_webhook(url=hook.url)
    api.chat(7).send("hello")
    hook.wait_for(2)
    assert api.deliveries[0].error == "Read timeout expired"
    go.set()
    api.wait_until_delivered(1, timeout_s=20)


def test_410_for_23_hours_removes_the_webhook_and_polling_gets_what_is_left(
    api: FakeBotApi, hook: Hook, client: ApiClient, now_s: list[float]
) -> None:
    hook.answer = lambda update: (410, {}, b"")
    client.set_webhook(url=hook.url)
    api.chat(7).send("hello")
    hook.wait_for(3)
    assert client.get_webhook_info()["url"] == hook.url
    now_s[0] += 23 * 3600
    api.wait_until(lambda: not api.webhook_info()["url"])
    assert client.get_webhook_info()["url"] == ""
    assert [update["update_id"] for update in client.get_updates()] == [1]


def test_polling_is_a_conflict_while_a_webhook_is_set_and_gets_what_is_left_behind_it(
    api: FakeBotApi, hook: Hook, client: ApiClient
) -> None:
    hook.answer = lambda update: (200 if update["update_id"] == 1 else 500, {}, b"")
    client.set_webhook(url=hook.url)
    for chat_id in (7, 7, 8):
        api.chat(chat_id).send("hello")
    hook.wait_for(4)
    with pytest.raises(Conflict):
        client.get_updates()
    client.delete_webhook()
    api.chat(7).send("later")
    assert [update["update_id"] for update in client.get_updates(offset=2)] == [2, 3, 4]


def test_drop_pending_updates_forgets_what_waits_for_the_webhook(
    api: FakeBotApi, hook: Hook, client: ApiClient
) -> None:
    hook.answer = lambda update: (500, {}, b"")
    client.set_webhook(url=hook.url)
    api.chat(7).send("hello")
    hook.wait_for(1)
    client.delete_webhook(drop_pending_updates=True)
    assert api.pending_count() == 0
    assert client.get_updates() == []


def test_what_is_too_old_is_not_delivered(api: FakeBotApi, hook: Hook, client: ApiClient, now_s: list[float]) -> None:
    hook.answer = lambda update: (500 if update["update_id"] == 1 else 200, {}, b"")
    client.set_webhook(url=hook.url)
    api.chat(7).send("hello")
    hook.wait_for(2)
    now_s[0] += 24 * 3600
    api.chat(7).send("a day later")
    api.wait_until_delivered(1, timeout_s=20)
    assert hook.ids()[-1] == 2
    assert api.pending_count() == 0


def test_a_call_in_the_answer_is_carried_out(api: FakeBotApi, hook: Hook, client: ApiClient) -> None:
    call = {"method": "sendMessage", "chat_id": 7, "text": "from the answer"}
    hook.answer = lambda update: (200, {"Content-Type": "application/json"}, ujson.dumps(call).encode())
    client.set_webhook(url=hook.url)
    api.chat(7).send("hello")
    assert api.chat(7).reply()["text"] == "from the answer"
    assert api.calls_of("sendMessage")[0].is_from_webhook


@pytest.mark.parametrize("method", ["getMe", "setWebhook", "deleteWebhook", "close", "logOut", "nonsense"])
def test_what_cannot_be_called_in_an_answer_is_not(api: FakeBotApi, hook: Hook, client: ApiClient, method: str) -> None:
    body = ujson.dumps({"method": method}).encode()
    hook.answer = lambda update: (200, {"Content-Type": "application/json"}, body)
    client.set_webhook(url=hook.url)
    api.chat(7).send("hello")
    api.wait_until_delivered(1)
    assert [call.status for call in api.calls if call.is_from_webhook] == [400]
    assert client.get_webhook_info()["url"] == hook.url


def test_an_update_can_be_sent_again_although_it_was_taken(api: FakeBotApi, hook: Hook, client: ApiClient) -> None:
    client.set_webhook(url=hook.url)
    api.fault("duplicate", "webhook")
    api.chat(7).send("hello")
    api.chat(7).send("more")
    api.wait_until_delivered()
    assert hook.ids() == [1, 1, 2]
    api.resend(1)
    hook.wait_for(4)
    assert hook.ids() == [1, 1, 2, 1]
    with pytest.raises(LookupError):
        api.resend(99)


@pytest.mark.parametrize("kind", ["drop_before", "drop_midway", "drop_after", "slow"])
def test_bad_networks_lose_nothing(api: FakeBotApi, hook: Hook, client: ApiClient, kind: Any) -> None:
    client.set_webhook(url=hook.url)
    fault = api.fault(kind, "webhook", 2, seconds=0.05)
    for text in ("one", "two"):
        api.chat(7).send(text)
    api.wait_until_delivered(timeout_s=20)
    assert fault.hits == 2
    assert list(dict.fromkeys(hook.ids())) == [1, 2]
    assert api.calls_of("setWebhook")[0].fault is None


def test_a_fault_that_spoils_no_delivery_is_refused(api: FakeBotApi) -> None:
    with pytest.raises(ValueError, match="garbage spoils no delivery to a webhook; these do: drop_after, drop_before"):
        api.fault("garbage", "webhook")


@pytest.fixture
def secure(make_certificate: Callable[[str], tuple[str, str]]) -> Iterator[tuple[Hook, bytes]]:
    """A webhook with TLS, and its certificate."""
    files = make_certificate("IP:127.0.0.1")
    hook = Hook(files)
    yield hook, Path(files[0]).read_bytes()
    hook.close()


@pytest.mark.parametrize("kind", [None, "drop_before", "drop_midway", "drop_after", "slow"])
def test_updates_are_delivered_over_tls_through_bad_networks_too(
    api: FakeBotApi, client: ApiClient, secure: tuple[Hook, bytes], kind: Any
) -> None:
    hook, certificate = secure
    assert client.set_webhook(url=hook.url, certificate=InputFile(certificate, filename="cert.pem"))
    assert api.webhook_info()["has_custom_certificate"] is True
    if kind:
        api.fault(kind, "webhook", 2, seconds=0.05)
    hook.answer = lambda update: (200, {"Content-Type": "application/json"}, b"x" * 100_000)
    for number in range(40):
        api.chat(number % 8 + 1).send("a long text " * 300)
    api.wait_until_delivered(40, timeout_s=20)
    assert sorted(set(hook.ids())) == list(range(1, 41))
    assert kind or len(hook.addresses) <= 8


def test_a_certificate_that_was_not_uploaded_is_taken_and_another_than_the_uploaded_one_is_not(
    api: FakeBotApi, client: ApiClient, secure: tuple[Hook, bytes], make_certificate: Callable[[str], tuple[str, str]]
) -> None:
    hook, _ = secure
    client.set_webhook(url=hook.url)
    api.chat(7).send("one")
    api.wait_until_delivered(1)
    other = Path(make_certificate("IP:127.0.0.1")[0]).read_bytes()
    client.set_webhook(url=hook.url, certificate=InputFile(other, filename="cert.pem"))
    api.chat(7).send("two")
    api.wait_until(lambda: "last_error_message" in api.webhook_info())
    assert api.webhook_info()["last_error_message"] == "SSL error: self-signed certificate"
    assert hook.ids() == [1]
    assert "certificate" not in api.webhook_info()
    with pytest.raises(BadRequest, match="Failed to set custom certificate file"):
        client.set_webhook(url=hook.url, certificate=InputFile(b"nonsense", filename="cert.pem"))


def test_a_webhook_that_speaks_no_tls_is_an_error(api: FakeBotApi, hook: Hook, client: ApiClient) -> None:
    client.set_webhook(url=hook.url.replace("http:", "https:"))
    api.chat(7).send("one")
    api.wait_until(lambda: "last_error_message" in api.webhook_info())
    assert api.webhook_info()["last_error_message"].startswith("SSL error: ")
    client.set_webhook(url=hook.url)
    api.wait_until_delivered(1)


def test_a_server_that_is_stopped_and_started_goes_on_delivering(
    api: FakeBotApi, hook: Hook, client: ApiClient
) -> None:
    client.set_webhook(url=hook.url)
    api.chat(7).send("one")
    api.wait_until_delivered(1)
    api.stop()
    api.chat(7).send("two")
    api.start()
    api.wait_until_delivered(2)
    assert hook.ids() == [1, 2]
