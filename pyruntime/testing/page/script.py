"""Write a recorded conversation as a pytest test that replays what the users did and asserts what the bot answered.

Guarantees: the test does the users' deeds in their order, and waits for each answer of the bot where it came in the
recording; answers are asserted chat by chat in their order, so it does not matter which of several chats is served
first. No message is named by its number, which depends on timing: each is named by what it is.
Assumes: the bot answers the same to the same; texts with a time or a random number in them have to be loosened by hand.
"""

import keyword
import re
import textwrap
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, Final

import ujson

from pyruntime.testing.body import UploadedFile
from pyruntime.testing.deed import Deed
from pyruntime.testing.message import Message
from pyruntime.testing.page.assertion import FILE_KINDS, assert_lines, checks_of
from pyruntime.testing.page.literal import file_literal, is_short, is_shown_otherwise, literal, long_literal, quoted
from pyruntime.testing.page.recorder import Recorder

_TAKEN: Final = re.compile(
    r"(?:bot|bot_api|run_bot|create_bot|base64|spec|module|sys|importlib|call|(?:reply|sent|press|asked|edit)_\d+)\Z"
)
_FIELDS_SENT: Final = ("contact", "location", "quote", "message_thread_id", "media_group_id", "forward_origin")


class UnknownTarget(ValueError):
    """Say that the bot cannot be imported by the name given."""


def write_script(recorder: Recorder, files: dict[str, UploadedFile], target: str) -> str:
    """Return the source of a test file for the bot `target`: `module[:attribute]` or `path/to/file.py[:attribute]`.

    Raises: UnknownTarget if `target` is neither.
    """
    head = _import_lines(target)
    writer = _Writer(recorder, files)
    body = "\n".join(writer.lines())
    imports = ["import base64"] if writer.contents else []
    if "importlib" in "".join(head):
        imports += ["import importlib.util", "import sys"]
    parts = ['"""Replay a conversation that was recorded in the playground."""', ""]
    parts += [*imports, ""] if imports else []
    parts += head
    for name, content in writer.contents.values():
        parts += ["", f"{name} = {content}"]
    parts += ["", "", "def test_conversation(bot_api, run_bot):"]
    parts.append('    """Do what the users did, and expect what the bot answered."""')
    return "\n".join(parts) + "\n" + textwrap.indent(body, "    ") + "\n"


def _import_lines(target: str) -> list[str]:
    place, colon, attribute = target.strip().rpartition(":")
    if not colon or attribute.endswith(".py") or "/" in attribute:
        place, attribute = target.strip(), "bot"
    if not attribute.isidentifier():
        raise UnknownTarget(f"{attribute!r} is no name: give the bot as module:bot or path/to/file.py:bot")
    made = "bot = create_bot()" if attribute == "create_bot" else ""
    if place.endswith(".py"):
        name = PurePath(place).stem
        lines = [
            f"spec = importlib.util.spec_from_file_location({quoted(name)}, {quoted(place)})",
            "module = importlib.util.module_from_spec(spec)",
            f"sys.modules[{quoted(name)}] = module",
            "spec.loader.exec_module(module)",
        ]
        return [*lines, f"bot = module.{attribute}()" if made else f"bot = module.{attribute}"]
    if not all(part.isidentifier() for part in place.split(".")):
        raise UnknownTarget(f"{place!r} is no module: give the bot as module:bot or path/to/file.py:bot")
    if made:
        return [f"from {place} import create_bot", "", made]
    return [f"from {place} import {attribute}" + ("" if attribute == "bot" else " as bot")]


