"""Columns that give the label away.

A column that is only known after the fact makes a model that looks perfect and is useless. Two
signs can be had without asking anybody: the gate's list of columns that are `unavailable`, which
`core.rules` holds against the model's inputs, and, here, a single raw column that by itself orders
the holdout almost perfectly by its label. A jump of the metric alone is no sign: it is what a
change is made for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mergeline.core.compare.metrics import ranks as ranking
from mergeline.core.compare.prepare import factorize
from mergeline.core.declare.model import Task

Floats = npt.NDArray[np.float64]

SUSPICIOUS_AUC = 0.99
SUSPICIOUS_CORRELATION = 0.995
FEWEST_ROWS = 50


def find_leaks(
    columns: Mapping[str, npt.NDArray[Any]], labels: npt.NDArray[Any], task: Task
) -> dict[str, str]:
    """A sentence for each column that alone gives the label away, by the column's name.

    Text is read by what the label is for the same text on the other half of the rows, so that a
    column with as many values as rows tells nothing.

    Args:
        columns: raw columns by name, each of shape (n,).
        labels: shape (n,), without missing values.
        task: what the labels are.
    """
    labels = np.asarray(labels)
    if len(labels) < 2 * FEWEST_ROWS:
        return {}
    found = {}
    for name, values in columns.items():
        if task == "regression":
            strength = _correlation(np.asarray(values), labels.astype(np.float64))
            said, limit = "rank correlation", SUSPICIOUS_CORRELATION
        else:
            strength = _separation(np.asarray(values), labels)
            said, limit = "ROC AUC", SUSPICIOUS_AUC
        if strength >= limit:
            found[name] = f"the column {name} alone gives the label away ({said} {strength:.4g})"
    return found


def _separation(values: npt.NDArray[Any], labels: npt.NDArray[Any]) -> float:
    """The highest AUC, in either direction, of the column for any class against the rest."""
    codes, classes = factorize(labels)
    best = 0.0
    for code in range(len(classes)):
        numbers, truth = _as_numbers(values, (codes == code).astype(np.float64))
        if 0 < truth.sum() < len(truth):
            auc, _ = ranking.placements(numbers, truth == 1)
            best = max(best, auc, 1 - auc)
    return best


def _correlation(values: npt.NDArray[Any], labels: Floats) -> float:
    from scipy import stats

    numbers, truth = _as_numbers(values, labels)
    ranks, wanted = stats.rankdata(numbers), stats.rankdata(truth)
    if np.ptp(ranks) == 0 or np.ptp(wanted) == 0:
        return 0.0
    return float(abs(np.corrcoef(ranks, wanted)[0, 1]))


def _as_numbers(values: npt.NDArray[Any], truth: Floats) -> tuple[Floats, Floats]:
    """The column as numbers, and the truth of the rows that they are for.

    Missing numbers rank lowest: to be missing may be what tells. Text becomes the mean truth of
    the same text among every other row.
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
