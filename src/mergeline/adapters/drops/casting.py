"""Values of a drop become values of the contract's types, exactly or not at all."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Mapping
from typing import cast

import polars as pl
import pyarrow as pa
from polars.exceptions import ComputeError

from mergeline.core.declare.columns import Column, ColumnType, decimal_digits
from mergeline.core.declare.contract import Contract, Dialect, contract_path
from mergeline.core.declare.moments import moment_format
from mergeline.errors import DeclarationError

_DTYPES: Mapping[ColumnType, pl.DataType] = {
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
    "binary": pl.Binary(),
}
_TRUE, _FALSE = ("true", "1"), ("false", "0")
_PLAIN = Dialect()
_ISO_DATE_LENGTH = len("2013-01-01")
_ISO_MOMENT_LENGTH = len("2013-01-01T00:00")
_ISO_MINUTES = len("2013-01-01T00")
# Polars also takes 0:0:0 and second 60, of which it makes the next minute.
_ISO_MOMENT = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-5][0-9](?:\.[0-9]+)?)?"
    r" ?(?:[zZ]|[+−-][0-9]{2}(?::?[0-9]{2})?)?$"
)
_FINER = r"\.\d{6}\d*[1-9]"  # than a microsecond
_DIGITS: Mapping[ColumnType, int] = {"float32": 8, "float64": 16}  # from which some are rounded
# Polars' table of zones ends here: after it, each summer's hour would be the winter's.
_LAST_YEAR_OF_ZONES = 2099
_FIRST_DAY, _END_DAY = (dt.date(1, 1, 1) - dt.date(1970, 1, 1)).days, 2_932_897  # 10000-01-01
_MOMENTS = tuple(
    f"%Y-%m-%d{separator}%H:%M{seconds}{zone}"
    for separator in ("T", " ")
    for seconds in (":%S%.f", "")
    for zone in ("", "%#z")
)


def dtype_of(kind: ColumnType) -> pl.DataType:
    """Polars' type of a contract's."""
    digits = decimal_digits(kind)
    return pl.Decimal(*digits) if digits else _DTYPES[kind]


def refuse_unknown_zones(contract: Contract) -> None:
    """Refuse a contract with a zone that the table of zones does not have.

    Raises:
        DeclarationError: there is one.
    """
    for name, column in contract.columns.items():
        if column.zone and column.offset is None:
            try:
                pl.Series([0]).cast(pl.Datetime("us")).dt.replace_time_zone(column.zone)
            except ComputeError as error:
                raise DeclarationError(
                    f"columns.{name}.zone: {column.zone!r} is no zone",
                    where=contract_path(contract.table),
                    next_step="Name one such as Europe/Berlin",
                ) from error


def absent_values(raw: pl.Series, column: Column, contract: Contract) -> pl.Series:
    """The series with the contract's texts for an absent value as nulls."""
    if raw.dtype.is_float() and "NaN" in contract.null:
        return raw.fill_nan(None)
    if isinstance(raw.dtype, pl.Categorical | pl.Enum):
        raw = raw.cast(pl.String)
    absent: list[str] | list[bytes] = list(contract.null)
    if raw.dtype == pl.Binary and column.type == "string":
        absent = [text.encode() for text in contract.null]
    elif raw.dtype != pl.String or contract.format == "csv":
        return raw
    if absent:
        return raw.set(raw.is_in(absent).fill_null(value=False), None)
    return raw


def cast_to(raw: pl.Series, column: Column, dialect: Dialect = _PLAIN) -> pl.Series:
    """The values as the column's type; null if one does not fit (nothing is rounded to fit)."""
    kind, dtype = column.type, dtype_of(column.type)
    if raw.dtype == pl.Binary and kind == "string":
        return _texts(raw)
    if raw.dtype == pl.String:
        values = _cast_text(raw, column, dialect)
        return values.set(beyond_years(values), None) if dtype.is_temporal() else values
    if not _related(raw.dtype, column):
        return pl.Series(raw.name, [None], dtype=dtype).new_from_index(0, raw.len())
    if raw.dtype.is_temporal():
        raw = raw.set(beyond_years(raw), None)  # which some casts do not survive
    if raw.dtype == dtype:
        return raw
    if kind == "datetime" and isinstance(raw.dtype, pl.Datetime):
        aware = _located(raw, column) if raw.dtype.time_zone is None else raw
        raw = aware.dt.convert_time_zone("UTC")
    values = raw.cast(dtype, strict=False)
    if raw.dtype.is_float() and dtype.is_float():
        return values
    lossless = (values.cast(raw.dtype, strict=False) == raw).fill_null(value=False)
    return values.set(~lossless, None)


