"""How a change moves its holdout: rows that are gone, altered or added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mergeline.core.compare.arrays import is_missing

Values = npt.NDArray[Any]


@dataclass(frozen=True)
class HoldoutRows:
    """A holdout as its file holds it: row ids, labels and the other columns, each shape (n,)."""

    row_id: npt.NDArray[np.uint64]
    labels: Values
    columns: Mapping[str, Values]


@dataclass(frozen=True)
class MovedRows:
    """How a holdout differs from an earlier one.

    Attributes:
        of: rows of the earlier one; of them, `gone` are not in the later one, and `relabelled`
            and `altered` (by column) have another label or value there.
        added: rows that only the later one has.
    """

    of: int
    gone: int = 0
    relabelled: int = 0
    altered: Mapping[str, int] = field(default_factory=dict)
    added: int = 0

    @property
    def kept(self) -> bool:
        """Whether the later one has all rows of the earlier one, unchanged."""
        return not (self.gone or self.relabelled or self.altered)

    def __str__(self) -> str:
        parts = [f"{self.gone:,} gone"] if self.gone else []
        parts += [f"{self.relabelled:,} with another label"] if self.relabelled else []
        parts += [f"{rows:,} with another {name}" for name, rows in self.altered.items()]
        return f"of the {self.of:,} rows before: {', '.join(parts) or 'none moved'}"


def moved_rows(before: HoldoutRows, after: HoldoutRows) -> MovedRows:
    """Compare two holdouts row by row, in each column that both have."""
    _, then, now = np.intersect1d(before.row_id, after.row_id, return_indices=True)
    altered = {
        name: differing(values[then], after.columns[name][now])
        for name, values in before.columns.items()
        if name in after.columns
    }
    return MovedRows(
        of=len(before.row_id),
        gone=len(np.unique(before.row_id)) - len(then),
        relabelled=differing(before.labels[then], after.labels[now]),
        altered={name: rows for name, rows in altered.items() if rows},
        added=len(np.unique(after.row_id)) - len(now),
    )


def differing(before: Values, after: Values) -> int:
    """How many values of two arrays of one shape differ; two missing values are equal."""
    kinds = {before.dtype.kind, after.dtype.kind}
    if kinds <= set("biuf") or kinds in ({"M"}, {"m"}):
        missing = (before != before) & (after != after)  # noqa: PLR0124 - NaN and NaT
        return int(np.count_nonzero((before != after) & ~missing))
    pairs = zip(before.tolist(), after.tolist(), strict=True)
    return sum(not _equal(was, now) for was, now in pairs)


def _equal(was: object, now: object) -> bool:
    if is_missing(was) or is_missing(now):
        return is_missing(was) and is_missing(now)
    if isinstance(was, np.ndarray) or isinstance(now, np.ndarray):
        return np.array_equal(np.asarray(was), np.asarray(now))
    return was == now
