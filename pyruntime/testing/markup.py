"""Turn text with a parse mode (HTML, MarkdownV2, Markdown) into plain text and entities, as the server does."""

import re
from html import unescape
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from pyruntime.testing.entity import utf16_length

_HTML_TAGS: Final = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "code": "code",
    "pre": "pre",
    "a": "text_link",
    "blockquote": "blockquote",
    "tg-emoji": "custom_emoji",
}
_HTML_PIECE: Final = re.compile(
    r"<(/?)([A-Za-z-]+)((?:[^<>\"']|\"[^\"]*\"|'[^']*')*)>"  # a tag
    r"|(&(?:#x?[0-9A-Fa-f]+|\w+);)"  # a character reference
    r"|<|[^<&]+|&"
)
_HTML_ATTRIBUTE: Final = re.compile(r"([A-Za-z-]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+)))?")

_LINK_ADDRESS: Final = re.compile(r"((?:\\.|[^)\\])*)\)")
_V2_MARKS: Final = (
    ("__", "underline"),
    ("||", "spoiler"),
    ("*", "bold"),
    ("_", "italic"),
    ("~", "strikethrough"),
)
_LEGACY_MARKS: Final = (("*", "bold"), ("_", "italic"))
_V2_RESERVED: Final = "_*[]()~`>#+-=|{}.!"


class UnparsableText(Exception):
    """Say what is wrong with the marks in a text."""


class _Writer:
    """Collect plain text and the entities that are open over it."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.length = 0
        self.entities: list[dict[str, Any]] = []
        self.open: list[tuple[str, dict[str, Any]]] = []

    def write(self, text: str) -> None:
        self.parts.append(text)
        self.length += utf16_length(text)

    def begin(self, mark: str, kind: str, **extra: Any) -> None:
        self.open.append((mark, {"type": kind, "offset": self.length, "length": 0, **extra}))

    def end(self) -> None:
        _, entity = self.open.pop()
        entity["length"] = self.length - entity["offset"]
        if entity["length"] and entity["type"]:
            self.entities.append(entity)

    def result(self) -> tuple[str, list[dict[str, Any]]]:
        return "".join(self.parts), sorted(self.entities, key=lambda entity: (entity["offset"], -entity["length"]))


def parse_marked_text(text: str, parse_mode: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the plain text and its entities.

    Raises: UnparsableText, with the reason as the server words it; unknown parse modes too.
    """
    mode = parse_mode.lower()
    if mode == "html":
        return _parse_html(text)
    if mode == "markdownv2":
        return _parse_markdown(text, _V2_MARKS, is_v2=True)
    if mode == "markdown":
        return _parse_markdown(text, _LEGACY_MARKS, is_v2=False)
    raise UnparsableText("unsupported parse_mode")


def _parse_html(text: str) -> tuple[str, list[dict[str, Any]]]:
    writer = _Writer()
    for piece in _HTML_PIECE.finditer(text):
        closing, tag, attributes, character = piece.group(1, 2, 3, 4)
        if tag is None:
            if piece.group() == "<":
                raise UnparsableText(f"unexpected end of tag at byte offset {_byte_offset(text, piece.start())}")
            writer.write(unescape(character) if character else piece.group())
            continue
        name = tag.lower()
        if name not in _HTML_TAGS:
            raise UnparsableText(f'unsupported start tag "{name}" at byte offset {_byte_offset(text, piece.start())}')
        if closing:
            if not writer.open or writer.open[-1][0] != name:
                raise UnparsableText(f"unexpected end tag at byte offset {_byte_offset(text, piece.start())}")
            writer.end()
        else:
            values = {key.lower(): unescape(a or b or c) for key, a, b, c in _HTML_ATTRIBUTE.findall(attributes)}
            _begin_html(writer, name, values)
    if writer.open:
        raise UnparsableText(f'can\'t find end tag corresponding to start tag "{writer.open[-1][0]}"')
    return writer.result()


