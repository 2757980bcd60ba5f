"""Metrics of ranking, each with what every row contributes to its error.

An influence has mean zero over the rows, and to first order the error of the metric is its mean
(Hampel, JASA 69 (1974) 383): its sums over clusters give the variance, see `compare.intervals`.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Average = Literal["macro", "weighted"]


def placements(
    scores: Floats, positive: Bools, order: npt.NDArray[np.intp] | None = None
) -> tuple[float, Floats]:
    """The AUC, and of each row the share of the other class that it is ranked rightly against.

    A tie counts one half. The mean over the positive rows is the AUC, and so is the mean over the
    negative rows. Sorting makes it O(n log n) (Sun and Xu). Both classes must occur.

    Args:
        scores: shape (n,).
        positive: whether each row is of the positive class.
        order: the indices that sort `scores`, if known already.
    """
    order = np.argsort(scores) if order is None else order
    ordered, right = scores[order], positive[order]
    hits = np.cumsum(right)
    m, count = int(hits[-1]), len(scores)
    numerator = np.where(right, np.arange(1.0, count + 1), float(m)) - hits
    same = ordered[1:] == ordered[:-1]
    if same.any():  # only rows that share their score with another need the halves
        tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
        ends = tied[np.append(~same, True)[tied]]
        sizes = np.diff(np.searchsorted(tied, ends), prepend=-1)
        positives = hits[ends] - np.where(ends >= sizes, hits[ends - sizes], 0)
        below = np.repeat(ends + 1 - hits[ends] - (sizes - positives) / 2, sizes)
        above = np.repeat(m - hits[ends] + positives / 2, sizes)
        numerator[tied] = np.where(right[tied], below, above)
    placement = np.empty(count)
    placement[order] = numerator / np.where(right, float(count - m), float(m))
    return float(placement.sum(where=positive) / m), placement


def auc_influence(scores: Floats, positive: Bools) -> tuple[float, Floats]:
    """The AUC and each row's influence on it."""
    auc, placement = placements(scores, positive)
    share = float(positive.mean())
    return auc, (placement - auc) / np.where(positive, share, 1 - share)


def one_versus_rest(
    labels: npt.NDArray[Any], probabilities: Floats, average: Average
) -> tuple[float, Floats]:
    """AUC of each class against all others, averaged plainly or by the classes' shares."""
    classes = probabilities.shape[1]
    parts = [auc_influence(probabilities[:, k], labels == k) for k in range(classes)]
    if average == "macro":
        value = sum(auc for auc, _ in parts) / classes
        return value, np.sum([part for _, part in parts], axis=0) / classes
    shares = np.bincount(labels, minlength=classes) / len(labels)
    value = float(sum(share * auc for share, (auc, _) in zip(shares, parts, strict=True)))
    influence = np.zeros(len(labels))
    for k, (auc, part) in enumerate(parts):
        influence += shares[k] * part + ((labels == k) - shares[k]) * auc
    return value, influence


def one_versus_one(
    labels: npt.NDArray[Any], probabilities: Floats, average: Average
) -> tuple[float, Floats]:
    """AUC within each pair of classes, both ways (Hand, Till, Machine Learning 45 (2001) 171)."""
    classes, count = probabilities.shape[1], len(labels)
    pairs = list(combinations(range(classes), 2))
    value, influence = 0.0, np.zeros(count)
    for a, b in pairs:
        chosen = (labels == a) | (labels == b)
        first, second = (
            auc_influence(probabilities[chosen, k], labels[chosen] == k) for k in (a, b)
        )
        auc, part = (first[0] + second[0]) / 2, (first[1] + second[1]) / 2
        share = float(chosen.mean())
        weight = 1 / len(pairs) if average == "macro" else share / (classes - 1)
        value += weight * auc
        influence[chosen] += weight * part / share
        if average == "weighted":
            influence += (chosen - share) * auc / (classes - 1)
    return value, influence


def average_precision(scores: Floats, positive: Bools) -> tuple[float, Floats]:
    """Average precision as scikit-learn defines it, and each row's influence on it.

    With row weights w it is Σ_{i positive} w_i T_i/N_i / Σ_{positive} w, where T and N are the
    weights of the positive and of all rows ranked no lower than i. The influence is its derivative
    by a row's weight, less half of how the row moves its own T_i/N_i: among few positive rows the
    derivative counts that in full, though another row in its place would not bring it.
    """
    count = len(scores)
    order = np.argsort(-scores)
    ordered, right = scores[order], positive[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), count - 1)
    sizes = np.diff(last, prepend=-1)
    hits = np.cumsum(right)[last]
    total = last + 1.0
    positives = np.diff(hits, prepend=0)
    m = float(hits[-1])
    precision = hits / total
    value = float(positives @ precision / m)
    tail_one = np.cumsum((positives / total)[::-1])[::-1]
    tail_hits = np.cumsum((positives * hits / total**2)[::-1])[::-1]
    own = (1 - precision) / total
    of_positive = precision + tail_one - tail_hits - own / 2 - value
    of_negative = -tail_hits
    derivative = np.where(right, np.repeat(of_positive, sizes), np.repeat(of_negative, sizes)) / m
    influence = np.empty(count)
    influence[order] = (derivative - derivative.mean()) * count
    return value, influence
