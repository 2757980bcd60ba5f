"""Text of strangers made harmless: names, values and messages that a pull request brings.

On GitHub text is read twice: as Markdown, then once more as rendered text, where mentions,
references, links and emoji are found. Entities and backslashes stop the first reading only; a
zero-width space or `<code>` stops the second.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from urllib.parse import quote, urlsplit

LONGEST_NAME = 80
LONGEST_TEXT = 600
_BREAK = "&#8203;"  # zero-width space
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Default_Ignorable_Code_Point of Unicode 17 (DerivedCoreProperties.txt; the same since 14), then
# what is blank by its name: Braille's empty cell, Egyptian blanks, Khitan's filler, a null note.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\u2800\U00013441\U00013442\U00016fe4\U0001d159]"
)
_MARKUP = re.compile(r"[\\`*{}\[\]<>#|~@&$!^]|(?<![^\W_])_|_(?![^\W_])")
_LEADING = re.compile(r"^(\s*)(?:([-+=])(?=\s|$|[-=]+\s*$)|(\d+)([.)])(?=\s|$))")
_LINK = re.compile(r"(?i)(https?|ftps?|mailto|xmpp|www)([:.])")
_EMOJI = re.compile(r":(?=(?:[\w+-]|&#95;)+:)")
_ISSUE = re.compile(r"(?i)(gh)-(?=\d)")
_PLAIN_CODE = re.compile(r"[\w ./=,:;()\[\]%→+-]*")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


def one_line(text: str, longest: int = LONGEST_NAME) -> str:
    """Without line ends; invisible characters by their number; the middle of a long one left out.

    A character that only turns the direction of others, or hides, is shown as ⟨U+202E⟩.
    """
    text = _shortened(text, longest * 4)  # what is cut away need not be looked at
    if text.isascii() and text.isprintable():
        return _shortened(text, longest)
    shown = "".join(map(_visible, text.replace("\r\n", "\n").replace("\n", " ").replace("\t", " ")))
    return _shortened(_few_marks(shown), longest)


def _visible(character: str) -> str:
    if unicodedata.category(character) in _HIDDEN or _INVISIBLE.match(character):
        return f"⟨U+{ord(character):04X}⟩"
    return character


def _few_marks(text: str) -> str:
    """At most three combining marks in a row, so that a name keeps to its line."""
    kept: list[str] = []
    run = 0
    for character in text:
        run = run + 1 if unicodedata.category(character) in {"Mn", "Me"} else 0
        if run <= 3:
            kept.append(character)
    return "".join(kept)


def _shortened(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    tail = longest // 4
    return f"{text[: longest - tail - 1]}…{text[-tail:]}"


def name(text: str) -> str:
    """A stranger's name as plain text on one line; an empty one is said."""
    return one_line(text) if text.strip() else "(empty)"


def lines(text: tuple[str, ...], *, most: int = 30, longest: int = 300) -> list[str]:
    """The last lines that a program printed, without its colours."""
    split = [line for block in text for line in _ANSI.sub("", block).splitlines()]
    return [one_line(line, longest) for line in split[-most:]]


def markdown(text: str, longest: int = LONGEST_TEXT) -> str:
    """Text that GitHub shows as it is: no markup, mention, reference, link, emoji or formula.

    At most `longest` characters of it, and less where escapes would make more than twice that.
    """
    return _bounded(_escaped, one_line(text, longest), 2 * longest)


def _bounded(escape: Callable[[str], str], text: str, most: int) -> str:
    escaped = escape(text)
    while len(escaped) > most:
        text = _shortened(text.replace("…", ""), max(8, len(text) * 2 // 3))
        escaped = escape(text)
        if len(text) <= 8:
            break
    return escaped


def _escaped(text: str) -> str:
    text = _MARKUP.sub(_entity, text)
    text = _LINK.sub(rf"\1{_BREAK}\2", text)
    text = _EMOJI.sub(f":{_BREAK}", text)
    text = _ISSUE.sub(rf"\1{_BREAK}-", text)
    text = _LEADING.sub(_not_a_list, text)
    return f"&#32;{text[1:]}" if text.startswith("   ") else text  # four would make it code


def markdown_code(text: str, longest: int = LONGEST_NAME) -> str:
    """A name in code type, in a table too; backticks where nothing in it could end them."""
    text = one_line(text, longest)
    if not text.strip():
        return "*(empty)*"
    if _PLAIN_CODE.fullmatch(text) and text == text.strip() and "www." not in text.lower():
        return f"`{text}`"
    return html_code(text)


def html_code(text: str) -> str:
    """A name in `<code>`, all its punctuation as entities: Markdown finds nothing in it."""
    text = one_line(text) if text.strip() else "(empty)"
    return _bounded(_escaped_code, text, 3 * LONGEST_NAME)


def _escaped_code(text: str) -> str:
    text = _LINK.sub("\\1\u200b\\2", text)
    return f"<code>{re.sub(r'[!-/:-@[-`{-~]', _entity, text)}</code>"


def markdown_block(text: tuple[str, ...], *, most: int = 30) -> str:
    """Lines in a fenced block that nothing in them can close."""
    return fenced(lines(text, most=most))


def fenced(text: list[str]) -> str:
    """Lines, each on one line already, in a fenced block that nothing in them can close."""
    shown = [line.replace("<!--", "<!\u200b--").replace("-->", "--\u200b>") for line in text]
    longest = max((len(run) for line in shown for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}text", *shown, fence])


def url(text: str | None) -> str | None:
    """An address that may be linked: http or https, every odd character percent-encoded."""
    if text is None or len(text) > 2_000:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.netloc or "@" in parts.netloc:
        return None
    return quote(text, safe=":/?#=&%+,;~.-_")


def _entity(found: re.Match[str]) -> str:
    character = found[0]
    if character == "$":
        return "<span>$</span>"  # as GitHub's own page on formulas has it
    escaped = f"&#{ord(character)};"
    return escaped + _BREAK if character in "@#" else escaped


def _not_a_list(found: re.Match[str]) -> str:
    space, bullet, digits, dot = found.groups()
    if bullet:
        return f"{space}&#{ord(bullet)};"
    return f"{space}{digits}&#{ord(dot)};"
