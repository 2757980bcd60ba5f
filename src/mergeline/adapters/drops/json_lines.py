"""Read JSON lines: one object a line."""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from mergeline.adapters.drops.archive import compression, open_drop
from mergeline.adapters.drops.batch import Batch
from mergeline.core.data.snapshot import Drop
from mergeline.core.data.violations import Violation
from mergeline.core.declare.columns import Column
from mergeline.core.declare.contract import Contract

_JSON_ROWS = 50_000
_WHOLE = 2**24  # up to which every integer is a float of either size


class Digits(float):
    """A number of JSON with the digits that it is written with."""

    text: str

    def __new__(cls, text: str) -> Digits:
        """Of the digits."""
        made = super().__new__(cls, text)
        made.text = text
        return made


def read_jsonl(source: Path, drop: Drop, contract: Contract) -> Iterator[Batch]:
    """The rows of a drop of JSON lines; a key that an object lacks is an absent value."""
    first_row = 1
    is_plain, size, read = compression(drop.path) is None, source.stat().st_size, 0
    for part in json_lines(source, drop):
        read += sum(len(text) for _, text in part)
        share = read / size if is_plain else None
        yield replace(_json_batch(part, first_row, drop, contract), share=share)
        first_row += len(part)


def json_lines(source: Path, drop: Drop) -> Iterator[list[tuple[int, bytes]]]:
    """The lines that are not blank, some at a time, each with its number in the file."""
    with open_drop(source, drop) as stream:
        filled = ((number, text) for number, text in enumerate(stream, 1) if text.strip())
        while part := list(itertools.islice(filled, _JSON_ROWS)):
            yield part


def json_object(text: bytes, *, exact: bool = False) -> tuple[dict[str, Any], str]:
    """The object on a line, its floats as `Digits` if `exact`, and what is wrong with it."""
    try:
        value = json.loads(
            text, parse_float=Digits if exact else None, object_pairs_hook=_with_each_key_once
        )
    except (ValueError, RecursionError) as error:
        return {}, f"is not JSON: {error}"
    if not isinstance(value, dict):
        return {}, "is not a JSON object"
    return value, ""


def _with_each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object; of a key that stands twice, readers keep the first value or the last."""
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!a} is given twice")
    return made


def _json_batch(
    part: list[tuple[int, bytes]], first_row: int, drop: Drop, contract: Contract
) -> Batch:
    """The rows of some (line, text)."""
    lines = [number for number, _ in part]
    rows, wrong = [], []
    exact = any(column.digits for column in contract.columns.values())
    for row, (number, text) in enumerate(part, first_row):
        value, problem = json_object(text, exact=exact)
        rows.append(value)
        if contract.unknown_columns == "refuse" and not value.keys() <= contract.columns.keys():
            unknown = min(value.keys() - contract.columns.keys())
            problem = f"has {unknown!r}, which is not declared (unknown_columns: refuse)"
        if problem:
            wrong.append(Violation(drop.path, problem, line=number, row=row))
    columns = []
    for name, column in contract.columns.items():
        values = [row.get(name) for row in rows]
        series, misfits = _json_series(name, values, column)
        columns.append(series)
        wrong += [
            Violation(drop.path, rule, lines[at], first_row + at, name, json.dumps(values[at]))
            for at, rule in misfits.items()
        ]
    return Batch(pl.DataFrame(columns), first_row, wrong=tuple(wrong), lines=lines)


def _json_series(name: str, values: list[Any], column: Column) -> tuple[pl.Series, dict[int, str]]:
    """The values as a series, null where one does not fit; what is wrong with it, by its place."""
    fitting = _fitting(column)
    misfits = _misfits(values, column, fitting)
    if misfits:
        values = [None if at in misfits else v for at, v in enumerate(values)]
    if fitting == {int}:
        return _json_integers(name, values), misfits
    if column.digits:
        values = [None if v is None else getattr(v, "text", str(v)) for v in values]
    dtype: pl.DataType = pl.String()
    if fitting == {bool}:
        dtype = pl.Boolean()
    elif column.type.startswith("float"):
        dtype = pl.Float64()
    return pl.Series(name, values, dtype=dtype, strict=False), misfits


def _fitting(column: Column) -> set[type]:
    """Python's types of JSON's values for the column."""
    if column.type == "bool":
        return {str} if column.true else {bool}
    if column.type.startswith("int"):
        return {int}
    return {int, float, Digits} if column.type.startswith("float") or column.digits else {str}


def _misfits(values: list[Any], column: Column, fitting: set[type]) -> dict[int, str]:
    """What is wrong with values, by their places."""
    kind = column.type
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
    return misfits


def _is_float(value: int, kind: str) -> bool:
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
