"""What a change of data does to a model, and what the rest of the change does on top.

Three models on the same rows: the base, the base's code and params trained on the change's data,
and the candidate. The difference is split in that order: data first, then all else. Another order
may split it otherwise where the two work together; the total is the same.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from mergeline.core.compare.comparison import LEVEL
from mergeline.core.compare.differences import Models, metric_results
from mergeline.core.compare.metrics.catalogue import metric_of
from mergeline.core.compare.prepare import Predicted, prepare
from mergeline.core.compare.result import (
    Difference,
    Holdout,
    Measured,
    MetricResult,
    Problem,
    Scored,
)
from mergeline.core.declare.model import Model, Role


@dataclass(frozen=True)
class Step:
    """One metric's way from the base to the candidate; values in the metric's own sign.

    Attributes:
        base, data, candidate: values of the three models.
        by_data: the data's part of the difference; `by_rest`: of params and code; `total`: both.
            None where a model has no value.
    """

    name: str
    label: str
    greater_is_better: bool
    negated: bool
    base: Measured
    data: Measured
    candidate: Measured
    by_data: Difference | None
    by_rest: Difference | None
    total: Difference | None


@dataclass(frozen=True)
class Attribution:
    """The split of every metric's difference, over the rows that none of the three has seen."""

    rows: int
    steps: tuple[Step, ...]
    problems: tuple[Problem, ...] = ()


def attribute(
    holdout: Holdout, *, base: Scored, data: Scored, candidate: Scored, model: Model
) -> Attribution:
    """Split the difference from base to candidate into what the data do and what the rest does.

    Args:
        holdout: the candidate's.
        base: the base's model.
        data: a model by the base's code and params on the change's data.
        candidate: the change's model.
        model: the declaration by which is measured.
    """
    scored = [
        dataclasses.replace(candidate, role="candidate"),
        dataclasses.replace(data, role="champion"),
        dataclasses.replace(base, role="base"),
    ]
    prepared = prepare(holdout, scored, model)
    metrics = [metric_of(choice, model) for choice in model.metrics]
    roles = tuple(one.role for one in scored)
    whole = metric_results(Models(prepared.rows, metrics, prepared.usable, roles), {}, LEVEL)
    first: dict[Role, Predicted] = {}
    if "champion" in prepared.usable and "base" in prepared.usable:
        first = {"candidate": prepared.usable["champion"], "base": prepared.usable["base"]}
    part = metric_results(Models(prepared.rows, metrics, first, ("candidate", "base")), {}, LEVEL)
    steps = tuple(_step(*pair) for pair in zip(whole, part, strict=True))
    problems = tuple(
        dataclasses.replace(
            problem, text=problem.text.replace("the champion", "the model of the data alone")
        )
        for problem in prepared.problems
    )
    return Attribution(len(prepared.rows), steps, problems)


def _step(whole: MetricResult, part: MetricResult) -> Step:
    return Step(
        name=whole.name,
        label=whole.label,
        greater_is_better=whole.greater_is_better,
        negated=whole.negated,
        base=whole.values["base"],
        data=whole.values["champion"],
        candidate=whole.values["candidate"],
        by_data=part.differences.get("base"),
        by_rest=whole.differences.get("champion"),
        total=whole.differences.get("base"),
    )
