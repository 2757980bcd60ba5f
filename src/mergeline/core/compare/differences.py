"""The metrics of several models on the same rows, and how they differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

from mergeline.core.compare import intervals as statistics
from mergeline.core.compare.metrics.catalogue import Metric, Sample
from mergeline.core.compare.prepare import Predicted, Rows
from mergeline.core.compare.result import Difference, Measured, MetricResult, Other, Outcome
from mergeline.core.declare.model import Bar, Role

T = TypeVar("T")


@dataclass(frozen=True)
class Models:
    """What several models say of the same rows, and by which metrics that is measured.

    Attributes:
        usable: predictions that can be compared. Equal ones are one object, measured once.
        roles: of all models that take part, usable or not.
    """

    rows: Rows
    metrics: Sequence[Metric]
    usable: Mapping[Role, Predicted]
    roles: tuple[Role, ...]

    def each(self, look: Callable[[Predicted], T]) -> dict[Role, T]:
        """What a look at the predictions gives, by role, equal ones looked at once."""
        found = {
            id(one): look(one) for one in {id(one): one for one in self.usable.values()}.values()
        }
        return {role: found[id(one)] for role, one in self.usable.items()}


def metric_results(
    models: Models, bars: Mapping[str, Bar], level: float
) -> tuple[MetricResult, ...]:
    """Each metric's values and the candidate's differences, at a level, beside the gate's bars."""
    return tuple(_result(models, metric, bars.get(metric.name), level) for metric in models.metrics)


def _result(models: Models, metric: Metric, bar: Bar | None, level: float) -> MetricResult:
    samples: dict[int, Sample] = {}
    for one in models.usable.values():
        if len(models.rows) and id(one) not in samples:
            samples[id(one)] = metric.sample(models.rows, one)
    values: dict[Role, Measured] = {}
    for role in models.roles:
        if role not in models.usable:
            values[role] = Measured(None, "unscored", f"the {role} could not score the rows")
        elif not samples:
            values[role] = Measured(None, "undefined", "no row is left to compare on")
        else:
            values[role] = samples[id(models.usable[role])].measured()
    return MetricResult(
        name=metric.name,
        label=metric.label,
        greater_is_better=metric.greater_is_better,
        negated=metric.negated,
        values=values,
        differences=_differences(models, metric, samples, bar, level),
    )


def _differences(
    models: Models, metric: Metric, samples: Mapping[int, Sample], bar: Bar | None, level: float
) -> dict[Other, Difference]:
    fine = {
        role: samples[id(one)]
        for role, one in models.usable.items()
        if id(one) in samples and math.isfinite(samples[id(one)].value)
    }
    if "candidate" not in fine:
        return {}
    found: dict[Other, Difference] = {}
    intervals: dict[int, statistics.Interval] = {}
    for other in get_args(Other):
        if other not in fine:
            continue
        key = id(fine[other])
        if key not in intervals:
            intervals[key] = metric.difference(models.rows, fine["candidate"], fine[other], level)
        margin = bar.margin if bar is not None and bar.against == other else None
        found[other] = _difference(models.rows, metric, intervals[key], level, margin)
    return found


def _difference(
    rows: Rows, metric: Metric, interval: statistics.Interval, level: float, margin: float | None
) -> Difference:
    outcome, holds = outcome_of(
        interval.low, interval.high, margin, greater_is_better=metric.greater_is_better
    )
    unit: Literal["rows", "clusters"] = "rows" if rows.clusters is None else "clusters"
    needed = None
    if outcome == "unclear" and interval.low is not None and interval.high is not None:
        half = (interval.high - interval.low) / 2
        units = rows.cluster_count() or len(rows)
        needed = statistics.units_that_would_tell(interval.estimate, half, margin, units)
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


def outcome_of(
    low: float | None, high: float | None, margin: float | None, *, greater_is_better: bool
) -> tuple[Outcome, bool | None]:
    """What an interval of candidate minus other says, and whether its worse end is in the margin.

    Better or worse when it leaves zero out; same when it is zero throughout or within the margin
    on both sides; else unclear.
    """
    if low is None or high is None:
        return "unclear", None
    worst, best = (low, high) if greater_is_better else (-high, -low)
    holds = None if margin is None else worst >= -margin
    outcome: Outcome = "unclear"
    if worst > 0:
        outcome = "better"
    elif best < 0:
        outcome = "worse"
    elif worst == best == 0 or (margin is not None and holds and best <= margin):
        outcome = "same"
    return outcome, holds
