"""Guess a contract from a file; all of its rows are looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from mergeline.adapters.drops.casting import cast_to
from mergeline.adapters.drops.check import Findings
from mergeline.adapters.drops.convert import convert
from mergeline.adapters.drops.csv_text import first_row
from mergeline.adapters.drops.dialects import guess_dialect
from mergeline.adapters.drops.head import head_of
from mergeline.adapters.drops.json_lines import json_lines, json_object
from mergeline.adapters.drops.read import read_batches, unreadable
from mergeline.adapters.drops.sniff import AS_CSV, OUT_OF_XML, refuse_foreign
from mergeline.core.data.first_contract import Inferred, InferredColumn, to_yaml
from mergeline.core.data.snapshot import Drop
from mergeline.core.data.violations import Refusal, RefusedDropError
from mergeline.core.declare.columns import Column, ColumnType
from mergeline.core.declare.contract import Contract, Dialect, Format, parse_contract
from mergeline.errors import DeclarationError, DropError, NotFoundError

_NAN = "NaN"
_NULL_WORDS = ("", "NA", "N/A", _NAN, "nan", "null", "NULL", "None")
# What a text of each format may stand for; a value of Parquet has a type.
_DATES = (
    Column("date"),
    *(
        Column("date", format=form)
        for form in ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y/%m/%d")
    ),
)
_MOMENTS = (
    Column("datetime"),
    *(
        Column("datetime", format=f"{day.format} %H:%M{seconds}")
        for day in _DATES[1:]
        for seconds in ("", ":%S")
    ),
)
_BOOLEANS = tuple(
    Column("bool", true=(true,), false=(false,))
    for true, false in (("Y", "N"), ("yes", "no"), ("Yes", "No"), ("T", "F"))
)
_TEXT_TYPES: dict[Format, tuple[Column, ...]] = {
    "csv": (Column("bool"), *_BOOLEANS, Column("int64"), Column("float64"), *_DATES, *_MOMENTS),
    "jsonl": (*_BOOLEANS, *_DATES, *_MOMENTS),
    "parquet": (),
}
_TABLE = "inferred"  # a name until the contract has one
# 00501 and +41791112233 are names made of digits; as numbers they would be others.
_DIGITS_OF_A_NAME = r"^(?:[+-]?0[0-9]|\+[0-9]+$)"
_INEXACT_AS_FLOAT = r"^-?[0-9]{16,}$"
_ZONE = r"(?:[zZ]|[+-][0-9]{2}(?::?[0-9]{2})?)$"
_FEW = 12
_MOST_REMEMBERED = 1_000_000
_SUFFIXES: dict[str, Format] = {
    ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
}  # fmt: skip

_OTHERS = dict.fromkeys((".xlsx", ".xls", ".ods"), AS_CSV) | {".xml": OUT_OF_XML}


def infer(source: Path, path: str, *, most: int | None = None) -> Inferred:
    """What a file looks like; the suffix of its `path` in the repository says the format.

    Of a file larger than `most` bytes only the rows of about so many are looked at.

    Raises:
        DropError: it cannot be read as what its name says, or breaks what can be guessed from it.
        NotFoundError: it is not there, or its name says no known format.
    """
    if source.is_dir():
        raise NotFoundError("is a folder", where=path, next_step="Name one of the files in it")
    if not source.is_file():
        raise NotFoundError("there is no such file", where=path)
    drop, form, whole = Drop(path, ""), _format_of(path), source.stat().st_size
    try:
        if most is None or whole <= most:
            return _checked(source, drop, form)
        with head_of(source, drop, form, most) as head:
            plain = PurePosixPath(path).with_name(head.name)
            inferred = _checked(head, Drop(str(plain), ""), form)
            return replace(inferred, path=path, head_of=whole)
    except RefusedDropError as error:
        raise _unfit(error.refusal) from error


def _checked(source: Path, drop: Drop, form: Format) -> Inferred:
    inferred = _look_at(source, drop, form)
    _check_first_contract(source, inferred)
    return inferred


def _look_at(source: Path, drop: Drop, form: Format) -> Inferred:
    """A guess from all rows."""
    guesses: dict[str, _Guess] = {}
    rows = 0
    refuse_foreign(source, drop, form)
    dialect, notes = guess_dialect(source, drop) if form == "csv" else (Dialect(), ())
    for frame in _frames(source, drop, form, dialect):
        for name in frame.columns:
            if name not in guesses:
                guesses[name] = _Guess(name, rows, list(_TEXT_TYPES[form]), dialect)
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
        dialect=dialect,
        notes=notes,
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
    suffix = PurePosixPath(plain).suffix
    form = _SUFFIXES.get(suffix)
    if form is None:
        raise NotFoundError(
            "its name says no known format",
            where=path,
            next_step=_OTHERS.get(
                suffix,
                "Name it .csv, .jsonl or .parquet; CSV and JSON lines may end in .gz or .zip",
            ),
        )
    return form


def _frames(source: Path, drop: Drop, form: Format, dialect: Dialect) -> Iterator[pl.DataFrame]:
    if form == "jsonl":
        yield from _json_frames(source, drop)
        return
    names = _csv_names(source, drop, dialect) if form == "csv" else _parquet_names(source, drop)
    _check_names(names, drop)
    findings = Findings()
    for batch in read_batches(source, drop, _of_any_text(form, names, dialect)):
        for wrong in batch.wrong:
            findings.add(wrong)
        yield batch.frame
    if findings.counts:
        refusal = Refusal(drop.path, "", tuple(findings.violations), findings.broken())
        raise RefusedDropError(refusal)


def _csv_names(source: Path, drop: Drop, dialect: Dialect) -> list[str]:
    first = first_row(source, drop, dialect)
    return first if dialect.header else [f"column_{place}" for place in range(1, len(first) + 1)]


def _check_names(names: Sequence[str], drop: Drop) -> None:
    if "" in names:
        raise DropError(
            f"column {names.index('') + 1} has no name",
            where=drop.path,
            next_step="Name it, or put a line of column names on top if there is none",
        )


def _of_any_text(form: Format, names: Iterable[str], dialect: Dialect) -> Contract:
    """A contract that every file of these columns meets."""
    columns = {name: Column("string", nullable=True) for name in names}
    return Contract("", "", form, columns, null=(), unknown_columns="ignore", dialect=dialect)


def _parquet_names(source: Path, drop: Drop) -> list[str]:
    try:
        schema = pq.read_schema(source)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the drop's
            raise
        raise unreadable(drop, "parquet", str(error)) from error
    for field_ in schema:
        if pa.types.is_nested(field_.type):
            raise DropError(
                f"column {field_.name} holds {field_.type}, and a column holds single values",
                where=drop.path,
                next_step="Write its parts as columns of their own before `dvc add`, or declare "
                "the other columns only, with `unknown_columns: ignore`",
            )
    return list(schema.names)


def _json_frames(source: Path, drop: Drop) -> Iterator[pl.DataFrame]:
    for part in json_lines(source, drop):
        rows = [_json_row(line, number, drop) for number, line in part]
        names = list(dict.fromkeys(name for row in rows for name in row))
        _check_names(names, drop)
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
    texts: list[Column]
    dialect: Dialect
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
        elif raw.dtype == pl.Binary:
            texts = cast_to(raw, Column("string"))
            self.typed.add("binary" if texts.null_count() > raw.null_count() else "string")
        elif raw.dtype != pl.Null:
            kind = _kind(raw.dtype)
            self.typed.add(kind)
            if raw.dtype.is_float() and raw.is_nan().any():
                self.words.add(_NAN)
                raw = raw.fill_nan(None)
            self._bound(cast_to(raw, Column(kind)))
            self.is_zoneless |= isinstance(raw.dtype, pl.Datetime) and raw.dtype.time_zone is None
        self.nulls += raw.null_count()
        self._remember(raw.drop_nulls())

    def _take_text(self, raw: pl.Series) -> None:
        is_word = raw.is_in(list(_NULL_WORDS)).fill_null(value=False)
        self.words |= set(raw.filter(is_word).unique())
        meant = raw.set(is_word, None)
        for column in list(self.texts):
            values = cast_to(meant, column, self.dialect)
            if values.null_count() > meant.null_count() or _is_unlikely(column, meant, values):
                self.texts.remove(column)
        self.is_long |= bool(meant.str.contains(_INEXACT_AS_FLOAT).any())
        if any(column.type == "datetime" for column in self.texts):
            self.is_zoneless |= bool((~meant.str.contains(_ZONE)).any())
        if self.texts:
            self._bound(cast_to(meant, self.texts[0], self.dialect))
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
        column, note = self._type()
        kind = column.type
        words = {str(value) for value in self.values} - set(null)
        listed = tuple(sorted(words)) if len(words) <= _FEW else ()
        zoneless = kind == "datetime" and self.is_zoneless
        bounded = kind not in {"string", "bool", "binary"}
        return InferredColumn(
            name=self.name,
            type=kind,
            nullable=self.nulls > 0 or bool(self.words & set(null)) or not self.values,
            least=self.least if bounded else None,
            most=self.most if bounded else None,
            values=listed,
            note=note or ("no zone in the file, taken as UTC" if zoneless else ""),
            unique=self.is_unique and rows > 1 and kind in {"int64", "string"},
            format=column.format,
            true=column.true,
            false=column.false,
        )

    def _type(self) -> tuple[Column, str]:
        """The column's type with what else its texts need, and a note."""
        text = Column("string")
        if self.typed:
            kinds = self.typed - {"string"} if "binary" in self.typed else self.typed
            if kinds == {"int64", "float64"}:
                return Column("float64"), ""
            return Column(next(iter(kinds))) if len(kinds) == 1 else text, ""
        likely = [column for column in self.texts if self._shows(column)]
        if not likely or not self.values - self.words:
            return text, ""
        if likely[0] == Column("float64") and self.is_long:
            return text, ""
        if len({column.format for column in likely if column.type == likely[0].type}) > 1:
            forms = " or ".join(column.format for column in likely)
            return text, f"a {likely[0].type} of the format {forms}: declare which"
        return likely[0], ""

    def _shows(self, column: Column) -> bool:
        """Whether a column of two words has both, without which they are more likely text."""
        return not column.true or {*column.true, *column.false} <= self.values


def _is_unlikely(column: Column, meant: pl.Series, values: pl.Series) -> bool:
    """Whether texts that can be read as a type are more likely another."""
    kind = column.type
    if kind == "bool" and not column.true:
        return bool(meant.str.contains(r"^[01]$").any())
    if kind == "float64" and not values.is_finite().all():
        return True
    return kind in {"int64", "float64"} and bool(meant.str.contains(_DIGITS_OF_A_NAME).any())


def _kind(dtype: pl.DataType) -> ColumnType:
    if dtype == pl.Boolean:
        return "bool"
    if dtype.is_integer():
        return "int64"
    if isinstance(dtype, pl.Decimal):
        return f"decimal({dtype.precision},{dtype.scale})"
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
