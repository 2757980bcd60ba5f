"""Check rows against their contract: cast them to its types, and find what breaks it."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

import polars as pl
import pyarrow as pa

from mergeline.adapters.drops.read import Batch
from mergeline.core.data.violations import Broken, Violation
from mergeline.core.declare.contract import Column, ColumnType, Contract

_KEPT_PER_KIND = 5
DTYPES: Mapping[ColumnType, pl.DataType] = {
    "bool": pl.Boolean(),
    "int8": pl.Int8(),
    "int16": pl.Int16(),
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "float32": pl.Float32(),
    "float64": pl.Float64(),
    "string": pl.String(),
    "date": pl.Date(),
    "datetime": pl.Datetime("us", "UTC"),
}
_TRUE, _FALSE = ("true", "1"), ("false", "0")
_ISO_DATE_LENGTH = len("2013-01-01")
_ISO_MOMENT_LENGTH = len("2013-01-01T00:00")
_FINER = r"\.\d{6}\d*[1-9]"  # than a microsecond
_DIGITS: Mapping[ColumnType, int] = {"float32": 8, "float64": 16}  # from which some are rounded
_FIRST_DAY, _END_DAY = (dt.date(1, 1, 1) - dt.date(1970, 1, 1)).days, 2_932_897  # 10000-01-01
_MOMENTS = tuple(
    f"%Y-%m-%d{separator}%H:%M{seconds}{zone}"
    for separator in ("T", " ")
    for seconds in (":%S%.f", "")
    for zone in ("", "%#z")
)


@dataclass
class Findings:
    """What is wrong with a drop so far: every count, and the first places of each kind."""

    counts: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)

    def add(self, violation: Violation, count: int = 1) -> None:
        """Count `count` places of the violation's kind, and keep this one if it is early."""
        kind = (violation.column, violation.rule)
        kept = sum((item.column, item.rule) == kind for item in self.violations)
        self.counts[kind] += count
        if kept < _KEPT_PER_KIND:
            self.violations.append(violation)

    def broken(self) -> tuple[Broken, ...]:
        """How often each rule is broken in each column, most often first."""
        ordered = self.counts.most_common()
        return tuple(Broken(column, rule, count) for (column, rule), count in ordered)


def check_batch(batch: Batch, file: str, contract: Contract, findings: Findings) -> pl.DataFrame:
    """The batch with the contract's types; what breaks the contract is added to `findings`."""
    for wrong in batch.wrong:
        findings.add(wrong)
    typed = []
    for name, column in contract.columns.items():
        raw = absent_values(batch.frame[name], contract)
        values = cast_to(raw, column.type)
        typed.append(values)
        reported = [
            item.row - batch.first_row
            for item in batch.wrong
            if item.row is not None and item.column in {name, None}
        ]
        for rule, mask in _breaches(raw, values, column):
            broken = mask.fill_null(value=False)
            if reported:  # the reader's own finding stands for the place
                broken = broken.scatter(reported, values=False)
            places = broken.arg_true()
            count = len(places)
            for at in places.head(_KEPT_PER_KIND):
                line = batch.lines[at] if batch.lines is not None else None
                value = _cell(raw.slice(at, 1))
                violation = Violation(file, rule, line, batch.first_row + at, name, value)
                findings.add(violation, count)
                count = 0  # the first stands for all
    return pl.DataFrame(typed)


def absent_values(raw: pl.Series, contract: Contract) -> pl.Series:
    """The series with the contract's texts for an absent value as nulls."""
    if raw.dtype.is_float() and "NaN" in contract.null:
        return raw.fill_nan(None)
    if isinstance(raw.dtype, pl.Categorical | pl.Enum):
        raw = raw.cast(pl.String)
    if raw.dtype == pl.String and contract.null and contract.format != "csv":
        return raw.set(raw.is_in(list(contract.null)).fill_null(value=False), None)
    return raw


