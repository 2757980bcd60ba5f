"""A declared metric by name: its value on rows, and the interval of a difference.

Four kinds, by what they are made of: ranks, a mean over rows, a function of sums (`ratios`), or
anything else that scikit-learn or the user can score.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from mergeline.core.compare import intervals as statistics
from mergeline.core.compare.arrays import Predicted, Rows
from mergeline.core.compare.intervals import Interval
from mergeline.core.compare.metrics import means as losses
from mergeline.core.compare.metrics import ranks as ranking
from mergeline.core.compare.metrics import ratios as totals
from mergeline.core.compare.metrics import sklearn_scorers as scorers
from mergeline.core.compare.result import NOT_EVERY_CLASS, Absent, Measured
from mergeline.core.declare.model import MetricChoice, Model
from mergeline.core.declare.strict import did_you_mean
from mergeline.errors import DeclarationError

Floats = npt.NDArray[np.float64]

_RANKS_MULTICLASS: dict[str, Callable[..., tuple[float, Floats]]] = {
    "roc_auc_ovr": partial(ranking.one_versus_rest, average="macro"),
    "roc_auc_ovr_weighted": partial(ranking.one_versus_rest, average="weighted"),
    "roc_auc_ovo": partial(ranking.one_versus_one, average="macro"),
    "roc_auc_ovo_weighted": partial(ranking.one_versus_one, average="weighted"),
}
_RANKS_BINARY = ("roc_auc", *_RANKS_MULTICLASS)
_LABELS = {
    "roc_auc": "ROC AUC", "roc_auc_ovr": "ROC AUC, one vs rest",
    "roc_auc_ovr_weighted": "ROC AUC, one vs rest, weighted", "roc_auc_ovo": "ROC AUC, one vs one",
    "roc_auc_ovo_weighted": "ROC AUC, one vs one, weighted", "neg_brier_score": "Brier score",
    "f1": "F1", "f1_micro": "F1, micro", "f1_macro": "F1, macro", "f1_weighted": "F1, weighted",
    "r2": "R²", "matthews_corrcoef": "Matthews correlation", "d2_brier_score": "D² of Brier score",
    "d2_log_loss_score": "D² of log loss",
}  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """A metric's value on rows, not finite with a reason where it is undefined, and its parts.

    `parts` is what the kind of metric needs for the interval: per-row losses, placements,
    influences, or the predictions themselves.
    """

    value: float
    parts: Any = field(default=None, repr=False)
    reason: str = ""
    absent: Absent = "undefined"

    def measured(self) -> Measured:
        """The value, or why there is none."""
        if math.isfinite(self.value):
            return Measured(self.value)
        if math.isinf(self.value):
            return Measured(None, "infinite", self.reason or "it is infinite")
        if not self.reason:
            return Measured(None, "nan", "it is NaN")
        return Measured(None, self.absent, self.reason)


@dataclass(frozen=True)
class Metric:
    """How one declared metric is measured.

    Attributes:
        sample: the value on rows.
        difference: first minus second on the same rows, with its interval at a level.
        negated: whether it is a loss with its sign turned.
    """

    name: str
    label: str
    sample: Callable[[Rows, Predicted], Sample]
    difference: Callable[[Rows, Sample, Sample, float], Interval]
    greater_is_better: bool = True
    negated: bool = False


def metric_of(choice: MetricChoice, model: Model) -> Metric:
    """The metric that a declaration names.

    Raises:
        DeclarationError: scikit-learn has no such scorer, or the import path leads nowhere.
    """
    where = f"models/{model.name}.yaml"
    name = choice.name
    if choice.own:
        function = scorers.custom(name, where=where)
        label = name.rpartition(".")[2].replace("_", " ")
        sample, difference = _scored(partial(scorers.by_function, function, model))
        more = choice.greater_is_better is True
        return Metric(name, label, sample, difference, greater_is_better=more)
    _check_name(choice, where)
    sample, difference = _ways(name, model)
    negated = name.startswith("neg_")
    label = _LABELS.get(name) or name.removeprefix("neg_").replace("_", " ")
    return Metric(name, label, sample, difference, negated=negated)


def check_metrics(model: Model) -> None:
    """Refuse a declaration with a metric that nobody knows; the project's own are not looked at.

    Raises:
        DeclarationError: scikit-learn has no such scorer.
    """
    for choice in model.metrics:
        if not choice.own:
            _check_name(choice, f"models/{model.name}.yaml")


def _check_name(choice: MetricChoice, where: str) -> None:
    known = scorers.names()
    if choice.name not in known:
        near = did_you_mean(choice.name, known)
        raise DeclarationError(
            f"metrics: scikit-learn has no scorer {choice.name!r} ({near})",
            where=where,
            next_step="Name one of them, or a function of your own by its import path",
        )


def _ways(name: str, model: Model) -> tuple[Any, Any]:
    """The way of the metric's kind; scikit-learn's scorer where there is none."""
    binary, regression = model.task == "binary", model.task == "regression"
    kinds = {"binary": losses.CLASSIFICATION, "multiclass": losses.MULTICLASS}
    if name in (means := kinds.get(model.task, losses.REGRESSION)):
        sign = -1.0 if name.startswith("neg_") else 1.0
        return partial(_mean, means[name], sign), _mean_difference
    if binary and name in _RANKS_BINARY:
        return _auc, _auc_difference
    if binary and name == "average_precision":
        return _average_precision, _average_precision_difference
    if model.task == "multiclass" and name in _RANKS_MULTICLASS:
        way = partial(_multiclass_auc, _RANKS_MULTICLASS[name])
        rare = name != "roc_auc_ovr_weighted"
        return way, partial(_multiclass_auc_difference, rare_weighs=rare)
    classes = len(model.classes)
    sums = totals.REGRESSION if regression else totals.PROBABILITIES
    if name in sums:
        return partial(_linearised, sums[name], classes), _linearised_difference
    decisions = totals.CLASSIFICATION | (totals.BINARY if binary else {})
    if not regression and name in decisions:
        return partial(_decided, decisions[name], classes), _decided_difference
    return _scored(partial(scorers.by_name, name, model))


def _mean(loss: losses.Loss, sign: float, rows: Rows, predicted: Predicted) -> Sample:
    parts = sign * loss(rows.labels, predicted)
    value = float(parts.mean())
    reason = "" if math.isfinite(value) else "not defined for such labels or predictions"
    return Sample(value, parts, reason)


def _mean_difference(rows: Rows, first: Sample, second: Sample, level: float) -> Interval:
    return statistics.mean_interval(first.parts - second.parts, rows.clusters, level)


def _auc(rows: Rows, predicted: Predicted) -> Sample:
    positive = rows.labels == 1
    if (reason := _one_class(rows, 2)) != "":
        return Sample(math.nan, reason=reason)
    value, parts = ranking.placements(predicted.numbers, positive, predicted.order)
    return Sample(value, parts)


def _auc_difference(rows: Rows, first: Sample, second: Sample, level: float) -> Interval:
    return statistics.auc_interval(
        rows.labels == 1, first.parts - second.parts, first.value - second.value, rows.clusters,
        level,
    )  # fmt: skip


def _average_precision(rows: Rows, predicted: Predicted) -> Sample:
    if (reason := _one_class(rows, 2)) != "":
        return Sample(math.nan, reason=reason)
    value, parts = ranking.average_precision(predicted.numbers, rows.labels == 1)
    return Sample(value, parts)


def _average_precision_difference(
    rows: Rows, first: Sample, second: Sample, level: float
) -> Interval:
    return statistics.influence_interval(
        first.parts - second.parts, first.value - second.value, rows.clusters, level, "linearised",
        needed=rows.labels,
    )  # fmt: skip


def _multiclass_auc(way: Any, rows: Rows, predicted: Predicted) -> Sample:  # noqa: ANN401
    if (reason := _one_class(rows, predicted.numbers.shape[1])) != "":
        return Sample(math.nan, reason=reason)
    value, parts = way(rows.labels, predicted.numbers)
    return Sample(value, parts)


def _multiclass_auc_difference(
    rows: Rows, first: Sample, second: Sample, level: float, *, rare_weighs: bool
) -> Interval:
    """`rare_weighs`: whether the rows of a rare class count for more than others."""
    return statistics.influence_interval(
        first.parts - second.parts, first.value - second.value, rows.clusters, level,
        "DeLong over classes", kinds=rows.labels, needed=rows.labels if rare_weighs else None,
    )  # fmt: skip


def _linearised(
    of_sums: totals.OfSums, classes: int, rows: Rows, predicted: Predicted
) -> Sample:  # fmt: skip
    if classes:
        summed = totals.probability_sums(rows.labels, predicted, classes)
    else:
        summed = totals.error_sums(rows.labels, predicted)
    value = float(of_sums(summed.totals))
    if not math.isfinite(value):
        return Sample(value, reason="the labels do not vary, or cannot be so measured")
    slope = totals.gradient(of_sums, summed.totals, summed.scale)
    return Sample(value, summed.by_row(slope))


def _linearised_difference(rows: Rows, first: Sample, second: Sample, level: float) -> Interval:
    influence = len(rows) * (first.parts - second.parts)
    return statistics.influence_interval(
        influence, first.value - second.value, rows.clusters, level, "linearised"
    )


@dataclass(frozen=True)
class _Decisions:
    """What decisions contribute to a metric's error, as if each class had one row more.

    Attributes:
        value: of the metric, with those rows.
        by_row: what a row changes, shape (n,).
        right, wrong: what one more row changes, by class that occurs.
        classes: codes of those classes.
    """

    value: float
    by_row: Floats
    right: Floats
    wrong: Floats
    classes: npt.NDArray[np.intp]


def _decided(of_sums: totals.OfSums, classes: int, rows: Rows, predicted: Predicted) -> Sample:
    """With the parts of an interval that is not nothing where no decision differs.

    Each class that occurs gets one row more, half of it decided rightly and half of it wrongly
    (for the other classes alike), as in Agresti and Min's interval of paired proportions.
    """
    summed = totals.decision_sums(rows.labels, predicted, classes)
    value = float(of_sums(summed.totals))
    if not math.isfinite(value):
        return Sample(value, reason="no row of the class that it counts")
    occurs = np.bincount(rows.labels, minlength=classes) > 0
    others = occurs if occurs.sum() > 1 else np.ones(classes)
    wrongly = others * (1.0 - np.eye(classes))
    wrongly /= wrongly.sum(axis=1, keepdims=True)
    more = np.concatenate([occurs / 2, occurs, (occurs + occurs @ wrongly) / 2])
    slope = totals.gradient(of_sums, summed.totals + more, summed.totals + more)
    right, existing, decided = np.split(slope, 3)
    parts = _Decisions(
        float(of_sums(summed.totals + more)), summed.by_row(slope),
        (right + existing + decided)[occurs], (existing + wrongly @ decided)[occurs],
        np.flatnonzero(occurs),
    )  # fmt: skip
    return Sample(value, parts)


def _decided_difference(rows: Rows, first: Sample, second: Sample, level: float) -> Interval:
    if first is second:  # the same predictions, not only the same decisions on these rows
        method = "linearised" if rows.clusters is None else "linearised by cluster"
        return Interval(0.0, 0.0, 0.0, method)
    one, other = first.parts, second.parts
    count = len(rows) + len(one.classes)
    return statistics.decisions_interval(
        count * (one.by_row - other.by_row),
        count * np.concatenate([one.right - other.wrong, one.wrong - other.right]),
        first.value - second.value, rows.clusters, level,
        kinds=rows.labels, kinds_of_added=np.tile(one.classes, 2), centre=one.value - other.value,
    )  # fmt: skip


def _scored(score: scorers.Score) -> tuple[Any, Any]:
    """The ways of a metric that can only be scored as a whole."""

    def sample(rows: Rows, predicted: Predicted) -> Sample:
        value, reason = score(rows, predicted)
        return Sample(value, predicted, reason, "failed")

    def difference(rows: Rows, first: Sample, second: Sample, level: float) -> Interval:
        def statistic(picked: npt.NDArray[np.intp]) -> float:
            chosen = rows.take(picked)
            values = (score(chosen, one.parts.take(picked))[0] for one in (first, second))
            return float(next(values) - next(values))

        return statistics.resampled_interval(len(rows), rows.clusters, statistic, level)

    return sample, difference


def _one_class(rows: Rows, classes: int) -> str:
    present = np.bincount(rows.labels, minlength=classes) > 0
    return "" if present.all() else NOT_EVERY_CLASS
