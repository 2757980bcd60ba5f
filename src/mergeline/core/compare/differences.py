"""The metrics of several models on the same rows, and how they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, get_args

from mergeline.core.compare import intervals
from mergeline.core.compare.arrays import Name, Predictions, Rows
from mergeline.core.compare.metrics.catalogue import Metric
from mergeline.core.compare.result import Difference, Measured, MetricResult, Other, Outcome
from mergeline.core.declare.model import Bar, Role


@dataclass(frozen=True)
class Models(Generic[Name]):
    """What several models predict for the same rows, and by which metrics that is measured.

    Attributes:
        names: of all models that take part, whether their predictions are usable or not.
    """

    rows: Rows
    metrics: Sequence[Metric]
    usable: Predictions[Name]
    names: tuple[Name, ...]


class MetricOfModels(Generic[Name]):
    """One metric of several models on the same rows; equal predictions are measured once."""

    def __init__(self, metric: Metric, models: Models[Name]) -> None:
        self._metric, self._rows, self._index = metric, models.rows, models.usable.index
        distinct = models.usable.distinct if len(models.rows) else ()
        self._samples = [metric.sample(models.rows, predicted) for predicted in distinct]
        self._intervals: dict[tuple[int, int], intervals.Interval] = {}

    def value(self, name: Name) -> Measured:
        """The model's value, or why there is none."""
        if name not in self._index:
            return Measured(None, "unscored", f"the {name} could not score the rows")
        if not self._samples:
            return Measured(None, "undefined", "no row is left to compare on")
        return self._samples[self._index[name]].measured()

    def difference(
        self, first: Name, second: Name, level: float, margin: float | None = None
    ) -> Difference | None:
        """The first model minus the second, with its interval; None where one has no value."""
        if self.value(first).value is None or self.value(second).value is None:
            return None
        pair = self._index[first], self._index[second]
        if pair not in self._intervals:
            one, other = (self._samples[place] for place in pair)
            self._intervals[pair] = self._metric.difference(self._rows, one, other, level)
        return _difference(self._rows, self._metric, self._intervals[pair], level, margin)


def metric_results(
    models: Models[Role], bars: Mapping[str, Bar], level: float
) -> tuple[MetricResult, ...]:
    """Each metric's values and the candidate's differences, at a level, beside the gate's bars."""
    results = []
    for metric in models.metrics:
        measured, bar = MetricOfModels(metric, models), bars.get(metric.name, Bar())
        differences: dict[Other, Difference] = {}
        measured_from = bar.measured_from(models.names)
        for other in get_args(Other):
            margin = bar.margin if other in measured_from else None
            if difference := measured.difference("candidate", other, level, margin):
                differences[other] = difference
        values = {role: measured.value(role) for role in models.names}
        results.append(
            MetricResult(
                metric.name, metric.label, metric.greater_is_better, metric.negated,
                values, differences,
            )
        )  # fmt: skip
    return tuple(results)


def _difference(
    rows: Rows, metric: Metric, interval: intervals.Interval, level: float, margin: float | None
) -> Difference:
    outcome, holds = interval_outcome(
        interval.low, interval.high, margin, greater_is_better=metric.greater_is_better
    )
    unit: Literal["rows", "clusters"] = "rows" if rows.clusters is None else "clusters"
    needed = None
    if outcome == "unclear" and interval.low is not None and interval.high is not None:
        half = (interval.high - interval.low) / 2
        units = rows.cluster_count() or len(rows)
        needed = intervals.units_that_would_tell(interval.estimate, half, margin, units)
    return Difference(
        estimate=interval.estimate,
        low=interval.low,
        high=interval.high,
        level=level,
        method=interval.method,
        outcome=outcome,
        margin=margin,
        margin_holds=holds,
        needed=needed,
        unit=unit,
        reason=interval.reason,
    )


def interval_outcome(
    low: float | None, high: float | None, margin: float | None, *, greater_is_better: bool
) -> tuple[Outcome, bool | None]:
    """The outcome that an interval shows, and whether its worse end is within the margin.

    Better or worse when the interval leaves zero out; same when it is zero throughout or within
    the margin on both sides; else unclear.
    """
    if low is None or high is None:
        return "unclear", None
    worst, best = (low, high) if greater_is_better else (-high, -low)
    holds = None if margin is None else worst >= -margin
    if worst > 0:
        return "better", holds
    if best < 0:
        return "worse", holds
    same = worst == best == 0 or (margin is not None and holds and best <= margin)
    return "same" if same else "unclear", holds
