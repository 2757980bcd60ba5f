"""Check rows against their contract: cast them to its types, and find what breaks it."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from mergeline.adapters.drops.batch import Batch
from mergeline.adapters.drops.casting import (
    absent_values,
    beyond_years,
    cast_to,
    is_no_one_moment,
    would_be_rounded,
)
from mergeline.core.data.violations import Broken, Violation
from mergeline.core.declare.columns import Column
from mergeline.core.declare.contract import Contract, Dialect

_KEPT_PER_KIND = 5


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
        raw = absent_values(batch.frame[name], column, contract)
        values = cast_to(raw, column, contract.dialect)
        typed.append(values)
        reported = [
            item.row - batch.first_row
            for item in batch.wrong
            if item.row is not None and item.column in {name, None}
        ]
        for rule, mask in _breaches(raw, values, column, contract.dialect):
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


def _breaches(
    raw: pl.Series, values: pl.Series, column: Column, dialect: Dialect
) -> Iterator[tuple[str, pl.Series]]:
    """(rule, where it is broken) for each rule of a column; null never breaks a bound."""
    article = "an" if column.type.startswith("int") else "a"
    if values.null_count() > raw.null_count():
        lost = raw.is_not_null() & values.is_null()
        far = raw.is_null() & False
        if isinstance(raw.dtype, pl.Date | pl.Datetime) and values.dtype.is_temporal():
            far = beyond_years(raw)
        twice = is_no_one_moment(raw, values, column) & ~far
        rounded = would_be_rounded(raw, column, dialect) & ~far & ~twice
        yield "is not within the years 1 to 9999", lost & far
        clocks = "(clocks change; from 2100 on it is not known when)"
        yield f"is two moments or none in {column.zone} {clocks}", lost & twice
        yield f"would be rounded to fit {article} {column.type}", lost & rounded
        yield f"is not {_type_words(column, dialect, article)}", lost & ~(far | twice | rounded)
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


def _type_words(column: Column, dialect: Dialect, article: str) -> str:
    """`a date`, with what the contract says of its form."""
    if column.format:
        return f"{article} {column.type} of the format {column.format}"
    if column.true:
        return f"one of {', '.join((*column.true, *column.false))}"
    usual = Dialect()
    if (dialect.decimal, dialect.thousands) != (usual.decimal, usual.thousands) and (
        column.type.startswith(("int", "float")) or column.digits
    ):
        thousands = f", thousands {dialect.thousands!r}" if dialect.thousands else ""
        return f"{article} {column.type} (decimal {dialect.decimal!r}{thousands})"
    return f"{article} {column.type}"


def _cell(values: pl.Series) -> str | None:
    """The only value of a series, as it stands in the drop."""
    if isinstance(values.dtype, pl.Date | pl.Datetime):
        if beyond_years(values).any():  # Python cannot represent it
            unit = values.dtype.time_unit if isinstance(values.dtype, pl.Datetime) else "days"
            return f"{values.to_physical().to_list()[0]} {unit} since 1970-01-01"
        if isinstance(values.dtype, pl.Datetime) and values.dtype.time_unit == "ns":
            values = values.cast(pl.String)
    value = values.to_list()[0]
    return None if value is None else str(value)


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, dt.date) else str(value)
