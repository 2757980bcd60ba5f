"""What a change of data does to a model, and what the rest of the change does on top.

Three models on the same rows: the base, the base's code and params trained on the change's data,
and the candidate. The difference is split in that order: data first, then all else. Another order
may split it otherwise where the two work together; the total is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mergeline.core.compare.differences import MetricOfModels, Models
from mergeline.core.compare.metrics.catalogue import Metric, metric_of
from mergeline.core.compare.prepare import prepare
from mergeline.core.compare.result import LEVEL, Difference, Holdout, Measured, Scored
from mergeline.core.declare.model import Model

BASE, DATA, CANDIDATE = "base", "model of the data alone", "candidate"


@dataclass(frozen=True)
class MetricSplit:
    """One metric's way from the base to the candidate; values in the metric's own sign.

    Attributes:
        base, data, candidate: values of the three models.
        by_data: the data's part of the difference; `by_rest`: of params and code; `total`: both.
            None where a model has no value.
    """

    name: str
    label: str
    negated: bool
    base: Measured
    data: Measured
    candidate: Measured
    by_data: Difference | None
    by_rest: Difference | None
    total: Difference | None


@dataclass(frozen=True)
class Split:
    """The split of every metric's difference, over the rows that none of the three has seen.

    Problems say why a model's predictions could not be used, or what is wrong with the labels.
    """

    rows: int
    metrics: tuple[MetricSplit, ...]
    problems: tuple[str, ...] = ()


def attribute(
    holdout: Holdout, *, base: Scored, data: Scored, candidate: Scored, model: Model
) -> Split:
    """Split the difference from base to candidate into what the data do and what the rest does.

    All three score the candidate's holdout; `data` is by the base's code and params on the change's
    data.
    """
    models: Mapping[str, Scored] = {CANDIDATE: candidate, DATA: data, BASE: base}
    prepared = prepare(holdout, models, model)
    metrics = [metric_of(choice, model) for choice in model.metrics]
    measured = Models(prepared.rows, metrics, prepared.usable, tuple(models))
    return Split(
        rows=len(prepared.rows),
        metrics=tuple(_split(metric, measured) for metric in metrics),
        problems=(
            *(problem.text for problem in prepared.label_problems),
            *(why.text for why in prepared.unusable.values()),
        ),
    )


def _split(metric: Metric, models: Models[str]) -> MetricSplit:
    measured = MetricOfModels(metric, models)
    return MetricSplit(
        name=metric.name,
        label=metric.label,
        negated=metric.negated,
        base=measured.value(BASE),
        data=measured.value(DATA),
        candidate=measured.value(CANDIDATE),
        by_data=measured.difference(DATA, BASE, LEVEL),
        by_rest=measured.difference(CANDIDATE, DATA, LEVEL),
        total=measured.difference(CANDIDATE, BASE, LEVEL),
    )
