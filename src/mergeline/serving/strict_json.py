"""JSON as the scoring server reads it: with limits that hold while it is read.

The standard reader has none: one object of a million keys, or a list nested without end, is in
memory before anybody can look at it, and while it is read no other thread gets to run. This one
is written in Python, so that others run meanwhile, and refuses as soon as a limit is passed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

DEPTH_LIMIT = 16  # objects and lists within each other
KEY_LIMIT = 5_000  # keys of one object
VALUE_LIMIT = 2_000_000  # values in all

_GAP = r"[ \t\n\r]*+"
_NUMBER = r"(-?(?:0|[1-9][0-9]*+)(\.[0-9]++)?([eE][-+]?[0-9]++)?)"
_WORD = r"(true|false|null|NaN|-?Infinity)"
_TEXT = r'"([^"\\\x00-\x1f]*+)"'  # one without escapes
_NEXT = re.compile(rf'{_GAP}(?:([{{}}\[\],:"])|{_NUMBER}|{_WORD})')
# What most of a body is made of, at a third of the time.
_PLAIN_ITEM = re.compile(rf"{_GAP}(?:{_NUMBER}|{_TEXT}|{_WORD}){_GAP}([,\]])")
_PLAIN_MEMBER = re.compile(rf"{_GAP}{_TEXT}{_GAP}:{_GAP}(?:{_NUMBER}|{_TEXT}|{_WORD}){_GAP}([,}}])")
_LITERALS = {"true": True, "false": False, "null": None}
_SPACE = " \t\n\r"
_scan_string: Callable[[str, int], tuple[str, int]] = getattr(json.decoder, "scanstring")  # noqa: B009


class JSONError(ValueError):
    """The text is not JSON."""


class RefusedJSONError(JSONError):
    """It may be JSON, but has a key twice or passes a limit."""


def read_json(body: bytes, *, nan: bool = False) -> Any:  # noqa: ANN401 - any JSON
    """The value that a text has.

    Args:
        body: UTF-8.
        nan: whether NaN, which is not JSON, stands for a missing number; it is read as None.

    Raises:
        JSONError: the text is not JSON.
        RefusedJSONError: an object has a key twice, or a limit is passed.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise JSONError(f"not UTF-8: {error.reason} at byte {error.start}") from None
    reader = _Reader(text, nan=nan)
    value = reader.value(0)
    if rest := text[reader.place : reader.place + 1_000].lstrip(_SPACE):
        raise reader.error(f"{rest[0]!r} after its end")
    return value


class _Reader:
    """Reads one text from its start; `place` is where it has come to."""

    def __init__(self, text: str, *, nan: bool) -> None:
        self.text = text
        self.nan = nan
        self.place = 0
        self.values = 0

    def error(self, message: str) -> JSONError:
        return JSONError(f"{message}, at character {self.place:,}")

    def mark(self) -> str:
        """The next of `{}[],:"`, which is passed; of a number or word the first letter, not."""
        match = _NEXT.match(self.text, self.place)
        if match is None:
            more = self.text[self.place : self.place + 1_000].lstrip(_SPACE)
            raise self.error(f"{more[0]!r} is not expected" if more else "it ends too early")
        if match[1]:
            self.place = match.end()
            return match[1]
        return match[2] or match[5]

    def expect(self, marks: str) -> str:
        mark = self.mark()
        if mark not in marks:
            raise self.error(f"{mark[:20]!r} instead of {' or '.join(marks)}")
        return mark

    def value(self, depth: int) -> Any:  # noqa: ANN401
        match = _NEXT.match(self.text, self.place)
        self._count()
        if match is None:
            self.mark()
        assert match is not None  # noqa: S101 - `mark` raised
        self.place = match.end()
        mark, number, fraction, exponent, word = match.groups()
        if number or word:
            return self.plain(number, fraction or exponent, None, word)
        if mark == '"':
            return self.string()
        if mark in "{[" and depth == DEPTH_LIMIT:
            raise RefusedJSONError(f"more than {DEPTH_LIMIT} objects and lists within each other")
        if mark == "{":
            return self.object(depth + 1)
        if mark == "[":
            return self.list(depth + 1)
        raise self.error(f"{mark!r} instead of a value")

    def plain(
        self, number: str | None, broken: str | None, text: str | None, word: str | None
    ) -> int | float | str | bool | None:
        if number:
            try:
                return float(number) if broken else int(number)
            except ValueError:  # thousands of digits
                raise self.error("a number of too many digits") from None
        if word is None:
            return text
        if word in _LITERALS:
            return _LITERALS[word]
        if word == "NaN" and self.nan:
            return None
        raise JSONError(f"{word} is not a JSON number; send null for a missing one")

    def string(self) -> str:
        try:
            text, self.place = _scan_string(self.text, self.place)
        except json.JSONDecodeError as error:
            raise self.error(error.msg) from None
        return text

    def list(self, depth: int) -> list[Any]:
        values: list[Any] = []
        if self._closes("]"):
            return values
        while True:
            if match := _PLAIN_ITEM.match(self.text, self.place):
                self._count()
                self.place = match.end()
                number, fraction, exponent, text, word, end = match.groups()
                values.append(self.plain(number, fraction or exponent, text, word))
            else:
                values.append(self.value(depth))
                end = self.expect(",]")
            if end == "]":
                return values

    def object(self, depth: int) -> dict[str, Any]:
        content: dict[str, Any] = {}
        if self._closes("}"):
            return content
        while True:
            if match := _PLAIN_MEMBER.match(self.text, self.place):
                self._count()
                self.place = match.end()
                key, number, fraction, exponent, text, word, end = match.groups()
                self._check_key(key, content)
                content[key] = self.plain(number, fraction or exponent, text, word)
            else:
                self.expect('"')
                key = self.string()
                self._check_key(key, content)
                self.expect(":")
                content[key] = self.value(depth)
                end = self.expect(",}")
            if end == "}":
                return content

    def _check_key(self, key: str, content: dict[str, Any]) -> None:
        if key in content:
            raise RefusedJSONError(f"{key!r:.80} appears more than once in one object")
        if len(content) == KEY_LIMIT:
            raise RefusedJSONError(f"more than {KEY_LIMIT:,} keys in one object")

    def _count(self) -> None:
        self.values += 1
        if self.values > VALUE_LIMIT:
            raise RefusedJSONError(f"more than {VALUE_LIMIT:,} values")

    def _closes(self, mark: str) -> bool:
        match = _NEXT.match(self.text, self.place)
        if match and match[1] == mark:
            self.place = match.end()
            return True
        return False
