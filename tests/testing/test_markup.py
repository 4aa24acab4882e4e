"""Texts with parse modes."""

from typing import Any

import pytest

from pyruntime.testing.entity import find_entities
from pyruntime.testing.markup import UnparsableText, parse_marked_text


def spans(text: str, entities: list[dict[str, Any]]) -> list[tuple[str, str]]:
    encoded = text.encode("utf-16-le")
    return [
        (
            entity["type"],
            encoded[entity["offset"] * 2 : (entity["offset"] + entity["length"]) * 2].decode("utf-16-le"),
        )
        for entity in entities
    ]


@pytest.mark.parametrize(
    ("mode", "marked", "plain", "expected"),
    [
        ("HTML", "a <b>😀 <i>c</i></b> &lt;d&gt; &amp; &#65;", "a 😀 c <d> & A", [("bold", "😀 c"), ("italic", "c")]),
        ("HTML", '<span class="tg-spoiler">s</span><u>u</u><s>x</s>', "sux", None),
        ("HTML", '<pre><code class="language-py">x &lt; 1</code></pre>', "x < 1", None),
        ("HTML", "<blockquote expandable>q</blockquote>", "q", [("expandable_blockquote", "q")]),
        ("MarkdownV2", "*b* _i_ __u__ ~s~ ||p|| `c` \\*", "b i u s p c *", None),
        ("MarkdownV2", "[link](https://x.org/a\\)b) c", "link c", [("text_link", "link")]),
        ("MarkdownV2", "```py\nx = 1\n```", "x = 1\n", [("pre", "x = 1\n")]),
        ("MarkdownV2", ">quoted\nrest", "quoted\nrest", [("blockquote", "quoted")]),
        ("Markdown", "*b* _i_ [t](http://x) a.b!", "b i t a.b!", [("bold", "b"), ("italic", "i"), ("text_link", "t")]),
    ],
)
def test_marks_become_entities(mode: str, marked: str, plain: str, expected: list[tuple[str, str]] | None) -> None:
    text, entities = parse_marked_text(marked, mode)
    assert text == plain
    if expected is not None:
        assert spans(text, entities) == expected


def test_the_address_of_a_link_may_hold_escaped_brackets() -> None:
    _, [entity] = parse_marked_text("[link](https://x.org/a\\)b)", "MarkdownV2")
    assert entity["url"] == "https://x.org/a)b"


@pytest.mark.parametrize(
    ("mode", "text", "reason"),
    [
        ("HTML", "<b>x", "can't find end tag"),
        ("HTML", "x</b>", "unexpected end tag"),
        ("HTML", "<script>x</script>", 'unsupported start tag "script"'),
        ("HTML", "a < b", "unexpected end of tag"),
        ("MarkdownV2", "a.b", "character '.' is reserved"),
        ("MarkdownV2", "*a", "can't find end of Bold entity"),
        ("MarkdownV2", "`a", "can't find end of Code entity"),
        ("Markdown", "_a", "can't find end of Italic entity"),
        ("Markdown", "[a", "can't find end of"),
    ],
)
def test_wrong_marks_are_refused(mode: str, text: str, reason: str) -> None:
    with pytest.raises(UnparsableText, match=reason):
        parse_marked_text(text, mode)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words, 12:30 and 1.5", []),
        ("/a /b_2@some_bot /", [("bot_command", "/a"), ("bot_command", "/b_2@some_bot")]),
        ("either/or http://x.org/y?z=1.", [("url", "http://x.org/y?z=1")]),
        ("pay $USD #tag1 #1", [("cashtag", "$USD"), ("hashtag", "#tag1")]),
    ],
)
def test_telegram_marks_plain_text_by_itself(text: str, expected: list[tuple[str, str]]) -> None:
    assert spans(text, find_entities(text)) == expected
