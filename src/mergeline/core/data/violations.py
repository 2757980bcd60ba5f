"""Why a drop is refused: where it breaks its contract, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mergeline.core.declare.private import Quoting
from mergeline.errors import DropError

SHOWN = 5
_LONGEST_VALUE = 80
_MISSING = "is missing"


@dataclass(frozen=True)
class Violation:
    """One place where a drop breaks its contract.

    Attributes:
        rule: what the contract asks, as the end of "value …", e.g. `is not an int16`.
        line: in the file, from 1; None if the format has no lines, or the file as a whole is
            meant.
        row: of the data, from 1 (a header is not a row); None if the file as a whole is meant.
        column: None if the row as a whole is meant.
        hidden: whether a private value stood there, which `value` does not tell.
    """

    file: str
    rule: str
    line: int | None = None
    row: int | None = None
    column: str | None = None
    value: str | None = None
    hidden: bool = False

    def __str__(self) -> str:
        place = f"row {self.row}" if self.row is not None else ""
        if self.line is not None:
            place = f"line {self.line}"
        column = f"column {self.column}" if self.column is not None else ""
        where = ", ".join(filter(None, (place, column)))
        value = self.value
        if value is not None and len(value) > _LONGEST_VALUE:
            value = value[: _LONGEST_VALUE - 1] + "…"
        breach = self.rule if value is None else f"{value!r} {self.rule}"
        if self.hidden and self.column:
            breach = f"a private value {self.rule}"
        return f"{where}: {breach}" if where else breach


@dataclass(frozen=True)
class Broken:
    """How often a drop breaks one rule in one column."""

    column: str | None
    rule: str
    count: int


@dataclass(frozen=True)
class Refusal:
    """All that is wrong with a drop: how often, and the first places of each kind."""

    file: str
    contract: str
    violations: tuple[Violation, ...]
    counts: tuple[Broken, ...]

    @property
    def total(self) -> int:
        """How many places break the contract."""
        return sum(broken.count for broken in self.counts)

    def quoted(self, quoting: Quoting) -> Refusal:
        """The same with only those values that may be quoted."""
        if quoting.is_free:
            return self
        missing = {item.column for item in self.violations if item.rule == _MISSING}
        required = {n for n, column in quoting.contract.columns.items() if not column.came_later}
        # Where a file has no line of names, its first row stands for them.
        no_names = required <= missing

        def name(column: str | None) -> str | None:
            unknown = column is not None and column not in quoting.contract.columns
            return None if unknown and no_names else column

        shown = tuple(
            item
            if item.value is None or quoting.allows(*_columns(item, quoting))
            else replace(item, value=None, hidden=True)
            for item in self.violations
        )
        return replace(
            self,
            violations=tuple(replace(item, column=name(item.column)) for item in shown),
            counts=tuple(replace(broken, column=name(broken.column)) for broken in self.counts),
        )

    def __str__(self) -> str:
        shown = self.violations[:SHOWN]
        places = "1 place" if self.total == 1 else f"{self.total:,} places"
        lines = [f"breaks {self.contract} in {places}", *(f"  {item}" for item in shown)]
        if self.total > len(shown):
            kinds = "; ".join(_kind(broken) for broken in self.counts[:SHOWN])
            others = len(self.counts) - SHOWN
            kinds += f"; and {others} more kinds" if others > 0 else ""
            lines.append(f"  and {self.total - len(shown):,} more; in all {kinds}")
        return "\n".join(lines)


class RefusedDropError(DropError):
    """A drop breaks its contract; `refusal` lists where."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(
            str(refusal),
            where=refusal.file,
            next_step=f"Mend the drop and `dvc add` it again, or change {refusal.contract}",
        )
        self.refusal = refusal


class UnreadableDropError(DropError):
    """A drop is not of its format; `why` is what the library that reads it said."""

    def __init__(self, form: str, why: str, *, where: str, next_step: str) -> None:
        super().__init__(f"cannot be read as {form}: {why}", where=where, next_step=next_step)
        self.form, self.why = form, why


def refuse(file: str, contract: str, violations: Iterable[Violation]) -> RefusedDropError:
    """The error for a drop, from all of its violations."""
    listed = tuple(violations)
    counts = Counter((item.column, item.rule) for item in listed)
    broken = tuple(Broken(column, rule, count) for (column, rule), count in counts.items())
    return RefusedDropError(Refusal(file, contract, listed, broken))


def _columns(item: Violation, quoting: Quoting) -> tuple[str, ...]:
    """The columns that a violation's value is of; none for a whole row."""
    key = quoting.contract.key
    if item.column is None or item.column == ", ".join(key):
        return key if item.column else ()
    return (item.column,)


def _kind(broken: Broken) -> str:
    column = f"{broken.column} " if broken.column else ""
    return f"{column}{broken.rule} × {broken.count:,}"
