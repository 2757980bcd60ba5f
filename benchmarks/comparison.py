"""What a comparison costs, and whether its intervals are right.

    python benchmarks/comparison.py [simulations]

1. 1,000,000 rows in 365 clusters, two models and a base equal to one of them: ROC AUC, log loss,
   Brier score and accuracy with paired intervals, over all rows and in 20 slices (four columns of
   five values: every row stands in four slices). Goal: 3 s, 1.5 GB at the peak, arrays included.
2. The same four on 2,000 rows beside a 10,000-fold bootstrap of the rows (`scipy.stats.bootstrap`)
   and of the clusters: half widths within 5 %; how many times longer the bootstrap takes.
3. Simulated comparisons whose true difference is known: how many 95 % intervals hold it, with and
   without clusters. Goal: 93 to 97 %.

Exits with 1 when a goal is missed.
"""
# ruff: noqa: ANN401 - arrays of several kinds

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy
from scipy import stats

from mergeline.core.compare.comparison import compare
from mergeline.core.compare.prepare import rows_digest
from mergeline.core.compare.result import Comparison, Difference, Holdout, Scored
from mergeline.core.compare.slices import slice_labels
from mergeline.core.declare.model import Gate, MetricChoice, Model, Role, SliceChoice

NAMES = ("roc_auc", "neg_log_loss", "neg_brier_score", "accuracy")
FOLDS = 10_000
NOBODY = np.array([], dtype=np.uint64)


@dataclass(frozen=True)
class Sample:
    """Labels, the probabilities of two models, and clusters or none."""

    labels: Any
    first: Any
    second: Any
    clusters: Any

    def take(self, rows: Any) -> Sample:
        """Those rows."""
        clusters = None if self.clusters is None else self.clusters[rows]
        return Sample(self.labels[rows], self.first[rows], self.second[rows], clusters)


def draw(rng: np.random.Generator, rows: int, clusters: int | None) -> Sample:
    """Two models that each see the truth with an error of their own, shared within a cluster."""
    of_cluster = None if clusters is None else rng.integers(0, clusters, rows)

    def noise(size: float) -> Any:
        own = rng.normal(size=rows)
        if of_cluster is None or clusters is None:
            return size * own
        return size * (own + rng.normal(size=clusters)[of_cluster]) / np.sqrt(2)

    logit = -1 + noise(1.5)
    labels = logit + rng.logistic(size=rows) > 0
    first, second = (1 / (1 + np.exp(-(logit + noise(size)))) for size in (0.6, 0.9))
    return Sample(labels, first, second, of_cluster)


def declared(names: tuple[str, ...], slices: tuple[str, ...] = ()) -> Model:
    """A declaration of such a model."""
    return Model(
        name="benchmark", task="binary", stage="evaluate", outputs="build", label="late",
        key=("id",), metrics=tuple(MetricChoice(name) for name in names), gate=Gate(names[0]),
        classes=(False, True), slices=tuple(SliceChoice(name) for name in slices),
    )  # fmt: skip


def compared(sample: Sample, model: Model, slices: dict[str, Any] | None = None) -> Comparison:
    """The comparison, as an evaluation makes it."""
    ids = np.arange(len(sample.labels), dtype=np.uint64)
    digest = rows_digest(ids)
    holdout = Holdout(ids, sample.labels, digest, sample.clusters, slices or {})
    candidate = Scored(digest, sample.first, (False, True), trained_on=NOBODY)
    champion = Scored(digest, sample.second, (False, True), trained_on=NOBODY)
    scored: dict[Role, Scored] = {"candidate": candidate, "champion": champion}
    if slices:
        scored["base"] = champion
    return compare(holdout, scored, model)


def differences(comparison: Comparison) -> list[Difference]:
    """Of each metric, candidate against champion."""
    return [metric.differences["champion"] for metric in comparison.metrics]


def half(low: float | None, high: float | None) -> float:
    """Half of an interval."""
    assert low is not None
    assert high is not None
    return (high - low) / 2


def cost() -> bool:
    """Seconds and memory of a million rows."""
    rows = 1_000_000
    rng = np.random.default_rng(0)
    sample = draw(rng, rows, 365)
    columns = {
        f"column {n}": slice_labels(rng.integers(0, 5, rows), SliceChoice(f"column {n}"))
        for n in range(4)
    }
    compared(draw(rng, 1_000, None), declared(NAMES))  # imports scikit-learn
    model = declared(NAMES, tuple(columns))
    seconds, busy = [], []
    for _ in range(3):
        since, worked = time.perf_counter(), time.process_time()
        found = compared(sample, model, columns)
        seconds.append(time.perf_counter() - since)
        busy.append(time.process_time() - worked)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory = peak / (1e9 if sys.platform == "darwin" else 1e6)
    assert sum(one.judged for one in found.slices) == 20
    said = ", ".join(f"{one:.2f}" for one in seconds)
    print(f"1. {rows:,} rows, {len(NAMES)} metrics, 20 slices: {said} s (goal: median 3), ", end="")
    print(f"processor {sorted(busy)[1]:.2f} s; peak {memory:.2f} GB (goal 1.5)")
    return sorted(seconds)[1] <= 3 and memory <= 1.5


