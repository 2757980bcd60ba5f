"""What no model that is fit for use does, whatever the gate says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mergeline.core.compare import intervals as statistics
from mergeline.core.compare.metrics import ranks as ranking
from mergeline.core.compare.prepare import Predicted, Prepared, Rows, rows_digest
from mergeline.core.compare.result import Holdout, Problem, Scored
from mergeline.core.declare.model import Model

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
    if against := _ordered_against(rows, predicted, model):
        text = f"the candidate orders the rows by {model.label} worse than chance would"
        if model.task == "multiclass":
            text += f" ({', '.join(against)} against the rest)"
        return [Problem("worse_than_chance", "candidate", text)]
    return []


def _ordered_against(rows: Rows, predicted: Predicted, model: Model) -> list[str]:
    """The classes, or the label of a regression, that predictions go against beyond chance.

    Even the better end is below it: of the area under the ROC curve of a class against the rest,
    which an average over classes would hide; of a regression, of the mean product of label and
    prediction about their means. A class without rows enough for an interval is not looked at.
    """
    if model.task == "regression":
        y, said = rows.labels, predicted.numbers
        product = (y - y.mean()) * (said - said.mean())
        high = statistics.mean_interval(product, rows.clusters, LEVEL).high
        return [model.label] if high is not None and high < 0 else []
    present = [1] if model.task == "binary" else np.unique(rows.labels).tolist()
    level = 1 - (1 - LEVEL) / len(present)  # many classes, many chances
    found = []
    for k in present:
        of_class = rows.labels == k
        numbers = predicted.numbers if model.task == "binary" else predicted.numbers[:, k]
        auc, placements = ranking.placements(numbers, of_class, predicted.order)
        high = statistics.auc_interval(of_class, placements, auc, rows.clusters, level).high
        if high is not None and high < 0.5:
            found.append(str(model.classes[k]))
    return found
