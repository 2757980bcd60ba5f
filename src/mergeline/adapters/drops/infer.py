"""Guess a contract from a file; all of its rows are looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from mergeline.adapters.drops.check import Findings, cast_to
from mergeline.adapters.drops.convert import convert
from mergeline.adapters.drops.read import (
    column_names,
    json_lines,
    json_object,
    read_batches,
    unreadable,
)
from mergeline.core.data.first_contract import Inferred, InferredColumn, to_yaml
from mergeline.core.data.snapshot import Drop
from mergeline.core.data.violations import Refusal, RefusedDropError
from mergeline.core.declare.contract import Column, ColumnType, Contract, Format, parse_contract
from mergeline.errors import DeclarationError, DropError, NotFoundError

_NAN = "NaN"
_NULL_WORDS = ("", "NA", "N/A", _NAN, "nan", "null", "NULL", "None")
# What a text of each format may stand for; a value of Parquet has a type.
_TEXT_TYPES: dict[Format, tuple[ColumnType, ...]] = {
    "csv": ("bool", "int64", "float64", "date", "datetime"),
    "jsonl": ("date", "datetime"),
    "parquet": (),
}
_TABLE = "inferred"  # a name until the contract has one
_SEPARATORS = {";": "';'", "\t": "tabs", "|": "'|'"}
# 00501 and +41791112233 are names made of digits; as numbers they would be others.
_DIGITS_OF_A_NAME = r"^(?:[+-]?0[0-9]|\+[0-9]+$)"
_INEXACT_AS_FLOAT = r"^-?[0-9]{16,}$"
_ZONE = r"(?:[zZ]|[+-][0-9]{2}(?::?[0-9]{2})?)$"
_FEW = 12
_MOST_REMEMBERED = 1_000_000
_SUFFIXES: dict[str, Format] = {
    ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
}  # fmt: skip


def infer(source: Path, path: str) -> Inferred:
    """What a file looks like; the suffix of its `path` in the repository says the format.

    Raises:
        DropError: it cannot be read as what its name says, or breaks what can be guessed from it.
        NotFoundError: it is not there, or its name says no known format.
    """
    if source.is_dir():
        raise NotFoundError("is a folder", where=path, next_step="Name one of the files in it")
    if not source.is_file():
        raise NotFoundError("there is no such file", where=path)
    try:
        inferred = _look_at(source, Drop(path, ""), _format_of(path))
        _check_first_contract(source, inferred)
    except RefusedDropError as error:
        raise _unfit(error.refusal) from error
    return inferred


def _look_at(source: Path, drop: Drop, form: Format) -> Inferred:
    """A guess from all rows."""
    guesses: dict[str, _Guess] = {}
    rows = 0
    for frame in _frames(source, drop, form):
        for name in frame.columns:
            if name not in guesses:
                guesses[name] = _Guess(name, nulls=rows, texts=list(_TEXT_TYPES[form]))
            guesses[name].take(frame[name])
        for name in guesses.keys() - set(frame.columns):
            guesses[name].nulls += frame.height
        rows += frame.height
    if not rows:
        raise DropError(
            "has no rows to infer from", where=drop.path, next_step="Name a file with some"
        )
    null = _null_texts(guesses.values(), form)
    return Inferred(
        path=drop.path,
        format=form,
        rows=rows,
        null=null,
        columns=tuple(guess.column(rows, null) for guess in guesses.values()),
    )


def _check_first_contract(source: Path, inferred: Inferred) -> None:
    """Check the file as a snapshot would: no contract is written that its own file breaks."""
    try:
        contract = parse_contract(_TABLE, to_yaml(inferred))
    except DeclarationError as error:
        raise DropError(error.message, where=inferred.path, next_step="Mend the file") from error
    with TemporaryDirectory(prefix="mergeline-infer-") as scratch:
        convert(source, Drop(inferred.path, ""), contract, Path(scratch) / "rows.parquet")


def _unfit(refusal: Refusal) -> DropError:
    """The refusal without the contract, which is not a file yet."""
    _, _, places = str(refusal).partition("\n")
    return DropError(
        f"no contract that it meets can be guessed\n{places}",
        where=refusal.file,
        next_step="Mend the file and run again, or write the contract by hand",
    )


def _format_of(path: str) -> Format:
    plain = path.lower().removesuffix(".gz").removesuffix(".zip")
    form = _SUFFIXES.get(PurePosixPath(plain).suffix)
    if form is None:
        raise NotFoundError(
            "its name says no known format",
            where=path,
            next_step="Name it .csv, .jsonl or .parquet; CSV and JSON lines may end in .gz or .zip",
        )
    return form


def _frames(source: Path, drop: Drop, form: Format) -> Iterator[pl.DataFrame]:
    if form == "jsonl":
        yield from _json_frames(source, drop)
        return
    names = column_names(source, drop) if form == "csv" else _parquet_names(source, drop)
    _check_names(names, drop, form)
    findings = Findings()
    for batch in read_batches(source, drop, _of_any_text(form, names)):
        for wrong in batch.wrong:
            findings.add(wrong)
        yield batch.frame
    if findings.counts:
        refusal = Refusal(drop.path, "", tuple(findings.violations), findings.broken())
        raise RefusedDropError(refusal)


def _check_names(names: Sequence[str], drop: Drop, form: Format) -> None:
    if form == "csv" and len(names) == 1:
        for separator, words in _SEPARATORS.items():
            if separator in names[0]:
                raise DropError(
                    f"looks separated by {words}",
                    where=drop.path,
                    next_step="Convert it: the values of a drop are separated by commas",
                )
    if "" in names:
        raise DropError(
            f"column {names.index('') + 1} has no name",
            where=drop.path,
            next_step="Name it, or put a line of column names on top if there is none",
        )


def _of_any_text(form: Format, names: Iterable[str]) -> Contract:
    """A contract that every file of these columns meets."""
    columns = {name: Column("string", nullable=True) for name in names}
    return Contract("", "", form, columns, null=(), unknown_columns="ignore")


def _parquet_names(source: Path, drop: Drop) -> list[str]:
    try:
        return list(pq.read_schema(source).names)
    except pa.ArrowInvalid as error:
        raise unreadable(drop, "parquet", str(error)) from error


def _json_frames(source: Path, drop: Drop) -> Iterator[pl.DataFrame]:
    for part in json_lines(source, drop):
        rows = [_json_row(line, number, drop) for number, line in part]
        names = list(dict.fromkeys(name for row in rows for name in row))
        _check_names(names, drop, "jsonl")
        yield pl.DataFrame(
            [pl.Series(name, [row.get(name) for row in rows], strict=False) for name in names]
        )


def _json_row(text: bytes, number: int, drop: Drop) -> dict[str, Any]:
    row, problem = json_object(text)
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
    is_long: bool = False
    is_zoneless: bool = False
    least: Any = None
    most: Any = None

    def take(self, raw: pl.Series) -> None:
        """Look at more rows."""
        if raw.dtype == pl.String:
            self._take_text(raw)
        elif raw.dtype != pl.Null:
            kind = _kind(raw.dtype)
            self.typed.add(kind)
            if raw.dtype.is_float() and raw.is_nan().any():
                self.words.add(_NAN)
                raw = raw.fill_nan(None)
            self._bound(cast_to(raw, kind))
            self.is_zoneless |= isinstance(raw.dtype, pl.Datetime) and raw.dtype.time_zone is None
        self.nulls += raw.null_count()
        self._remember(raw.drop_nulls())

    def _take_text(self, raw: pl.Series) -> None:
        is_word = raw.is_in(list(_NULL_WORDS)).fill_null(value=False)
        self.words |= set(raw.filter(is_word).unique())
        meant = raw.set(is_word, None)
        for kind in list(self.texts):
            values = cast_to(meant, kind)
            if values.null_count() > meant.null_count() or _is_unlikely(kind, meant, values):
                self.texts.remove(kind)
        self.is_long |= bool(meant.str.contains(_INEXACT_AS_FLOAT).any())
        if "datetime" in self.texts:
            self.is_zoneless |= bool((~meant.str.contains(_ZONE)).any())
        if self.texts:
            self._bound(cast_to(meant, self.texts[0]))
        if meant.null_count() < meant.len() and not self.texts:
            self.typed.add("string")

    def _bound(self, values: pl.Series) -> None:
        if values.dtype not in {pl.String, pl.Boolean} and values.null_count() < values.len():
            bounds = [bound for bound in (self.least, self.most) if bound is not None]
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
        zoneless = kind == "datetime" and self.is_zoneless
        bounded = kind not in {"string", "bool"}
        return InferredColumn(
            name=self.name,
            type=kind,
            nullable=self.nulls > 0 or bool(self.words & set(null)) or not self.values,
            least=self.least if bounded else None,
            most=self.most if bounded else None,
            values=listed,
            note="no zone in the file, taken as UTC" if zoneless else "",
            unique=self.is_unique and rows > 1 and kind in {"int64", "string"},
        )

    def _type(self) -> ColumnType:
        if self.typed == {"int64", "float64"}:
            return "float64"
        if self.typed:
            return next(iter(self.typed)) if len(self.typed) == 1 else "string"
        if self.texts[:1] == ["float64"] and self.is_long:
            return "string"
        return self.texts[0] if self.texts and self.values - self.words else "string"


def _is_unlikely(kind: ColumnType, meant: pl.Series, values: pl.Series) -> bool:
    """Whether texts that can be read as a type are more likely another."""
    if kind == "bool":
        return bool(meant.str.contains(r"^[01]$").any())
    if kind == "float64" and not values.is_finite().all():
        return True
    return kind in {"int64", "float64"} and bool(meant.str.contains(_DIGITS_OF_A_NAME).any())


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
    null_words = {word for guess in guesses if "string" not in guess.typed for word in guess.words}
    if form != "csv":
        return (_NAN,) if _NAN in null_words else ()
    return tuple(word for word in _NULL_WORDS if word in {"", *null_words})
