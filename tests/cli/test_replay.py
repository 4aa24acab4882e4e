"""`--record` and `--replay`: what came once comes again, and nobody is spoken to by accident."""

import json
import signal
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyruntime.testing import FakeBotApi

if TYPE_CHECKING:
    from tests.conftest import Program

Launch = Callable[..., "Program"]
Write = Callable[[str, str], Path]

NOTING = """
import json
from pyruntime import Bot

bot = Bot()

@bot.on("message:text")
def answer(ctx):
    if ctx.text == "5":
        raise ValueError("five")
    ctx.reply("you said " + ctx.text)
    with open("answers", "a") as file:
        file.write(json.dumps([ctx.chat_id, ctx.text]) + "\\n")
"""


def answers(folder: Path) -> dict[int, list[str]]:
    """Return what was answered in each chat, in order, and forget it."""
    found: dict[int, list[str]] = defaultdict(list)
    for line in (folder / "answers").read_text().splitlines():
        chat_id, text = json.loads(line)
        found[chat_id].append(text)
    (folder / "answers").unlink()
    return found


BUSY = """
import json
from pyruntime import Bot

bot = Bot()
BUTTONS = {"inline_keyboard": [[{"text": "one", "callback_data": "1"}]]}

def note(ctx, what, call, *arguments, **parameters):
    try:
        found = call(*arguments, **parameters)
    except Exception as error:
        found = str(error)
    if isinstance(found, dict):
        found = found.get("message_id") or found.get("status") or found.get("username")
    with open("calls", "a") as file:
        file.write(json.dumps([ctx.chat_id, what, found]) + "\\n")

@bot.on("message:text")
def menu(ctx):
    message_id = ctx.message["message_id"]
    here = {"chat_id": ctx.chat_id}
    reaction = [{"type": "emoji", "emoji": "\\N{THUMBS UP SIGN}"}]
    note(ctx, "send", ctx.reply, "menu", reply_markup=BUTTONS)
    note(ctx, "react", bot.api.set_message_reaction, **here, message_id=message_id, reaction=reaction)
    note(ctx, "forward", bot.api.forward_message, **here, from_chat_id=ctx.chat_id, message_id=message_id)
    note(ctx, "me", bot.api.get_me)
    if ctx.chat["type"] != "private":
        note(ctx, "member", bot.api.get_chat_member, **here, user_id=ctx.from_user["id"])
    if replied := ctx.message.get("reply_to_message"):
        note(ctx, "delete", bot.api.delete_message, **here, message_id=replied["message_id"])

@bot.on("edited_message")
def edited(ctx):
    note(ctx, "edited", ctx.reply, "was edited", reply_parameters={"message_id": ctx.message["message_id"]})

@bot.on("message:photo")
def photo(ctx):
    note(ctx, "photo", bot.api.send_photo, chat_id=ctx.chat_id, photo=ctx.message["photo"][-1]["file_id"])

@bot.on("callback_query")
def pressed(ctx):
    note(ctx, "answer", ctx.answer)
    note(ctx, "edit", ctx.edit, "pressed " + ctx.callback_query["data"])
    note(ctx, "too late", bot.api.answer_callback_query, callback_query_id="5")

@bot.on("inline_query")
def asked(ctx):
    note(ctx, "inline", ctx.answer, [])

@bot.on("my_chat_member")
def left(ctx):
    note(ctx, "farewell", bot.api.send_message, chat_id=ctx.chat_id, text="was it me?")
"""


@pytest.fixture
def recorded(api: FakeBotApi, write: Write, launch: Launch, tmp_path: Path) -> tuple[Path, dict[int, list[str]]]:
    """Run a bot for real, record it, kill it at the end; return the recording and what was answered."""
    write("noting.py", NOTING)
    program = launch("-m", "runner_c", "noting", "--record", "updates.jsonl", BOT_TOKEN=api.token, BOT_API_ROOT=api.url)
    for number in range(100):
        api.chat(number % 4 + 1).send(str(number))
    api.wait_for("sendMessage", 99, timeout_s=30)
    path = tmp_path / "updates.jsonl"
    while path.read_bytes().count(b"\n") < 100:  # a second at the most
        assert program.process.poll() is None
    program.send(signal.SIGKILL)
    program.wait()
    return path, answers(tmp_path)