def _begin_html(writer: _Writer, name: str, values: dict[str, str]) -> None:
    if name == "a":
        writer.begin(name, "text_link", url=values.get("href", ""))
    elif name == "tg-emoji":
        writer.begin(name, "custom_emoji", custom_emoji_id=values.get("emoji-id", ""))
    elif name == "span" and values.get("class") != "tg-spoiler":
        raise UnparsableText('tag "span" must have class "tg-spoiler"')
    elif name == "blockquote" and "expandable" in values:
        writer.begin(name, "expandable_blockquote")
    elif name == "code" and writer.open and writer.open[-1][0] == "pre" and "class" in values:
        writer.open[-1][1]["language"] = values["class"].removeprefix("language-")
        writer.begin(name, "")  # only names the language of the block around it
    else:
        writer.begin(name, _HTML_TAGS[name])


def _byte_offset(text: str, index: int) -> int:
    return len(text[:index].encode())


def _parse_markdown(text: str, marks: tuple[tuple[str, str], ...], is_v2: bool) -> tuple[str, list[dict[str, Any]]]:
    writer = _Writer()
    index = 0
    while index < len(text):
        letter = text[index]
        if letter == "\\" and index + 1 < len(text) and (is_v2 or text[index + 1] in "_*`["):
            writer.write(text[index + 1])
            index += 2
        elif letter == "`":
            index = _read_code(text, index, writer)
        elif letter == "[" or (is_v2 and text.startswith("![", index)):
            writer.begin("[", "text_link")
            index += 1 if letter == "[" else 2
        elif letter == "]" and writer.open and writer.open[-1][0] == "[":
            index = _end_link(text, index, writer)
        elif mark := next((mark for mark in marks if text.startswith(mark[0], index)), None):
            if writer.open and writer.open[-1][0] == mark[0]:
                writer.end()
            elif any(opened[0] == mark[0] for opened in writer.open):
                raise UnparsableText(
                    f"can't find end of {mark[1].capitalize()} entity at byte offset {_byte_offset(text, index)}"
                )
            else:
                writer.begin(*mark)
            index += len(mark[0])
        elif is_v2 and letter in _V2_RESERVED and not (letter == ">" and (index == 0 or text[index - 1] == "\n")):
            raise UnparsableText(f"character '{letter}' is reserved and must be escaped with the preceding '\\'")
        elif is_v2 and letter == ">":
            end = text.find("\n", index)
            writer.begin(">", "blockquote")
            line = text[index + 1 : end if end >= 0 else len(text)]
            writer.write(re.sub(r"\\(.)", r"\1", line))
            writer.end()
            index = end if end >= 0 else len(text)
        else:
            writer.write(letter)
            index += 1
    if writer.open:
        kind = str(writer.open[-1][1]["type"]).capitalize()
        raise UnparsableText(f"can't find end of {kind} entity at byte offset {_byte_offset(text, len(text))}")
    return writer.result()


def _read_code(text: str, index: int, writer: _Writer) -> int:
    mark = "```" if text.startswith("```", index) else "`"
    start = index + len(mark)
    end = text.find(mark, start)
    if end < 0:
        raise UnparsableText(
            f"can't find end of {'Pre' if mark == '```' else 'Code'} entity at byte offset {_byte_offset(text, index)}"
        )
    content = text[start:end]
    extra = {}
    if mark == "```":
        language, newline, rest = content.partition("\n")
        if newline:
            content = rest
            if language:
                extra["language"] = language
    writer.begin(mark, "pre" if mark == "```" else "code", **extra)
    writer.write(re.sub(r"\\([`\\])", r"\1", content))
    writer.end()
    return end + len(mark)


def _end_link(text: str, index: int, writer: _Writer) -> int:
    if not text.startswith("](", index):
        raise UnparsableText(f"can't find end of a URL at byte offset {_byte_offset(text, index)}")
    address = _LINK_ADDRESS.match(text, index + 2)
    if address is None:
        raise UnparsableText(f"can't find end of a URL at byte offset {_byte_offset(text, index)}")
    url = re.sub(r"\\(.)", r"\1", address.group(1))
    entity = writer.open[-1][1]
    if url.startswith("tg://emoji"):
        entity["type"] = "custom_emoji"
        entity["custom_emoji_id"] = parse_qs(urlsplit(url).query).get("id", [""])[0]
    else:
        entity["url"] = url
    writer.end()
    return address.end()
