"""The playground's page itself, in a real browser: what is behind the scenes, trouble, size, keyboard."""

from pathlib import Path
from typing import Any

import pytest

from pyruntime.testing import Playground
from tests.testing.browser.conftest import NO_PLAYWRIGHT, Screen
from tests.testing.playground_bot import TinyBot

playwright = pytest.importorskip("playwright.sync_api", reason=NO_PLAYWRIGHT)


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


def test_calls_are_found_and_opened(screen: Screen) -> None:
    screen.say("needle")
    screen.expect("Ann said: needle")
    screen.say("hay")
    screen.expect("Ann said: hay")
    screen.tab("Calls")
    screen.page.get_by_label("Filter calls").fill("send 1001 needle")
    calls = screen.page.locator("#calls details")
    playwright.expect(calls).to_have_count(1)
    calls.locator("summary").click()
    playwright.expect(calls.locator("pre").nth(0)).to_contain_text('"text": "Ann said: needle"')
    playwright.expect(calls.locator("pre").nth(1)).to_contain_text('"message_id"')
    screen.page.get_by_label("Filter calls").fill("no such call")
    playwright.expect(screen.page.locator("#no-calls")).to_have_text("No call matches.")
    screen.page.get_by_label("Filter calls").fill("")
    screen.page.get_by_label("getUpdates").check()
    playwright.expect(screen.page.locator("#calls .method", has_text="getUpdates").first).to_be_visible()


def test_faults_are_switched_on_seen_and_switched_off(playground: Playground, screen: Screen) -> None:
    screen.tab("Faults")
    page = screen.page
    page.get_by_label("What goes wrong").select_option("slow")
    page.get_by_label("Method", exact=True).fill("sendMessage")
    page.get_by_label("Times").fill("5")
    page.get_by_label("Seconds").fill("0.2")
    page.get_by_role("button", name="Switch on").click()
    fault = page.locator("#faults button")
    playwright.expect(fault).to_contain_text("0 hits · 5 left")
    playwright.expect(page.locator("#trouble")).to_be_visible()
    screen.say("slowly")
    playwright.expect(fault).to_contain_text("1 hit · 4 left")
    screen.expect("Ann said: slowly")
    fault.click()
    playwright.expect(page.locator("#no-faults")).to_be_visible()
    assert playground.server.faults == []
    page.get_by_label("Latency of every reply").fill("150")
    playwright.expect(page.locator("#latency-shown")).to_have_text("150 ms")
    screen.say("later")
    screen.expect("Ann said: later")
    assert playground.server.latency_s == 0.15


def test_updates_are_listed_and_sent_again(screen: Screen) -> None:
    screen.say("once")
    screen.expect("Ann said: once")
    screen.tab("Updates")
    playwright.expect(screen.page.locator("#delivery")).to_contain_text("polling")
    newest = screen.page.locator("#updates li").first
    playwright.expect(newest).to_contain_text("message")
    playwright.expect(newest).to_contain_text("fetched")
    newest.get_by_role("button").click()
    said_again = screen.panes.nth(0).locator(".bubble", has_text="Ann said: once")
    playwright.expect(said_again).to_have_count(2)


def test_the_conversation_is_saved_from_the_page(screen: Screen) -> None:
    screen.say("/count")
    screen.expect("count: 0")
    screen.panes.nth(0).get_by_role("button", name="+1").click()
    screen.expect("count: 1")
    screen.tab("Save")
    playwright.expect(screen.page.locator("#recorded")).to_have_text("5 steps recorded.")
    screen.page.get_by_label("Your bot").fill("shop:bot")
    with screen.page.expect_download() as waiting:
        screen.page.get_by_role("button", name="Save as a pytest test").click()
    assert waiting.value.suggested_filename == "test_conversation.py"
    source = Path(waiting.value.path()).read_text(encoding="utf-8")
    assert "from shop import bot" in source
    assert 'ann.press("count:1", reply_1)' in source
    assert '.text == "count: 1"' in source
    with screen.page.expect_download() as waiting:
        screen.page.get_by_role("button", name="Save the updates as JSON lines").click()
    assert len(Path(waiting.value.path()).read_text(encoding="utf-8").splitlines()) == 2
    screen.page.get_by_role("button", name="Begin a new recording").click()
    playwright.expect(screen.page.locator("#recorded")).to_have_text("0 steps recorded.")