def auc(labels: Any, scores: Any) -> float:
    """By the ranks of the positive rows (Mann and Whitney)."""
    positives = np.count_nonzero(labels)
    ranks = stats.rankdata(scores)[labels].sum() - positives * (positives + 1) / 2
    return float(ranks / positives / (len(labels) - positives))


def losses(sample: Sample, name: str) -> Any:
    """Per-row differences of a metric that is a mean."""

    def of(p: Any) -> Any:
        y = sample.labels
        if name == "accuracy":
            return (p >= 0.5) == y
        if name == "neg_brier_score":
            return -((y - p) ** 2)
        return np.log(np.where(y, p, 1 - p))

    return of(sample.first).astype(float) - of(sample.second)


def peer(sample: Sample, name: str) -> tuple[float, float]:
    """Half width by scipy's bootstrap of rows or clusters, and its seconds."""
    units = np.arange(len(sample.labels)) if sample.clusters is None else np.unique(sample.clusters)
    members: list[Any] = []
    if sample.clusters is not None:
        members = [np.flatnonzero(sample.clusters == unit) for unit in units]
    per_row = None if name == "roc_auc" else losses(sample, name)

    def statistic(picked: Any) -> float:
        rows = picked if sample.clusters is None else np.concatenate([members[u] for u in picked])
        if per_row is not None:
            return float(per_row[rows].mean())
        here = sample.take(rows)
        return auc(here.labels, here.first) - auc(here.labels, here.second)

    since = time.perf_counter()
    result = stats.bootstrap(
        (np.arange(len(units)),), statistic, n_resamples=FOLDS, vectorized=False,
        method="percentile", rng=np.random.default_rng(1),
    )  # fmt: skip
    seconds = time.perf_counter() - since
    return half(result.confidence_interval.low, result.confidence_interval.high), seconds


def timed(sample: Sample) -> tuple[list[Difference], float]:
    """The differences, and the median seconds of nine comparisons."""
    seconds = []
    for _ in range(9):
        since = time.perf_counter()
        found = differences(compared(sample, declared(NAMES)))
        seconds.append(time.perf_counter() - since)
    return found, sorted(seconds)[4]


def agreement() -> bool:
    """Closed forms beside the bootstrap."""
    fine = True
    print(f"2. half widths beside a {FOLDS:,}-fold bootstrap (goal: within 5 %)")
    for clusters in (None, 200):
        sample = draw(np.random.default_rng(2), 2_000, clusters)
        found, ours = timed(sample)
        theirs = 0.0
        for name, difference in zip(NAMES, found, strict=True):
            width, seconds = peer(sample, name)
            theirs += seconds
            ratio = half(difference.low, difference.high) / width
            fine &= abs(ratio - 1) <= 0.05
            print(f"   {difference.method:>26} {name:<16} {ratio:.3f} of the bootstrap's")
        where = "rows alone" if clusters is None else f"{clusters} clusters"
        print(f"   2,000 rows, {where}: {ours:.3f} s, bootstrap {theirs:.1f} s: ", end="")
        print(f"{theirs / ours:,.0f} times as long")
    return fine


def coverage(simulations: int) -> bool:
    """How many intervals hold the true difference."""
    names = (*NAMES, "recall")
    fine = True
    print(f"3. share of {simulations:,} intervals at 95 % that hold the truth (goal: 93 to 97 %)")
    for clusters in (None, 40):
        model = declared(names)
        big = draw(np.random.default_rng(3), 4_000_000, None if clusters is None else 160_000)
        truth = [
            difference.estimate
            for difference in differences(compared(replace(big, clusters=None), model))
        ]
        hits = np.zeros(len(names))
        rng = np.random.default_rng(4)
        for done in range(simulations):
            for n, found in enumerate(differences(compared(draw(rng, 1_000, clusters), model))):
                assert found.low is not None
                assert found.high is not None
                hits[n] += found.low <= truth[n] <= found.high  # type: ignore[operator]
            if sys.stderr.isatty():
                print(f"\r   {done + 1:,}", end="", file=sys.stderr)
        shares = hits / simulations
        fine &= bool(((shares >= 0.93) & (shares <= 0.97)).all())
        where = "rows alone" if clusters is None else f"{clusters} clusters"
        said = ", ".join(
            f"{name} {100 * share:.1f}" for name, share in zip(names, shares, strict=True)
        )
        print(f"   1,000 rows, {where}: {said} %")
    return fine


def main() -> int:
    """Run all parts."""
    simulations = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    print(
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"numpy {np.__version__}, scipy {scipy.__version__}"
    )
    parts: list[Callable[[], bool]] = [cost, agreement, lambda: coverage(simulations)]
    outcomes = [part() for part in parts]
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
