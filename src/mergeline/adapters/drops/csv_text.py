"""The text of a CSV in its dialect, and where it is in the file: row by row, by Python's reader.

Arrow reads the values (`arrow_csv.py`). This module makes the text that Arrow can read, tells
whether any two readers see the same values in it, and knows lines.
"""

from __future__ import annotations

import codecs
import csv
import io
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from mergeline.adapters.drops.archive import decompressed, open_drop
from mergeline.adapters.drops.arrow_csv import BLOCK_BYTES
from mergeline.core.data.snapshot import Drop
from mergeline.core.data.violations import Violation, refuse
from mergeline.core.declare.contract import Contract, Dialect
from mergeline.errors import DropError

_SCAN_BYTES = 16 << 20
_ENCODING_NAMES = {"utf-8": "UTF-8", "utf-16": "UTF-16", "cp1252": "Windows-1252"}


@dataclass(frozen=True)
class Row:
    """A row by Python's own reader, and the line it starts on."""

    line: int
    fields: Sequence[str]
    problem: str = ""


class Lines:
    """The lines of a text, without comments; numbers are those of the file, from 1."""

    def __init__(self, text: IO[str], dialect: Dialect) -> None:
        self._text = text
        self._dialect = dialect
        self._is_inside = False  # a quoted value that runs over lines
        self._number = 0
        self.first = 0

    def __iter__(self) -> Iterator[str]:
        comment = self._dialect.comment
        for line in self._text:
            self._number += 1
            if comment and not self._is_inside and line.startswith(comment):
                continue
            if comment and self._dialect.quote:
                self._is_inside ^= _quotes(line, self._dialect) % 2 == 1
            self.first = self.first or self._number
            yield line

    def next_row(self) -> None:
        """Let `first` be the line from which the next row starts."""
        self.first = 0


def _quotes(line: str, dialect: Dialect) -> int:
    """Quotes that open or close a value."""
    if not dialect.escape:
        return line.count(dialect.quote)
    plain = line.replace(dialect.escape * 2, "").replace(dialect.escape + dialect.quote, "")
    return plain.count(dialect.quote)


@contextmanager
def open_lines(source: Path, drop: Drop, dialect: Dialect) -> Iterator[Lines]:
    """The lines of a drop; bytes that are not of its encoding become U+FFFD.

    Raises:
        DropError: it is not compressed as its name says, or damaged.
    """
    encoding = "utf-8-sig" if dialect.encoding == "utf-8" else dialect.encoding
    with open_drop(source, drop) as stream:
        text = io.TextIOWrapper(stream, encoding=encoding, errors="replace", newline="")
        try:
            yield Lines(text, dialect)
        finally:
            text.detach()


@contextmanager
def text_file(source: Path, drop: Drop, contract: Contract) -> Iterator[Path]:
    """The drop as Arrow reads it: plain, UTF-8, without comments; itself, or a temporary file.

    Raises:
        DropError: it is not of its encoding or compression, or damaged.
    """
    dialect = contract.dialect
    with decompressed(source, drop) as plain:
        if dialect.encoding == "utf-8" and not dialect.comment:
            yield plain
            return
        if wrong := encoding_problem(source, drop, dialect):
            raise refuse(drop.path, contract.path, [wrong])
        with (
            tempfile.NamedTemporaryFile("w", prefix="mergeline-", encoding="utf-8", newline="") as
            file,
            open_lines(source, drop, dialect) as lines,
        ):  # fmt: skip
            file.writelines(lines)
            file.flush()
            yield Path(file.name)


def encoding_problem(source: Path, drop: Drop, dialect: Dialect) -> Violation | None:
    """The first line that is not of the encoding."""
    name = _ENCODING_NAMES.get(dialect.encoding)
    if name is None:  # Latin-1 has a character for each byte
        return None
    with open_drop(source, drop) as stream:
        if dialect.encoding == "utf-16":
            return _utf_16_problem(stream, drop)
        for number, line in enumerate(stream, 1):
            try:
                line.decode(dialect.encoding)
            except UnicodeDecodeError:
                return Violation(drop.path, f"is not {name} text", line=number)
    return None


def _utf_16_problem(stream: IO[bytes], drop: Drop) -> Violation | None:
    decoder = codecs.getincrementaldecoder("utf-16")()
    lines = 1
    try:
        while part := stream.read(BLOCK_BYTES):
            lines += decoder.decode(part).count("\n")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return Violation(drop.path, f"is not UTF-16 text (after line {lines})")
    return None


