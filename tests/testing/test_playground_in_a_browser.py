"""The playground in a real browser, with a tiny bot that knows nothing of the product."""

import json
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from pyruntime.testing import Playground

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: install the package chromium")

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
KEYBOARD = {
    "inline_keyboard": [
        [{"text": "Yes", "callback_data": "yes"}, {"text": "Loud", "callback_data": "loud"}],
        [{"text": "Bad", "url": "javascript:document.title='owned'"}],
    ]
}
HARMFUL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


class TinyBot:
    """Answer a few commands, over bare HTTP, one update after the other."""

    def __init__(self, playground: Playground) -> None:
        self._root = f"{playground.api_root}/bot{playground.token}"
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def call(self, method: str, **parameters: Any) -> Any:
        request = urllib.request.Request(
            f"{self._root}/{method}", json.dumps(parameters).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.loads(reply.read())["result"]

    def join(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        offset = 0
        try:
            self.call("setMyCommands", commands=[{"command": "buttons", "description": "Show buttons"}])
            while True:
                for update in self.call("getUpdates", offset=offset, timeout=20):
                    offset = update["update_id"] + 1
                    self._handle(update)
        except (OSError, urllib.error.URLError):
            return  # the server was stopped: the test is over

    def _handle(self, update: dict[str, Any]) -> None:
        if "callback_query" in update:
            query = update["callback_query"]
            message = query["message"]
            is_loud = query["data"] == "loud"
            self.call("answerCallbackQuery", callback_query_id=query["id"], text=query["data"], show_alert=is_loud)
            if not is_loud:
                target = {"chat_id": message["chat"]["id"], "message_id": message["message_id"]}
                self.call("editMessageText", **target, text="You said yes")
            return
        message = update.get("message") or update["edited_message"]
        text = message.get("text", "")
        chat_id = message["chat"]["id"]
        replies: dict[str, dict[str, Any]] = {
            "/start": {"text": "Hello <b>you</b>, try /buttons", "parse_mode": "HTML"},
            "/buttons": {"text": "Sure?", "reply_markup": KEYBOARD},
            "/colours": {"text": "Which?", "reply_markup": {"keyboard": [["Red", "Blue"]]}},
            "/harm": {"text": HARMFUL},
            "/link": {"text": '<a href="javascript:alert(1)">click</a>', "parse_mode": "HTML"},
        }
        if text == "/vanish":
            sent = self.call("sendMessage", chat_id=chat_id, text="Soon gone")
            self.call("deleteMessage", chat_id=chat_id, message_id=sent["message_id"])
            self.call("sendMessage", chat_id=chat_id, text="It is gone")
        elif text == "/think":
            self.call("sendChatAction", chat_id=chat_id, action="typing")
        else:
            who = message["from"]["first_name"]
            self.call("sendMessage", **{"chat_id": chat_id, "text": f"{who} said: {text}", **replies.get(text, {})})


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def playground() -> Iterator[Playground]:
    with Playground(port=0) as started:
        bot = TinyBot(started)
        yield started
        started.stop()
        bot.join()


class Screen:
    """Read and use the page."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.panes = page.locator(".pane")

    def say(self, text: str, pane: int = 0) -> None:
        field = self.panes.nth(pane).locator("textarea")
        field.fill(text)
        field.press("Enter")

    def expect(self, text: str, pane: int = 0) -> Any:
        found = self.panes.nth(pane).locator(".bubble", has_text=text)
        playwright.expect(found.last).to_be_visible(timeout=10_000)
        return found.last


@pytest.fixture
def open_screen(browser: Any, playground: Playground) -> Iterator[Any]:
    contexts = []
    errors: list[str] = []

    def open_page(width: int = 1000, height: int = 760, **options: Any) -> Screen:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.on(
            "request", lambda sent: None if sent.url.startswith((playground.url, "data:")) else errors.append(sent.url)
        )
        page.goto(playground.url)
        page.wait_for_selector(".pane")
        return Screen(page)

    yield open_page
    for context in contexts:
        context.close()
    assert errors == [], "the page reported errors, or asked another server"


@pytest.fixture
def screen(open_screen: Any) -> Screen:
    opened: Screen = open_screen()
    return opened


def test_a_chat_with_the_bot_and_its_clickable_commands(screen: Screen) -> None:
    assert screen.panes.count() == 2, "two chats beside each other"
    screen.panes.nth(0).get_by_role("button", name="/start").click()
    bubble = screen.expect("Hello you, try /buttons")
    assert bubble.locator("b").inner_text() == "you"
    bubble.get_by_role("button", name="/buttons").click()
    screen.expect("Sure?")
    screen.say("from the other", pane=1)
    screen.expect("Ben said: from the other", pane=1)


def test_buttons_send_callbacks_and_show_the_answers(screen: Screen) -> None:
    screen.say("/buttons")
    screen.expect("Sure?")
    screen.page.get_by_role("button", name="Loud").click()
    alert = screen.page.locator("dialog[open]")
    playwright.expect(alert).to_contain_text("loud")
    alert.get_by_role("button", name="OK").click()
    screen.page.get_by_role("button", name="Yes").click()
    playwright.expect(screen.page.locator(".toast")).to_have_text("yes")
    edited = screen.expect("You said yes")
    assert "edited" in edited.inner_text()
    assert screen.page.locator(".bubble", has_text="Sure?").count() == 0


def test_reply_keyboards_send_their_text(screen: Screen) -> None:
    screen.say("/colours")
    screen.page.get_by_role("button", name="Blue").click()
    screen.expect("Ann said: Blue")


def test_nothing_that_a_bot_sends_becomes_part_of_the_page(screen: Screen) -> None:
    screen.say("/harm")
    bubble = screen.expect("<script>document.title='owned'</script>")
    assert bubble.locator("img, script").count() == 0
    screen.say("/link")
    assert screen.expect("click").locator("a").count() == 0
    screen.say("/buttons")
    screen.expect("Sure?")
    assert screen.page.get_by_role("button", name="Bad").is_disabled()
    assert "owned" not in screen.page.title()


def test_deletions_and_typing_are_shown_as_they_happen(screen: Screen) -> None:
    screen.say("/vanish")
    screen.expect("It is gone")
    assert screen.page.locator(".bubble", has_text="Soon gone").count() == 0
    screen.say("/think")
    playwright.expect(screen.panes.nth(0).locator("header p")).to_have_text("typing …")


def test_the_menu_of_commands_works_with_the_keyboard(screen: Screen) -> None:
    field = screen.panes.nth(0).locator("textarea")
    field.press_sequentially("/bu")
    playwright.expect(screen.panes.nth(0).get_by_role("option", name="/buttons")).to_be_visible()
    field.press("Enter")
    screen.expect("Sure?")


def test_own_messages_can_be_edited_with_the_arrow_key(screen: Screen) -> None:
    screen.say("first")
    screen.expect("Ann said: first")
    field = screen.panes.nth(0).locator("textarea")
    field.press("ArrowUp")
    assert field.input_value() == "first"
    screen.say("second")
    screen.expect("Ann said: second")
    assert screen.page.locator(".mine .bubble", has_text="first").count() == 0


def test_people_speak_in_groups_and_chats_can_be_added(screen: Screen) -> None:
    screen.page.get_by_role("button", name="+ Group").click()
    screen.page.get_by_label("Name of the group").fill("Us <b>")
    screen.page.get_by_role("button", name="Add").click()
    group = screen.page.locator(".pane", has=screen.page.get_by_role("heading", name="Us <b>"))
    group.get_by_role("button", name="Ben", exact=True).click()
    group.locator("textarea").fill("hi")
    group.locator("textarea").press("Enter")
    playwright.expect(group.locator(".bubble", has_text="Ben said: hi")).to_be_visible()


def test_unread_messages_are_counted_and_the_panel_tells_the_calls(playground: Playground, open_screen: Any) -> None:
    screen = open_screen(width=600)
    assert screen.panes.count() == 1, "one chat at a time where there is no room"
    playground.server.chat(1002).send("hello")
    playwright.expect(screen.page.locator(".badge")).to_have_text("1")
    assert screen.page.title() == "(1) Playground"
    screen.page.locator("[data-open='1002']").click()
    screen.expect("Ben said: hello")
    assert screen.page.locator(".badge").count() == 0
    screen.page.get_by_role("button", name="Calls and queue").click()
    playwright.expect(screen.page.locator("#calls .method").first).to_have_text("sendMessage")
    playwright.expect(screen.page.locator("#pending")).to_have_text("0")
    playwright.expect(screen.page.locator("#polled")).to_have_text("listening")
    screen.page.keyboard.press("Escape")
    playwright.expect(screen.page.locator("#panel")).to_be_hidden()


def test_the_page_follows_the_colour_scheme_and_remembers_a_choice(open_screen: Any) -> None:
    screen = open_screen(color_scheme="dark")
    root = screen.page.locator("html")
    assert root.get_attribute("data-theme") == "dark"
    screen.page.get_by_role("button", name="Switch between light and dark").click()
    screen.page.reload()
    assert root.get_attribute("data-theme") == "light"


def test_the_page_says_when_the_server_is_gone_and_comes_back_with_it(playground: Playground, screen: Screen) -> None:
    screen.say("before")
    screen.expect("Ann said: before")
    playground.server.drop_connections()
    playwright.expect(screen.page.locator("#gone")).to_be_visible()
    playwright.expect(screen.page.locator("#gone")).to_be_hidden(timeout=10_000)
    screen.expect("Ann said: before")