@pytest.mark.parametrize("speed", ["max", "10"])
def test_a_recorded_run_is_replayed_with_the_same_answers_and_nobody_hears_them(
    recorded: tuple[Path, dict[int, list[str]]], launch: Launch, api: FakeBotApi, tmp_path: Path, speed: str
) -> None:
    calls = len(api.calls)
    program = launch("-m", "runner_c", "noting", "--replay", "updates.jsonl", "--replay-speed", speed)
    assert program.wait() == 0
    assert answers(tmp_path) == recorded[1]
    assert len(api.calls) == calls
    assert "calls go to a fake server in this process" in program.err
    assert "replayed 100 updates: 100 handled, 1 failed, 0 seen before, 0 damaged lines, 100 calls" in program.err
    assert "store none" in program.err


def noted(folder: Path) -> dict[int | None, list[Any]]:
    """Return what came of the bot's calls, by chat and in order, and forget it."""
    found: dict[int | None, list[Any]] = defaultdict(list)
    for line in (folder / "calls").read_text().splitlines():
        chat_id, *call = json.loads(line)
        found[chat_id].append(call)
    (folder / "calls").unlink()
    return found


@pytest.mark.parametrize("options", [(), ("--playground", ":0")])
def test_a_replayed_bot_can_do_with_each_update_what_it_could_then(
    write: Write, launch: Launch, api: FakeBotApi, tmp_path: Path, options: tuple[str, ...]
) -> None:
    write("busy.py", BUSY)
    api.world.bot_user["username"] = "busy_bot"
    program = launch("-m", "runner_c", "busy", "--record", "updates.jsonl", BOT_TOKEN=api.token, BOT_API_ROOT=api.url)
    ann, group = api.chat(41, user=41), api.chat(-7, members=[51, 52])
    for chat, user in ((ann, 41), (group, 51), (group, 52)):
        chat.send("hello", user=user)
        first = chat.reply()
        chat.press("1", user=user).answer()
        assert chat.next_edit()["text"] == "pressed 1"
        chat.reply()  # the forwarded message
        second = chat.send("away with it", reply_to=first, user=user)
        chat.wait_until_deleted(first)
        chat.edit(second, "with which")
        while chat.reply()["text"] != "was edited":
            pass
        chat.send_file(b"\xff\xd8\xff\xe0 a picture", user=user)
        chat.reply()
    ann.inline_query("x").answer()
    group.remove_bot()
    api.wait_until_confirmed()
    assert program.stop() == 0
    then = noted(tmp_path)
    assert then[-7][-1][0] == "farewell"
    assert "bot was kicked from the supergroup chat" in then[-7][-1][1]
    assert ["me", "busy_bot"] in then[41]
    calls = len(api.calls)
    for speed in ("max", "3"):
        program = launch("-m", "runner_c", "busy", "--replay", "updates.jsonl", "--replay-speed", speed, *options)
        assert program.wait() == 0, program.err
        assert noted(tmp_path) == then
    assert len(api.calls) == calls


