"""The contract that a first drop suggests, for a person to finish."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import PurePosixPath

import yaml

from mergeline.core.declare.columns import ColumnType, Value
from mergeline.core.declare.contract import Dialect, Format
from mergeline.core.numbers import counted, size

_ID = re.compile(r"(?i:(?:^|[^a-z])(?:id|uuid|key|number|no|nr))$|[a-z]I[dD]$")
_ENOUGH_FOR_A_KEY = 20  # with fewer rows, columns are often unique by chance


@dataclass(frozen=True)
class InferredColumn:
    """What one column of a drop looks like.

    Attributes:
        least: the least value seen, for numbers, dates and datetimes.
        values: all values, as texts, if they are few; else empty.
        note: what else a person should know.
        format: see `Column`; so `true` and `false`.
    """

    name: str
    type: ColumnType
    nullable: bool
    least: Value | None = None
    most: Value | None = None
    values: tuple[str, ...] = ()
    unique: bool = False
    note: str = ""
    format: str = ""
    true: tuple[str, ...] = ()
    false: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inferred:
    """What a drop looks like.

    Attributes:
        null: texts that stand for an absent value.
        notes: what a person should know of the guess.
        head_of: size of the file in bytes, if only its first rows were looked at.
    """

    path: str
    format: Format
    rows: int
    null: tuple[str, ...]
    columns: tuple[InferredColumn, ...]
    dialect: Dialect = field(default_factory=Dialect)
    notes: tuple[str, ...] = ()
    head_of: int | None = None

    @property
    def unique(self) -> tuple[str, ...]:
        """Columns whose values, none of them absent, are all different."""
        return tuple(one.name for one in self.columns if one.unique and not one.nullable)

    @property
    def likely_key(self) -> str | None:
        """The column that likely names a row."""
        if self.rows < _ENOUGH_FOR_A_KEY:
            return None
        return next(filter(_ID.search, self.unique), next(iter(self.unique), None))


def to_yaml(inferred: Inferred, *, source: str | None = None, key: Sequence[str] = ()) -> str:
    """The contract's text, with a comment on each column that says what was seen.

    `source` and `key` say where the pointers stand and what names a row, where that is known.
    """
    name = PurePosixPath(inferred.path).name
    rows = counted(inferred.rows, "row")
    if inferred.head_of is not None:
        rows = f"the first {rows} of {size(inferred.head_of)}"
    lines = [
        f"# From {name}, {rows}. What each column means, and what it may hold",
        "# (min, max, allowed), is for a person to say.",
        *(f"# Look at this: {' '.join(note.split())}." for note in inferred.notes),
        "description: ''",
        f"source: {_scalar(source) if source else _source(inferred.path)}",
        f"format: {inferred.format}",
        *_dialect(inferred.dialect),
        f"null: [{', '.join(_scalar(text) for text in inferred.null)}]",
        f"key: [{', '.join(map(_scalar, key))}]" if key else f"key: {_key(inferred)}",
        "unknown_columns: refuse",
        "columns:",
        *(_column(column) for column in inferred.columns),
    ]
    return "\n".join(lines) + "\n"


def _source(path: str) -> str:
    """The folder of a file in the repository; for any other file, a placeholder."""
    folder = PurePosixPath(path).parent
    if folder.is_absolute() or ".." in folder.parts or not folder.parts:
        return "data/raw/TABLE  # the folder where the pointers will stand"
    return _scalar(str(folder))


def _key(inferred: Inferred) -> str:
    if inferred.likely_key:
        return f"[{_scalar(inferred.likely_key)}]  # unique in this file"
    few = "; too few rows here to guess them" if inferred.unique else ""
    return f"[]  # columns that together name a row{few}"


def _dialect(dialect: Dialect) -> list[str]:
    """The line of what is unusual in it."""
    settings = {part.name: getattr(dialect, part.name) for part in fields(Dialect)}
    usual = Dialect()
    said = {name: value for name, value in settings.items() if value != getattr(usual, name)}
    parts = [
        f"{name}: {str(value).lower() if isinstance(value, bool) else _scalar(value)}"
        for name, value in said.items()
    ]
    return [f"dialect: {{{', '.join(parts)}}}"] if parts else []


def _column(column: InferredColumn) -> str:
    nullable = ", nullable: true" if column.nullable else ""
    kind = f"'{column.type}'" if "," in column.type else column.type
    form = f", format: {_scalar(column.format)}" if column.format else ""
    words = ""
    if column.true:
        true, false = (", ".join(map(_scalar, texts)) for texts in (column.true, column.false))
        words = f", true: [{true}], false: [{false}]"
    text = f"  {_scalar(column.name)}: {{type: {kind}{nullable}{form}{words}}}"
    seen = ", ".join(column.values) if column.type == "string" else ""
    if column.least is not None and column.most is not None:
        seen = f"{_text(column.least)} … {_text(column.most)}"
    seen = "; ".join(filter(None, (seen, column.note)))
    return f"{text}  # {' '.join(seen.split())}" if seen else text


def _text(value: Value) -> str:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def _scalar(text: str) -> str:
    """A text as YAML writes it inside a line."""
    listed = yaml.safe_dump([text], default_flow_style=True, allow_unicode=True, width=math.inf)
    return str(listed).strip()[1:-1]
