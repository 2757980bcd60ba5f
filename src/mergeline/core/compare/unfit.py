"""What makes a holdout or a candidate unfit, whatever the gate says."""

from __future__ import annotations

import numpy as np

from mergeline.core.compare import intervals
from mergeline.core.compare.arrays import Predicted, Rows, missing_count
from mergeline.core.compare.metrics import ranks
from mergeline.core.compare.prepare import Prepared, rows_digest
from mergeline.core.compare.result import LEVEL, Holdout, Problem
from mergeline.core.declare.model import Model, Role


def holdout_problems(
    holdout: Holdout, prepared: Prepared[Role], model: Model
) -> list[Problem]:  # fmt: skip
    """What makes rows unfit to compare on."""
    rows, seen = prepared.rows, prepared.seen
    problems = []
    count = len(holdout.row_id)
    if holdout.digest != rows_digest(holdout.row_id):
        text = "the holdout's rows are not those that its digest names"
        problems.append(Problem("tampered_holdout", None, text))
    ordered = np.sort(holdout.row_id)  # ten times as fast as np.unique's hashes
    if twice := int(np.count_nonzero(ordered[1:] == ordered[:-1])):
        text = f"{twice:,} of the holdout's {count:,} rows have the key of another"
        problems.append(Problem("duplicate_rows", None, text))
    for role in prepared.models:
        if role not in seen:
            text = f"nobody knows which rows the {role} was trained on"
            problems.append(Problem("unknown_training_rows", role, text))
        elif seen_here := int(np.count_nonzero(seen[role])):
            text = f"the {role} was trained on {seen_here:,} of the holdout's {count:,} rows"
            problems.append(Problem("trained_on_holdout", role, text))
    if not len(rows):
        text = "the holdout is empty" if not count else "no row is left that no model has seen"
        problems.append(Problem("empty_holdout", None, text))
    elif (rows.labels == rows.labels[0]).all():
        text = f"every row has the same {model.label}"
        problems.append(Problem("one_class_holdout", None, text))
    problems += [
        Problem("missing_slice", None, f"the holdout lacks {choice.column}, a declared slice")
        for choice in model.slices
        if choice.column not in holdout.slices
    ]
    return problems + _missing_clusters(holdout, model)


def _missing_clusters(holdout: Holdout, model: Model) -> list[Problem]:
    """Rows without a cluster are neither one big cluster nor surely each alone."""
    missing = 0 if holdout.cluster is None else missing_count(holdout.cluster)
    if not missing:
        return []
    of_all = f"{missing:,} of the holdout's {len(holdout.row_id):,} rows"
    text = f"{of_all} have no {model.cluster}, the declared cluster column"
    return [Problem("missing_clusters", None, text)]


def prediction_problems(rows: Rows, predicted: Predicted, model: Model) -> list[Problem]:
    """What makes the candidate's predictions unfit, though they can be compared."""
    if len(rows) < 2 or (rows.labels == rows.labels[0]).all():
        return []
    numbers = predicted.numbers.reshape(len(rows), -1)
    if (np.ptp(numbers, axis=0) <= 1e-12 * np.abs(numbers).max(axis=0, initial=0)).all():
        text = "the candidate predicts the same for every row"
        return [Problem("constant_predictions", "candidate", text)]
    if against := _ordered_against(rows, predicted, model):
        text = f"the candidate orders the rows by {model.label} worse than chance would"
        if model.task == "multiclass":
            text += f" ({', '.join(against)} against the rest)"
        return [Problem("worse_than_chance", "candidate", text)]
    return []


def _ordered_against(rows: Rows, predicted: Predicted, model: Model) -> list[str]:
    """The classes, or the label of a regression, that predictions go against beyond chance.

    Even the interval's better end is below chance: for a class, the interval of its area under the
    ROC curve against the rest, which an average over classes would hide; for a regression, that of
    the mean product of label and prediction about their means. A class with too few rows for an
    interval is left out.
    """
    if model.task == "regression":
        y, numbers = rows.labels, predicted.numbers
        product = (y - y.mean()) * (numbers - numbers.mean())
        high = intervals.mean_interval(product, rows.clusters, LEVEL).high
        return [model.label] if high is not None and high < 0 else []
    present = [1] if model.task == "binary" else np.unique(rows.labels).tolist()
    level = 1 - (1 - LEVEL) / len(present)  # many classes, many chances
    against = []
    for k in present:
        of_class = rows.labels == k
        numbers = predicted.numbers if model.task == "binary" else predicted.numbers[:, k]
        auc, placements = ranks.placements(numbers, of_class, predicted.order)
        if auc >= 0.5:  # no interval ends below its middle
            continue
        high = intervals.auc_interval(of_class, placements, auc, rows.clusters, level).high
        if high is not None and high < 0.5:
            against.append(str(model.classes[k]))
    return against