def test_a_bad_name_of_the_bot_is_said_and_nothing_is_saved(open_screen: Any) -> None:
    screen = open_screen(forgives="400 (Bad Request)")
    screen.tab("Save")
    screen.page.get_by_label("Your bot").fill("a+b")
    screen.page.get_by_role("button", name="Save as a pytest test").click()
    playwright.expect(screen.page.locator(".toast")).to_contain_text("give the bot as module:bot")


def test_thousands_of_messages_stay_usable_in_two_tabs(playground: Playground, open_screen: Any) -> None:
    first, second = open_screen(), open_screen()
    chat = playground.server.chat(1001)
    for number in range(3000):
        chat.send(f"/quiet {number}")
    for screen in (first, second):
        playwright.expect(screen.panes.nth(0).locator(".row").last).to_contain_text("2999", timeout=20_000)
        assert screen.panes.nth(0).locator(".row").count() <= 400
    log = first.panes.nth(0).locator(".log")
    log.evaluate("(element) => { element.scrollTop = 0; }")
    oldest = int(log.locator(".row").first.get_attribute("data-id"))
    first.page.get_by_role("button", name="Earlier messages").click()
    playwright.expect(log.locator(f"[data-id='{oldest - 200}']")).to_have_count(1)
    first.say("in both")
    first.expect("in both")
    second.expect("in both")


def test_the_page_outlives_its_bot_and_greets_the_next(playground: Playground, open_screen: Any, bot: TinyBot) -> None:
    screen = open_screen()
    state = screen.page.locator("#state")
    screen.say("one")
    screen.expect("Ann said: one")
    bot.stop()
    bot.join()
    playwright.expect(state).to_have_text("bot has stopped", timeout=8_000)
    screen.say("two")
    playground.server.stop()
    playground.server.start()
    following = TinyBot(playground)
    try:
        screen.expect("Ann said: two")
        playwright.expect(state).to_have_text("bot is listening")
    finally:
        following.stop()
        following.join()


def test_everything_can_be_reached_by_keyboard(screen: Screen) -> None:
    page = screen.page
    page.keyboard.type("tea")
    page.keyboard.press("Enter")
    screen.expect("Ann said: tea")
    screen.panes.nth(0).locator(".log").focus()
    page.keyboard.press("ArrowUp")
    playwright.expect(screen.row("Ann said: tea")).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    playwright.expect(page.get_by_role("menuitem", name="Reply")).to_be_focused()
    page.keyboard.press("ArrowDown")
    playwright.expect(page.get_by_role("menuitem", name="Edit")).to_be_focused()
    page.keyboard.press("Escape")
    playwright.expect(page.get_by_role("menu")).to_have_count(0)
    page.keyboard.press("Escape")
    playwright.expect(screen.panes.nth(0).locator("textarea")).to_be_focused()
    page.keyboard.press("Alt+3")
    playwright.expect(screen.pane("Friends").locator("textarea")).to_be_focused()
    page.get_by_role("button", name="Calls and queue").focus()
    page.keyboard.press("Enter")
    playwright.expect(page.get_by_role("tab", name="Calls")).to_be_focused()
    page.keyboard.press("ArrowRight")
    playwright.expect(page.get_by_role("tab", name="Updates")).to_have_attribute("aria-selected", "true")
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, textarea, select, a")]
            .filter((each) => each.offsetParent && !each.textContent.trim() && !each.ariaLabel && !each.labels?.length)
            .map((each) => each.outerHTML)"""
    )
    assert unnamed == [], "everything that can be used has a name for screen readers"


@pytest.mark.parametrize("width", [360, 720, 1000, 1440])
def test_nothing_sticks_out_at_any_width(open_screen: Any, width: int) -> None:
    screen = open_screen(width=width, height=640)
    screen.say("/colours")
    screen.expect("Which?")
    screen.say("a" * 300)
    screen.say("/files")
    playwright.expect(screen.panes.nth(0).locator(".file")).to_have_count(4)
    for tab in ("Calls", "Updates", "Faults", "Save"):
        screen.tab(tab)
        assert screen.page.evaluate("document.documentElement.scrollWidth") <= width, tab
        assert screen.page.locator("#panel").evaluate("(panel) => panel.scrollWidth <= panel.clientWidth + 1"), tab
