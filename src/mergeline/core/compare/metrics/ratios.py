"""Metrics that are a function of sums over rows, and what each row contributes to their error.

A metric's function turns sums of shape (…, p) into values of shape (…), NaN where it is undefined.
Definitions are scikit-learn's. A row's influence is the function's gradient times what the row
adds to the sums (the delta method).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from mergeline.core.compare.arrays import Predicted
from mergeline.core.compare.metrics import means as losses

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[Any]
OfSums = Callable[[Floats], Floats]
_STEP = 1e-4


@dataclass(frozen=True)
class Summed:
    """Sums over rows, and how to come from weights of the sums back to rows.

    Attributes:
        totals: shape (p,).
        scale: sums of the absolute values, shape (p,).
        by_row: of each row, what it adds to the sums times these weights of shape (p,).
    """

    totals: Floats
    scale: Floats
    by_row: Callable[[Floats], Floats]


def decision_sums(labels: Codes, predicted: Predicted, classes: int) -> Summed:
    """Rows of each class that were decided rightly, that exist, and that were decided for."""
    pairs = labels * classes + predicted.decided
    held = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
    totals = np.concatenate([held.diagonal(), held.sum(axis=1), held.sum(axis=0)]) * 1.0

    def by_row(weights: Floats) -> Floats:
        right, existing, decided_for = np.split(weights, 3)
        of_pair = np.diag(right) + existing[:, None] + decided_for
        return np.asarray(of_pair.ravel()[pairs])

    return Summed(totals, totals, by_row)


def error_sums(labels: Floats, predicted: Predicted) -> Summed:
    """Rows, label and its square (from the mean), error, its square, its squared logarithm."""
    y, error = labels - labels.mean(), labels - predicted.numbers
    columns = np.column_stack([
        np.ones_like(y), y, y * y, error, error * error, losses.squared_log(labels, predicted),
    ])  # fmt: skip
    totals = columns.sum(axis=0)
    used = np.isfinite(totals)  # a label below −1 has no logarithm, and only one metric wants it
    scale = np.abs(columns).sum(axis=0)
    return Summed(totals, scale, lambda weights: columns[:, used] @ weights[used])


def probability_sums(labels: Codes, predicted: Predicted, classes: int) -> Summed:
    """Rows of each class, squared errors over all classes, and logarithmic losses."""
    squares = losses.brier(labels, predicted) * (2 if predicted.numbers.ndim == 1 else 1)
    logs = losses.log_loss(labels, predicted)
    exist = np.bincount(labels, minlength=classes)

    def by_row(weights: Floats) -> Floats:
        return np.asarray(weights[labels] + squares * weights[-2] + logs * weights[-1])

    totals = np.append(exist, [squares.sum(), logs.sum()])
    return Summed(totals, totals, by_row)


def gradient(of_sums: OfSums, totals: Floats, scale: Floats) -> Floats:
    """The derivative by each sum; zero by one that no row adds to or that is not finite."""
    moves = np.isfinite(totals) & (scale > 0)
    step = np.where(moves, _STEP * scale, 0.0)
    change = of_sums(totals + np.diag(step)) - of_sums(totals - np.diag(step))
    return np.asarray(np.divide(change, 2 * step, out=np.zeros_like(step), where=moves))


def _cells(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Right, existing and decided for, each of shape (…, classes)."""
    right, existing, decided = np.split(sums, 3, axis=-1)
    return right, existing, decided


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(numerator / denominator)


def recall(right: Floats, existing: Floats, decided: Floats) -> Floats:  # noqa: ARG001
    """Share of the existing that was decided for."""
    return _ratio(right, existing)


def precision(right: Floats, existing: Floats, decided: Floats) -> Floats:  # noqa: ARG001
    """Share of the decided for that exists."""
    return _ratio(right, decided)


def f1(right: Floats, existing: Floats, decided: Floats) -> Floats:
    """Harmonic mean of the two."""
    return _ratio(2 * right, existing + decided)


def jaccard(right: Floats, existing: Floats, decided: Floats) -> Floats:
    """Right among existing or decided for."""
    return _ratio(right, existing + decided - right)


Ratio = Callable[[Floats, Floats, Floats], Floats]


def of_positive(ratio: Ratio, sums: Floats) -> Floats:
    """Of the last class; undefined when nothing stands in the denominator."""
    return ratio(*(cell[..., -1] for cell in _cells(sums)))


def micro(ratio: Ratio, sums: Floats) -> Floats:
    """Over all classes' cells together."""
    return ratio(*(cell.sum(axis=-1) for cell in _cells(sums)))


def macro(ratio: Ratio, sums: Floats) -> Floats:
    """Mean over the classes that exist or were decided for; nothing to divide by counts as 0."""
    _, existing, decided = _cells(sums)
    present = existing + decided > 0
    values = np.nan_to_num(ratio(*_cells(sums)), nan=0.0)
    return _ratio((values * present).sum(axis=-1), present.sum(axis=-1).astype(float))


