"""What the page can do besides talking: members, reactions, pins, inline mode, faults, history, the webhook."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pyruntime.testing import Playground
from tests.testing.playground_client import Events, PageClient, call_bot

ALL = ["message", "my_chat_member", "chat_member", "message_reaction", "channel_post", "inline_query", "callback_query"]


class Bot:
    """Fetch updates and call methods over one playground."""

    def __init__(self, playground: Playground) -> None:
        self._playground = playground
        self._next = 0
        call_bot(playground, "getUpdates", allowed_updates=[*ALL, "chosen_inline_result", "edited_message"])

    def call(self, method: str, **parameters: Any) -> Any:
        reply = call_bot(self._playground, method, **parameters)
        assert reply["ok"], reply
        return reply["result"]

    def updates(self) -> list[tuple[str, Any]]:
        """Return kind and content of the updates that are new."""
        # Looked at on the server: fetching one after the other in a hurry would be slowed down as by Telegram.
        fresh = [update for update in self._playground.server.pending() if update["update_id"] >= self._next]
        self._next = self._playground.server.next_update_id
        return [next((key, value) for key, value in update.items() if key != "update_id") for update in fresh]


@pytest.fixture
def bot(playground: Playground) -> Bot:
    return Bot(playground)


def test_members_come_and_go_and_the_bot_is_told(
    page: PageClient, bot: Bot, events: Events, playground: Playground
) -> None:
    group = page.do("chat", type="group")["id"]
    (kind, change), (_, service) = bot.updates()
    assert (kind, change["old_chat_member"]["status"]) == ("my_chat_member", "left")
    assert change["new_chat_member"]["status"] == "member"
    assert service["new_chat_members"][0]["username"] == "test_bot"
    page.do("chat", type="private", name="Cleo")
    page.do("member", chat_id=group, user_id=1003, by=1001)
    updates = bot.updates()
    assert [kind for kind, _ in updates] == ["chat_member", "message"]
    assert updates[1][1]["new_chat_members"] == [playground.server.chat(1003).user]
    assert updates[1][1]["from"]["first_name"] == "Ann"
    page.do("send", chat_id=group, user_id=1003, text="hi")
    assert bot.updates()[0][1]["from"]["first_name"] == "Cleo"
    assert bot.call("getChatMemberCount", chat_id=group) == 4
    assert bot.call("getChatMember", chat_id=group, user_id=1003)["status"] == "member"
    page.do("member", chat_id=group, user_id=1003, is_member=False)
    assert bot.updates()[1][1]["left_chat_member"]["first_name"] == "Cleo"
    bot.call("banChatMember", chat_id=group, user_id=1002)
    assert bot.updates()[0][1]["new_chat_member"]["status"] == "kicked"
    assert list(playground.server.chat(group).members) == [1001]
    page.do("bot", chat_id=group, is_member=False)
    assert [kind for kind, _ in bot.updates()] == ["my_chat_member"]
    assert call_bot(playground, "sendMessage", chat_id=group, text="x")["error_code"] == 403
    page.do("bot", chat_id=group, is_member=True)
    bot.call("sendMessage", chat_id=group, text="back")
    told = [events.next("members") for _ in range(4)]
    assert [(len(each["members"]), each["has_bot"]) for each in told[1:]] == [(3, True), (2, True), (1, True)]


def test_a_channel_posts_and_the_bot_posts_too(page: PageClient, bot: Bot, events: Events) -> None:
    channel = page.do("chat", type="channel", name="News")["id"]
    assert bot.updates()[0][1]["new_chat_member"]["status"] == "administrator"
    page.do("send", chat_id=channel, text="today")
    [(kind, post)] = bot.updates()
    assert (kind, post["sender_chat"]["title"]) == ("channel_post", "News")
    bot.call("sendMessage", chat_id=channel, text="more")
    assert events.next("message")["shown"] == {"by_bot": False}
    assert events.next("message")["shown"] == {"by_bot": True}


def test_reactions_go_both_ways(page: PageClient, bot: Bot, events: Events) -> None:
    sent = page.do("send", chat_id=1001, text="x")["message_id"]
    bot.updates()
    page.do("react", chat_id=1001, message_id=sent, emoji=["👍"])
    page.do("react", chat_id=1001, message_id=sent, emoji=["🔥"])
    changes = [change for _, change in bot.updates()]
    assert [[each["emoji"] for each in change["new_reaction"]] for change in changes] == [["👍"], ["🔥"]]
    assert changes[1]["old_reaction"] == [{"type": "emoji", "emoji": "👍"}]
    bot.call("setMessageReaction", chat_id=1001, message_id=sent, reaction=[{"type": "emoji", "emoji": "🔥"}])
    told = [events.next("reaction")["reactions"] for _ in range(3)]
    assert told[2] == [{"emoji": "🔥", "users": [1001, told[2][0]["users"][1]]}]
    page.do("react", chat_id=1001, message_id=sent, emoji=[])
    assert events.next("reaction")["reactions"][0]["users"] == [told[2][0]["users"][1]]


def test_a_bot_that_does_not_ask_for_reactions_gets_none(page: PageClient, playground: Playground) -> None:
    sent = page.do("send", chat_id=1001, text="x")["message_id"]
    page.do("react", chat_id=1001, message_id=sent, emoji=["👍"])
    assert len(playground.server.pending()) == 1


def test_messages_are_pinned_unpinned_and_deleted(page: PageClient, bot: Bot, events: Events) -> None:
    sent = page.do("send", chat_id=1001, text="x")["message_id"]
    page.do("pin", chat_id=1001, message_id=sent)
    assert bot.updates()[1][1]["pinned_message"]["text"] == "x"
    assert bot.call("getChat", chat_id=1001)["pinned_message"]["text"] == "x"
    assert events.next("pin")["pinned"] == [sent]
    page.do("unsend", chat_id=1001, message_id=sent)
    assert events.next("delete")["message_id"] == sent
    assert events.next("pin")["pinned"] == []
    assert bot.updates() == [], "a bot is not told of deletions and unpinning"
    more = [bot.call("sendMessage", chat_id=1001, text=str(number))["message_id"] for number in range(2)]
    bot.call("deleteMessages", chat_id=1001, message_ids=more)
    assert [events.next("delete")["message_id"] for _ in range(2)] == more


def test_a_message_is_forwarded_and_a_part_of_one_quoted(page: PageClient, bot: Bot) -> None:
    sent = page.do("send", chat_id=1001, text="one two")["message_id"]
    page.do("forward", chat_id=1002, from_chat_id=1001, message_id=sent)
    page.do("send", chat_id=1001, text="why", reply_to=sent, quote="two")
    _, (_, forwarded), (_, reply) = bot.updates()
    assert forwarded["forward_origin"]["sender_user"]["first_name"] == "Ann"
    assert (forwarded["text"], forwarded["from"]["first_name"]) == ("one two", "Ben")
    assert (reply["reply_to_message"]["message_id"], reply["quote"]["text"]) == (sent, "two")


def test_files_are_sent_as_an_album_and_fetched_by_the_bot(page: PageClient, bot: Bot, playground: Playground) -> None:
    files = [
        {"name": f"{n}.ogg", "type": kind, "base64": "T2dnUw=="}
        for n, kind in enumerate(("audio/ogg", "audio/mpeg", "video/mp4", "text/plain"))
    ]
    page.do("send", chat_id=1001, files=files, text="see")
    messages = [message for _, message in bot.updates()]
    kinds = ("voice", "audio", "video", "document")
    assert [next(kind for kind in kinds if kind in message) for message in messages] == list(kinds)
    assert len({message["media_group_id"] for message in messages}) == 1
    assert [message.get("caption") for message in messages] == ["see", None, None, None]
    for kind, message in zip(kinds, messages, strict=True):
        path = bot.call("getFile", file_id=message[kind]["file_id"])["file_path"]
        status, _, body = page.ask("GET", f"/file/bot{playground.token}/{path}")
        assert (status, body) == (200, b"OggS")


def test_inline_mode_offers_results_sends_one_and_edits_it(page: PageClient, bot: Bot, events: Events) -> None:
    query = page.do("inline", chat_id=1002, query="tea")
    assert query["is_told"]
    [(_, asked)] = bot.updates()
    assert (asked["query"], asked["chat_type"]) == ("tea", "sender")
    result = {
        "type": "article",
        "id": "7",
        "title": "Tea",
        "input_message_content": {"message_text": "<b>Tea</b>", "parse_mode": "HTML"},
        "reply_markup": {"inline_keyboard": [[{"text": "More", "callback_data": "more"}]]},
    }
    bot.call("answerInlineQuery", inline_query_id=asked["id"], results=[result])
    assert events.next("answer")["parameters"]["results"][0]["title"] == "Tea"
    sent = page.do("choose", chat_id=1002, query_id=query["id"], result_id="7")["message_id"]
    (_, message), (kind, chosen) = bot.updates()
    assert (message["text"], message["via_bot"]["username"]) == ("Tea", "test_bot")
    assert (kind, chosen["result_id"], chosen["query"]) == ("chosen_inline_result", "7", "tea")
    page.do("press", chat_id=1002, message_id=sent, data="more")
    [(_, press)] = bot.updates()
    assert "message" not in press
    assert press["inline_message_id"] == chosen["inline_message_id"]
    assert bot.call("editMessageText", inline_message_id=press["inline_message_id"], text="More tea") is True
    assert events.next("edit")["text"] == "More tea"


def test_a_bot_without_inline_mode_is_said_to_be_one(page: PageClient, playground: Playground) -> None:
    call_bot(playground, "getUpdates", allowed_updates=["message"])
    assert not page.do("inline", chat_id=1001, query="x")["is_told"]


def test_menus_follow_the_scopes_of_the_commands(page: PageClient, bot: Bot, events: Events) -> None:
    def menu(name: str) -> list[dict[str, str]]:
        return [{"command": name, "description": name}]

    bot.call("setMyCommands", commands=menu("all"))
    bot.call("setMyCommands", commands=menu("people"), scope={"type": "all_private_chats"})
    bot.call("setMyCommands", commands=menu("groups"), scope={"type": "all_group_chats"})
    bot.call("setMyCommands", commands=menu("ben"), scope={"type": "chat", "chat_id": "1002"})
    for _ in range(4):
        menus = events.next("commands")
    shown = {chat_id: each["commands"][0]["command"] for chat_id, each in menus.items()}
    assert shown == {"1001": "people", "1002": "ben", "-1001": "groups"}
    bot.call("deleteMyCommands", scope={"type": "all_group_chats"})
    assert events.next("commands")["-1001"]["commands"][0]["command"] == "all"
    button = {"type": "web_app", "text": "Shop", "web_app": {"url": "https://example.org/"}}
    bot.call("setChatMenuButton", chat_id=1001, menu_button=button)
    assert events.next("commands")["1001"]["button"] == button
    assert bot.call("getChatMenuButton", chat_id=1001) == button
    assert bot.call("getChatMenuButton", chat_id=1002) == {"type": "commands"}


def test_a_selective_keyboard_is_for_those_it_names(page: PageClient, bot: Bot, events: Events) -> None:
    sent = page.do("send", chat_id=-1001, user_id=1002, text="me")["message_id"]
    markup = {"keyboard": [["A"]], "selective": True}
    reply = {"reply_parameters": {"message_id": sent}}
    bot.call("sendMessage", chat_id=-1001, text="you", reply_markup=markup, **reply)
    assert events.next("keyboard")["keyboard"]["users"] == [1002]


def test_faults_and_latency_are_switched_from_the_page(
    page: PageClient, playground: Playground, events: Events
) -> None:
    page.do("fault", kind="retry_after", method="sendMessage", times=2, seconds=3)
    page.do("fault", kind="error", times=None)
    page.do("latency", latency_s=0.05)
    first, second = playground.server.faults
    assert call_bot(playground, "sendMessage", chat_id=1001, text="x")["parameters"] == {"retry_after": 3}
    state = events.next("queue")
    while not state["faults"] or not state["faults"][0]["hits"]:
        state = events.next("queue")
    assert state["latency_s"] == 0.05
    assert state["faults"][0] == {
        "id": first.number,
        "kind": "retry_after",
        "method": "sendMessage",
        "left": 1,
        "hits": 1,
        "seconds": 3,
    }
    page.do("clear_fault", id=first.number)
    assert playground.server.faults == [second]
    page.do("clear_fault")
    assert playground.server.faults == []


def test_earlier_messages_and_whole_calls_are_fetched_when_asked_for(page: PageClient, playground: Playground) -> None:
    chat = playground.server.chat(1001)
    for number in range(1500):
        chat.send(str(number))
    stream = Events(playground)
    shown = stream.next("snapshot")["chats"][0]
    stream.close()
    assert (len(shown["messages"]), shown["has_more"]) == (300, True)
    found = page.do("history", chat_id=1001, before=shown["messages"][0]["message_id"])
    assert [message["text"] for message in found["messages"]] == [str(number) for number in range(1000, 1200)]
    assert found["has_more"]
    assert not page.do("history", chat_id=1001, before=150)["has_more"]
    call_bot(playground, "sendMessage", chat_id=1001, text="hello")
    call_bot(playground, "getUpdates", limit=1)
    sent, polled = playground.server.calls[-1], playground.server.polls[-1]
    assert page.do("call", number=sent.number)["result"]["text"] == "hello"
    assert len(page.do("call", number=polled.number)["update_ids"]) == 1


def test_the_token_and_secrets_are_nowhere_on_the_page(
    page: PageClient, playground: Playground, events: Events
) -> None:
    token = playground.token
    events.next("snapshot")
    call_bot(playground, "sendMessage", chat_id=1001, text=f"my token is {token}")
    assert events.next("message")["text"] == "my token is <token>"
    url = f"http://127.0.0.1:9/{token}"
    call_bot(playground, "setWebhook", url=url, secret_token="very-secret")
    call = events.next("call")
    while call["method"] != "setWebhook":
        call = events.next("call")
    assert call["parameters"]["secret_token"] == "•••"
    assert call["parameters"]["url"] == "http://127.0.0.1:9/<token>"
    everything = [
        page.ask("GET", "/playground/transcript")[2],
        page.ask("GET", "/playground/transcript?format=jsonl")[2],
    ]
    everything.append(page.ask("POST", "/playground/history", {"chat_id": 1001, "before": 99})[2])
    everything.append(page.ask("POST", "/playground/call", {"number": call["number"]})[2])
    assert not [part for part in everything if token.encode() in part or b"very-secret" in part]
    call_bot(playground, "deleteWebhook")


@pytest.fixture
def hook() -> Iterator[Any]:
    """Serve a webhook that refuses the first delivery; `hook.bodies` holds what came."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(503 if len(server.bodies) == 1 else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    class Server(http.server.ThreadingHTTPServer):
        bodies: list[bytes]

    with Server(("127.0.0.1", 0), Handler) as server:
        server.bodies = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


