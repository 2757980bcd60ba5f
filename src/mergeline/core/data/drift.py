"""How far the values of some rows are from those of others.

scipy is imported inside functions, so that building a snapshot does not wait for it. `scipy.stats`
has these tests ready, but importing it takes longer than the whole diff.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mergeline.core.data.profile import Distribution, Merged

_BINS = 10
_CATEGORIES = 20
_FEW_VALUES = 20
_LEAST_EXPECTED = 5


@dataclass(frozen=True)
class Drift:
    """The distance between two samples of one column.

    Attributes:
        psi: population stability index; by custom, above 0.1 is worth a look, above 0.25 a shift.
        test: `Kolmogorov-Smirnov` for numbers, `chi-square` for categories, `chi-square over hash
            buckets` for texts with more values than a summary counts.
        statistic: of the test.
        p_value: chance of so large a distance between two samples of one population, if rows were
            independent; None if a sample has no value.
        rows_before: rows of the first sample, absent values included; `rows_after` of the second.
    """

    psi: float
    test: str
    statistic: float | None
    p_value: float | None
    rows_before: int
    rows_after: int


def drift(before: Merged, after: Merged) -> Drift | None:
    """The distance of `after` from `before`; None if one has no rows.

    Numbers are binned by the tenths of `before`. Categories are the 20 most frequent values of both
    samples and one for the rest, or 20 parts by hash if not all values are counted. Rows without a
    value are a category too. Each category counts half a row more than it has, since an empty one
    would make the index infinite.
    """
    if not before.rows or not after.rows:
        return None
    result: tuple[float | None, float | None]
    binned = before.distribution or after.distribution
    complete = before.complete and after.complete
    few = complete and max(before.distinct, after.distinct) <= _FEW_VALUES
    if binned and not few:
        table, test = _bin_table(before, after, binned), "Kolmogorov-Smirnov"
        result = _kolmogorov_smirnov(before, after)
    elif complete:
        categories, test = _category_table(before, after), "chi-square"
        table = _frequent(categories)
        result = _chi_square(categories)
    else:
        test = "chi-square over hash buckets"
        table = np.array([[*side.buckets, side.nulls] for side in (before, after)], dtype=float)
        result = _chi_square(table)
    return Drift(_psi(_occupied(table)), test, *result, before.rows, after.rows)


def _category_table(before: Merged, after: Merged) -> npt.NDArray[np.float64]:
    """Rows of both samples by category (columns); the last column counts rows without a value."""
    names = sorted(before.counts | after.counts, key=str)
    counts = [[*(side.counts[name] for name in names), side.nulls] for side in (before, after)]
    return np.array(counts, dtype=np.float64)


def _frequent(table: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The most frequent categories, and all others as one; rows without a value stay apart."""
    order = np.argsort(-table[:, :-1].sum(axis=0), kind="stable")
    return _merged(table, order[_CATEGORIES:])


def _merged(
    table: npt.NDArray[np.float64], places: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """The table with these categories joined into one."""
    if not len(places):
        return table
    rest = table[:, places].sum(axis=1, keepdims=True)
    return np.hstack([np.delete(table, places, axis=1), rest])


def _bin_table(before: Merged, after: Merged, binned: Distribution) -> npt.NDArray[np.float64]:
    """Rows of both samples by the tenths of `binned`; the last column as in a category table."""
    edges = np.unique([binned.quantile(n / _BINS) for n in range(1, _BINS)])
    counts = []
    for side in (before, after):
        parts = np.zeros(len(edges) + 1)
        if side.distribution is not None:
            shares = side.distribution.share_up_to(edges)
            parts = np.diff(np.concatenate([[0.0], shares, [1.0]])) * side.present
        counts.append([*parts, float(side.nulls)])
    return np.array(counts)


def _occupied(table: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(table[:, table.sum(axis=0) > 0])


def _psi(table: npt.NDArray[np.float64]) -> float:
    raised = table + 0.5
    before, after = raised / raised.sum(axis=1, keepdims=True)
    return float(np.sum((after - before) * np.log(after / before)))


def _chi_square(table: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Pearson's test; categories that are too rare for its approximation are joined into one.

    Both samples together decide what is rare. If one sample decided, it would pick the categories
    in which that sample happens to be high.
    """
    table = _occupied(table)
    expected = table.sum(axis=0) * table.sum(axis=1).min() / table.sum()
    table = _merged(table, np.flatnonzero(expected < _LEAST_EXPECTED))
    if table.shape[1] < 2:
        return 0.0, 1.0
    from scipy import special

    rows, columns = table.sum(axis=1, keepdims=True), table.sum(axis=0, keepdims=True)
    expected = rows * columns / table.sum()
    statistic = float(np.sum((table - expected) ** 2 / expected))
    return statistic, float(special.chdtrc(table.shape[1] - 1, statistic))


def _kolmogorov_smirnov(before: Merged, after: Merged) -> tuple[float | None, float | None]:
    """Largest distance of the two distribution functions, and its asymptotic p-value.

    The error of the summaries is subtracted, so that it never looks like drift.
    """
    if before.distribution is None or after.distribution is None:
        return None, None
    from scipy import special

    old, new = before.distribution, after.distribution
    edges = np.union1d(old.positions, new.positions)
    largest = float(np.max(np.abs(old.share_up_to(edges) - new.share_up_to(edges))))
    distance = max(0.0, largest - before.error - after.error)
    effective = math.sqrt(before.present * after.present / (before.present + after.present))
    return distance, float(special.kolmogorov(distance * effective))
