"""Talk to a bot in the playground's page, in a real browser: every kind of message, button, chat and member."""

import base64
from pathlib import Path

import pytest

from tests.testing.browser.conftest import NO_PLAYWRIGHT, Screen
from tests.testing.playground_bot import picture

playwright = pytest.importorskip("playwright.sync_api", reason=NO_PLAYWRIGHT)


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
    screen.expect("Edited to: second")
    assert screen.page.locator(".mine .bubble", has_text="first").count() == 0


def test_people_speak_in_groups_and_chats_can_be_added(screen: Screen) -> None:
    screen.page.get_by_role("button", name="+ Group").click()
    screen.page.get_by_label("Name of the group").fill("Us <b>")
    screen.page.get_by_role("button", name="Add", exact=True).click()
    group = screen.page.locator(".pane", has=screen.page.get_by_role("heading", name="Us <b>"))
    group.get_by_role("button", name="Ben", exact=True).click()
    group.locator("textarea").fill("hi")
    group.locator("textarea").press("Enter")
    playwright.expect(group.locator(".bubble", has_text="Ben said: hi")).to_be_visible()


def test_files_are_picked_dropped_and_pasted_and_reach_the_bot(screen: Screen, tmp_path: Path) -> None:
    pane = screen.panes.nth(0)
    red = picture(200, 30, 30)
    pane.locator("input[type=file]").set_input_files({"name": "red.png", "mimeType": "image/png", "buffer": red})
    playwright.expect(pane.locator(".tray img")).to_be_visible()
    screen.say("look")
    screen.expect(f"A picture of {len(red)} bytes: look")
    shown = pane.locator(".mine .bubble img")
    playwright.expect(shown).to_be_visible()
    assert shown.evaluate("image => image.naturalWidth") == 320
    give = """(element, [kind, name, type, data]) => {
        const transfer = new DataTransfer();
        const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
        transfer.items.add(new File([bytes], name, { type }));
        const options = { bubbles: true, cancelable: true, dataTransfer: transfer, clipboardData: transfer };
        element.dispatchEvent(kind === "paste" ? new ClipboardEvent("paste", options) : new DragEvent(kind, options));
    }"""
    data = base64.b64encode(b"dropped notes").decode()
    for kind in ("dragover", "drop"):
        pane.evaluate(give, [kind, "notes.txt", "text/plain", data])
    playwright.expect(pane.locator(".tray figure")).to_contain_text("notes.txt")
    pane.get_by_role("button", name="Send", exact=True).click()
    screen.expect("A document of 13 bytes")
    pane.locator("textarea").evaluate(give, ["paste", "blue.png", "image/png", base64.b64encode(red).decode()])
    pane.get_by_label("as documents").check()
    pane.get_by_role("button", name="Send", exact=True).click()
    screen.expect(f"A document of {len(red)} bytes")
    two = [{"name": f"{n}.png", "mimeType": "image/png", "buffer": red} for n in range(2)]
    pane.locator("input[type=file]").set_input_files(two)
    pane.get_by_role("button", name="Do not send 1.png").click()
    pane.locator("input[type=file]").set_input_files(two[1:])
    pane.get_by_role("button", name="Send", exact=True).click()
    playwright.expect(pane.locator(".album.mine img")).to_have_count(2)


def test_files_of_the_bot_are_shown_or_downloaded(screen: Screen) -> None:
    screen.say("/photo")
    playwright.expect(screen.panes.nth(0).locator(".bubble img")).to_be_visible()
    screen.say("/album")
    album = screen.panes.nth(0).locator(".album")
    playwright.expect(album.locator("img")).to_have_count(3)
    playwright.expect(album).to_contain_text("An album")
    screen.say("/files")
    tiles = screen.panes.nth(0).locator(".file")
    playwright.expect(tiles).to_have_count(4)
    playwright.expect(tiles.nth(3)).to_contain_text("not loaded here")
    with screen.page.expect_download() as waiting:
        tiles.nth(0).click()
    assert waiting.value.suggested_filename == "document.txt"
    assert Path(waiting.value.path()).read_bytes() == b"Some notes\n" * 40


