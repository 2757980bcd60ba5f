"""A first contract, as a drop suggests it, for a person to finish."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import PurePosixPath

import yaml

from mergeline.core.contract import ColumnType, Format, Value

_UNLIKELY_WIDTH = 4096


@dataclass(frozen=True)
class InferredColumn:
    """What one column of a drop looks like.

    Attributes:
        nullable: whether a value is absent somewhere.
        least: the least value seen, of numbers, dates and datetimes.
        most: the greatest.
        values: all values, where they are few; else empty.
        unique: whether no value stands twice.
    """

    name: str
    type: ColumnType
    nullable: bool
    least: Value | None = None
    most: Value | None = None
    values: tuple[str, ...] = ()
    unique: bool = False


@dataclass(frozen=True)
class Inferred:
    """What a drop looks like.

    Attributes:
        path: of the file.
        null: texts that stand for an absent value.
    """

    path: str
    format: Format
    rows: int
    null: tuple[str, ...]
    columns: tuple[InferredColumn, ...]


def to_yaml(inferred: Inferred) -> str:
    """The contract's text; what was seen of each column stands in a comment beside it."""
    source = str(PurePosixPath(inferred.path).parent)
    unique = [c.name for c in inferred.columns if c.unique and not c.nullable]
    key = f"[{_scalar(unique[0])}]  # unique in this file" if unique else None
    name = PurePosixPath(inferred.path).name
    lines = [
        f"# From {name}, {inferred.rows:,} rows. What each column means, and what it may hold",
        "# (min, max, allowed), is for a person to say.",
        "description: ''",
        f"source: {_scalar(source)}",
        f"format: {inferred.format}",
        f"null: [{', '.join(_scalar(text) for text in inferred.null)}]",
        f"key: {key}" if key else "key: []  # columns that together name a row",
        "unknown_columns: refuse",
        "columns:",
        *(_column(column) for column in inferred.columns),
    ]
    return "\n".join(lines) + "\n"


def _column(column: InferredColumn) -> str:
    nullable = ", nullable: true" if column.nullable else ""
    text = f"  {_scalar(column.name)}: {{type: {column.type}{nullable}}}"
    seen = ", ".join(column.values)
    if column.least is not None and column.most is not None:
        seen = f"{_text(column.least)} … {_text(column.most)}"
    return f"{text}  # {' '.join(seen.split())}" if seen else text


def _text(value: Value) -> str:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def _scalar(text: str) -> str:
    """A text as YAML writes it within a line."""
    dumped: str = yaml.safe_dump(
        [text], default_flow_style=True, allow_unicode=True, width=_UNLIKELY_WIDTH
    )
    return dumped.strip()[1:-1]
