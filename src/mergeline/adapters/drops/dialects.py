"""Guess the dialect of a CSV from its first lines."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from mergeline.adapters.drops.archive import open_drop
from mergeline.adapters.drops.casting import cast_to
from mergeline.adapters.drops.csv_text import encoding_problem, open_lines, reader
from mergeline.adapters.drops.sniff import DELIMITERS, MARKS_16
from mergeline.core.data.snapshot import Drop
from mergeline.core.declare.columns import Column
from mergeline.core.declare.contract import Dialect

_LINES = 1000
_LOOKED_AT = 20
_VALUES = (Column("float64"), Column("date"), Column("datetime"))
# Numbers that only one way of writing them explains: decimal, thousands, and the form.
_NUMBERS = (
    (",", ".", re.compile(r"[+-]?[0-9]{1,3}(?:(?:\.[0-9]{3})+,[0-9]+|(?:\.[0-9]{3}){2,})")),
    (",", " ", re.compile(r"[+-]?[0-9]{1,3}(?: [0-9]{3})+,[0-9]+")),
    (".", ",", re.compile(r"[+-]?[0-9]{1,3}(?:(?:,[0-9]{3})+\.[0-9]+|(?:,[0-9]{3}){2,})")),
    (".", "'", re.compile(r"[+-]?[0-9]{1,3}(?:'[0-9]{3})+(?:\.[0-9]+)?")),
    (",", "", re.compile(r"[+-]?[0-9]+,[0-9]+")),
)


def guess_dialect(source: Path, drop: Drop) -> tuple[Dialect, tuple[str, ...]]:
    """The dialect, and what a person should know of the guess."""
    dialect, notes = Dialect(), []
    with open_drop(source, drop) as stream:
        if stream.read(2) in MARKS_16:
            dialect = Dialect(encoding="utf-16")
    if dialect.encoding == "utf-8" and (wrong := encoding_problem(source, drop, dialect)):
        dialect = Dialect(encoding="cp1252")
        if encoding_problem(source, drop, dialect):
            dialect = Dialect(encoding="latin-1")
        notes.append(f"line {wrong.line} is not UTF-8; that it is {dialect.encoding} is a guess")
    with open_lines(source, drop, dialect) as opened:
        lines = list(itertools.islice(opened, _LINES))
    dialect = _with_delimiter(dialect, lines)
    rows = _rows(lines, dialect)
    if rows and rows[0] and _is_all_values(rows):
        dialect = replace(dialect, header=False)
        first = dialect.delimiter.join(rows[0])[:60]
        notes.append(f"the first line looks like a row, not like names: {first}")
    return _with_numbers(dialect, rows), tuple(notes)


def _with_delimiter(dialect: Dialect, lines: Sequence[str]) -> Dialect:
    """The delimiter, and a mark of comments, by which all rows have equally many values."""
    best, widest = dialect, 1
    comments = ["", "#"] if any(line.startswith("#") for line in lines) else [""]
    for comment, delimiter in itertools.product(comments, DELIMITERS):
        guess = replace(dialect, delimiter=delimiter, comment=comment)
        kept = [line for line in lines if not (comment and line.startswith(comment))]
        widths = {len(row) for row in _rows(kept, guess) if row}
        if len(widths) == 1 and max(widths) > widest:
            best, widest = guess, max(widths)
    return best


def _rows(lines: Sequence[str], dialect: Dialect) -> list[list[str]]:
    """The rows of lines, without the last: it may be cut."""
    comment = dialect.comment
    kept = [line for line in lines if not (comment and line.startswith(comment))]
    try:
        rows = list(reader(kept, dialect))
    except csv.Error:
        return []
    return rows[:-1] if len(lines) == _LINES else rows


def _is_all_values(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row has numbers or dates, and no cell is unlike all that are below it."""
    head, below = rows[0], rows[1:]
    if not any(_are_values([cell]) for cell in head):
        return False
    for place, cell in enumerate(head):
        column = [row[place] for row in below if place < len(row) and row[place]]
        if not column or not cell:
            continue
        if _are_values([cell]):
            if not any(_are_values([text]) for text in column[:_LOOKED_AT]):
                return False
        elif _are_values(column):
            return False
    return True


def _are_values(texts: Sequence[str]) -> bool:
    series = pl.Series(texts, dtype=pl.String)
    return any(not cast_to(series, column).has_nulls() for column in _VALUES)


def _with_numbers(dialect: Dialect, rows: Sequence[Sequence[str]]) -> Dialect:
    cells = [cell for row in rows[int(dialect.header) :] for cell in row]
    for decimal, thousands, form in _NUMBERS:
        if any(map(form.fullmatch, cells)):
            return replace(dialect, decimal=decimal, thousands=thousands)
    return dialect
