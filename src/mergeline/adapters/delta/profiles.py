"""Summarise the rows of a table's file."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import polars as pl

from mergeline.core.data import hyperloglog
from mergeline.core.data.profile import (
    MOST_VALUES,
    POINTS,
    ColumnProfile,
    DropProfile,
    bucket_rows,
    is_numeric,
    is_real,
    kept_text,
    points_of,
)

# A contract's names of Polars' types.
_TYPES: dict[type[pl.DataType], str] = {pl.Boolean: "bool"} | {
    kind: kind.__name__.lower()
    for kind in (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Float32, pl.Float64,
                 pl.String, pl.Date, pl.Datetime, pl.Binary)
}  # fmt: skip


def make_profile(rows: pl.LazyFrame) -> DropProfile:
    """Summarise rows, a column at a time."""
    columns = {}
    for place, (name, dtype) in enumerate(rows.collect_schema().items()):
        # By place: of a name that is a pattern, Polars would make several columns.
        series = rows.select(pl.nth(place)).collect().to_series()
        columns[name] = _column(series, _type(dtype))
    total = next(iter(columns.values())).rows if columns else 0
    return DropProfile(rows=total, columns=columns)


def _type(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Decimal):
        return f"decimal({dtype.precision},{dtype.scale})"
    return _TYPES.get(dtype.base_type(), str(dtype))


def _column(series: pl.Series, kind: str) -> ColumnProfile:
    values = _physical(series.drop_nulls(), kind).alias("value")  # whatever its own name is
    counts = values.value_counts(sort=False, name="rows").sort(
        ["rows", "value"], descending=[True, False]
    )
    complete = counts.height <= MOST_VALUES
    kept = [
        (kept_text(value) if isinstance(value, str) else value, rows)
        for value, rows in counts.head(MOST_VALUES).iter_rows()
    ]
    numeric = is_numeric(kind) and len(values) > 0
    ordered = values.sort().to_numpy() if numeric and not complete else None
    hashes = None if complete else _hashes(counts["value"], kind)
    buckets: tuple[int, ...] = ()
    if hashes is not None and not is_numeric(kind):
        buckets = tuple(bucket_rows(hashes, counts["rows"].to_numpy()).tolist())
    return ColumnProfile(
        type=kind,
        rows=len(series),
        nulls=series.null_count(),
        values=tuple(kept),
        complete=complete,
        sketch="" if hashes is None else hyperloglog.to_text(hyperloglog.sketch(hashes)),
        buckets=buckets,
        points=() if ordered is None else points_of(ordered),
        error=0.0 if ordered is None else 0.5 / POINTS,
        least=_number(values.min()) if numeric else None,
        most=_number(values.max()) if numeric else None,
    )


def _physical(values: pl.Series, kind: str) -> pl.Series:
    """Integers exactly, and whatever has no type of a contract as text."""
    if is_real(kind):
        return values.cast(pl.Float64)
    if is_numeric(kind):
        return values.to_physical().cast(pl.Int64)
    if kind == "binary":
        return values.bin.encode("hex")
    return values if kind in {"bool", "string"} else values.cast(pl.String)


def _hashes(distinct: pl.Series, kind: str) -> npt.NDArray[np.uint64]:
    if is_numeric(kind):
        return hyperloglog.hash_numbers(distinct.to_numpy())
    return hyperloglog.hash_texts(distinct.to_list())


def _number(value: object) -> int | float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None