class _Writer:
    """Turn deeds into lines."""

    def __init__(self, recorder: Recorder, files: dict[str, UploadedFile]) -> None:
        self._deeds = recorder.deeds
        self._is_whole = not recorder.is_full
        self._beginnings = recorder.beginnings
        self._files = files
        self._chats: dict[int, str] = {}
        self._messages: dict[tuple[int, int], str] = {}
        self._queries: dict[str, str] = {}
        self._members = {
            chat_id: {user["id"] for user in (beginning["user"], *beginning["members"])}
            for chat_id, beginning in recorder.beginnings.items()
        }
        self.contents: dict[bytes, tuple[str, str]] = {}
        self._wanted = set(self._references())
        self._count = 0

    def lines(self) -> Iterator[str]:
        """Yield the lines of the test."""
        yield from self._chat_lines()
        yield "run_bot(bot)"
        if not self._deeds:
            yield "# Nothing was said yet."
        speaker = None
        for deed in self._deeds:
            if deed.by != "bot" and speaker == "bot":
                yield ""
            speaker = deed.by
            write = getattr(self, f"_{deed.by}_{deed.kind}", None)
            if write is None:
                yield f"# {deed.kind}: this cannot be replayed."
            else:
                yield from write(deed)
        if not self._is_whole:
            yield "# The conversation went on, but the recording was full."

    def _references(self) -> Iterator[tuple[int, int]]:
        """Yield chat and number of each message that a later line has to name."""
        for deed in self._deeds:
            message = deed.fields.get("message")
            if isinstance(message, Message):
                if deed.kind == "edit":
                    yield deed.chat_id, message.id
                if message.reply_to_message:
                    yield deed.chat_id, message.reply_to_message["message_id"]
            elif "message_id" in deed.fields:
                yield deed.chat_id, deed.fields["message_id"]

    def _chat_lines(self) -> Iterator[str]:
        for chat_id, beginning in self._beginnings.items():
            user = beginning["user"]
            name = self._chats[chat_id] = self._new_name(beginning["title"] or user["first_name"])
            if beginning["type"] == "private":
                yield f"{name} = bot_api.chat({chat_id}, user={_user(user)})"
                continue
            yield f"{name} = bot_api.chat("
            yield f"    {chat_id},"
            yield f"    {quoted(beginning['type'])},"
            yield f"    title={quoted(beginning['title'] or '')},"
            yield f"    user={_user(user)},"
            if beginning["members"]:
                yield "    members=["
                yield from (f"        {_user(member)}," for member in beginning["members"])
                yield "    ],"
            yield ")"

    def _new_name(self, text: str) -> str:
        slug = re.sub(r"\W+", "_", text.lower(), flags=re.ASCII).strip("_") or "chat"
        if not slug.isidentifier() or keyword.iskeyword(slug) or _TAKEN.match(slug):
            slug = f"chat_{slug}"
        name, number = slug, 2
        while name in self._chats.values():
            name, number = f"{slug}_{number}", number + 1
        return name

    def _name(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count}"

    def _naming(self, deed: Deed, message: Message, prefix: str) -> str:
        """Return `name = ` if a later line needs the message, else nothing."""
        key = (deed.chat_id, message.id)
        if key not in self._wanted:
            return ""
        name = self._messages[key] = self._name(prefix)
        return f"{name} = "

    def _known(self, deed: Deed, message_id: int) -> str | None:
        return self._messages.get((deed.chat_id, message_id))

    def _as_user(self, deed: Deed, user: dict[str, Any], name: str = "user") -> str:
        own = self._beginnings[deed.chat_id]["user"]
        return "" if user["id"] == own["id"] else f", {name}={self._person(deed, user)}"

    def _person(self, deed: Deed, user: dict[str, Any]) -> str:
        """Return how a user is named: a member by the id, another in full."""
        return str(user["id"]) if user["id"] in self._members[deed.chat_id] else _user(user)

    def _content(self, file: UploadedFile) -> str:
        """Return an expression for what is in a file: a name at the head of the test if it is long."""
        if is_short(file):
            return file_literal(file)
        if file.data not in self.contents:
            self.contents[file.data] = (f"FILE_{len(self.contents) + 1}", file_literal(file))
        return self.contents[file.data][0]

    # What users did

    def _user_send(self, deed: Deed) -> Iterator[str]:
        message: Message = deed.fields["message"]
        chat = self._chats[deed.chat_id]
        options = ""
        if message.reply_to_message:
            name = self._known(deed, message.reply_to_message["message_id"])
            if name is not None:
                options += f", reply_to={name}"
        for field in _FIELDS_SENT:
            if field in message:
                options += f", {field}={literal(message[field])}"
        if "from" in message:
            options += self._as_user(deed, message["from"])
        naming = self._naming(deed, message, "sent")
        kind = next((kind for kind in FILE_KINDS if kind in message), None)
        if kind is None:
            call = f"{chat}.send({quoted(message.text)}{options})" if message.text else f"{chat}.send({options[2:]})"
            yield f"{naming}{call}"
            return
        described = message["photo"][-1] if kind == "photo" else message[kind]
        file = self._files.get(described["file_id"])
        if file is None:
            yield f"# A file of the kind {kind} was sent here, which is not there any more."
            return
        if message.caption:
            options = f", caption={quoted(message.caption)}{options}"
        if kind == "document" and "animation" not in message and is_shown_otherwise(file):
            options = f", as_document=True{options}"
        what = f"{self._content(file)}, {quoted(file.name)}, {quoted(file.content_type)}"
        yield f"{naming}{chat}.send_file({what}{options})"

    def _user_edit(self, deed: Deed) -> Iterator[str]:
        message: Message = deed.fields["message"]
        text = message.text or message.caption or ""
        yield from self._on_known(deed, message.id, f".edit({{}}, {quoted(text)})", "A message was edited")

    def _user_unsend(self, deed: Deed) -> Iterator[str]:
        yield from self._on_known(deed, deed.fields["message_id"], ".unsend({})", "A message was deleted")

    def _user_pin(self, deed: Deed) -> Iterator[str]:
        yield from self._on_known(deed, deed.fields["message_id"], ".pin({})", "A message was pinned")

    def _user_unpin(self, deed: Deed) -> Iterator[str]:
        yield from self._on_known(deed, deed.fields["message_id"], ".unpin({})", "A message was unpinned")

    def _user_react(self, deed: Deed) -> Iterator[str]:
        emoji = "".join(f", {quoted(each)}" for each in deed.fields["emoji"])
        call = f".react({{}}{emoji}{self._as_user(deed, deed.fields['user'])})"
        yield from self._on_known(deed, deed.fields["message_id"], call, "A reaction was given")

    def _user_press(self, deed: Deed) -> Iterator[str]:
        query = self._queries[deed.fields["query_id"]] = self._name("press")
        call = f".press({quoted(deed.fields['data'])}, {{}}{self._as_user(deed, deed.fields['user'])})"
        lines = list(self._on_known(deed, deed.fields["message_id"], call, "A button was pressed"))
        if lines[0].startswith("#"):
            del self._queries[deed.fields["query_id"]]
            yield from lines
        else:
            yield f"{query} = {lines[0]}"

    def _on_known(self, deed: Deed, message_id: int, call: str, what: str) -> Iterator[str]:
        name = self._known(deed, message_id)
        if name is None:
            yield f"# {what} here which is older than the recording."
        else:
            before, _, after = call.partition("{}")
            yield f"{self._chats[deed.chat_id]}{before}{name}{after}"

    def _user_join(self, deed: Deed) -> Iterator[str]:
        user, actor = deed.fields["user"], deed.fields["actor"]
        by = "" if user["id"] == actor["id"] else f", by={self._person(deed, actor)}"
        yield f"{self._chats[deed.chat_id]}.add_member({_user(user)}{by})"
        self._members[deed.chat_id].add(user["id"])

    def _user_leave(self, deed: Deed) -> Iterator[str]:
        user, actor = deed.fields["user"], deed.fields["actor"]
        by = "" if user["id"] == actor["id"] else f", by={self._person(deed, actor)}"
        yield f"{self._chats[deed.chat_id]}.remove_member({user['id']}{by})"
        self._members[deed.chat_id].discard(user["id"])

    def _user_bot_join(self, deed: Deed) -> Iterator[str]:
        yield f"{self._chats[deed.chat_id]}.add_bot({self._as_user(deed, deed.fields['actor'], 'by')[2:]})"

    def _user_bot_leave(self, deed: Deed) -> Iterator[str]:
        yield f"{self._chats[deed.chat_id]}.remove_bot({self._as_user(deed, deed.fields['actor'], 'by')[2:]})"

    def _user_block(self, deed: Deed) -> Iterator[str]:
        yield f"{self._chats[deed.chat_id]}.block({'' if deed.fields['is_blocked'] else 'False'})"

    def _user_inline(self, deed: Deed) -> Iterator[str]:
        name = self._queries[deed.fields["query_id"]] = self._name("asked")
        offset = f", offset={quoted(deed.fields['offset'])}" if deed.fields["offset"] else ""
        user = self._as_user(deed, deed.fields["user"])
        yield f"{name} = {self._chats[deed.chat_id]}.inline_query({quoted(deed.fields['query'])}{offset}{user})"

    def _user_choose(self, deed: Deed) -> Iterator[str]:
        name = self._queries.get(deed.fields["query_id"])
        if name is None:
            yield "# A result of an inline query was chosen here which is older than the recording."
            return
        naming = self._naming(deed, deed.fields["message"], "sent")
        user = self._as_user(deed, deed.fields["user"])
        yield f"{naming}{self._chats[deed.chat_id]}.choose({name}, {quoted(deed.fields['result_id'])}{user})"

    def _user_push(self, deed: Deed) -> Iterator[str]:
        yield f"bot_api.push({literal(deed.fields['update'])})"

    # What was wrong with the network

    def _network_fault(self, deed: Deed) -> Iterator[str]:
        given = {name: value for name, value in deed.fields.items() if value is not None or name == "times"}
        yield f"bot_api.fault({', '.join(f'{name}={literal(value)}' for name, value in given.items())})"

    def _network_clear_faults(self, deed: Deed) -> Iterator[str]:
        yield "bot_api.clear_faults()"

    def _network_latency(self, deed: Deed) -> Iterator[str]:
        yield f"bot_api.latency_s = {deed.fields['latency_s']!r}"

    # What the bot did

    def _bot_message(self, deed: Deed) -> Iterator[str]:
        message: Message = deed.fields["message"]
        yield from self._asserted(deed, message, f"{self._chats[deed.chat_id]}.reply()", "reply")

    def _bot_edit(self, deed: Deed) -> Iterator[str]:
        message: Message = deed.fields["message"]
        original = self._known(deed, message.id)
        checks = checks_of(message)
        if original is not None:
            checks.append(("id", f"{original}.id"))
        yield from assert_lines(f"{self._chats[deed.chat_id]}.next_edit()", checks, lambda: self._name("edit"))

    def _asserted(self, deed: Deed, message: Message, call: str, prefix: str) -> Iterator[str]:
        checks = checks_of(message)
        if message.reply_to_message:
            replied = self._known(deed, message.reply_to_message["message_id"])
            if replied is not None:
                checks.append(('reply_to_message["message_id"]', f"{replied}.id"))
        if (deed.chat_id, message.id) in self._wanted:
            name = self._messages[deed.chat_id, message.id] = self._name(prefix)
            yield f"{name} = {call}"
            yield from assert_lines(name, checks, lambda: name)
        else:
            yield from assert_lines(call, checks, lambda: self._name(prefix))

    def _bot_delete(self, deed: Deed) -> Iterator[str]:
        message_id = deed.fields["message_id"]
        yield from self._on_known(deed, message_id, ".wait_until_deleted({})", "A message was deleted by the bot")

    def _bot_reaction(self, deed: Deed) -> Iterator[str]:
        chat, name = self._chats[deed.chat_id], self._known(deed, deed.fields["message_id"])
        emoji = literal(deed.fields["emoji"])
        if name is None:
            yield f'assert {chat}.next_reaction()["emoji"] == {emoji}'
        else:
            yield f'assert {chat}.next_reaction() == {{"message_id": {name}.id, "emoji": {emoji}}}'

    def _bot_answer(self, deed: Deed) -> Iterator[str]:
        name = self._queries.get(deed.fields["query_id"])
        if name is None:
            return
        parameters = deed.fields["parameters"]
        if "results" in parameters:
            results = parameters["results"]
            results = ujson.loads(results) if isinstance(results, str) else results
            ids = [str(each.get("id")) for each in results]
            yield f'assert [result["id"] for result in {name}.results()] == {literal(ids)}'
        elif parameters.get("text"):
            yield f'assert {name}.answer()["text"] == {long_literal(str(parameters["text"]))}'
        else:
            yield f"{name}.answer()"

    def _bot_call(self, deed: Deed) -> Iterator[str]:
        method, chat, number = deed.fields["method"], deed.fields["chat"], deed.fields["number"]
        test = f"call.method == {quoted(method)} and call.chat_id == {literal(chat)} and call.status == 200"
        count = f", count={number}" if number > 1 else ""
        yield f"bot_api.wait_for(lambda call: {test}{count})"


def _user(user: dict[str, Any]) -> str:
    return literal({name: value for name, value in user.items() if name != "is_bot" or value})
