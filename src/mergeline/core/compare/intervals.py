"""Intervals of paired differences, by one way: influences, summed by cluster, and Student's t.

To first order the error of every metric here is the mean over rows of an *influence*: what one
more such row would move (Hampel). Rows may come in clusters (flights of one day) that are
independent of each other while the rows in one are not; so the influences are summed by cluster,
each sum is made larger by what its own cluster has pulled the estimate towards itself (CR2), and
the quantile has as many degrees of freedom as a variance from such clusters deserves (Bell and
McCaffrey). Rows that are independent are clusters of one. Every function takes `clusters`, codes
0 … G−1 of shape (n,), or None.

Sources:
    Hampel, JASA 69 (1974) 383: the influence curve.
    Liang, Zeger, Biometrika 73 (1986) 13: the variance of a sum over clusters.
    Bell, McCaffrey, Survey Methodology 28 (2002) 169; Pustejovsky, Tipton, Journal of Business &
        Economic Statistics 36 (2018) 672: its bias in small or unequal clusters, and its degrees.
    DeLong, DeLong, Clarke-Pearson, Biometrics 44 (1988) 837: AUCs on the same rows; by cluster
        Obuchowski, Biometrics 53 (1997) 567.
    Welch, Biometrika 34 (1947) 28; Brunner, Munzel, Biometrical Journal 42 (2000) 17: degrees of a
        variance in parts, to which those of Bell and McCaffrey come down for independent rows.
    Agresti, Min, Statistics in Medicine 24 (2005) 729: differences of paired proportions.
    Wilson, JASA 22 (1927) 209: the score interval of a proportion.
    Politis, Romano, Wolf, Subsampling (1999): resamples smaller than the sample.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[Any]

SCORED_RESAMPLES = 50, 1_000
SUBSAMPLE = 20_000
FEWEST_UNITS = 5
FEWEST_DRAWS = 30
LARGEST_SHARE = 0.9
SCORED_ROWS = 20_000_000
_SEED = 20131231


@dataclass(frozen=True)
class Interval:
    """A paired difference and its interval; the ends are None when `reason` says why."""

    estimate: float
    low: float | None
    high: float | None
    method: str
    reason: str = ""


@dataclass(frozen=True)
class Spread:
    """How uncertain an estimate is.

    Attributes:
        degrees: of freedom of the variance.
        largest: share of the variance that the one cluster with most of it is expected to have.
    """

    variance: float
    degrees: float
    largest: float


def cluster_count(clusters: Codes | None, rows: int) -> int:
    """How many independent units the rows are."""
    if clusters is None:
        return rows
    return int(np.count_nonzero(np.bincount(clusters))) if rows else 0


def mean_interval(values: Floats, clusters: Codes | None, level: float) -> Interval:
    """The mean of per-row differences; without clusters, the paired t interval."""
    estimate = float(values.mean())
    return influence_interval(values - estimate, estimate, clusters, level, "paired mean")


def auc_interval(
    positive: npt.NDArray[np.bool_],
    placements: Floats,
    estimate: float,
    clusters: Codes | None,
    level: float,
) -> Interval:
    """An AUC, or the difference of two on the same rows, from its rows' placements.

    `placements` are those of `ranks.placements`, or one model's minus the other's; `estimate`
    is their mean over the positive rows, which is that over the negative ones too. Of independent
    rows this is DeLong's variance, with the degrees of Brunner and Munzel.
    """
    kinds = positive.astype(np.int64)
    share = np.bincount(kinds, minlength=2) / len(positive)
    influence = (placements - estimate) / share[kinds]
    return influence_interval(
        influence, estimate, clusters, level, "DeLong", kinds=kinds, needed=kinds, centred=True
    )


def influence_interval(
    influence: Floats,
    estimate: float,
    clusters: Codes | None,
    level: float,
    method: str,
    *,
    kinds: Codes | None = None,
    needed: Codes | None = None,
    centred: bool = False,
) -> Interval:
    """An estimate whose error is, to first order, the mean of `influence` over the rows.

    Args:
        influence: of each row, shape (n,), with mean zero.
        estimate: the middle of the interval.
        clusters: of the rows.
        level: of the interval.
        method: its name, to which "by cluster" is added.
        kinds: codes 0 … K−1 of shape (n,): rows of one kind (class) have one variance. None: all
            have. It is for influences that are nothing but where a row stands among those of other
            kinds; else few rows of a kind make the interval too wide (docs/verdict.md).
        needed: such codes, of kinds that the estimate has need of rows of, every one.
        centred: whether the influences of each kind have mean zero, not only all together.
    """
    method = _by(method, clusters)
    if cluster_count(clusters, len(influence)) < 2:
        return Interval(estimate, None, None, method, _only_one(clusters))
    if needed is not None and (reason := _too_few_of_a_kind(clusters, needed)):
        return Interval(estimate, None, None, method, reason)
    spread = spread_of(influence, clusters, kinds, centred=centred)
    return _student(estimate, spread, level, method, clusters)


def decisions_interval(
    influence: Floats,
    added: Floats,
    estimate: float,
    clusters: Codes | None,
    level: float,
    *,
    kinds: Codes,
    kinds_of_added: Codes,
    centre: float,
) -> Interval:
    """A difference that a row can only change by another decision, which few rows may have.

    Where no decision differs the rows do not vary, which does not mean that more rows would not.
    So half a row is added of each kind that only the first model decides rightly, and half a row
    that only the second does (Agresti and Min). And no end is nearer than a score interval's
    (Wilson) would be if the decisions had changed one way only: δ where
    (θ − δ)² = q² w (|δ| − δ²)/n, w being the influence of a decision. The spread of independent
    decisions is known from their share, so that their quantile q is the normal's.

    Args:
        influence: shape (n,).
        added: influences of the added rows, shape (a,).
        estimate: from the rows alone.
        clusters: of the rows.
        level: of the interval.
        kinds: codes, shape (n,).
        kinds_of_added: the same of the added rows, shape (a,).
        centre: the estimate with the added rows.
    """
    method = _by("linearised", clusters)
    if cluster_count(clusters, len(influence)) < 2:
        return Interval(estimate, None, None, method, _only_one(clusters))
    count = len(influence) + len(added) / 2
    size = float(np.abs(influence).sum() + np.abs(added).sum() / 2)
    every = np.append(influence, added / math.sqrt(2))
    every_kind = np.append(kinds, kinds_of_added)
    if clusters is None:
        spread = spread_of(every, None, every_kind)
        spread = dataclasses.replace(spread, degrees=math.inf)
    else:
        alone = clusters.max() + 1 + np.arange(len(added))
        spread = spread_of(every, np.append(clusters, alone), every_kind, added=len(added))
    found = _student(estimate, spread, level, method, clusters, centre=centre)
    if found.low is None or found.high is None or size == 0:
        return found
    of_one = float(np.square(every).sum()) / size
    squared = _quantile(level, spread.degrees) ** 2 * of_one / count
    low = min(found.low, -_one_way(estimate, squared))
    high = max(found.high, _one_way(-estimate, squared))
    return dataclasses.replace(found, low=low, high=high)


def _one_way(estimate: float, squared: float) -> float:
    """The greatest x with (estimate + x)² = squared · (x − x²); minus the estimate if none.

    It is how far below zero the difference may be, if only decisions for the worse made it.
    """
    middle = squared - 2 * estimate
    root = middle**2 - 4 * (1 + squared) * estimate**2
    return (middle + math.sqrt(root)) / (2 * (1 + squared)) if root >= 0 else -estimate


def spread_of(
    influence: Floats,
    clusters: Codes | None,
    kinds: Codes | None,
    *,
    centred: bool = False,
    added: int = 0,
) -> Spread:
    """The variance of the mean of influences, and its degrees of freedom (Bell and McCaffrey).

    Were the rows independent, and each as uncertain as those of its kind on average, cluster g
    would have the share h_g of the variance. Its sum of influences is divided by √(1 − h_g),
    since the estimate lies that much nearer to it (CR2); the covariance of the sums would be
    C = diag(d) − U Uᵀ, and the degrees are (tr C)² / tr C². Where the influences of each kind
    have mean zero, shares are of the kind and the sums are taken kind by kind. The last `added`
    clusters do not count where is asked how large the largest is.
    """
    count = len(influence)
    kinds = np.zeros(count, dtype=np.int64) if kinds is None else kinds
    width = int(kinds.max()) + 1
    sizes = np.bincount(kinds, minlength=width)
    squares = np.bincount(kinds, np.square(influence), minlength=width)
    of_row = squares / np.maximum(sizes - 1, 1)
    if clusters is None:  # as many units as rows, but no more different ones than kinds
        weights, times = np.diag(of_row), sizes.astype(np.float64)
        if not centred:
            weights = weights.sum(axis=1, keepdims=True)
    elif centred:
        cells = clusters * width + kinds
        held = np.bincount(cells, minlength=(int(clusters.max()) + 1) * width)
        weights = held.reshape(-1, width) * of_row
        sums = np.bincount(cells, influence, minlength=len(held)).reshape(-1, width)
    else:
        weights = np.bincount(clusters, of_row[kinds]).astype(np.float64)[:, None]
        sums = np.bincount(clusters, influence)[:, None]
    if clusters is not None:
        times = np.ones(len(weights))
    total = times @ weights
    if not total.any():
        return Spread(0.0, math.inf, 0.0)
    share = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    seen = share[: len(share) - added] if added else share
    of_seen = seen.sum(axis=0) if added else 1.0
    largest = float((seen / of_seen).max(initial=0, where=seen > 0))
    if largest > LARGEST_SHARE:
        return Spread(math.nan, 1.0, largest)
    kept = 1 - share
    if clusters is None:
        variance = float((squares / kept.min(axis=1)).sum()) / count**2
    else:
        variance = float(np.square((sums / np.sqrt(kept)).sum(axis=1)).sum()) / count**2
    diagonal = (weights / kept).sum(axis=1)
    beside = weights * np.sqrt(
        np.divide(1, total, out=np.zeros_like(total), where=total > 0) / kept
    )
    pulled = np.square(beside).sum(axis=1)
    trace = float(times @ (diagonal - pulled))
    of_square = float(
        times @ np.square(diagonal)
        - 2 * (times @ (diagonal * pulled))
        + np.square((beside.T * times) @ beside).sum()
    )
    return Spread(variance, max(trace**2 / of_square, 1.0), largest)


def resampled_interval(
    rows: int, clusters: Codes | None, statistic: Callable[[npt.NDArray[np.intp]], float],
    level: float,
) -> Interval:  # fmt: skip
    """Any function of a set of rows, by resamples of clusters that are no larger than bearable.

    About `SUBSAMPLE` rows are drawn at a time and `SCORED_ROWS` in all (but `FEWEST_DRAWS` units
    and the fewest of `SCORED_RESAMPLES` at the least); the spread is scaled back by the root of
    the share of units drawn (Politis, Romano and Wolf). What unequal clusters take from the
    variance and its degrees is taken to be what they take from those of a mean. The half width is
    known to about 1/√(2·resamples): 2 % of 1,000, 10 % of 50. `statistic` goes from indices of
    rows, with repetition, to a number, NaN where it is undefined.
    """
    method = _by("bootstrap", clusters)
    estimate = statistic(np.arange(rows))
    units = cluster_count(clusters, rows)
    if units < 2:
        return Interval(estimate, None, None, method, _only_one(clusters))
    draws = min(units, max(FEWEST_DRAWS, int(units * SUBSAMPLE / rows)))
    fewest, most = SCORED_RESAMPLES
    resamples = min(most, max(fewest, int(SCORED_ROWS / (rows * draws / units))))
    pick = _picker(clusters, rows, draws, np.random.default_rng(_SEED))
    values = np.array([statistic(pick()) for _ in range(resamples)])
    if not math.isfinite(estimate) or not np.isfinite(values).all():
        return Interval(estimate, None, None, method, "undefined in some resamples: too few rows")
    share = np.bincount(np.arange(rows) if clusters is None else clusters) / rows
    of_mean = spread_of(np.ones(rows), clusters, None)
    variance = float(values.var(ddof=1)) * draws / units / (1 - float(share @ share))
    spread = Spread(variance, of_mean.degrees, of_mean.largest)
    return _student(estimate, spread, level, method, clusters)


def units_that_would_tell(
    estimate: float, half_width: float, margin: float | None, units: int
) -> int | None:
    """About how many units shrink the interval so that it leaves zero out, or fits the margin.

    The half width goes with one over the root of the units, while the estimate stays.
    """
    reach = abs(estimate)
    if margin is not None:
        reach = max(reach, margin - abs(estimate))
    if reach <= 0 or half_width / reach > 1e4:
        return None
    needed = units * (half_width / reach) ** 2
    step = int(10 ** max(0, math.floor(math.log10(needed)) - 1))
    return math.ceil(round(needed / step, 9)) * step


def _student(
    estimate: float, spread: Spread, level: float, method: str, clusters: Codes | None, *,
    centre: float | None = None,
) -> Interval:  # fmt: skip
    """The interval by Student's t, or why there is none."""
    if spread.largest > LARGEST_SHARE:
        what = "row" if clusters is None else "cluster"
        reason = f"one {what} has more than {100 * LARGEST_SHARE:.0f} % of what there is to go by"
        return Interval(estimate, None, None, method, reason)
    centre = estimate if centre is None else centre
    half = _quantile(level, spread.degrees) * math.sqrt(spread.variance)
    if not math.isfinite(half):
        return Interval(estimate, None, None, method, "not defined for some rows")
    if 2 * half <= 1e-12 * abs(estimate):  # no width around what is not zero is certainty unearned
        if estimate != 0:
            return Interval(estimate, None, None, method, "no variation between rows to judge by")
        half = 0.0
    return Interval(estimate, min(estimate, centre - half), max(estimate, centre + half), method)


