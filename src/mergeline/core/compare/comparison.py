"""The comparison: candidate, champion and base on the same rows, with paired intervals.

Pure: the same arrays give the same comparison, to the last digit; resampling starts from a fixed
seed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np

from mergeline.core.compare import curves
from mergeline.core.compare.arrays import Parts, parts_of
from mergeline.core.compare.differences import Models, metric_results
from mergeline.core.compare.examples import examples
from mergeline.core.compare.metrics.catalogue import metric_of
from mergeline.core.compare.prepare import Prepared, prepare
from mergeline.core.compare.result import (
    LEVEL,
    UNJUDGED,
    Comparison,
    Holdout,
    HoldoutFacts,
    ModelFacts,
    Other,
    Problem,
    Scored,
)
from mergeline.core.compare.slices import slice_results
from mergeline.core.compare.unfit import holdout_problems, prediction_problems
from mergeline.core.declare.model import Gate, Model, Role


def compare(holdout: Holdout, scored: Mapping[Role, Scored], model: Model) -> Comparison:
    """Hold the candidate against the others on the rows that none of them was trained on.

    Predictions are in the order of the holdout's rows. Champion and base take part if they exist.
    `model` is the declaration of the base's side, see `with_metrics_of`.

    Raises:
        DeclarationError: neither scikit-learn nor the project has a metric of that name.
    """
    metrics = [metric_of(choice, model) for choice in model.metrics]
    level = level_of(model.gate)
    prepared = prepare(holdout, scored, model)
    rows = prepared.rows
    models = Models(rows, metrics, prepared.usable, tuple(scored))
    described = {}
    if len(rows):
        parts = {
            choice.column: parts_of(
                np.asarray(holdout.slices[choice.column])[prepared.used],
                model.slice_minimum,
                UNJUDGED,
            )
            for choice in model.slices
            if choice.column in holdout.slices
        }
        taken = [column.name for column in scored["candidate"].inputs]
        described = _described(models, model, parts, level)
        described["examples"] = examples(holdout, prepared, taken, model)
    problems = [
        *prepared.label_problems,
        *(Problem(why.kind, role, why.text) for role, why in prepared.unusable.items()),
        *holdout_problems(holdout, prepared, model),
    ]
    if (candidate := prepared.usable.of("candidate")) is not None:
        problems += prediction_problems(rows, candidate, model)
    problems += [problem for one in scored.values() for problem in one.misbehaviour]
    return Comparison(
        model=model.name,
        task=model.task,
        label=model.label,
        primary=model.gate.primary,
        classes=_texts(model.classes),
        level=level,
        holdout=HoldoutFacts(
            holdout.digest, len(holdout.row_id), len(rows), model.cluster, rows.cluster_count()
        ),
        models={role: _facts(role, scores, model, prepared) for role, scores in scored.items()},
        metrics=metric_results(models, model.gate.metrics, level),
        problems=tuple(problems),
        **described,
    )


def with_metrics_of(model: Model, other: Model) -> Model:
    """The declaration, with the metrics and the private columns that only the other declares."""
    named = {metric.name for metric in model.metrics}
    more = tuple(metric for metric in other.metrics if metric.name not in named)
    private = tuple(dict.fromkeys([*model.private, *other.private]))
    return dataclasses.replace(model, metrics=model.metrics + more, private=private)


def level_of(gate: Gate) -> float:
    """Of each interval, so that those of all looks that the gate allows hold together at `LEVEL`.

    The union bound (Bonferroni): docs/verdict.md says what it is good for.
    """
    return 1 - (1 - LEVEL) / (gate.looks or 1)


def _described(
    models: Models[Role], model: Model, columns: Mapping[str, Parts], level: float
) -> dict[str, Any]:
    """What stands in a comparison beside the metrics over all rows, by field."""
    rows, usable = models.rows, models.usable
    regression = model.task == "regression"
    slices, slice_level, adjustment = slice_results(models, model, columns, level)
    described: dict[str, Any] = {
        "slices": slices,
        "slice_level": slice_level,
        "slice_adjustment": adjustment,
        "calibration": usable.each(
            lambda predicted: curves.calibration_bins(rows, predicted, regression=regression)
        ),
    }
    if regression:
        return described | {"label_quantiles": curves.label_quantiles(rows)}
    classes = _texts(model.classes)
    described["labels"] = curves.label_balance(rows, classes)
    described["confusion"] = usable.each(lambda one: curves.confusion(rows, one, classes))
    if (candidate := usable.of("candidate")) is not None:
        described["flips"] = {
            other: curves.flips(rows, candidate, predicted, columns)
            for other in get_args(Other)
            if (predicted := usable.of(other)) is not None
        }
    if model.task == "binary" and (np.bincount(rows.labels, minlength=2) > 0).all():
        drawn = usable.each(lambda one: curves.roc_and_pr_curves(rows, one))
        described["roc"] = {role: roc for role, (roc, _) in drawn.items()}
        described["pr"] = {role: pr for role, (_, pr) in drawn.items()}
    return described


def _facts(role: Role, scored: Scored, model: Model, prepared: Prepared[Role]) -> ModelFacts:
    seen, latency = prepared.seen.get(role), scored.latency_ms
    return ModelFacts(
        scored=role in prepared.usable.index,
        trained_on=None if scored.trained_on is None else len(scored.trained_on),
        seen=None if seen is None else int(np.count_nonzero(seen)),
        latency_ms=latency if latency is not None and math.isfinite(latency) else None,
        size_bytes=scored.size_bytes,
        load_s=scored.load_s,
        memory_mb=scored.memory_mb,
        twins=scored.twins,
        inputs=scored.inputs,
        classes=_texts(scored.classes),
        decision=(scored.threshold or model.decision) if model.task == "binary" else None,
    )


def _texts(values: Sequence[object]) -> tuple[str, ...]:
    """Class names as YAML writes them."""
    return tuple(str(value).lower() if isinstance(value, bool) else str(value) for value in values)
