"""Read drops in batches: CSV, JSON lines and Parquet."""

from __future__ import annotations

import csv
import io
import itertools
import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from polars.exceptions import PolarsError

from mergeline.adapters.drops.archive import compression, decompressed, open_drop
from mergeline.adapters.drops.arrow_csv import BLOCK_BYTES, csv_batches
from mergeline.core.data.snapshot import Drop
from mergeline.core.data.violations import Violation, refuse
from mergeline.core.declare.contract import ColumnType, Contract, Format
from mergeline.errors import DropError

_JSON_ROWS = 50_000
_PARQUET_ROWS = 128_000
_WRONG_ROWS = 10_000
_WHOLE = 2**24  # up to which every integer is a float of either size


@dataclass(frozen=True)
class Batch:
    """Some rows of a drop as they stand in it.

    Attributes:
        frame: the contract's columns, in its order, of whatever type the format gives.
        first_row: of the batch in the drop, from 1.
        wrong: what the reader itself found wrong.
        lines: in the file, of each row, where the reader knows them.
    """

    frame: pl.DataFrame
    first_row: int
    wrong: tuple[Violation, ...] = ()
    lines: Sequence[int] | None = None


def read_batches(source: Path, drop: Drop, contract: Contract) -> Iterator[Batch]:
    """The rows of a drop, in its order.

    Raises:
        DropError: it cannot be read as what the contract says, or its columns are others.
    """
    readers = {"csv": _read_csv, "jsonl": _read_jsonl, "parquet": _read_parquet}
    try:
        yield from readers[contract.format](source, drop, contract)
    except (pa.ArrowException, PolarsError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the drop's
            raise
        raise unreadable(drop, contract.format, str(error), contract) from error


def unreadable(drop: Drop, form: Format, why: str, contract: Contract | None = None) -> DropError:
    """The error of a drop that is not of its format; an inferred contract has no file."""
    return DropError(
        f"cannot be read as {form}: {why}",
        where=drop.path,
        next_step="Get the drop again from its source"
        + (f", or correct {contract.path}" if contract and contract.table else ""),
    )


def _columns_problems(names: Sequence[str], drop: Drop, contract: Contract) -> list[Violation]:
    """What is wrong with the columns of a whole file."""
    line = 1 if contract.format == "csv" else None

    def wrong(column: str, rule: str) -> Violation:
        return Violation(drop.path, rule, line=line, column=column)

    twice = sorted({name for name in names if names.count(name) > 1})
    missing = [name for name in contract.columns if name not in names]
    unknown = []
    if contract.unknown_columns == "refuse":
        unknown = [name for name in names if name not in contract.columns]
    return [
        *(wrong(name, "stands twice in the header") for name in twice),
        *(wrong(name, "is missing") for name in missing),
        *(wrong(name, "is not declared (unknown_columns: refuse)") for name in unknown),
    ]


# --- CSV ---------------------------------------------------------------------------------------


def _read_csv(source: Path, drop: Drop, contract: Contract) -> Iterator[Batch]:
    header = column_names(source, drop)
    if unlike := _columns_problems(header, drop, contract):
        raise refuse(drop.path, contract.path, unlike)
    ragged = 0

    def count_ragged(_row: pa_csv.InvalidRow) -> str:
        nonlocal ragged
        ragged += 1
        return "skip"

    row, last = 1, None
    with decompressed(source, drop) as file:
        try:
            for batch in csv_batches(file, header, contract.null, count_ragged):
                frame = cast("pl.DataFrame", pl.from_arrow(batch))
                last = frame if frame.height else last
                yield Batch(frame.select(list(contract.columns)), first_row=row)
                row += frame.height
        except pa.ArrowInvalid as error:
            if wrong := _broken_text(source, drop):
                raise refuse(drop.path, contract.path, wrong) from error
            raise
    # A value whose quote is never closed runs over lines to the end of the file.
    if ragged or (last is not None and "\n" in str(last.row(-1)[-1])):
        nothing = pl.DataFrame(schema=dict.fromkeys(contract.columns, pl.String()))
        problems = _row_problems(source, drop)
        while part := tuple(itertools.islice(problems, _WRONG_ROWS)):
            yield Batch(nothing, first_row=row, wrong=part)


def column_names(source: Path, drop: Drop) -> list[str]:
    """The header of a CSV; empty if the file is.

    Raises:
        DropError: it cannot be read.
    """
    with open_drop(source, drop) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
        try:
            return next(csv.reader(text), [])
        except csv.Error as error:
            raise DropError(f"has no readable header: {error}", where=drop.path) from error
        finally:
            text.detach()


def csv_lines(source: Path, drop: Drop, rows: set[int]) -> dict[int, int]:
    """The line in the file of each data row (both from 1): quoted values may run over lines."""
    lines: dict[int, int] = {}
    number = 0
    for row in _plain_rows(source, drop):
        number += len(row.fields) == row.width
        if number in rows:
            lines.setdefault(number, row.line)
            if len(lines) == len(rows):
                break
    return lines


def _broken_text(source: Path, drop: Drop) -> list[Violation]:
    """Why Arrow gives up on a CSV: one value may be all that follows an open quote."""
    if line := _undecodable_line(source, drop):
        return [Violation(drop.path, "is not UTF-8 text", line=line)]
    return list(itertools.islice(_row_problems(source, drop), _WRONG_ROWS))


def _row_problems(source: Path, drop: Drop) -> Iterator[Violation]:
    """Rows of the wrong number of fields, and a quote that is never closed."""
    for row in _plain_rows(source, drop, strict=True):
        if row.problem:
            yield Violation(drop.path, f"starts a row with broken quotes: {row.problem}", row.line)
        elif row.fields and len(row.fields) != row.width:
            how = "few" if len(row.fields) < row.width else "many"
            rule = f"has too {how} fields for the {row.width} columns"
            yield Violation(drop.path, rule, line=row.line, value=",".join(row.fields))


@dataclass(frozen=True)
class _PlainRow:
    """A row by Python's own reader, the line it starts on, and the number of the columns."""

    line: int
    fields: Sequence[str]
    width: int
    problem: str = ""


def _plain_rows(source: Path, drop: Drop, *, strict: bool = False) -> Iterator[_PlainRow]:
    csv.field_size_limit(BLOCK_BYTES)
    with open_drop(source, drop) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
        reader = csv.reader(text, strict=strict)
        width = len(next(reader, []))
        line = reader.line_num + 1
        try:
            for fields in reader:
                yield _PlainRow(line, fields or [""] * (width == 1), width)
                line = reader.line_num + 1
        except csv.Error as error:
            problem = str(error)
            if problem.startswith("field larger"):
                problem = f"a value of more than {BLOCK_BYTES >> 20} MB, as of a quote never closed"
            yield _PlainRow(line, (), width, problem=problem)


def _undecodable_line(source: Path, drop: Drop) -> int | None:
    with open_drop(source, drop) as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return None


# --- JSON lines --------------------------------------------------------------------------------


def _read_jsonl(source: Path, drop: Drop, contract: Contract) -> Iterator[Batch]:
    first_row = 1
    for part in json_lines(source, drop):
        yield _json_batch(part, first_row, drop, contract)
        first_row += len(part)


def json_lines(source: Path, drop: Drop) -> Iterator[list[tuple[int, bytes]]]:
    """The lines that are not blank, some at a time, each with its number in the file."""
    with open_drop(source, drop) as stream:
        filled = ((number, text) for number, text in enumerate(stream, 1) if text.strip())
        while part := list(itertools.islice(filled, _JSON_ROWS)):
            yield part


def json_object(text: bytes) -> tuple[dict[str, Any], str]:
    """The object on a line, and what is wrong with it as a whole."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return {}, f"is not JSON: {error}"
    if not isinstance(value, dict):
        return {}, "is not a JSON object"
    return value, ""


def _json_batch(
    part: list[tuple[int, bytes]], first_row: int, drop: Drop, contract: Contract
) -> Batch:
    """The rows of some (line, text)."""
    lines = [number for number, _ in part]
    rows, wrong = [], []
    for row, (number, text) in enumerate(part, first_row):
        value, problem = json_object(text)
        rows.append(value)
        if contract.unknown_columns == "refuse" and not value.keys() <= contract.columns.keys():
            unknown = min(value.keys() - contract.columns.keys())
            problem = f"has {unknown!r}, which is not declared (unknown_columns: refuse)"
        if problem:
            wrong.append(Violation(drop.path, problem, line=number, row=row))
    columns = []
    for name, column in contract.columns.items():
        values = [row.get(name) for row in rows]
        series, misfits = _json_series(name, values, column.type)
        columns.append(series)
        wrong += [
            Violation(drop.path, rule, lines[at], first_row + at, name, json.dumps(values[at]))
            for at, rule in misfits.items()
        ]
    return Batch(pl.DataFrame(columns), first_row, wrong=tuple(wrong), lines=lines)


def _json_series(
    name: str, values: list[Any], kind: ColumnType
) -> tuple[pl.Series, dict[int, str]]:
    """The values as a series, null where one does not fit; what is wrong with it, by its place."""
    fitting: set[type] = {str}
    if kind == "bool":
        fitting = {bool}
    elif kind.startswith(("int", "float")):
        fitting = {int} if kind.startswith("int") else {int, float}
    types = set(map(type, values)) - {type(None)}
    misfits: dict[int, str] = {}
    if not types <= fitting:
        rule = f"is not JSON for a {kind}"
        misfits = {
            at: rule for at, v in enumerate(values) if v is not None and type(v) not in fitting
        }
    if kind.startswith("float") and int in types:
        rounded = ((at, v) for at, v in enumerate(values) if type(v) is int and abs(v) > _WHOLE)
        rule = f"would be rounded to fit a {kind}"
        misfits |= {at: rule for at, v in rounded if not _is_float(v, kind)}
    if str in fitting and not misfits.keys() >= (broken := _surrogates(values)):
        misfits |= dict.fromkeys(broken, "is not Unicode text (half of a surrogate pair)")
    if misfits:
        values = [None if at in misfits else v for at, v in enumerate(values)]
    if kind.startswith("int"):
        return _json_integers(name, values), misfits
    dtype = {"bool": pl.Boolean(), "float32": pl.Float64(), "float64": pl.Float64()}.get(kind)
    return pl.Series(name, values, dtype=dtype or pl.String(), strict=False), misfits


def _is_float(value: int, kind: ColumnType) -> bool:
    form = "f" if kind == "float32" else "d"
    try:
        return int(struct.unpack(form, struct.pack(form, value))[0]) == value
    except (OverflowError, struct.error):  # beyond every float
        return False


def _surrogates(values: list[Any]) -> set[int]:
    """Places of texts that JSON can say and UTF-8 can not."""
    try:
        "".join(v for v in values if type(v) is str).encode()
    except UnicodeEncodeError:
        texts = ((at, v) for at, v in enumerate(values) if type(v) is str)
        return {at for at, v in texts if any("\ud800" <= letter <= "\udfff" for letter in v)}
    return set()


def _json_integers(name: str, values: list[int | None]) -> pl.Series:
    try:
        return pl.Series(name, values, dtype=pl.Int64)
    except (OverflowError, TypeError):
        # Beyond 64 bits: as text, which the cast then refuses with the value in sight.
        return pl.Series(name, [None if v is None else str(v) for v in values], dtype=pl.String)


# --- Parquet -----------------------------------------------------------------------------------


def _read_parquet(source: Path, drop: Drop, contract: Contract) -> Iterator[Batch]:
    if compression(drop.path):
        why = "Parquet in gzip or zip cannot be read in parts"
        raise unreadable(drop, contract.format, why, contract)
    with pq.ParquetFile(source) as file:
        if problems := _columns_problems(file.schema_arrow.names, drop, contract):
            raise refuse(drop.path, contract.path, problems)
        row = 1
        columns = list(contract.columns)
        for batch in file.iter_batches(batch_size=_PARQUET_ROWS, columns=columns):
            frame = cast("pl.DataFrame", pl.from_arrow(batch)).select(columns)
            yield Batch(frame, first_row=row)
            row += frame.height
