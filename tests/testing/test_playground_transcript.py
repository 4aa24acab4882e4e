"""A conversation in the playground, saved as a test and run by pytest, and saved as updates."""

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyruntime.testing import Playground
from runner_c import run
from tests.testing.playground_bot import picture
from tests.testing.playground_client import PageClient

ROOT = Path(__file__).resolve().parents[2]
BOT = '''
"""A bot with a keyboard, edits, files, members, inline mode and a counter in a session."""

from pyruntime import Bot, session

bot = Bot()
bot.use(session(initial=lambda: {"count": 0}))
BUTTONS = {"inline_keyboard": [[{"text": "+1", "callback_data": "add"}, {"text": "drop", "callback_data": "drop"}]]}


@bot.command("start")
def start(ctx):
    keyboard = {"keyboard": [["Red", "Blue"]], "resize_keyboard": True}
    ctx.reply("Hello 'you' and \\"me\\"\\n" + "a long line " * 10, reply_markup=keyboard)


@bot.command("count")
def count(ctx):
    ctx.reply(f"count: {ctx.session['count']}", reply_markup=BUTTONS)


@bot.callback_query("add")
def add(ctx):
    ctx.session["count"] += 1
    ctx.answer(f"now {ctx.session['count']}")
    ctx.edit(f"count: {ctx.session['count']}", reply_markup=BUTTONS)


@bot.callback_query("drop")
def drop(ctx):
    ctx.answer()
    ctx.delete()


@bot.on("inline_query")
def inline(ctx):
    content = {"message_text": "chosen"}
    result = {"type": "article", "id": "a", "title": "A", "input_message_content": content}
    ctx.api.answer_inline_query(inline_query_id=ctx.update["inline_query"]["id"], results=[result])


@bot.on("message_reaction")
def reaction(ctx):
    change = ctx.update["message_reaction"]
    ctx.api.set_message_reaction(
        chat_id=change["chat"]["id"], message_id=change["message_id"], reaction=change["new_reaction"]
    )


@bot.on("edited_message")
def edited(ctx):
    text = ctx.update["edited_message"]["text"]
    ctx.api.send_message(chat_id=ctx.chat_id, text=f"edited: {text}")


@bot.on("message")
def message(ctx):
    got = ctx.update["message"]
    if "new_chat_members" in got:
        names = [user["first_name"] for user in got["new_chat_members"]]
        ctx.reply(f"welcome {names}")
    elif "left_chat_member" in got:
        ctx.reply(f"bye {got['left_chat_member']['first_name']}")
    elif "photo" in got or "document" in got:
        file = got["photo"][-1] if "photo" in got else got["document"]
        path = ctx.api.get_file(file_id=file["file_id"])["file_path"]
        ctx.reply(f"{file['file_size']} bytes at {'files/' in path}, {got.get('caption')}")
    elif got["text"] == "pin":
        ctx.api.pin_chat_message(chat_id=ctx.chat_id, message_id=got["message_id"])
    elif got["text"] == "note":
        address = {"chat_id": ctx.chat_id, "reply_parameters": {"message_id": got["message_id"]}}
        ctx.api.send_document(**address, document=b"some notes", caption="notes")
    else:
        ctx.session["count"] += 1
        ctx.reply(f"{ctx.session['count']}: {got['text']}")
'''
CONFTEST = """
def pytest_configure(config):
    loaded = {getattr(plugin, "__name__", "") for plugin in config.pluginmanager.get_plugins()}
    if "pyruntime.testing.plugin" not in loaded:
        config.pluginmanager.import_plugin("pyruntime.testing.plugin")
"""


@pytest.fixture
def shop(tmp_path: Path) -> Any:
    """Return the bot of this file, loaded from a file as a user's is."""
    (tmp_path / "shop.py").write_text(BOT, encoding="utf-8")
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    space: dict[str, Any] = {"__name__": "shop_here"}
    exec(compile(BOT, "shop.py", "exec"), space)
    return space["bot"]


@pytest.fixture
def start(playground: Playground) -> Iterator[Callable[[Any], None]]:
    """Return a function that runs a bot on the playground."""
    handles: list[Any] = []

    def begin(bot: Any) -> None:
        bot.configure(token=playground.token, api_root=playground.api_root)
        handles.append(run(bot))
        playground.server.wait_until_polled()

    yield begin
    playground.server.answer_polls_at_once()
    for handle in handles:
        handle.stop(timeout_s=10)


