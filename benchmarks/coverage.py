"""How many 95 % intervals hold the true difference, where it is hard.

    python benchmarks/coverage.py [--quick] [--simulations N] [WORD …]

Two models on the same rows, drawn again and again; the true difference of each metric comes from
four million rows. Independent rows, rare positives, clusters of unequal size, one cluster with most
of the rows; noise of each row's own, or a tenth of it (of the rows' difficulty and of both models'
errors) shared by the cluster.

Goal, for each metric in each case: 93 to 97.5 of 100 intervals hold the truth, and at most 4 lie
wholly above it (a candidate that would pass though it should not). Where one cluster has half of
the rows or more, more than 97.5 is right. So it is of decisions where the models decide fewer than
six positive rows differently on average: of five rows that all go one way a sign test says 6 %
(2·2⁻⁵), so that what holds comes in steps larger than the goal. Tango's score interval of recall,
the best that we know of, is counted there beside, for independent rows. What has no interval is
counted too: its reason is right where the data cannot carry one. Last, a candidate that truly loses
0.15 of recall, with ten positive rows and a margin of 0.05: at most 2.5 of 100 may pass.

A share that is counted has an error of its own. Of 2,000 simulations, 4 of 100 are known to ±0.9
(two standard errors), which decides where a case lies near its goal: cases of at most 100 rows are
quick to simulate and are those nearest to it, so that they are simulated ten times as often (±0.3).

So a goal counts as missed where chance does not explain it: by more than two standard errors.

WORDs choose the cases whose name has one of them. `--quick` looks at fewer simulations and cases,
and allows for three. Exits with 1 when a goal is missed, and lists which.
"""
# ruff: noqa: ANN401 - arrays of several kinds

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy import special

from mergeline.core.compare.arrays import Predicted, Rows
from mergeline.core.compare.metrics.catalogue import Metric, metric_of
from mergeline.core.declare.model import Gate, MetricChoice, Model, Task