def test_deliveries_to_a_webhook_are_told_and_can_be_repeated(
    page: PageClient, playground: Playground, events: Events, hook: Any
) -> None:
    call_bot(playground, "setWebhook", url=f"http://127.0.0.1:{hook.server_address[1]}/hook")
    page.do("send", chat_id=1001, text="hello")
    first, second = events.next("delivery"), events.next("delivery")
    assert [(each["attempt"], each["status"]) for each in (first, second)] == [(1, 503), (2, 200)]
    assert not first["is_resent"]
    [recent] = page.do("updates")
    assert recent == {"update_id": first["update_id"], "kind": "message"}
    page.do("resend", update_id=first["update_id"])
    again = events.next("delivery")
    assert (again["update_id"], again["status"], again["is_resent"]) == (first["update_id"], 200, True)
    assert hook.bodies[0] == hook.bodies[1] == hook.bodies[2]
    stream = Events(playground)
    snapshot = stream.next("snapshot")
    stream.close()
    assert len(snapshot["deliveries"]) == 3
    assert snapshot["queue"]["webhook"]["url"].endswith("/hook")
    call_bot(playground, "deleteWebhook")


def test_where_the_bot_polls_an_update_is_sent_again_as_a_new_one(page: PageClient, bot: Bot) -> None:
    page.do("send", chat_id=1001, text="hello")
    [(_, first)] = bot.updates()
    [recent] = page.do("updates")
    again = page.do("resend", update_id=recent["update_id"])
    assert again["update_id"] == recent["update_id"] + 1
    assert [content for _, content in bot.updates()] == [first]
