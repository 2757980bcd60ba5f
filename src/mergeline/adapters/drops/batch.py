"""What a reader of one format hands on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import polars as pl

from mergeline.core.data.snapshot import Drop
from mergeline.core.data.violations import Violation
from mergeline.core.declare.contract import Contract


@dataclass(frozen=True)
class Batch:
    """Some rows of a drop as they stand in it.

    Attributes:
        frame: the contract's columns, in its order, of whatever type the format gives.
        first_row: of the batch in the drop, from 1.
        wrong: what the reader itself found wrong.
        lines: in the file, of each row, where the reader knows them.
        share: of the drop that is read at the batch's end; None where the reader does not know.
    """

    frame: pl.DataFrame
    first_row: int
    wrong: tuple[Violation, ...] = ()
    lines: Sequence[int] | None = None
    share: float | None = None


def columns_problems(names: Sequence[str], drop: Drop, contract: Contract) -> list[Violation]:
    """What is wrong with the columns of a whole file."""
    line = 1 if contract.format == "csv" else None

    def wrong(column: str, rule: str) -> Violation:
        return Violation(drop.path, rule, line=line, column=column)

    twice = sorted({name for name in names if names.count(name) > 1})
    missing = [
        name
        for name, column in contract.columns.items()
        if name not in names and not column.came_later
    ]
    unknown = []
    if contract.unknown_columns == "refuse":
        unknown = [name for name in names if name not in contract.columns]
    return [
        *(wrong(name, "stands twice in the header") for name in twice),
        *(wrong(name, "is missing") for name in missing),
        *(wrong(name, "is not declared (unknown_columns: refuse)") for name in unknown),
    ]


def with_later_columns(frame: pl.DataFrame, columns: Collection[str]) -> pl.DataFrame:
    """These columns in their order; one that the drop lacks is absent in each row."""
    # Not by expressions: a name may be a pattern to Polars.
    return pl.DataFrame(
        [
            frame.get_column(name)
            if name in frame.columns
            else pl.Series(name, [None], dtype=pl.Null).new_from_index(0, frame.height)
            for name in columns
        ]
    )