def test_inline_keyboards_are_edited_in_place_and_label_what_is_inert(screen: Screen) -> None:
    screen.say("/count")
    for number in (1, 2, 3):
        screen.panes.nth(0).get_by_role("button", name="+1").click()
        screen.expect(f"count: {number}")
    assert screen.panes.nth(0).locator(".row", has_text="count:").count() == 1
    screen.say("/buttons")
    screen.expect("Sure?")
    playwright.expect(screen.page.get_by_role("button", name="Shop web app")).to_be_disabled()
    site = screen.page.get_by_role("link", name="Site")
    assert (site.get_attribute("href"), site.get_attribute("rel")) == ("https://example.org/", "noopener noreferrer")


def test_reply_keyboards_forced_replies_and_their_end(screen: Screen) -> None:
    pane = screen.panes.nth(0)
    field = pane.locator("textarea")
    screen.say("/colours")
    keys = pane.get_by_role("group", name="Reply keyboard")
    playwright.expect(keys).to_be_visible()
    playwright.expect(keys.get_by_role("button", name="App web app")).to_be_disabled()
    assert field.get_attribute("placeholder") == "Choose a colour"
    keys.get_by_role("button", name="My number").click()
    screen.expect("Number of Ann")
    playwright.expect(keys).to_be_hidden()
    pane.get_by_role("button", name="Show or hide the reply keyboard").click()
    keys.get_by_role("button", name="Red").click()
    screen.expect("Ann said: Red")
    screen.say("/bare")
    screen.expect("Put away")
    playwright.expect(pane.get_by_role("button", name="Show or hide the reply keyboard")).to_be_hidden()
    screen.say("/name")
    playwright.expect(pane.locator(".note")).to_contain_text("Your name?")
    assert field.get_attribute("placeholder") == "A name"
    screen.say("Anna")
    screen.expect("Ann said: Anna")
    playwright.expect(screen.row("Anna", 0).or_(pane.locator(".quote")).first).to_be_visible()
    playwright.expect(pane.locator(".mine .quote")).to_have_text("Your name?")


def test_messages_are_answered_edited_liked_pinned_forwarded_and_deleted(screen: Screen) -> None:
    pane = screen.panes.nth(0)
    screen.say("tea time")
    screen.expect("Ann said: tea time")
    screen.act(pane.locator(".mine", has_text="tea time"), "React with 👍")
    screen.expect("Ann gave 👍")
    chip = pane.locator(".reactions button")
    playwright.expect(chip).to_have_attribute("aria-pressed", "true")
    chip.click()
    screen.expect("Ann gave nothing")
    playwright.expect(chip).to_have_count(0)
    screen.say("/like")
    playwright.expect(chip).to_have_text("🔥")
    screen.act(screen.row("Ann said: tea time"), "Reply")
    screen.say("indeed")
    screen.expect("Ann said: indeed")
    playwright.expect(pane.locator(".mine .quote")).to_have_text("Ann said: tea time")
    pane.locator(".mine .body", has_text="tea time").first.evaluate(
        "(body) => getSelection().setBaseAndExtent(body.firstChild, 0, body.firstChild, 3)"
    )
    row = pane.locator(".mine", has_text="tea time").first
    row.locator(".more").evaluate("(button) => button.click()")
    screen.page.get_by_role("menuitem", name="Reply with this quote").click()
    screen.say("which")
    screen.expect("(about tea)")
    screen.act(pane.locator(".mine", has_text="tea time").first, "Edit")
    screen.say("coffee time")
    screen.expect("Edited to: coffee time")
    screen.act(pane.locator(".mine", has_text="coffee time").first, "Pin")
    playwright.expect(pane.locator(".pinned")).to_contain_text("coffee time")
    playwright.expect(pane.locator(".service")).to_contain_text("Ann pinned")
    screen.act(pane.locator(".mine", has_text="coffee time").first, "Unpin")
    playwright.expect(pane.locator(".pinned")).to_be_hidden()
    screen.say("/pin")
    playwright.expect(pane.locator(".pinned")).to_contain_text("/pin")
    screen.act(pane.locator(".mine", has_text="coffee time").first, "Forward")
    screen.page.get_by_role("dialog").get_by_role("button", name="Ben").click()
    playwright.expect(screen.panes.nth(1).locator(".bubble", has_text="Forwarded from Ann")).to_be_visible()
    screen.act(pane.locator(".mine", has_text="coffee time").first, "Delete")
    playwright.expect(pane.locator(".row.mine", has_text="coffee time").locator(".body")).to_have_count(0)