def weighted(ratio: Ratio, sums: Floats) -> Floats:
    """Mean over the classes by how many rows each has; nothing to divide by counts as 0."""
    _, existing, _ = _cells(sums)
    values = np.nan_to_num(ratio(*_cells(sums)), nan=0.0)
    return _ratio((values * existing).sum(axis=-1), existing.sum(axis=-1))


def accuracy(sums: Floats) -> Floats:
    """Share of all rows that were decided rightly."""
    right, existing, _ = _cells(sums)
    return _ratio(right.sum(axis=-1), existing.sum(axis=-1))


def balanced_accuracy(sums: Floats) -> Floats:
    """Mean recall of the classes that exist."""
    right, existing, _ = _cells(sums)
    values = np.nan_to_num(_ratio(right, existing), nan=0.0)
    return _ratio(values.sum(axis=-1), (existing > 0).sum(axis=-1).astype(float))


def matthews(sums: Floats) -> Floats:
    """Correlation of decision and class; 0 where either does not vary."""
    right, existing, decided = _cells(sums)
    n, c = existing.sum(axis=-1), right.sum(axis=-1)
    covariance = c * n - (existing * decided).sum(axis=-1)
    spread = (n * n - (existing**2).sum(axis=-1)) * (n * n - (decided**2).sum(axis=-1))
    value = _ratio(covariance, np.sqrt(np.maximum(spread, 0)))
    return np.where(n > 0, np.where(spread > 0, value, 0.0), np.nan)


def positive_likelihood(sums: Floats) -> Floats:
    """Decided for the last of two classes: how much oftener of its own rows than of others'."""
    right, existing, _ = _cells(sums)
    hits, alarms = (
        _ratio(right[..., 1], existing[..., 1]),
        1 - _ratio(right[..., 0], existing[..., 0]),
    )
    return _finite(_ratio(hits, alarms))


def negative_likelihood(sums: Floats) -> Floats:
    """The same of not deciding for it, negative so that more is better."""
    right, existing, _ = _cells(sums)
    misses = 1 - _ratio(right[..., 1], existing[..., 1])
    return -_finite(_ratio(misses, _ratio(right[..., 0], existing[..., 0])))


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)


def d2_brier(sums: Floats) -> Floats:
    """What is better than always to say the classes' shares, by squared errors."""
    shares = _shares(sums)
    return 1 - _ratio(sums[..., -2] / sums[..., :-2].sum(axis=-1), 1 - (shares**2).sum(axis=-1))


def d2_log_loss(sums: Floats) -> Floats:
    """The same by logarithmic loss."""
    from scipy import special

    entropy = special.entr(_shares(sums)).sum(axis=-1)
    return 1 - _ratio(sums[..., -1] / sums[..., :-2].sum(axis=-1), entropy)


def _shares(sums: Floats) -> Floats:
    return _ratio(sums[..., :-2], sums[..., :-2].sum(axis=-1, keepdims=True))


def r2(sums: Floats) -> Floats:
    """Share of the label's variance that is explained, in the mean too."""
    n, y, yy, _, squares, _ = np.moveaxis(sums, -1, 0)
    spread = yy - _ratio(y * y, n)
    return np.where(spread > 0, 1 - _ratio(squares, spread), np.nan)


def explained_variance(sums: Floats) -> Floats:
    """As r2, but a constant error costs nothing."""
    n, y, yy, error, squares, _ = np.moveaxis(sums, -1, 0)
    spread = yy - _ratio(y * y, n)
    return np.where(spread > 0, 1 - _ratio(squares - _ratio(error * error, n), spread), np.nan)


def root_mean_squared(sums: Floats) -> Floats:
    """Root of the mean squared error, negative so that more is better."""
    return -np.sqrt(_ratio(sums[..., 4], sums[..., 0]))


def root_mean_squared_log(sums: Floats) -> Floats:
    """Root of the mean squared error of log(1 + number), negative so that more is better."""
    return -np.sqrt(_ratio(sums[..., 5], sums[..., 0]))


_RATIOS: dict[str, Ratio] = {
    "recall": recall, "precision": precision, "f1": f1, "jaccard": jaccard,
}  # fmt: skip
BINARY: dict[str, OfSums] = {
    name: partial(of_positive, ratio) for name, ratio in _RATIOS.items()
} | {
    "positive_likelihood_ratio": positive_likelihood,
    "neg_negative_likelihood_ratio": negative_likelihood,
}
PROBABILITIES: dict[str, OfSums] = {
    "d2_brier_score": d2_brier, "d2_log_loss_score": d2_log_loss,
}  # fmt: skip
CLASSIFICATION: dict[str, OfSums] = {
    f"{name}_{average.__name__}": partial(average, ratio)
    for name, ratio in _RATIOS.items()
    for average in (micro, macro, weighted)
} | {
    "accuracy": accuracy, "balanced_accuracy": balanced_accuracy, "matthews_corrcoef": matthews,
}  # fmt: skip
REGRESSION: dict[str, OfSums] = {
    "r2": r2,
    "explained_variance": explained_variance,
    "neg_root_mean_squared_error": root_mean_squared,
    "neg_root_mean_squared_log_error": root_mean_squared_log,
}