def _too_few_of_a_kind(clusters: Codes | None, kinds: Codes) -> str:
    """Why rows of one kind are too few; empty where they are not."""
    if clusters is None:
        held, rows = np.bincount(kinds), "fewer than {} rows of one class"
    else:
        width = int(kinds.max()) + 1
        cells = np.bincount(clusters * width + kinds, minlength=(int(clusters.max()) + 1) * width)
        held = np.count_nonzero(cells.reshape(-1, width), axis=0)
        rows = "rows of one class come from fewer than {} clusters"
    return rows.format(FEWEST_UNITS) if held[held > 0].min() < FEWEST_UNITS else ""


def _quantile(level: float, degrees: float) -> float:
    """Two-sided quantile of Student's t."""
    from scipy import special

    upper = (1 + level) / 2
    return float(special.ndtri(upper) if math.isinf(degrees) else special.stdtrit(degrees, upper))


def _picker(
    clusters: Codes | None, rows: int, draws: int, rng: np.random.Generator
) -> Callable[[], npt.NDArray[np.intp]]:
    """A function that draws `draws` units with replacement and gives their rows."""
    if clusters is None:
        return lambda: rng.integers(0, rows, draws)
    order = np.argsort(clusters, kind="stable")
    _, starts = np.unique(clusters[order], return_index=True)
    members = np.split(order, starts[1:])
    return lambda: np.concatenate([members[i] for i in rng.integers(0, len(members), draws)])


def _by(method: str, clusters: Codes | None) -> str:
    return method if clusters is None else f"{method} by cluster"


def _only_one(clusters: Codes | None) -> str:
    return "one row only" if clusters is None else "one cluster only"