def test_members_of_a_group_come_speak_and_go(screen: Screen) -> None:
    group = screen.pane("Friends")
    screen.page.get_by_role("button", name="+ Person").click()
    screen.page.get_by_label("Name of the person").press("Enter")
    screen.pane("Cleo")
    group = screen.pane("Friends")
    group.get_by_role("button", name="Members").click()
    dialog = screen.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Add Cleo").click()
    dialog.get_by_role("button", name="Remove Cleo").wait_for()
    dialog.get_by_role("button", name="Done").click()
    playwright.expect(group.locator(".bubble", has_text="Welcome, Cleo")).to_be_visible()
    group.get_by_role("button", name="Cleo", exact=True).click()
    field = group.locator("textarea")
    field.fill("hello")
    playwright.expect(group.locator(".hint")).to_contain_text("privacy mode")
    field.press("Enter")
    playwright.expect(group.locator(".bubble", has_text="Cleo said: hello")).to_be_visible()
    field.press_sequentially("/ru")
    group.get_by_role("option", name="/rules").wait_for()
    field.press("Enter")
    playwright.expect(group.locator(".mine .bubble", has_text="/rules@test_bot")).to_be_visible()
    playwright.expect(group.locator(".bubble", has_text="Be kind.")).to_be_visible()
    row = group.locator(".mine", has_text="hello").first
    screen.act(row, "Reply")
    group.get_by_role("button", name="Ann", exact=True).click()
    field.fill("/ban")
    field.press("Enter")
    playwright.expect(group.get_by_role("button", name="Cleo", exact=True)).to_have_count(0)
    group.get_by_role("button", name="Members").click()
    dialog.get_by_role("button", name="Remove Test Bot").click()
    dialog.get_by_role("button", name="Add Test Bot").wait_for()
    dialog.get_by_role("button", name="Remove Ben").click()
    dialog.get_by_role("button", name="Done").click()
    playwright.expect(group.locator("header p")).to_contain_text("without the bot")
    playwright.expect(group.locator(".service", has_text="Ann removed Ben")).to_be_visible()


def test_a_channel_posts_and_a_blocked_bot_hears_nothing(screen: Screen) -> None:
    screen.page.get_by_role("button", name="+ Channel").click()
    screen.page.get_by_label("Name of the channel").fill("Bulletin")
    screen.page.get_by_label("Name of the channel").press("Enter")
    channel = screen.pane("Bulletin")
    channel.locator("textarea").fill("today")
    channel.locator("textarea").press("Enter")
    playwright.expect(channel.locator(".bubble", has_text="Posted: today")).to_be_visible()
    ann = screen.pane("Ann")
    ann.get_by_role("button", name="Block the bot").click()
    playwright.expect(ann.locator("header p")).to_contain_text("bot blocked")
    ann.get_by_role("button", name="Unblock the bot").click()
    playwright.expect(ann.locator("header p")).not_to_contain_text("bot blocked")


def test_inline_mode_is_typed_chosen_and_edited(screen: Screen) -> None:
    pane = screen.panes.nth(0)
    screen.say("/buttons")
    screen.expect("Sure?")
    pane.get_by_role("button", name="Search inline").click()
    pane.get_by_role("option", name="Green tea").wait_for()
    pane.locator("textarea").press("ArrowDown")
    pane.locator("textarea").press("Enter")
    screen.expect("via @test_bot")
    screen.expect("You chose Black")
    pane.get_by_role("button", name="Change").click()
    screen.expect("Edited in place")
    pane.get_by_role("button", name="Share inline").click()
    screen.page.get_by_role("dialog").get_by_role("button", name="Ben").click()
    screen.panes.nth(1).get_by_role("option", name="Black tea").wait_for()