def save(page: PageClient, folder: Path, target: str) -> str:
    status, headers, body = page.ask("GET", f"/playground/transcript?format=py&target={target}")
    assert status == 200, body
    assert headers["Content-Disposition"] == 'attachment; filename="test_conversation.py"'
    (folder / "test_conversation.py").write_bytes(body)
    return body.decode()


def replay(folder: Path, count: int = 1) -> str:
    """Run the saved test `count` times in one run of pytest, and return what it printed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    done = subprocess.run(
        [*command, *["test_conversation.py"] * count, "--keep-duplicates"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def said(playground: Playground, chat_id: int, count: int) -> Any:
    """Wait until the bot has sent `count` messages to a chat in all, and return the last one."""
    chat = playground.server.chat(chat_id)
    sent = playground.server.wait_for(lambda call: call.chat_id == chat_id and call.method.startswith("send"), count)
    return chat.find(sent[-1].result["message_id"])


def wait_for(playground: Playground, method: str, count: int = 1) -> None:
    playground.server.wait_for(lambda call: call.method == method and call.status == 200, count)


def test_a_conversation_of_every_kind_is_saved_as_a_test_that_passes(
    playground: Playground, page: PageClient, shop: Any, start: Callable[[Any], None], tmp_path: Path
) -> None:
    start(shop)
    page.do("send", chat_id=1001, text="/start")
    said(playground, 1001, 1)
    page.do("send", chat_id=1001, text="/count")
    counter = said(playground, 1001, 2)
    for number in (1, 2):
        page.do("press", chat_id=1001, message_id=counter.id, data="add")
        wait_for(playground, "editMessageText", number)
    first = page.do("send", chat_id=1001, text="frist")["message_id"]
    said(playground, 1001, 3)
    page.do("edit", chat_id=1001, message_id=first, text="first")
    said(playground, 1001, 4)
    page.do("send", chat_id=1001, text="note", reply_to=first, quote="fir")
    said(playground, 1001, 5)
    picture_sent = {"name": "red.png", "type": "image/png", "base64": base64.b64encode(picture(9, 0, 0)).decode()}
    text_sent = {"name": "a.txt", "type": "text/plain", "base64": base64.b64encode(b"some text").decode()}
    page.do("send", chat_id=1001, files=[picture_sent], text="a picture")
    said(playground, 1001, 6)
    page.do("send", chat_id=1001, files=[text_sent, {**picture_sent, "as_document": True}], text="two")
    said(playground, 1001, 8)
    page.do("react", chat_id=1001, message_id=counter.id, emoji=["👍"])
    wait_for(playground, "setMessageReaction")
    page.do("send", chat_id=1001, text="pin")
    wait_for(playground, "pinChatMessage")
    page.do("press", chat_id=1001, message_id=counter.id, data="drop")
    wait_for(playground, "deleteMessage")
    page.do("unsend", chat_id=1001, message_id=first)
    group = page.do("chat", type="group", name="Tea & cake")["id"]
    said(playground, group, 1)
    page.do("send", chat_id=group, user_id=1002, text="hi all")
    said(playground, group, 2)
    page.do("chat", type="private", name="Zoë")
    page.do("member", chat_id=group, user_id=1003)
    said(playground, group, 3)
    page.do("member", chat_id=group, user_id=1003, is_member=False, by=1001)
    said(playground, group, 4)
    asked = page.do("inline", chat_id=1002, query="x")["id"]
    wait_for(playground, "answerInlineQuery")
    page.do("choose", chat_id=1002, query_id=asked, result_id="a")
    said(playground, 1002, 1)
    page.do("fault", kind="error", method="sendMessage", times=2, code=502)
    page.do("send", chat_id=1002, text="in spite of faults")
    said(playground, 1002, 4)
    source = save(page, tmp_path, "shop:bot")
    assert playground.token not in source
    assert "cannot be replayed" not in source
    assert "is older than" not in source
    for part in ("send_file", ".press(", ".next_edit()", ".edit(", "wait_until_deleted", ".react(", ".next_reaction()"):
        assert part in source, part
    for part in ("add_member", "remove_member", "inline_query", ".choose(", "bot_api.fault", ".unsend(", "wait_for"):
        assert part in source, part
    compile(source, "test_conversation.py", "exec")
    assert "1 passed" in replay(tmp_path)
    (tmp_path / "test_conversation.py").write_text(source.replace("count: 2", "count: 3"), encoding="utf-8")
    with pytest.raises(AssertionError, match="count: 3"):
        replay(tmp_path)


def test_chats_at_the_same_time_are_replayed_in_the_order_of_each(
    playground: Playground, page: PageClient, shop: Any, start: Callable[[Any], None], tmp_path: Path
) -> None:
    start(shop)
    chats = [1001, 1002, *(page.do("chat", type="private")["id"] for _ in range(4))]

    def talk(chat_id: int) -> None:
        client = PageClient(playground)
        for number in range(8):
            client.do("send", chat_id=chat_id, text=f"word {number}")
        client.close()

    threads = [threading.Thread(target=talk, args=(chat_id,)) for chat_id in chats]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for chat_id in chats:
        assert said(playground, chat_id, 8).text == "8: word 7"
    source = save(page, tmp_path, "shop.py:bot")
    assert source.count(".reply()") == 48
    assert "3 passed" in replay(tmp_path, count=3)


@pytest.mark.parametrize("name", ["echo", "counter"])
def test_examples_are_talked_to_and_the_saved_test_passes(
    playground: Playground, page: PageClient, start: Callable[[Any], None], tmp_path: Path, name: str
) -> None:
    module = __import__(f"examples.{name}", fromlist=["bot"])
    module.bot.forget_sessions()
    start(module.bot)
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    page.do("send", chat_id=1001, text="/start")
    said(playground, 1001, 1)
    page.do("send", chat_id=1002, text="hello")
    said(playground, 1002, 1)
    save(page, tmp_path, f"examples.{name}:bot")
    assert "1 passed" in replay(tmp_path)


def test_what_is_older_than_the_recording_is_said_and_left_out(playground: Playground, page: PageClient) -> None:
    old = page.do("send", chat_id=1001, text="old")["message_id"]
    page.do("forget")
    page.do("edit", chat_id=1001, message_id=old, text="older")
    source = page.ask("GET", "/playground/transcript?target=shop:bot")[2].decode()
    assert "# A message was edited here which is older than the recording." in source
    assert ".edit(" not in source


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("bot", "from bot import bot"),
        ("shop.cart:app", "from shop.cart import app as bot"),
        ("shop:create_bot", "bot = create_bot()"),
        ("src/shop.py:app", "bot = module.app"),
        ("src/shop.py", "bot = module.bot"),
    ],
)
def test_the_bot_is_imported_as_its_target_says(page: PageClient, target: str, line: str) -> None:
    source = page.ask("GET", f"/playground/transcript?target={target}")[2].decode()
    assert line in source.splitlines()
    compile(source, "x.py", "exec")


@pytest.mark.parametrize("target", ["a+b", "shop:2", "no such thing", "shop:a.b"])
def test_a_target_that_is_no_name_is_refused(page: PageClient, target: str) -> None:
    status, _, body = page.ask("GET", f"/playground/transcript?target={target.replace(' ', '%20').replace('+', '%2B')}")
    assert status == 400
    assert "give the bot as module:bot" in json.loads(body)["description"]


def test_what_people_say_cannot_break_out_of_the_saved_test(page: PageClient, playground: Playground) -> None:
    nasty = ['"""', "\\", "'\"", "\n\nimport os", "{}", "\u2028", playground.token, "# x\r", "\ud83d\ude00"]
    for text in nasty:
        page.do("send", chat_id=1001, text=text)
    page.do("chat", type="group", name='x" * 9 + "\n)')
    page.do("send", chat_id=-1002, text="hi")
    source = page.ask("GET", "/playground/transcript")[2].decode()
    compile(source, "x.py", "exec")
    assert playground.token not in source
    assert "import os" not in source.splitlines()


def test_the_updates_are_saved_one_a_line(page: PageClient, playground: Playground) -> None:
    for text in ("one", "two\nlines", "é😀"):
        page.do("send", chat_id=1001, text=text)
    status, headers, body = page.ask("GET", "/playground/transcript?format=jsonl")
    assert (status, headers["Content-Disposition"]) == (200, 'attachment; filename="updates.jsonl"')
    updates = [json.loads(line) for line in body.splitlines()]
    assert [update["message"]["text"] for update in updates] == ["one", "two\nlines", "é😀"]
    assert [update["update_id"] for update in updates] == [
        update["update_id"] for update in playground.server.pending()
    ]
