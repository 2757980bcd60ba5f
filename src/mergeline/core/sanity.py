"""What no model that is fit for use does, whatever the gate says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mergeline.core import ranking, statistics
from mergeline.core.comparison import Holdout, Problem, Scored
from mergeline.core.intake import Predicted, Prepared, Rows, rows_digest
from mergeline.core.model import Model

LEVEL = 0.95


def holdout_problems(
    holdout: Holdout, prepared: Prepared, scored: Sequence[Scored], model: Model
) -> list[Problem]:
    """What makes rows unfit to compare on."""
    rows, seen = prepared.rows, prepared.seen
    problems = []
    count = len(holdout.row_id)
    if holdout.digest != rows_digest(holdout.row_id):
        text = "the holdout's rows are not those that its digest names"
        problems.append(Problem("tampered_holdout", None, text))
    if twice := count - len(np.unique(holdout.row_id)):
        text = f"{twice:,} of the holdout's {count:,} rows have the key of another"
        problems.append(Problem("duplicate_rows", None, text))
    for role in (one.role for one in scored):
        if role not in seen:
            text = f"nobody knows which rows the {role} was trained on"
            problems.append(Problem("unknown_training_rows", role, text))
        elif many := int(np.count_nonzero(seen[role])):
            text = f"the {role} was trained on {many:,} of the holdout's {count:,} rows"
            problems.append(Problem("trained_on_holdout", role, text))
    if not len(rows):
        text = "the holdout is empty" if not count else "no row is left that no model has seen"
        problems.append(Problem("empty_holdout", None, text))
    elif len(np.unique(rows.labels)) == 1:
        text = f"every row has the same {model.label}"
        problems.append(Problem("one_class_holdout", None, text))
    problems += [
        Problem("missing_slice", None, f"the holdout lacks {choice.column}, a declared slice")
        for choice in model.slices
        if choice.column not in holdout.slices
    ]
    return problems


def prediction_problems(rows: Rows, predicted: Predicted, model: Model) -> list[Problem]:
    """What makes the candidate's predictions unfit, though they are numbers for these rows."""
    if len(rows) < 2 or len(np.unique(rows.labels)) == 1:
        return []
    numbers = predicted.numbers.reshape(len(rows), -1)
    if (np.ptp(numbers, axis=0) <= 1e-12 * np.abs(numbers).max(axis=0, initial=0)).all():
        text = "the candidate predicts the same for every row"
        return [Problem("constant_predictions", "candidate", text)]
    best = _best_association(rows, predicted, model)
    if best is not None and best < 0:
        text = f"the candidate orders the rows by {model.label} worse than chance would"
        return [Problem("worse_than_chance", "candidate", text)]
    return []


def _best_association(rows: Rows, predicted: Predicted, model: Model) -> float | None:
    """Upper end of what associates prediction and label, 0 where chance would put it.

    The area under the ROC curve less one half (of several classes, the mean of each against the
    rest); of a regression, the mean product of the two about their means.
    """
    if model.task == "regression":
        y, said = rows.labels, predicted.numbers
        product = (y - y.mean()) * (said - said.mean())
        return statistics.mean_interval(product, rows.clusters, LEVEL).high
    if (np.bincount(rows.labels, minlength=len(model.classes)) == 0).any():
        return None
    if model.task == "binary":
        auc, placements = ranking.placements(predicted.numbers, rows.labels == 1, predicted.order)
        high = statistics.auc_interval(rows.labels == 1, placements, auc, rows.clusters, LEVEL).high
    else:
        auc, influence = ranking.one_versus_rest(rows.labels, predicted.numbers, "macro")
        high = statistics.influence_interval(influence, auc, rows.clusters, LEVEL, "").high
    return None if high is None else high - 0.5