def would_be_rounded(raw: pl.Series, column: Column, dialect: Dialect = _PLAIN) -> pl.Series:
    """Of values that do not fit, those that would once they are rounded."""
    if raw.dtype == pl.String:
        pattern = _FINER if column.type == "datetime" else r"^[+-]?[0-9]+$"
        if column.digits:
            pattern = r"^[+-]?\d*\.\d+$"
        elif column.type not in {"datetime", *_DIGITS}:
            return raw.is_null() & False
        numbers = plain_numbers(raw, column, dialect)
        return numbers.str.contains(pattern).fill_null(value=False)
    rounds = column.type == "datetime" and _is_in_nanoseconds(raw)
    rounds |= column.type in _DIGITS and raw.dtype.is_integer()
    rounds |= column.digits is not None and raw.dtype.is_decimal()
    return raw.is_null() | True if rounds else raw.is_null() & False


def is_no_one_moment(raw: pl.Series, values: pl.Series, column: Column) -> pl.Series:
    """Where a local time stands for two moments or for none: the clocks were changed."""
    if not column.zone:
        return raw.is_null() & False
    anywhere = Column(column.type, format=column.format)
    return values.is_null() & cast_to(raw, anywhere).is_not_null()


def beyond_years(moments: pl.Series) -> pl.Series:
    """Where dates or moments lie outside the years 1 to 9999, which is all that Python knows."""
    per_day = 1
    if isinstance(moments.dtype, pl.Datetime):
        per_day = 86_400 * {"ms": 10**3, "us": 10**6, "ns": 10**9}[moments.dtype.time_unit]
    first, end = _FIRST_DAY * per_day, _END_DAY * per_day
    moments = moments.to_physical().cast(pl.Int128)
    return ~moments.is_between(first, end, closed="left").fill_null(value=True)


def plain_numbers(raw: pl.Series, column: Column, dialect: Dialect) -> pl.Series:
    """Texts of numbers with a point and without separators; null where one is no number."""
    numeric = column.type.startswith(("int", "float")) or column.digits
    if not numeric or (dialect.decimal, dialect.thousands) == (".", ""):
        return raw
    point, group = re.escape(dialect.decimal), re.escape(dialect.thousands)
    whole = rf"\d+|\d{{1,3}}(?:{group}\d{{3}})+" if group else r"\d+"
    form = rf"^[+-]?(?:(?:{whole})(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?$"
    plain = raw.set(~raw.str.contains(form).fill_null(value=True), None)
    if dialect.thousands:
        plain = plain.str.replace_all(dialect.thousands, "", literal=True)
    return plain.str.replace(dialect.decimal, ".", literal=True)


def _related(dtype: pl.DataType, column: Column) -> bool:
    """Whether values of a Parquet or JSON type can be values of the contract's."""
    kind = column.type
    if kind.startswith(("int", "float")):
        return dtype.is_numeric()
    if column.digits:
        return dtype.is_integer() or dtype.is_decimal()
    if kind in {"date", "datetime"}:
        return isinstance(dtype, pl.Date | pl.Datetime)
    return dtype == _DTYPES[kind]


def _texts(raw: pl.Series) -> pl.Series:
    """Bytes as the text that they are in UTF-8."""
    try:
        return raw.cast(pl.String)
    except ComputeError:
        return pl.Series(raw.name, [_decoded(value) for value in raw], dtype=pl.String)


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _cast_text(raw: pl.Series, column: Column, dialect: Dialect) -> pl.Series:
    kind = column.type
    if kind == "bool":
        return _cast_booleans(raw, column)
    if column.format:
        return _cast_declared(raw, column)
    if kind == "date":
        # `to_date` also takes 2013-1-1 and leading blanks; ISO 8601 does not.
        iso = raw.set((raw.str.len_bytes() != _ISO_DATE_LENGTH).fill_null(value=False), None)
        return iso.str.to_date("%Y-%m-%d", strict=False)
    if kind == "datetime":
        return _cast_moments(raw, column)
    if kind == "binary":
        return pl.Series(raw.name, [None], dtype=pl.Binary()).new_from_index(0, raw.len())
    numbers = plain_numbers(raw, column, dialect)
    if column.digits:
        return _cast_decimals(numbers, column.digits)
    values = numbers.cast(dtype_of(kind), strict=False)
    return values.set(_rounded_texts(numbers, values), None) if kind in _DIGITS else values


