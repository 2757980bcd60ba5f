"""Guess a contract from a file; all of its rows are looked at."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from mergeline.adapters.drops.check import cast_to
from mergeline.adapters.drops.read import (
    column_names,
    open_drop,
    parse_json,
    read_batches,
    unreadable,
)
from mergeline.core.contract import Column, ColumnType, Contract, Format, Value
from mergeline.core.inference import Inferred, InferredColumn
from mergeline.core.snapshot import Drop
from mergeline.errors import NotFoundError

_NULL_WORDS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
_TEXT_TYPES: tuple[ColumnType, ...] = ("bool", "int64", "float64", "date", "datetime")
_JSON_TEXT_TYPES: tuple[ColumnType, ...] = ("date", "datetime")
_FEW = 12
_MOST_REMEMBERED = 1_000_000
_JSON_ROWS = 50_000
_SUFFIXES: dict[str, Format] = {
    ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
}  # fmt: skip


def infer(source: Path, path: str) -> Inferred:
    """What a file looks like.

    Args:
        source: the file.
        path: how the repository names it; its suffix says the format.

    Raises:
        DropError: it cannot be read as what its name says.
        NotFoundError: it is not there, or its name says no known format.
    """
    if not source.is_file():
        raise NotFoundError("there is no such file", where=path)
    form = _format_of(path)
    drop = Drop(path, "")
    guesses: dict[str, _Guess] = {}
    rows = 0
    for frame in _frames(source, drop, form):
        for name in frame.columns:
            if name not in guesses:
                guesses[name] = _Guess(name, nulls=rows, texts=_texts_of(form))
            guesses[name].take(frame[name])
        for name in guesses.keys() - set(frame.columns):
            guesses[name].nulls += frame.height
        rows += frame.height
    null = _null_texts(guesses.values(), form)
    return Inferred(
        path=path,
        format=form,
        rows=rows,
        null=null,
        columns=tuple(guess.column(rows, null) for guess in guesses.values()),
    )


def _format_of(path: str) -> Format:
    stem = path.lower().removesuffix(".gz").removesuffix(".zip")
    for suffix, form in _SUFFIXES.items():
        if stem.endswith(suffix):
            return form
    raise NotFoundError(
        "its name says no known format",
        where=path,
        next_step="Name it .csv, .jsonl or .parquet; CSV and JSON lines may end in .gz or .zip",
    )


def _texts_of(form: Format) -> list[ColumnType]:
    return list({"csv": _TEXT_TYPES, "jsonl": _JSON_TEXT_TYPES}.get(form, ()))


def _frames(source: Path, drop: Drop, form: Format) -> Iterator[pl.DataFrame]:
    if form == "jsonl":
        yield from _json_frames(source, drop)
        return
    names = column_names(source, drop) if form == "csv" else _parquet_names(source, drop)
    for batch in read_batches(source, drop, _of_any_text(form, names)):
        yield batch.frame


def _of_any_text(form: Format, names: Iterable[str]) -> Contract:
    """A contract that every file of these columns meets."""
    columns = {name: Column("string", nullable=True) for name in names}
    return Contract("inferred", "", form, columns, null=(), unknown_columns="ignore")


def _parquet_names(source: Path, drop: Drop) -> list[str]:
    try:
        names: list[str] = pq.read_schema(source).names
    except pa.ArrowInvalid as error:
        raise unreadable(drop, "parquet", str(error)) from error
    return names


def _json_frames(source: Path, drop: Drop) -> Iterator[pl.DataFrame]:
    anything = _of_any_text("jsonl", ())
    with open_drop(source, drop) as stream:
        filled = ((number, line) for number, line in enumerate(stream, 1) if line.strip())
        while part := list(itertools.islice(filled, _JSON_ROWS)):
            rows = [_json_row(line, number, drop, anything) for number, line in part]
            names = list(dict.fromkeys(name for row in rows for name in row))
            yield pl.DataFrame(
                [pl.Series(name, [row.get(name) for row in rows], strict=False) for name in names]
            )


def _json_row(text: bytes, number: int, drop: Drop, contract: Contract) -> dict[str, Any]:
    row, problem = parse_json(text, contract)
    if problem:
        raise unreadable(drop, "jsonl", f"line {number} {problem}")
    return row


@dataclass
class _Guess:
    """What is known of a column after some rows."""

    name: str
    nulls: int
    texts: list[ColumnType]
    typed: set[ColumnType] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    values: set[Any] = field(default_factory=set)
    is_unique: bool = True
    least: Any = None
    most: Any = None

    def take(self, raw: pl.Series) -> None:
        """Look at more rows."""
        if raw.dtype == pl.String:
            self._take_text(raw)
        elif raw.dtype != pl.Null:
            kind = _kind(raw.dtype)
            self.typed.add(kind)
            self._bound(cast_to(raw, kind))
        self.nulls += raw.null_count()
        self._remember(raw.drop_nulls())

    def _take_text(self, raw: pl.Series) -> None:
        is_word = raw.is_in(list(_NULL_WORDS)).fill_null(value=False)
        self.words |= set(raw.filter(is_word).unique())
        meant = raw.set(is_word, None)
        for kind in list(self.texts):
            values = cast_to(meant, kind)
            digits = kind == "bool" and meant.str.contains(r"^[01]$").any()
            if values.null_count() > meant.null_count() or digits:
                self.texts.remove(kind)
        if self.texts:
            self._bound(cast_to(meant, self.texts[0]))
        if meant.null_count() < meant.len() and not self.texts:
            self.typed.add("string")

    def _bound(self, values: pl.Series) -> None:
        if values.dtype not in {pl.String, pl.Boolean} and values.null_count() < values.len():
            bounds = [one for one in (self.least, self.most) if one is not None]
            bounds += [values.min(), values.max()]
            try:
                self.least, self.most = min(bounds), max(bounds)
            except TypeError:  # the column turned out to be of another type than it began
                self.least, self.most = values.min(), values.max()

    def _remember(self, values: pl.Series) -> None:
        if not self.is_unique and len(self.values) > _FEW:
            return
        if not values.dtype.is_nested() and values.dtype != pl.Object:
            known = len(self.values)
            self.values |= set(values.unique())
            fresh = len(self.values) == known + values.len()
            self.is_unique = self.is_unique and fresh and len(self.values) < _MOST_REMEMBERED

    def column(self, rows: int, null: tuple[str, ...]) -> InferredColumn:
        """The column, once all rows were looked at."""
        kind = self._type()
        words = {str(value) for value in self.values} - set(null)
        listed = tuple(sorted(words)) if kind == "string" and len(words) <= _FEW else ()
        bounded = kind not in {"string", "bool"}
        return InferredColumn(
            name=self.name,
            type=kind,
            nullable=self.nulls > 0 or bool(self.words & set(null)) or not self.values,
            least=cast("Value | None", self.least) if bounded else None,
            most=cast("Value | None", self.most) if bounded else None,
            values=listed,
            unique=self.is_unique and rows > 1 and kind in {"int64", "string"},
        )

    def _type(self) -> ColumnType:
        if self.typed == {"int64", "float64"}:
            return "float64"
        if self.typed:
            return next(iter(self.typed)) if len(self.typed) == 1 else "string"
        return self.texts[0] if self.texts and self.values - self.words else "string"


def _kind(dtype: pl.DataType) -> ColumnType:
    if dtype == pl.Boolean:
        return "bool"
    if dtype.is_integer():
        return "int64"
    if dtype.is_numeric():
        return "float64"
    if dtype == pl.Date:
        return "date"
    return "datetime" if isinstance(dtype, pl.Datetime) else "string"


def _null_texts(guesses: Iterable[_Guess], form: Format) -> tuple[str, ...]:
    """Words for an absent value: those that stand among values of another type than text."""
    if form != "csv":
        return ()
    found = {""} | {word for guess in guesses if not guess.typed for word in guess.words}
    return tuple(word for word in _NULL_WORDS if word in found)
