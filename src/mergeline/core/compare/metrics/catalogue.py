"""A declared metric by name: its value on rows, and the interval of a difference.

Four kinds, by what they are made of: ranks (`core.ranking`), a mean over rows (`core.losses`), a
function of sums (`core.totals`), or anything else that scikit-learn or the user can score.
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
from mergeline.core.compare.result import Absent, Measured
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
    known = scorers.names()
    if name not in known:
        raise DeclarationError(
            f"metrics: scikit-learn has no scorer {name!r} ({did_you_mean(name, known)})",
            where=where,
            next_step="Name one of them, or a function of your own by its import path",
        )
    sample, difference = _ways(name, model)
    negated = name.startswith("neg_")
    label = _LABELS.get(name) or name.removeprefix("neg_").replace("_", " ")
    return Metric(name, label, sample, difference, negated=negated)


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
        return _average_precision, partial(_influence_difference, "linearised", rare_weighs=True)
    if model.task == "multiclass" and name in _RANKS_MULTICLASS:
        way = partial(_multiclass_auc, _RANKS_MULTICLASS[name])
        rare = name != "roc_auc_ovr_weighted"
        return way, partial(_influence_difference, "DeLong over classes", rare_weighs=rare)
    if regression and name in totals.REGRESSION:
        return partial(_errors, totals.REGRESSION[name]), partial(
            _totals_difference, totals.REGRESSION[name]
        )
    decisions = totals.CLASSIFICATION | (totals.BINARY if binary else {})
    for known, summed in (
        (decisions, totals.decision_sums), (totals.PROBABILITIES, totals.probability_sums),
    ):  # fmt: skip
        if not regression and name in known:
            way = partial(_classified, known[name], summed, len(model.classes))
            return way, partial(_totals_difference, known[name])
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


def _multiclass_auc(way: Any, rows: Rows, predicted: Predicted) -> Sample:  # noqa: ANN401
    if (reason := _one_class(rows, predicted.numbers.shape[1])) != "":
        return Sample(math.nan, reason=reason)
    value, parts = way(rows.labels, predicted.numbers)
    return Sample(value, parts)


def _influence_difference(
    method: str, rows: Rows, first: Sample, second: Sample, level: float, *, rare_weighs: bool
) -> Interval:
    """`rare_weighs`: whether the rows of a rare class count for more than others."""
    return statistics.influence_interval(
        first.parts - second.parts, first.value - second.value, rows.clusters, level, method,
        classes=rows.labels if rare_weighs else None,
    )  # fmt: skip


def _classified(
    of_sums: totals.OfSums, summed: Any, classes: int, rows: Rows, predicted: Predicted  # noqa: ANN401
) -> Sample:  # fmt: skip
    def sums(groups: Any, count: int) -> Floats:  # noqa: ANN401 - codes
        return np.asarray(summed(rows.labels, predicted, classes, groups, count))

    return _of_sums(of_sums, sums, len(rows), "no row of the class that it counts")


def _errors(of_sums: totals.OfSums, rows: Rows, predicted: Predicted) -> Sample:
    centre = float(rows.labels.mean())

    def sums(groups: Any, count: int) -> Floats:  # noqa: ANN401 - codes
        return totals.error_sums(rows.labels, predicted, centre, groups, count)

    return _of_sums(of_sums, sums, len(rows), "the labels do not vary, or cannot be so measured")


def _of_sums(
    of_sums: totals.OfSums, sums: Callable[[Any, int], Floats], rows: int, undefined: str
) -> Sample:
    value = float(of_sums(sums(np.zeros(rows, dtype=np.int64), 1)[0]))
    return Sample(value, sums, "" if math.isfinite(value) else undefined)


def _totals_difference(
    of_sums: totals.OfSums, rows: Rows, first: Sample, second: Sample, level: float
) -> Interval:
    groups, count = statistics.grouping(rows.clusters, len(rows))
    both = np.concatenate([first.parts(groups, count), second.parts(groups, count)], axis=1)
    width = both.shape[1] // 2

    def difference(sums: Floats) -> Floats:
        return of_sums(sums[..., :width]) - of_sums(sums[..., width:])

    return statistics.totals_interval(both, rows.clusters, difference, level)


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
    return "" if present.all() else "the rows do not hold every class"
