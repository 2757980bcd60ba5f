"""What a comparison shows beside the metrics: curves, calibration, confusion, flips, labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from mergeline.core.compare.arrays import Parts, Predicted, Rows
from mergeline.core.compare.result import (
    CalibrationBin,
    Confusion,
    Flips,
    LabelCount,
    LabelQuantiles,
    SliceFlips,
)

Points = tuple[tuple[float, float], ...]

CURVE_POINTS = 100
BINS = 10


def roc_and_pr_curves(rows: Rows, predicted: Predicted) -> tuple[Points, Points]:
    """The ROC curve and the precision-recall curve of a binary model, thinned evenly.

    Points are (false-positive rate, true-positive rate) and (recall, precision). Rows with the same
    score make one step. Both classes must occur.
    """
    order = np.argsort(predicted.numbers) if predicted.order is None else predicted.order
    scores = predicted.numbers[order[::-1]]
    hits = np.cumsum(rows.labels[order[::-1]] == 1)
    last = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)
    hits, taken = hits[last], last + 1
    recall = hits / hits[-1]
    alarms = (taken - hits) / max(len(scores) - hits[-1], 1)
    roc = _thinned(np.append(0.0, alarms), np.append(0.0, recall))
    return roc, _thinned(recall, hits / taken)


def _thinned(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> Points:
    """At most `CURVE_POINTS` points, evenly along the curve, with the first and the last."""
    length = np.concatenate(([0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))))
    marks = np.linspace(0, length[-1], CURVE_POINTS)
    chosen = np.unique(np.append(np.searchsorted(length, marks)[:-1], len(x) - 1))
    return tuple(zip(x[chosen].tolist(), y[chosen].tolist(), strict=True))


def calibration_bins(
    rows: Rows, predicted: Predicted, *, regression: bool
) -> tuple[CalibrationBin, ...]:
    """Predictions in bins of about as many rows each, beside what came true."""
    numbers = predicted.numbers
    if regression:
        truth = rows.labels.astype(np.float64)
    elif numbers.ndim == 1:
        truth = (rows.labels == 1).astype(np.float64)
    else:
        numbers = numbers[np.arange(len(rows)), predicted.decided]
        truth = (rows.labels == predicted.decided).astype(np.float64)
    order = np.argsort(numbers) if predicted.order is None else predicted.order
    numbers, truth = numbers[order], truth[order]
    cuts = numbers[(np.arange(1, BINS) * len(numbers)) // BINS]
    starts = np.unique(np.append(0, np.searchsorted(numbers, cuts)))
    ends = np.append(starts[1:], len(numbers))
    return tuple(
        CalibrationBin(
            low=float(numbers[start]),
            high=float(numbers[end - 1]),
            rows=int(end - start),
            predicted=float(numbers[start:end].mean()),
            observed=float(truth[start:end].mean()),
        )
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    )


def confusion(rows: Rows, predicted: Predicted, classes: tuple[str, ...]) -> Confusion:
    """Rows by class and by decision."""
    count = len(classes)
    cells = np.bincount(rows.labels * count + predicted.decided, minlength=count * count)
    table = cells.reshape(count, count).tolist()
    return Confusion(classes, tuple(map(tuple, table)))


def flips(
    rows: Rows, candidate: Predicted, other: Predicted, columns: Mapping[str, Parts]
) -> Flips:
    """Decisions that differ, over all rows and in each part."""
    changed = candidate.decided != other.decided
    lost = changed & (other.decided == rows.labels)
    won = changed & (candidate.decided == rows.labels)
    slices = []
    for column, parts in columns.items():
        size = len(parts.values) + 1
        counts = [
            np.bincount(parts.codes[mask], minlength=size)[:-1].tolist()
            for mask in (changed, lost, won)
        ]
        slices += [
            SliceFlips(column, value, end - start, *of_part)
            for value, (start, end), *of_part in zip(
                parts.values, parts.bounds, *counts, strict=True
            )
        ]
    totals = [int(np.count_nonzero(mask)) for mask in (changed, lost, won)]
    return Flips(len(rows), totals[0], totals[1], totals[2], tuple(slices))


def label_balance(rows: Rows, classes: tuple[str, ...]) -> tuple[LabelCount, ...]:
    """Rows of each class."""
    counts = np.bincount(rows.labels, minlength=len(classes)).tolist()
    return tuple(
        LabelCount(name, count, count / max(len(rows), 1))
        for name, count in zip(classes, counts, strict=True)
    )


def label_quantiles(rows: Rows) -> LabelQuantiles:
    """Distribution of a regression's label."""
    low, quarter, median, three, high = np.quantile(rows.labels, [0, 0.25, 0.5, 0.75, 1]).tolist()
    return LabelQuantiles(low, quarter, median, three, high, float(rows.labels.mean()))