def cast_to(raw: pl.Series, kind: ColumnType) -> pl.Series:
    """The values as the type; null if a value does not fit (nothing is rounded to fit)."""
    dtype = DTYPES[kind]
    if raw.dtype == pl.String:
        values = _cast_text(raw, kind)
        return values.set(beyond_years(values), None) if dtype.is_temporal() else values
    if not _related(raw.dtype, kind):
        return pl.Series(raw.name, [None], dtype=dtype).new_from_index(0, raw.len())
    if raw.dtype.is_temporal():
        raw = raw.set(beyond_years(raw), None)  # which some casts do not survive
    if raw.dtype == dtype:
        return raw
    if kind == "datetime" and isinstance(raw.dtype, pl.Datetime):
        aware = raw.dt.replace_time_zone("UTC") if raw.dtype.time_zone is None else raw
        raw = aware.dt.convert_time_zone("UTC")
    values = raw.cast(dtype, strict=False)
    if raw.dtype.is_float() and dtype.is_float():
        return values
    lossless = (values.cast(raw.dtype, strict=False) == raw).fill_null(value=False)
    return values.set(~lossless, None)


def beyond_years(moments: pl.Series) -> pl.Series:
    """Where dates or moments lie outside the years 1 to 9999, which is all that Python knows."""
    per_day = 1
    if isinstance(moments.dtype, pl.Datetime):
        per_day = 86_400 * {"ms": 10**3, "us": 10**6, "ns": 10**9}[moments.dtype.time_unit]
    first, end = _FIRST_DAY * per_day, _END_DAY * per_day
    moments = moments.to_physical().cast(pl.Int128)
    return ~moments.is_between(first, end, closed="left").fill_null(value=True)


def _related(dtype: pl.DataType, kind: ColumnType) -> bool:
    """Whether values of a Parquet or JSON type can be values of the contract's."""
    if kind.startswith(("int", "float")):
        return dtype.is_numeric()
    if kind in {"date", "datetime"}:
        return isinstance(dtype, pl.Date | pl.Datetime)
    return dtype == DTYPES[kind]


def _cast_text(raw: pl.Series, kind: ColumnType) -> pl.Series:
    if kind == "bool":
        lowered = raw.str.to_lowercase()
        known = lowered.is_in([*_TRUE, *_FALSE])
        return lowered.is_in(list(_TRUE)).set(~known.fill_null(value=False), None)
    if kind == "date":
        # `to_date` also takes 2013-1-1 and leading blanks; ISO 8601 does not.
        iso = raw.set((raw.str.len_bytes() != _ISO_DATE_LENGTH).fill_null(value=False), None)
        return iso.str.to_date("%Y-%m-%d", strict=False)
    if kind == "datetime":
        return _cast_moments(raw)
    values = raw.cast(DTYPES[kind], strict=False)
    return values.set(_rounded_texts(raw, values), None) if kind in _DIGITS else values


def _rounded_texts(raw: pl.Series, values: pl.Series) -> pl.Series:
    """Where a whole number in digits is not the float that it became."""
    digits = _DIGITS["float32" if values.dtype == pl.Float32 else "float64"]
    longest = cast("int | None", raw.str.len_bytes().max())
    if longest is None or longest < digits:
        return raw.is_null() & False
    whole = raw.str.contains(rf"^[+-]?\d{{{digits},}}$").fill_null(value=False)
    if not whole.any():
        return whole
    exact = raw.set(~whole, None).str.strip_prefix("+").cast(pl.Int128, strict=False)
    return whole & ~(values.cast(pl.Int128, strict=False) == exact).fill_null(value=False)


def _cast_moments(raw: pl.Series) -> pl.Series:
    """ISO 8601 date and time; one without a zone is in UTC."""
    quick = _quick_moments(raw)
    if quick is not None:
        return quick
    values = pl.Series(raw.name, [None], dtype=DTYPES["datetime"]).new_from_index(0, raw.len())
    present = raw.drop_nulls().head(1)
    # The form that the first value has most likely suits all.
    forms = sorted(_MOMENTS, key=lambda form: _parse_moments(present, form).null_count())
    for form in forms:
        if values.null_count() == raw.null_count():
            break
        values = values.zip_with(values.is_not_null(), _parse_moments(raw, form))
    return values.set(raw.str.contains(_FINER).fill_null(value=False), None).alias(raw.name)


