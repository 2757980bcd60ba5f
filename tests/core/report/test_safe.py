from __future__ import annotations

import html
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mergeline.core.report import safe

PIECES = st.sampled_from(
    [
        *"|`*_[]()<>#@!~\\&$:/.-+=^{}\"' \n\tab1", "http://", "https://a.b", "www.", "a@b.co",
        "&amp;", "<!--", "-->", "~~", "**", "__", "```", "[^1]", "<b>", "1. ", "- ", "GH-7", "#12",
        "@all", ":boom:", "\u202e", "\u200f", "\x00", "\x1b[31m", "\ud800", "\u2028", "\uffff",
        "\U000e0041", "[x](http://y)", "![x](y)", "<img src=x>", "e\u0301\u0301\u0301\u0301\u0301",
        "\u3164", "\u2800", "\ufe0f",
    ]
)  # fmt: skip
WORDS = st.lists(PIECES | st.text(max_size=8), max_size=14).map("".join)
READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def read(markdown: str) -> tuple[set[str], str]:
    """Tags and text of what a Markdown reader makes of it."""
    made = READER.render(markdown)
    tags = set(re.findall(r"<(\w+)", made))
    text = html.unescape(re.sub(r"<[^>]*>", "", made)).replace("\u200b", "")
    return tags, " ".join(text.split())


def plain(text: str) -> str:
    return " ".join(text.split())


@settings(deadline=None)
@given(WORDS)
def test_text_is_read_as_the_words_that_it_is(text: str) -> None:
    tags, shown = read(f"x {safe.markdown(text)} y")
    assert tags <= {"p", "span"}
    assert shown == plain(f"x {safe.one_line(text, safe.LONGEST_TEXT)} y")


@settings(deadline=None)
@given(WORDS)
def test_text_that_begins_a_line_makes_no_list_heading_or_rule(text: str) -> None:
    tags, shown = read(safe.markdown(text) + " y")
    assert tags <= {"p", "span"}
    assert shown == plain(safe.one_line(text, safe.LONGEST_TEXT) + " y")


@settings(deadline=None)
@given(WORDS)
def test_a_name_in_code_type_stays_in_its_cell(text: str) -> None:
    row = f"| {safe.markdown_code(text)} | {safe.markdown(text)} | end |"
    made = READER.render(f"| a | b | c |\n| - | - | - |\n{row}\n")
    assert made.count("<td>") == 3
    assert set(re.findall(r"<(\w+)", made)) <= {
        "table", "thead", "tbody", "tr", "th", "td", "code", "span", "em",
    }  # fmt: skip


@settings(deadline=None)
@given(WORDS)
@example(":_a_:")
def test_what_github_looks_for_in_rendered_text_is_not_there(text: str) -> None:
    shown = html.unescape(re.sub(r"</?span>", "", safe.markdown(text)))
    assert not re.search(r"@(?=[\w-])", shown)
    assert not re.search(r"#\d", shown)
    assert not re.search(r"(?i)gh-\d", shown)
    assert not re.search(r"(?i)(https?|ftp|mailto|xmpp):|www\.", shown)
    assert not re.search(r":[\w+-]+:", shown)
    assert "<!--" not in safe.markdown(text)


@settings(deadline=None)
@given(WORDS)
def test_one_line_is_one_line_of_visible_characters(text: str) -> None:
    line = safe.one_line(text)
    assert len(line) <= safe.LONGEST_NAME
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]", line)
    assert not re.search(r"[\u3164\u2800\ufe00-\ufe0f]", line)
    line.encode()  # no lone surrogates


@settings(deadline=None)
@given(st.lists(PIECES | st.sampled_from(["::", "##[", "##", "[", "error::a", "\r"])).map("".join))
@example("\r::error::owned")
@example("###[error]")
def test_what_is_printed_holds_no_command_of_a_runner(text: str) -> None:
    shown = safe.printed(text)
    assert not re.search(r"(^|[\r\n])\s*::", shown)
    assert "##[" not in shown
    assert "\x1b" not in shown
    shown.encode()  # no lone surrogates


IGNORABLE = [
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
]  # fmt: skip
"""Unicode's Default_Ignorable_Code_Point: characters of no width, whatever their category."""


@pytest.mark.parametrize(("first", "last"), [*IGNORABLE, (0x2800, 0x2800)])
def test_a_character_without_ink_is_shown_by_its_number(first: int, last: int) -> None:
    for point in range(first, last + 1):
        hidden, shown = chr(point), f"⟨U+{point:04X}⟩"
        assert safe.name(hidden) == shown
        assert safe.one_line(f"main{hidden}") == f"main{shown}"
        for dressed in (safe.markdown(hidden), safe.markdown_code(hidden), safe.html_code(hidden)):
            assert f"U+{point:04X}" in html.unescape(dressed)
        assert safe.lines((f"a{hidden}b",), most=1) == [f"a{shown}b"]


def test_letters_marks_and_signs_stay_as_they_are() -> None:
    for text in ("Zürich", "e\u0301", "東京", "ᄀ가", "កម្ពុជា", "⠁", "⚠", "ｱ"):
        assert safe.name(text) == text


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    shown = safe.one_line("a" * 5_000 + "z" * 5_000)
    assert len(shown) == safe.LONGEST_NAME
    assert shown[0] == "a"
    assert shown[-1] == "z"
    assert "…" in shown


@settings(deadline=None)
@given(st.sampled_from("|@#`<_*$") | PIECES, st.integers(1, 10_000))
def test_escapes_cannot_blow_a_text_up(piece: str, times: int) -> None:
    assert len(safe.markdown(piece * times)) <= 2 * safe.LONGEST_TEXT
    assert len(safe.markdown_code(piece * times)) <= 3 * safe.LONGEST_NAME + len("<code></code>")


@settings(deadline=None)
@given(st.lists(WORDS, max_size=6))
def test_nothing_that_a_program_prints_ends_its_block(printed: list[str]) -> None:
    block = safe.fenced(safe.lines(tuple(printed), most=30))
    tokens = READER.parse(f"{block}\n\nafter")
    assert [token.type for token in tokens] == [
        "fence", "paragraph_open", "inline", "paragraph_close",
    ]  # fmt: skip
    assert "<!--" not in block
    assert "-->" not in block


def test_the_last_lines_are_kept_and_their_colours_are_not() -> None:
    printed = tuple(f"\x1b[31mline {n}\x1b[0m" for n in range(100))
    assert safe.lines(printed, most=3) == ["line 97", "line 98", "line 99"]


@pytest.mark.parametrize(
    ("text", "linked"),
    [
        ("https://mlflow.example.org/#/runs/1", "https://mlflow.example.org/#/runs/1"),
        ("http://localhost:5000/a b)(", "http://localhost:5000/a%20b%29%28"),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("https://user:secret@host/", None),
        ("https://[::1", None),
        ("file:///etc/passwd", None),
        ("", None),
        (None, None),
    ],
)
def test_only_an_address_of_the_web_is_linked(text: str | None, linked: str | None) -> None:
    assert safe.url(text) == linked