def column_names(source: Path, drop: Drop, contract: Contract) -> list[str]:
    """The columns by the header; without one as many of the contract's as the first row has.

    Raises:
        DropError: the first row cannot be read.
    """
    first = first_row(source, drop, contract.dialect)
    if contract.dialect.header:
        return first
    declared = list(contract.columns)
    later = declared[len(first) :]
    can_lack = all(contract.columns[name].came_later for name in later)
    return declared[: len(first)] if can_lack else declared


def first_row(source: Path, drop: Drop, dialect: Dialect) -> list[str]:
    """The values of the first row; none if the file is empty.

    Raises:
        DropError: it cannot be read.
    """
    with open_lines(source, drop, dialect) as lines:
        try:
            return next(reader(lines, dialect), [])
        except csv.Error as error:
            raise DropError(f"has no readable header: {error}", where=drop.path) from error


def rows(
    source: Path, drop: Drop, dialect: Dialect, width: int, *, strict: bool = False
) -> Iterator[Row]:
    """The rows below the header; the last has a `problem` if reading ends there."""
    csv.field_size_limit(BLOCK_BYTES)
    with open_lines(source, drop, dialect) as lines:
        try:
            for at, fields in enumerate(reader(lines, dialect, strict=strict)):
                if at > 0 or not dialect.header:
                    yield Row(lines.first, fields or [""] * (width == 1))
                lines.next_row()
        except csv.Error as error:
            problem = str(error)
            if problem.startswith("field larger"):
                problem = f"a value of more than {BLOCK_BYTES >> 20} MB, as of a quote never closed"
            yield Row(lines.first, (), problem=problem)


def lines_of(source: Path, drop: Drop, contract: Contract, wanted: set[int]) -> dict[int, int]:
    """The line in the file of each data row (both from 1): quoted values may run over lines."""
    lines: dict[int, int] = {}
    number, width = 0, len(column_names(source, drop, contract))
    for row in rows(source, drop, contract.dialect, width):
        number += len(row.fields) == width
        if number in wanted:
            lines.setdefault(number, row.line)
            if len(lines) == len(wanted):
                break
    return lines


def row_problems(source: Path, drop: Drop, contract: Contract) -> Iterator[Violation]:
    """Rows of the wrong number of fields, and those whose quotes can be read in several ways."""
    dialect, width = contract.dialect, len(column_names(source, drop, contract))
    for row in rows(source, drop, dialect, width, strict=True):
        if row.problem:
            rule = f"starts a row with broken quotes: {row.problem}"
            if row.problem.endswith("expected after '\"'") and not dialect.escape:
                rule += "; where a backslash stands before a quote, declare dialect.escape"
            yield Violation(drop.path, rule, row.line)
        elif row.fields and len(row.fields) != width:
            how = "few" if len(row.fields) < width else "many"
            rule = f"has too {how} fields for the {width} columns"
            value = dialect.delimiter.join(row.fields)
            yield Violation(drop.path, rule, line=row.line, value=value)


def is_plainly_quoted(file: Path, dialect: Dialect) -> bool:
    """Whether quotes stand only around whole values or doubled inside, and nothing is escaped.

    Then all readers see the same values. Arrow, for one, reads `"a"b` as `ab` without a word.
    Whether any other text can be read in one way only, `row_problems` tells, but slowly.
    """
    quote, escape = dialect.quote.encode(), dialect.escape.encode()
    edges = np.zeros(256, dtype=bool)
    edges[[*dialect.delimiter.encode(), *b"\n\r", *quote]] = True
    before, count, rest = ord("\n"), 0, b""
    with file.open("rb") as stream:
        if stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            stream.seek(0)
        while True:
            read = stream.read(_SCAN_BYTES)
            data = rest + (read or b"\n")
            if escape and escape in data:
                return False
            if quote and quote in data:
                bytes_ = np.frombuffer(data, dtype=np.uint8)
                at = np.flatnonzero(bytes_[:-1] == quote[0])
                opens = (np.arange(len(at)) + count) % 2 == 0
                # An opening quote after a quote: the two are one inside of a value.
                beside = np.where(opens, bytes_[at - 1], bytes_[at + 1])
                beside[opens & (at == 0)] = before
                if not edges[beside].all():
                    return False
                count += len(at)
            if not read:
                return count % 2 == 0
            before, rest = data[-2] if len(data) > 1 else before, data[-1:]


def reader(lines: Iterable[str], dialect: Dialect, *, strict: bool = False) -> Any:  # noqa: ANN401
    """Python's reader of a dialect."""
    return csv.reader(
        lines,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        escapechar=dialect.escape or None,
        strict=strict,
    )
