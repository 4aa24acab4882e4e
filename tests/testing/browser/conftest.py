"""Open the playground's page in a real browser, with a tiny bot that knows nothing of the product."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from pyruntime.testing import Playground
from tests.testing.playground_bot import TinyBot

CHROMIUM = shutil.which("chromium")
NO_PLAYWRIGHT = "playwright is not installed: pip install playwright"

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start a browser; the tests are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason=NO_PLAYWRIGHT)
    if CHROMIUM is None:
        pytest.skip("there is no chromium: install the package chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def bot(playground: Playground) -> Iterator[TinyBot]:
    """Run the bot that shows everything."""
    started = TinyBot(playground)
    yield started
    playground.stop()
    started.join()


def is_error(line: Any, forgives: str) -> bool:
    """Tell whether a line of the console is an error other than the one that a test provokes."""
    return line.type == "error" and forgives not in line.text and "ERR_" not in line.text


class Screen:
    """Read and use the page."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.panes = page.locator(".pane")

    def say(self, text: str, pane: int = 0) -> None:
        field = self.panes.nth(pane).locator("textarea")
        field.fill(text)
        field.press("Enter")

    def pane(self, name: str) -> Any:
        """Return the pane of a chat, opened if it is not."""
        found = self.page.locator(".pane", has=self.page.get_by_role("heading", name=name, exact=True))
        if not found.count():
            self.page.locator(".chat", has_text=name).click()
        return found

    def row(self, text: str, pane: int = 0) -> Any:
        return self.panes.nth(pane).locator(".row", has_text=text).last

    def act(self, row: Any, label: str) -> None:
        """Choose from the menu of a message."""
        row.hover()
        row.locator(".more").click()
        self.page.get_by_role("menuitem", name=label, exact=True).click()

    def tab(self, name: str) -> None:
        if self.page.locator("#panel").is_hidden():
            self.page.get_by_role("button", name="Calls and queue").click()
        self.page.get_by_role("tab", name=name).click()

    def expect(self, text: str, pane: int = 0) -> Any:
        found = self.panes.nth(pane).locator(".bubble", has_text=text)
        found.last.wait_for(timeout=10_000)
        return found.last


@pytest.fixture
def open_screen(browser: Any, playground: Playground, bot: TinyBot) -> Iterator[Any]:
    """Return a function that opens the page; at the end it must have reported no error and asked no other server."""
    contexts = []
    errors: list[str] = []

    def open_page(width: int = 1000, height: int = 760, forgives: str = "\0", **options: Any) -> Screen:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if is_error(line, forgives) else None)
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
    """Return a page with two chats."""
    opened: Screen = open_screen()
    return opened