def test_an_update_that_the_fake_server_cannot_learn_is_handled_all_the_same(
    write: Write, launch: Launch, tmp_path: Path
) -> None:
    write("noting.py", NOTING)
    chats: list[dict[str, Any]] = [{"id": 9, "user": 4, "members": 3}, {"id": -12, "type": "group", "self": 1}]
    contents = [
        {"message_id": 5, "date": 1, "chat": chat, "from": {"id": sender}, "text": "x"}
        for chat in chats
        for sender in ([1], {}, "y", 7)
    ]
    rows = [{"at": 1, "update": {"update_id": number, "message": each}} for number, each in enumerate(contents)]
    write("updates.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    program = launch("-m", "runner_c", "noting", "--replay", "updates.jsonl")
    assert program.wait() == 0
    assert "replayed 8 updates: 8 handled, 0 failed" in program.err
    assert "Traceback" not in program.err


def test_a_target_whose_calls_cannot_be_redirected_is_told(write: Write, launch: Launch) -> None:
    write(
        "plain.py",
        "class Bot:\n    def get_updates(self, **_): return []\n    def handle_update(self, u): pass\nbot = Bot()\n",
    )
    write("updates.jsonl", '{"update_id": 1}\n')
    program = launch("-m", "runner_c", "plain", "--replay", "updates.jsonl")
    assert program.wait() == 0
    assert "its own calls go where it sends them" in program.err


def test_an_option_that_means_nothing_here_is_told(recorded: tuple[Path, Any], launch: Launch, api: FakeBotApi) -> None:
    program = launch(
        *("-m", "runner_c", "noting", "--replay", "updates.jsonl", "--replay-speed", "max", "--listen", ":8080")
    )
    assert program.wait() == 0
    assert "--listen is not read without --webhook" in program.err
    program = launch("-m", "runner_c", "noting", "--replay-speed", "2", "--check")
    assert program.wait() == 0
    assert "--replay-speed is not read without --replay" in program.err


def test_a_token_and_a_server_in_the_environment_are_not_used_by_a_replay(
    recorded: tuple[Path, dict[int, list[str]]], launch: Launch, api: FakeBotApi
) -> None:
    calls = len(api.calls)
    variables = {"BOT_TOKEN": api.token, "BOT_API_ROOT": api.url, "RUNNER_REPLAY_SPEED": "max"}
    program = launch("-m", "runner_c", "noting", "--replay", "updates.jsonl", **variables)
    assert program.wait() == 0
    assert len(api.calls) == calls


def test_a_replay_speaks_to_a_real_server_if_the_command_line_says_so(
    recorded: tuple[Path, dict[int, list[str]]], launch: Launch, api: FakeBotApi
) -> None:
    api.clear_calls()
    options = ("--replay", "updates.jsonl", "--replay-speed", "max", "--api-root", api.url)
    program = launch("-m", "runner_c", "noting", *options, BOT_TOKEN=api.token)
    assert program.wait() == 0
    assert len(api.calls_of("sendMessage")) == 99
    assert "calls go to the server of --api-root" in program.err


def test_a_replay_is_stopped_like_any_run(write: Write, launch: Launch) -> None:
    write(
        "noting.py",
        NOTING + '\n@bot.use\ndef tell(ctx, next):\n    import sys\n    print("answered", file=sys.stderr)\n',
    )
    rows = [{"at": at, "update": {"update_id": at, "message": {"chat": {"id": 1}}}} for at in (1, 100_000)]
    write("updates.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    program = launch("-m", "runner_c", "noting", "--replay", "updates.jsonl")
    program.wait_for("answered")
    assert program.stop() == 0
    assert "replayed 1 updates: 1 handled" in program.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--replay", "nothing.jsonl"], "nothing.jsonl: No such file or directory"),
        (["--replay", "shop.py"], "shop.py holds no updates"),
        (["--replay", "shop.py", "--replay-speed", "0"], "expects a factor above 0"),
        (["--replay", "shop.py", "--webhook", "https://example.org/x"], "keep one"),
        (["--record", "not/there.jsonl"], "record: cannot write"),
        (["--record", "shop.py"], "is no recording: name another file"),
        (["--replay", "shop.py", "--record", "./shop.py"], "name another file"),
    ],
)
def test_a_bad_option_is_a_clear_error(write: Write, launch: Launch, options: list[str], said: str) -> None:
    write("shop.py", NOTING)
    variables: dict[str, Any] = {"BOT_TOKEN": "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"}
    program = launch("-m", "runner_c", "shop", *options, **variables)
    assert program.wait() == 2
    assert said in program.err
    assert "Traceback" not in program.err
