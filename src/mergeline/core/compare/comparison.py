"""The comparison: candidate, champion and base on the same rows, with paired intervals.

Pure: the same arrays give the same comparison, to the last digit; what is random (resampling)
starts from a fixed seed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np

from mergeline.core.compare import curves as description
from mergeline.core.compare.checks import holdout_problems, prediction_problems
from mergeline.core.compare.differences import Models, metric_results
from mergeline.core.compare.metrics.catalogue import metric_of
from mergeline.core.compare.prepare import (
    Parts,
    Prepared,
    parts_of,
    prepare,
    rows_digest,
)
from mergeline.core.compare.result import (
    UNJUDGED,
    Comparison,
    Holdout,
    HoldoutFacts,
    ModelFacts,
    Other,
    Scored,
)
from mergeline.core.compare.slices import slice_labels, slice_results
from mergeline.core.declare.model import Model

__all__ = [
    "compare", "rows_digest", "slice_labels", "with_metrics_of",
]  # fmt: skip

LEVEL = 0.95


def compare(holdout: Holdout, scored: Sequence[Scored], model: Model) -> Comparison:
    """Hold the candidate against the others on the rows that none of them was trained on.

    Args:
        holdout: all its rows.
        scored: the candidate, and the champion and the base where there are such; each in the
            order of the holdout's rows.
        model: the declaration by which is measured: the base side's, see `with_metrics_of`.

    Raises:
        DeclarationError: a metric's name leads nowhere.
    """
    metrics = [metric_of(choice, model) for choice in model.metrics]
    prepared = prepare(holdout, scored, model)
    rows, usable = prepared.rows, prepared.usable
    problems = [*prepared.problems, *holdout_problems(holdout, prepared, scored, model)]
    if "candidate" in usable:
        problems += prediction_problems(rows, usable["candidate"], model)
    models = Models(rows, metrics, usable, tuple(one.role for one in scored))
    described = {}
    if len(rows):
        columns = {
            choice.column: parts_of(
                np.asarray(holdout.slices[choice.column])[prepared.used],
                model.slice_minimum,
                UNJUDGED,
            )
            for choice in model.slices
            if choice.column in holdout.slices
        }
        described = _described(models, model, columns)
    return Comparison(
        model=model.name,
        task=model.task,
        label=model.label,
        primary=model.gate.primary,
        classes=_texts(model.classes),
        level=LEVEL,
        holdout=HoldoutFacts(
            holdout.digest, len(holdout.row_id), len(rows), model.cluster, rows.cluster_count()
        ),
        models={one.role: _facts(one, model, prepared) for one in scored},
        metrics=metric_results(models, model.gate.metrics, LEVEL),
        problems=tuple(problems),
        **described,
    )


def with_metrics_of(model: Model, other: Model) -> Model:
    """The declaration with the metrics too that only the other declares."""
    named = {metric.name for metric in model.metrics}
    more = tuple(metric for metric in other.metrics if metric.name not in named)
    return dataclasses.replace(model, metrics=model.metrics + more)


def _described(models: Models, model: Model, columns: Mapping[str, Parts]) -> dict[str, Any]:
    """What a comparison says beside the metrics over all rows."""
    rows = models.rows
    regression = model.task == "regression"
    slices, level, adjustment = slice_results(models, model, columns, LEVEL)
    said: dict[str, Any] = {
        "slices": slices,
        "slice_level": level,
        "slice_adjustment": adjustment,
        "calibration": models.each(
            lambda one: description.calibration(rows, one, regression=regression)
        ),
    }
    if regression:
        return said | {"label_quantiles": description.label_quantiles(rows)}
    classes = _texts(model.classes)
    said["labels"] = description.label_balance(rows, classes)
    said["confusion"] = models.each(lambda one: description.confusion(rows, one, classes))
    if candidate := models.usable.get("candidate"):
        said["flips"] = {
            other: description.flips(rows, candidate, models.usable[other], columns)
            for other in get_args(Other)
            if other in models.usable
        }
    if model.task == "binary" and (np.bincount(rows.labels, minlength=2) > 0).all():
        drawn = models.each(lambda one: description.curves(rows, one))
        said["roc"] = {role: roc for role, (roc, _) in drawn.items()}
        said["pr"] = {role: pr for role, (_, pr) in drawn.items()}
    return said


def _facts(one: Scored, model: Model, prepared: Prepared) -> ModelFacts:
    seen = prepared.seen.get(one.role)
    return ModelFacts(
        scored=one.role in prepared.usable,
        trained_on=None if one.trained_on is None else len(one.trained_on),
        seen=None if seen is None else int(np.count_nonzero(seen)),
        latency_ms=_finite(one.latency_ms),
        size_bytes=one.size_bytes,
        inputs=one.inputs,
        classes=_texts(one.classes),
        decision=(one.decision or model.decision) if model.task == "binary" else None,
    )


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def _texts(values: Sequence[object]) -> tuple[str, ...]:
    """Class names as YAML writes them."""
    return tuple(str(value).lower() if isinstance(value, bool) else str(value) for value in values)
