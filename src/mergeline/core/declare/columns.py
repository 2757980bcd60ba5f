"""A column of a contract, and values of its type."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from functools import cached_property
from typing import Any, Literal

from mergeline.core.declare.moments import FORMAT_RULES, format_problem
from mergeline.core.declare.strict import did_you_mean

# One of `TYPES`, or `decimal(10,2)`: 10 digits, 2 of them after the point.
ColumnType = str
TYPES = (
    "bool", "int8", "int16", "int32", "int64", "float32", "float64", "string", "date", "datetime",
    "binary",
)  # fmt: skip
Value = bool | int | float | str | dt.date | dt.datetime | Decimal
_DECIMAL = re.compile(r"decimal\(([0-9]{1,2}),([0-9]{1,2})\)")
_MOST_DIGITS = 38  # of a decimal, in Delta and in Parquet
_OFFSET = re.compile(r"([+-])(0[0-9]|1[0-4]):([0-5][0-9])")
_ZONE = re.compile(r"UTC|[A-Za-z_]+(?:/[A-Za-z0-9_+-]+)+")
_OF_PYTHON: Mapping[str, type] = {"bool": bool, "string": str, "binary": bytes}
_INTEGER_BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}


@dataclass(frozen=True)
class Column:
    """What one column's values must be.

    Attributes:
        type: of the values; `decimal(10,2)` has 10 digits, 2 of them after the point.
        nullable: whether a value may be absent.
        min: the least value allowed; for a number, date or datetime.
        max: the greatest value allowed.
        allowed: the only values allowed.
        description: for people.
        format: of a date or datetime that is a text, by the directives of `strptime`; ISO 8601
            without one.
        zone: where a datetime without an offset was noted: a name, or an offset such as `+01:00`.
        true: texts that mean true.
        false: texts that mean false.
        default: null if a drop may lack the column, which was added later.
    """

    type: ColumnType
    nullable: bool = False
    min: Value | None = None
    max: Value | None = None
    allowed: tuple[Value, ...] = ()
    description: str = ""
    format: str = ""
    zone: str = ""
    true: tuple[str, ...] = ()
    false: tuple[str, ...] = ()
    default: Literal["none"] | None = "none"

    @property
    def came_later(self) -> bool:
        """Whether a drop may lack the column."""
        return self.default is None

    @property
    def offset(self) -> dt.timedelta | None:
        """From UTC, where `zone` is one."""
        match = _OFFSET.fullmatch(self.zone)
        if match is None:
            return None
        size = dt.timedelta(hours=int(match[2]), minutes=int(match[3]))
        return -size if match[1] == "-" else size

    @cached_property
    def digits(self) -> tuple[int, int] | None:
        """Of a decimal: how many digits, and how many of them after the point."""
        return decimal_digits(self.type)

    def is_of_type(self, value: Value) -> bool:
        """Whether a value is of the column's type."""
        return _convert(value, self.type) is not None

    def allows(self, value: Value) -> bool:
        """Whether a value of its type is within bounds, and among the allowed ones."""
        typed: Any = _convert(value, self.type)
        low: Any = typed if self.min is None else self.min
        high: Any = typed if self.max is None else self.max
        return bool(low <= typed <= high) and (not self.allowed or typed in self.allowed)


def decimal_digits(kind: str) -> tuple[int, int] | None:
    """Of the type of a decimal: how many digits, and how many of them after the point."""
    match = _DECIMAL.fullmatch(kind)
    return (int(match[1]), int(match[2])) if match else None


def column_problem(column: Column) -> str:
    """What is wrong with a column's settings, or nothing."""
    kind, digits = column.type, column.digits
    if kind not in TYPES and digits is None:
        return f".type: {kind!r} is no type ({did_you_mean(kind, [*TYPES, 'decimal(10,2)'])})"
    if (digits and not 0 <= digits[1] <= digits[0] <= _MOST_DIGITS) or digits == (0, 0):
        return f".type: a decimal has 1 to {_MOST_DIGITS} digits, no more of them after the point"
    if column.came_later and not column.nullable:
        return ".default: null stands for an absent value; say `nullable: true` too"
    if bool(column.true) != bool(column.false) or (column.true and kind != "bool"):
        return ": `true` and `false` go together, for a bool"
    if set(column.true) & set(column.false):
        return ": a text means both true and false"
    return _moment_problem(column)


def _moment_problem(column: Column) -> str:
    kind = column.type
    if column.format and kind not in {"date", "datetime"}:
        return ".format: is of a date or datetime"
    if column.format and (problem := format_problem(column.format, with_time=kind == "datetime")):
        return f".format: {problem}; {FORMAT_RULES}"
    if column.zone and kind != "datetime":
        return ".zone: is of a datetime"
    if column.zone and column.offset is None and not _ZONE.fullmatch(column.zone):
        return f".zone: {column.zone!r} is neither an offset such as +01:00 nor like Europe/Berlin"
    return ""


def with_typed_values(name: str, column: Column) -> Column:
    """The column with its bounds and allowed values as values of its type.

    Raises:
        ValueError: one is not a value of its type, or min is greater than max.
    """

    def typed(value: Value, setting: str) -> Any:  # noqa: ANN401
        converted = _convert(value, column.type)
        if converted is None:
            raise ValueError(
                f"columns.{name}.{setting}: {value!r} is not a value of type {column.type}"
            )
        return converted

    least = None if column.min is None else typed(column.min, "min")
    most = None if column.max is None else typed(column.max, "max")
    if (least, most) != (None, None) and column.type in {"bool", "string", "binary"}:
        raise ValueError(f"columns.{name}: a {column.type} has no min or max (use allowed)")
    if least is not None and most is not None and least > most:
        raise ValueError(f"columns.{name}: min is greater than max")
    allowed = tuple(typed(value, "allowed") for value in column.allowed)
    return replace(column, min=least, max=most, allowed=allowed)


def _convert(value: Value, kind: ColumnType) -> Value | None:
    """The value as one of the type, or None if it is not one."""
    if kind in _OF_PYTHON:
        return value if isinstance(value, _OF_PYTHON[kind]) else None
    if kind in {"date", "datetime"}:
        return _moment(value, kind)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if digits := decimal_digits(kind):
        return _decimal(value, *digits)
    if kind in _INTEGER_BITS:
        limit = 2 ** (_INTEGER_BITS[kind] - 1)
        return value if isinstance(value, int) and -limit <= value < limit else None
    return float(value) if math.isfinite(value) else None


def _decimal(value: float, digits: int, after: int) -> Value | None:
    """The value as a decimal that has so many digits, or None if it is not one."""
    try:
        exact = Decimal(str(value))
        scaled = exact.quantize(Decimal(1).scaleb(-after), context=Context(prec=_MOST_DIGITS + 1))
    except ArithmeticError:
        return None
    return scaled if exact == scaled and abs(scaled) < 10 ** (digits - after) else None


def _moment(value: Value, kind: str) -> Value | None:
    """The value as a date, or as a datetime in UTC (one without a zone is in UTC)."""
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
        if kind == "date" and value.time() == dt.time():
            value = value.date()
    if not isinstance(value, dt.date):
        return None
    if kind == "date":
        return None if isinstance(value, dt.datetime) else value
    if not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    return value.astimezone(dt.UTC) if value.tzinfo else value.replace(tzinfo=dt.UTC)


def canonical(value: Value | None) -> Any:  # noqa: ANN401 - a JSON scalar
    """The value as a digest takes it."""
    if isinstance(value, Decimal):
        return str(value)
    return value.isoformat() if isinstance(value, dt.date) else value