LEVEL = 0.95
LEAST, MOST, WRONG_PASSES = 0.93, 0.975, 0.04
MARGIN_PASSES = 0.025
FEWEST_DIFFERENT = 6  # positive rows that are decided differently, for decisions to be told by
DECISIONS = "accuracy", "recall", "precision", "f1", "balanced_accuracy", "matthews_corrcoef"
TANGO = "Tango's recall"
FEWEST = 100  # intervals that say something about how many hold
SIMULATIONS, QUICK_SIMULATIONS = 2_000, 200
SMALL, MORE = 100, 10  # cases of so few rows are simulated so many times as often
TRUTH_ROWS = 4_000_000
SHARED = 0.1
NOISE = 0.9, 0.6  # of the candidate, of the champion
EPSILON = float(np.finfo(np.float64).eps)
METRICS: dict[Task, dict[str, str]] = {
    "binary": {
        "roc_auc": "AUC", "average_precision": "AP", "neg_log_loss": "log loss",
        "neg_brier_score": "Brier", "accuracy": "accuracy", "recall": "recall",
        "precision": "precision", "f1": "F1", "balanced_accuracy": "balanced",
        "matthews_corrcoef": "MCC",
    },
    "regression": {
        "r2": "R²", "neg_root_mean_squared_error": "RMSE", "neg_mean_absolute_error": "MAE",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Rows to draw.

    Attributes:
        clusters: how many, or None for independent rows.
        largest: share of the rows that one cluster has while the others are equal; None: sizes are
            lognormal with σ = 1.
        shared: whether a cluster shares a tenth of the noise.
    """

    rows: int
    positives: float = 0.3
    clusters: int | None = None
    largest: float | None = None
    shared: bool = False
    quick: bool = False

    def __str__(self) -> str:
        name = f"{self.rows:,} rows, {100 * self.positives:g} % positive"
        if self.clusters is None:
            return f"{name}, independent"
        if self.largest is None:
            name += f", {self.clusters} clusters"
        else:
            name += f", one of {self.clusters} clusters has {100 * self.largest:g} %"
        return f"{name}, {'shared' if self.shared else 'own'} noise"

    @property
    def rare(self) -> bool:
        """Whether few rows are positive."""
        return self.positives < 0.1

    @property
    def may_be_wide(self) -> bool:
        """Whether one cluster has half of the rows or more."""
        return self.largest is not None and self.largest >= 0.5


CASES = (
    Case(60, quick=True), Case(1_000), Case(4_000),
    Case(1_000, 0.01), Case(4_000, 0.01), Case(1_000, 0.007, quick=True), Case(4_000, 0.007),
    *(Case(2_000, 0.3, clusters, None, shared, quick=clusters == 20)
      for clusters in (20, 50, 200) for shared in (False, True)),
    *(Case(4_000, positives, clusters)
      for positives in (0.01, 0.007) for clusters in (20, 50, 200)),
    *(Case(2_000, 0.3, 20, largest, shared, quick=largest == 0.8)
      for largest in (0.2, 0.5, 0.8, 0.95) for shared in (False, True)),
)  # fmt: skip


def cluster_codes(case: Case, rng: np.random.Generator) -> Any:
    """The cluster of each row, or None."""
    if case.clusters is None:
        return None
    if case.largest is None:
        weights = rng.lognormal(0, 1, case.clusters)
    else:
        others = np.full(case.clusters - 1, (1 - case.largest) / (case.clusters - 1))
        weights = np.append(case.largest, others)
    sizes = np.maximum(1, np.round(weights / weights.sum() * case.rows).astype(int))
    return np.repeat(np.arange(case.clusters), sizes)


def noise(rng: np.random.Generator, rows: int, clusters: Any, *, shared: bool) -> Any:
    """Standard normal numbers, a tenth of their variance by cluster where it is shared."""
    own = rng.normal(size=rows)
    if not shared:
        return own
    of_cluster = rng.normal(size=clusters.max() + 1)[clusters]
    return np.sqrt(1 - SHARED) * own + np.sqrt(SHARED) * of_cluster


def draw(
    case: Case, task: Task, rng: np.random.Generator, rows: int | None = None
) -> tuple[Rows, Predicted, Predicted]:
    """Rows, and what candidate and champion say of them; `rows` independent ones where given."""
    clusters = cluster_codes(case, rng) if rows is None else None
    count = rows or (case.rows if clusters is None else len(clusters))
    shared = case.shared and clusters is not None

    def normal() -> Any:
        return noise(rng, count, clusters, shared=shared)

    if task == "regression":
        signal = 2 * normal()
        rest = normal()
        labels = signal + np.sign(rest) * np.abs(rest) ** 1.3
        said = [signal + size * normal() for size in NOISE]
        first, second = (Predicted(numbers, numbers, 0.0) for numbers in said)
        return Rows(labels, clusters), first, second
    offset, decision = scale(case.positives)
    logit = offset + 1.5 * normal()
    labels = (special.expit(logit) > rng.random(count)).astype(np.int64)
    said = [special.expit(logit + size * normal()) for size in NOISE]
    first, second = (
        Predicted(p, (p >= decision).astype(np.int64), EPSILON).ordered() for p in said
    )
    return Rows(labels, clusters), first, second


@cache
def scale(positives: float) -> tuple[float, float]:
    """Where the logits lie for such a share of positives, and the decision that says yes as often.

    (By the candidate's predictions.)
    """
    rng = np.random.default_rng(1)
    signal, error = 1.5 * rng.normal(size=1_000_000), NOISE[0] * rng.normal(size=1_000_000)
    low, high = -20.0, 20.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (
            (low, middle) if special.expit(middle + signal).mean() > positives else (middle, high)
        )
    return low, float(np.quantile(special.expit(low + signal + error), 1 - positives))


def metrics_of(task: Task) -> list[Metric]:
    """The metrics to look at."""
    model = Model(
        name="benchmark", task=task, stage="evaluate", outputs="build", label="y", key=("id",),
        metrics=(), gate=Gate("x"), classes=("no", "yes") if task == "binary" else (),
    )  # fmt: skip
    return [metric_of(MetricChoice(name), model) for name in METRICS[task]]


@cache
def truth(task: Task, positives: float) -> dict[str, float]:
    """The true difference of each metric: clusters change no row's own distribution."""
    rows, first, second = draw(Case(0, positives), task, np.random.default_rng(2), rows=TRUTH_ROWS)
    return {
        one.name: one.sample(rows, first).value - one.sample(rows, second).value
        for one in metrics_of(task)
    }


@dataclass
class Count:
    """What became of one metric's intervals."""

    given: int = 0
    held: int = 0
    above: int = 0
    none: int = 0

    def add(self, low: float | None, high: float | None, true: float) -> None:
        """Count one interval."""
        if low is None or high is None:
            self.none += 1
            return
        self.given += 1
        self.held += low <= true <= high
        self.above += low > true

    def missed(self, *, may_be_wide: bool, allowed: float) -> str:
        """The goal that it misses by more than so many standard errors; empty for none."""
        if self.given < FEWEST:
            return ""
        held, above = self.held / self.given, self.above / self.given

        def beyond(share: float, goal: float) -> bool:
            return bool(share > goal + allowed * np.sqrt(goal * (1 - goal) / self.given))

        if beyond(1 - held, 1 - LEAST):
            return f"{100 * held:.1f} % hold"
        if beyond(above, WRONG_PASSES):
            return f"{100 * above:.1f} % lie above"
        if not may_be_wide and beyond(held, MOST):
            return f"{100 * held:.1f} % hold"
        return ""

    def __str__(self) -> str:
        if not self.given:
            return "none"
        text = f"{100 * self.held / self.given:.1f} ({100 * self.above / self.given:.1f})"
        share = self.none / (self.none + self.given)
        return text if share < 0.005 else f"{text}, {100 * share:.0f} % none"


def tango_holds(rows: Rows, first: Predicted, second: Predicted, true: float) -> tuple[bool, bool]:
    """Whether Tango's score interval of a difference of recalls holds the truth, or lies above it.

    (Statistics in Medicine 17 (1998) 891.) The score of a difference δ is (b − c − nδ)² over its
    variance, with the share that only the first model decides wrongly at its most likely.
    """
    positive = rows.labels == 1
    right, other = first.decided[positive] == 1, second.decided[positive] == 1
    n, b, c = len(right), np.count_nonzero(right & ~other), np.count_nonzero(~right & other)
    linear = -b - c + (2 * n - b + c) * true
    share = (np.sqrt(max(linear**2 + 8 * n * c * true * (1 - true), 0)) - linear) / (4 * n)
    variance = n * (2 * share + true * (1 - true))
    distance = b - c - n * true
    holds = distance**2 <= special.ndtri((1 + LEVEL) / 2) ** 2 * variance
    return bool(holds), bool(not holds and distance > 0)


def run(case: Case, simulations: int, seed: int) -> tuple[dict[str, Count], float]:
    """Count a case's intervals by metric, and how many positive rows are decided differently."""
    counts: dict[str, Count] = {}
    differ = 0
    for task in METRICS:
        if task == "regression" and case.positives != 0.3:
            continue
        rng = np.random.default_rng([seed, len(task)])
        metrics = metrics_of(task)
        true = truth(task, case.positives)
        counts |= {one.name: Count() for one in metrics}
        for _ in range(simulations):
            rows, first, second = draw(case, task, rng)
            if task == "binary":
                positive = rows.labels == 1
                differ += int(np.count_nonzero((first.decided != second.decided) & positive))
                if case.rare and rows.clusters is None and positive.any():
                    holds, above = tango_holds(rows, first, second, true["recall"])
                    count = counts.setdefault(TANGO, Count())
                    count.given, count.held = count.given + 1, count.held + holds
                    count.above += above
            for one in metrics:
                a, b = one.sample(rows, first), one.sample(rows, second)
                low = high = None
                if np.isfinite(a.value) and np.isfinite(b.value):
                    found = one.difference(rows, a, b, LEVEL)
                    low, high = found.low, found.high
                counts[one.name].add(low, high, true[one.name])
    return counts, differ / simulations


def wrong_passes(simulations: int) -> float:
    """How often a loss of 0.15 of recall passes a margin of 0.05, with ten positive rows."""
    rng = np.random.default_rng(5)
    one = next(metric for metric in metrics_of("binary") if metric.name == "recall")
    labels = np.repeat([1, 0], [10, 990])
    passes = 0
    for _ in range(simulations):
        champion = labels * (rng.random(1_000) < 0.8)
        lost = rng.random(1_000) < 0.15 / 0.8
        rows = Rows(labels, None)
        first, second = (
            Predicted(decided * 0.5 + 0.1 * rng.random(1_000), decided, EPSILON)
            for decided in (np.where(lost, 0, champion), champion)
        )
        found = one.difference(rows, one.sample(rows, first), one.sample(rows, second), LEVEL)
        passes += found.low is not None and found.low >= -0.05
    return passes / simulations


def _error(share: float, simulations: int) -> str:
    """Two standard errors of a share that was counted, in percent."""
    return f"±{200 * np.sqrt(share * (1 - share) / simulations):.1f}"


def main() -> int:
    """Look at every case."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--simulations", type=int)
    options = parser.parse_args()
    simulations = options.simulations or (QUICK_SIMULATIONS if options.quick else SIMULATIONS)
    allowed = 3.0 if simulations < 1_000 else 2.0
    cases = [
        (seed, case) for seed, case in enumerate(CASES)
        if (case.quick or not options.quick)
        and (not options.words or any(word in str(case) for word in options.words))
    ]  # fmt: skip
    names = {name: label for of_task in METRICS.values() for name, label in of_task.items()}
    few = simulations * (1 if options.quick else MORE)
    print(
        f"Of 100 intervals at 95 %, so many hold the truth (and so many lie above it); "
        f"{simulations:,} simulations each, {few:,} of at most {SMALL} rows. Two standard errors: "
        f"{_error(LEVEL, simulations)} and {_error(LEVEL, few)} of what holds, "
        f"{_error(WRONG_PASSES, simulations)} and {_error(WRONG_PASSES, few)} of what lies above\n"
    )
    print("| case |", " | ".join(names.values()), "|")
    print("|---|", "|".join("--:" for _ in names), "|", sep="")
    missed, known = [], []
    since = time.perf_counter()
    for seed, case in cases:
        counts, differ = run(case, few if case.rows <= SMALL else simulations, seed)
        if tango := counts.pop(TANGO, None):
            known.append(f"{case}: {differ:.1f} positive rows differ; {TANGO}: {tango}")
        cells = [str(counts[name]) if name in counts else "" for name in names]
        print("|", " | ".join([str(case), *cells]), "|", flush=True)
        for name, count in counts.items():
            wide = case.may_be_wide or (name in DECISIONS and differ < FEWEST_DIFFERENT)
            if miss := count.missed(may_be_wide=wide, allowed=allowed):
                missed.append(f"{case}: {names[name]}: {miss}")
    print("", *known, sep="\n")
    passes = wrong_passes(simulations)
    goal, seconds = 100 * MARGIN_PASSES, time.perf_counter() - since
    print(f"\nA loss of 0.15 of recall, ten positives, margin 0.05: {100 * passes:.1f} % pass")
    print(f"(goal: at most {goal:g} %). All in {seconds:.0f} s")
    if passes > MARGIN_PASSES + allowed * np.sqrt(MARGIN_PASSES / simulations):
        missed.append(f"wrong passes of recall: {100 * passes:.1f} %")
    for line in missed:
        print(f"missed: {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