def _quick_moments(raw: pl.Series) -> pl.Series | None:
    """What Arrow makes of them, ten times as quickly, or None if it cannot read a value."""
    shortest = raw.str.len_bytes().min()
    if shortest is None or cast("int", shortest) < _ISO_MOMENT_LENGTH:
        return None
    for zone in (None, "UTC"):
        try:
            values = raw.to_arrow().cast(pa.timestamp("us", zone))
        except pa.ArrowInvalid:
            continue
        series = cast("pl.Series", pl.from_arrow(values)).alias(raw.name)
        return series.dt.replace_time_zone("UTC") if zone is None else series
    return None


def _parse_moments(raw: pl.Series, form: str) -> pl.Series:
    values = raw.str.to_datetime(form, time_unit="us", strict=False)
    return values if form.endswith("z") else values.dt.replace_time_zone("UTC")


def _breaches(raw: pl.Series, values: pl.Series, column: Column) -> Iterator[tuple[str, pl.Series]]:
    """(rule, where it is broken) for each rule of a column; null never breaks a bound."""
    article = "an" if column.type.startswith("int") else "a"
    if values.null_count() > raw.null_count():
        lost = raw.is_not_null() & values.is_null()
        rounded = _would_be_rounded(raw, column.type)
        far = raw.is_null() & False
        if isinstance(raw.dtype, pl.Date | pl.Datetime) and values.dtype.is_temporal():
            far = beyond_years(raw)
        yield "is not within the years 1 to 9999", lost & far
        yield f"would be rounded to fit {article} {column.type}", lost & rounded & ~far
        yield f"is not {article} {column.type}", lost & ~rounded & ~far
    if not column.nullable and raw.null_count():
        yield "is absent (not nullable)", raw.is_null()
    if values.dtype.is_float():
        yield "is not a finite number", ~values.is_finite()
        values = values.set((~values.is_finite()).fill_null(value=False), None)
    if column.min is not None:
        yield f"is below {_text(column.min)}", values < column.min
    if column.max is not None:
        yield f"is above {_text(column.max)}", values > column.max
    if column.allowed:
        allowed = pl.Series(list(column.allowed), dtype=values.dtype)
        known = ", ".join(_text(value) for value in column.allowed[:8])
        more = ", …" if len(column.allowed) > 8 else ""
        yield f"is not one of {known}{more}", ~values.is_in(allowed.implode())


def _would_be_rounded(raw: pl.Series, kind: ColumnType) -> pl.Series:
    """Of values that do not fit, those that would once they are rounded."""
    everywhere = raw.is_null() | True
    if kind in _DIGITS:
        if raw.dtype == pl.String:
            return raw.str.contains(r"^[+-]?\d+$").fill_null(value=False)
        return everywhere if raw.dtype.is_integer() else ~everywhere
    if kind == "datetime":
        if raw.dtype == pl.String:
            return raw.str.contains(_FINER).fill_null(value=False)
        return everywhere if _is_in_nanoseconds(raw) else ~everywhere
    return ~everywhere


def _is_in_nanoseconds(raw: pl.Series) -> bool:
    return isinstance(raw.dtype, pl.Datetime) and raw.dtype.time_unit == "ns"


def _cell(values: pl.Series) -> str | None:
    """The only value of a series, as it stands in the drop."""
    if isinstance(values.dtype, pl.Date | pl.Datetime):
        if beyond_years(values).any():  # Python cannot represent it
            unit = values.dtype.time_unit if isinstance(values.dtype, pl.Datetime) else "days"
            return f"{values.to_physical().to_list()[0]} {unit} since 1970-01-01"
        if _is_in_nanoseconds(values):
            values = values.cast(pl.String)
    value = values.to_list()[0]
    return None if value is None else str(value)


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, dt.date) else str(value)
