"""Columns that give the label away.

A model that takes a column known only after the fact looks perfect and is useless. There are two
signs of it: the model takes a column that the gate lists as `unavailable` (see
`gate.rules.absolute`), or, here, a single raw column by itself orders the holdout almost perfectly
by its label. That a metric jumps is no sign: it is what a change is made for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mergeline.core.compare.arrays import factorize
from mergeline.core.compare.metrics import ranks
from mergeline.core.declare.model import Task

Floats = npt.NDArray[np.float64]

SUSPICIOUS_AUC = 0.99
SUSPICIOUS_CORRELATION = 0.995
FEWEST_ROWS = 50


def find_leaks(
    columns: Mapping[str, npt.NDArray[Any]], labels: npt.NDArray[Any], task: Task
) -> dict[str, str]:
    """A sentence for each column that alone gives the label away, by the column's name.

    Columns and labels have shape (n,), labels without missing values. A text stands for the mean
    label of the same text in the other half of the rows, so that a column with as many values as
    rows gives nothing away.
    """
    if len(labels) < 2 * FEWEST_ROWS:
        return {}
    leaks = {}
    for name, values in columns.items():
        if task == "regression":
            strength = _correlation(values, labels.astype(np.float64))
            measure, limit = "rank correlation", SUSPICIOUS_CORRELATION
        else:
            strength = _separation(values, labels)
            measure, limit = "ROC AUC", SUSPICIOUS_AUC
        if strength >= limit:
            leaks[name] = f"the column {name} alone gives the label away ({measure} {strength:.4g})"
    return leaks


def _separation(values: npt.NDArray[Any], labels: npt.NDArray[Any]) -> float:
    """The highest AUC, in either direction, of the column for any class against the rest."""
    codes, classes = factorize(labels)
    best = 0.0
    for code in range(len(classes)):
        numbers, truth = _as_numbers(values, (codes == code).astype(np.float64))
        if 0 < truth.sum() < len(truth):
            auc, _ = ranks.placements(numbers, truth == 1)
            best = max(best, auc, 1 - auc)
    return best


def _correlation(values: npt.NDArray[Any], labels: Floats) -> float:
    from scipy import stats

    numbers, truth = _as_numbers(values, labels)
    ordered, wanted = stats.rankdata(numbers), stats.rankdata(truth)
    if np.ptp(ordered) == 0 or np.ptp(wanted) == 0:
        return 0.0
    return float(abs(np.corrcoef(ordered, wanted)[0, 1]))


def _as_numbers(values: npt.NDArray[Any], truth: Floats) -> tuple[Floats, Floats]:
    """The column as numbers, and the truth of the rows that they are for.

    Missing numbers rank lowest, since being missing may give the label away. Text becomes the mean
    truth of the same text among every other row.
    """
    if values.dtype.kind in "biuf":
        numbers = values.astype(np.float64)
    elif values.dtype.kind in "mM":
        numbers = np.where(np.isnat(values), np.nan, values.astype(np.int64).astype(np.float64))
    else:
        codes, names = factorize(values)
        learn, judge = slice(0, None, 2), slice(1, None, 2)
        rows = np.bincount(codes[learn], minlength=len(names))
        sums = np.bincount(codes[learn], truth[learn], minlength=len(names))
        means = np.where(rows > 0, sums / np.maximum(rows, 1), truth[learn].mean())
        return means[codes[judge]], truth[judge]
    return np.where(np.isnan(numbers), -np.inf, numbers), truth