def _cast_booleans(raw: pl.Series, column: Column) -> pl.Series:
    true, false = list(column.true or _TRUE), list(column.false or _FALSE)
    texts = raw if column.true else raw.str.to_lowercase()
    known = texts.is_in([*true, *false])
    return texts.is_in(true).set(~known.fill_null(value=False), None)


def _cast_declared(raw: pl.Series, column: Column) -> pl.Series:
    """Dates and moments in the form that the contract says."""
    form = moment_format(column.format)
    fitting = raw.set(~raw.str.contains(form.pattern).fill_null(value=True), None)
    if column.type == "date":
        return fitting.str.to_date(form.chrono, strict=False)
    values = fitting.str.to_datetime(form.chrono, time_unit="us", strict=False)
    return values.dt.convert_time_zone("UTC") if form.has_offset else _located(values, column)


def _cast_decimals(numbers: pl.Series, digits: tuple[int, int]) -> pl.Series:
    """Numbers in digits, none of which would be cut."""
    form = rf"^[+-]?\d*(?:\.\d{{0,{digits[1]}}}0*)?$"
    fits = numbers.str.contains(form) & numbers.str.contains(r"\d")
    fitting = numbers.set(~fits.fill_null(value=True), None)
    return fitting.cast(pl.Decimal(*digits), strict=False)


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


def _located(local: pl.Series, column: Column) -> pl.Series:
    """Local times as moments in UTC; null where the zone's clocks leave two, none, or unknown."""
    offset = column.offset
    if offset is not None:
        return (local - offset).dt.replace_time_zone("UTC")
    if not column.zone:
        return local.dt.replace_time_zone("UTC")
    known = local.set((local.dt.year() > _LAST_YEAR_OF_ZONES).fill_null(value=False), None)
    zoned = known.dt.replace_time_zone(column.zone, ambiguous="null", non_existent="null")
    return zoned.dt.convert_time_zone("UTC")


def _cast_moments(raw: pl.Series, column: Column) -> pl.Series:
    """ISO 8601 date and time; one without an offset is in the column's zone, or else in UTC."""
    quick = _quick_moments(raw, column)
    if quick is not None:
        return quick
    values = pl.Series(raw.name, [None], dtype=_DTYPES["datetime"]).new_from_index(0, raw.len())
    raw = raw.set(~raw.str.contains(_ISO_MOMENT).fill_null(value=True), None)
    present = raw.drop_nulls().head(1)
    # The form that the first value has most likely suits all.
    forms = sorted(_MOMENTS, key=lambda form: _parse_moments(present, form, column).null_count())
    for form in forms:
        if values.null_count() == raw.null_count():
            break
        values = values.zip_with(values.is_not_null(), _parse_moments(raw, form, column))
    return values.set(raw.str.contains(_FINER).fill_null(value=False), None).alias(raw.name)


def _quick_moments(raw: pl.Series, column: Column) -> pl.Series | None:
    """What Arrow makes of them, ten times as quickly, or None if it cannot read a value."""
    shortest = raw.str.len_bytes().min()
    if shortest is None or cast("int", shortest) < _ISO_MOMENT_LENGTH:
        return None
    if (raw.str.slice(_ISO_MINUTES, 1) != ":").any():  # Arrow takes an hour alone
        return None
    first = raw.drop_nulls().head(1).to_arrow()
    for zone in (None, "UTC"):
        # The first value alone: to find out that the many are of another form takes long.
        with contextlib.suppress(pa.ArrowInvalid):
            first.cast(pa.timestamp("us", zone))
            values = raw.to_arrow().cast(pa.timestamp("us", zone))
            moments = cast("pl.Series", pl.from_arrow(values)).alias(raw.name)
            return moments if zone else _located(moments, column)
    return None


def _parse_moments(raw: pl.Series, form: str, column: Column) -> pl.Series:
    values = raw.str.to_datetime(form, time_unit="us", strict=False)
    return values if form.endswith("z") else _located(values, column)


def _is_in_nanoseconds(raw: pl.Series) -> bool:
    return isinstance(raw.dtype, pl.Datetime) and raw.dtype.time_unit == "ns"
