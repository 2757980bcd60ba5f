"""Makes text harmless: names, values and messages that come with a pull request.

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
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # of unicodedata.category
# Letters and marks without ink, which have no category of their own: what Unicode lists as
# Default_Ignorable_Code_Point (DerivedCoreProperties.txt), and Braille's empty cell.
_NO_INK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef\u2800]"
)
_MARKUP = re.compile(r"[\\`*{}\[\]<>#|~@&$!^]|(?<![^\W_])_|_(?![^\W_])")
# a bullet, the number of a list, or the line under a heading
_LIST = re.compile(r"^(\s*\d+(?=[.)])|\s*(?=[-+=]))(.)(?=\s|$|[-=]+\s*$)")
_LINK = re.compile(r"(?i)(https?|ftps?|mailto|xmpp|www)([:.])")
_EMOJI = re.compile(r":(?=(?:[\w+-]|&#95;)+:)")
_ISSUE = re.compile(r"(?i)(gh)-(?=\d)")
_PLAIN_CODE = re.compile(r"[\w ./=,:;()\[\]%→+-]*")
_COMMAND = re.compile(r"^([^\S\n]*)::", re.MULTILINE)
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")  # colours, and moves of the cursor


def one_line(text: str, longest: int = LONGEST_NAME) -> str:
    """The text on one line, without its middle if it is long.

    A character that cannot be seen, or turns the direction of others, is shown as ⟨U+202E⟩.
    """
    text = _shortened(text, longest * 4)  # what is cut away need not be looked at
    text = text.replace("\r\n", " ").replace("\n", " ").replace("\t", " ")
    return _shortened("".join(map(_visible, text)), longest)


def _visible(character: str) -> str:
    if unicodedata.category(character) in _HIDDEN or _NO_INK.match(character):
        return f"⟨U+{ord(character):04X}⟩"
    return character


def _shortened(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    tail = longest // 4
    return f"{text[: longest - tail - 1]}…{text[-tail:]}"


def name(text: str) -> str:
    """A stranger's name as plain text on one line; `(empty)` if it has no letters."""
    return one_line(text) if text.strip() else "(empty)"


def text(words: str) -> str:
    """A stranger's text on one line."""
    return one_line(words, LONGEST_TEXT)


def lines(printed: tuple[str, ...], *, most: int) -> list[str]:
    """The last lines that a program printed, without its colours."""
    split = [line for block in printed for line in _ANSI.sub("", block).splitlines()]
    return [one_line(line, 300) for line in split[-most:]]


def printed(text: str) -> str:
    """Text for a terminal or a job's log, on the lines that it has; controls are made visible."""
    text = text.replace("\r\n", "\n")
    return without_commands("".join(c if c in "\n\t" else _visible(c) for c in text))


def without_commands(text: str) -> str:
    """Text in which GitHub's runner finds no command.

    It takes one from the beginning of a line (`::error::`, after blanks too), or from anywhere in
    it (`##[error]`).
    """
    return _COMMAND.sub(r"\1: :", text).replace("##[", "# #[")


def markdown(text: str, longest: int = LONGEST_TEXT) -> str:
    """Text that GitHub shows as it is: no markup, mention, reference, link, emoji or formula.

    At most `longest` characters of it, and fewer if escapes would make more than twice that.
    """
    return _escaped_within(_escaped, one_line(text, longest), 2 * longest)


def _escaped_within(escape: Callable[[str], str], text: str, most: int) -> str:
    """The text escaped, shortened before that until it takes at most so many characters."""
    while len(escaped := escape(text)) > most and len(text) > 8:
        text = _shortened(text.replace("…", ""), max(8, len(text) * 2 // 3))
    return escaped


def _escaped(text: str) -> str:
    text = _MARKUP.sub(_entity, text)
    text = _LINK.sub(rf"\1{_BREAK}\2", text)
    text = _EMOJI.sub(f":{_BREAK}", text)
    text = _ISSUE.sub(rf"\1{_BREAK}-", text)
    text = _LIST.sub(lambda match: f"{match[1]}&#{ord(match[2])};", text)
    return f"&#32;{text[1:]}" if text.startswith("   ") else text  # four would make it code


def markdown_code(text: str) -> str:
    """A name in code type, in a table too; in backticks if nothing in it could end them."""
    text = one_line(text)
    if not text.strip():
        return "*(empty)*"
    if _PLAIN_CODE.fullmatch(text) and text == text.strip() and "www." not in text.lower():
        return f"`{text}`"
    return html_code(text)


def html_code(text: str) -> str:
    """A name in `<code>`, all its punctuation as entities: Markdown finds nothing in it."""
    return _escaped_within(_escaped_code, name(text), 3 * LONGEST_NAME)


def _escaped_code(text: str) -> str:
    text = _LINK.sub("\\1\u200b\\2", text)
    return f"<code>{re.sub(r'[!-/:-@[-`{-~]', _entity, text)}</code>"


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


def _entity(match: re.Match[str]) -> str:
    character = match[0]
    if character == "$":
        return "<span>$</span>"  # as GitHub's own page on formulas has it
    escaped = f"&#{ord(character)};"
    return escaped + _BREAK if character in "@#" else escaped
