"""Turn what was handed in into arrays that can be compared, and say what is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np
import numpy.typing as npt

from mergeline.core.compare.arrays import (
    Name,
    Predicted,
    Predictions,
    Rows,
    factorize,
    is_missing,
)
from mergeline.core.compare.result import Holdout, Problem, ProblemKind, Scored
from mergeline.core.declare.model import Model

Mask = npt.NDArray[np.bool_]
SUM_TOLERANCE = 1e-3


def rows_digest(row_id: npt.NDArray[np.uint64]) -> str:
    """SHA-256 of the row ids in their order."""
    return hashlib.sha256(np.ascontiguousarray(row_id, dtype="<u8").data).hexdigest()


@dataclass(frozen=True)
class Unusable:
    """Why a model's predictions cannot be compared."""

    kind: ProblemKind
    text: str


@dataclass(frozen=True)
class Prepared(Generic[Name]):
    """Everything handed in, on the rows that no model was trained on.

    Attributes:
        models: the names of all, in the order handed in.
        used: which of the holdout's rows those are.
        usable: the predictions that can be compared.
        unusable: by model, why the others cannot.
        seen: by model, which of the holdout's rows it was trained on, where that is known.
        label_problems: what is wrong with the labels.
    """

    models: tuple[Name, ...]
    rows: Rows
    used: Mask
    usable: Predictions[Name]
    unusable: Mapping[Name, Unusable]
    seen: Mapping[Name, Mask]
    label_problems: tuple[Problem, ...]


def prepare(holdout: Holdout, models: Mapping[Name, Scored], declared: Model) -> Prepared[Name]:
    """Check what was handed in, and keep the rows that no model was trained on."""
    labels, problems = encode_labels(holdout, declared)
    seen = seen_rows(holdout, models)
    used = np.isfinite(labels) if declared.task == "regression" else labels >= 0
    for rows_seen in seen.values():
        used = used & ~rows_seen
    clusters = None if holdout.cluster is None else factorize(holdout.cluster[used])[0]
    distinct: list[Predicted] = []
    index: dict[Name, int] = {}
    unusable: dict[Name, Unusable] = {}
    for name, scored in models.items():
        prediction = _predicted(name, scored, holdout, declared)
        if isinstance(prediction, Unusable):
            unusable[name] = prediction
        else:
            index[name] = _place(prediction.take(used), distinct)
    return Prepared(
        models=tuple(models),
        rows=Rows(labels[used], clusters),
        used=used,
        usable=Predictions(tuple(distinct), index),
        unusable=unusable,
        seen=seen,
        label_problems=tuple(problems),
    )


def _place(prediction: Predicted, distinct: list[Predicted]) -> int:
    """The place of equal predictions among the distinct ones; new ones are added, sorted."""
    for place, other in enumerate(distinct):
        same = np.array_equal(prediction.numbers, other.numbers)
        if same and np.array_equal(prediction.decided, other.decided):
            return place
    distinct.append(prediction.ordered())
    return len(distinct) - 1


def encode_labels(holdout: Holdout, declared: Model) -> tuple[npt.NDArray[Any], list[Problem]]:
    """Labels as class codes (below 0: not one of the classes) or numbers, and what is wrong."""
    labels, name = np.asarray(holdout.labels), declared.label
    problems = []
    if declared.task == "regression":
        try:
            numbers = labels.astype(np.float64)
        except (TypeError, ValueError):
            text = f"{name} holds values that are not numbers"
            return np.full(len(labels), np.nan), [Problem("unknown_labels", None, text)]
        if missing := int(np.count_nonzero(~np.isfinite(numbers))):
            text = f"{missing:,} rows have no finite {name}"
            problems.append(Problem("missing_labels", None, text))
        return numbers, problems
    codes, values = factorize(labels)
    known = {_class_key(value): code for code, value in enumerate(declared.classes)}
    code_of = [-1 if is_missing(value) else known.get(_class_key(value), -2) for value in values]
    codes = np.array([*code_of, -1], dtype=np.int64)[codes]
    if missing := int(np.count_nonzero(codes == -1)):
        problems.append(Problem("missing_labels", None, f"{missing:,} rows have no {name}"))
    unknown = [repr(value) for value, code in zip(values, code_of, strict=True) if code == -2]
    if unknown:
        text = f"{name} holds {', '.join(unknown[:3])}, not a declared class"
        problems.append(Problem("unknown_labels", None, text))
    return codes, problems


def _predicted(
    name: str, scored: Scored, holdout: Holdout, declared: Model
) -> Predicted | Unusable:  # fmt: skip
    """The predictions as arrays, or why they cannot be compared."""
    if scored.predictions is None:
        why = scored.problem or "it left no predictions"
        return Unusable("unscored", f"the {name} could not score the rows: {why}")
    numbers = np.asarray(scored.predictions)
    if scored.rows_digest != holdout.digest or len(numbers) != len(holdout.row_id):
        return Unusable("other_rows", f"the {name}'s predictions are for other rows")
    if unusable := _not_numbers(name, numbers):
        return unusable
    if declared.task != "regression":
        return _probabilities(name, scored, numbers, declared)
    if numbers.ndim == 2 and numbers.shape[1] == 1:
        numbers = numbers[:, 0]
    if numbers.ndim != 1:
        return _wrong_shape(name, numbers, "one number a row")
    values = numbers.astype(np.float64)
    return Predicted(values, values, 0.0)


def _not_numbers(name: str, numbers: npt.NDArray[Any]) -> Unusable | None:
    if numbers.dtype.kind not in "biuf":
        return Unusable("wrong_shape", f"the {name} predicts {numbers.dtype}, not numbers")
    if np.isfinite(numbers).all():
        return None
    absent = np.isnan(numbers).reshape(len(numbers), -1).any(axis=1)
    if rows := int(np.count_nonzero(absent)):
        return Unusable("nan_predictions", f"the {name} predicts NaN for {rows:,} rows")
    return Unusable("infinite_predictions", f"the {name} predicts infinite numbers")


def _probabilities(
    name: str, scored: Scored, numbers: npt.NDArray[Any], declared: Model
) -> Predicted | Unusable:
    classes = len(declared.classes)
    if list(map(_class_key, scored.classes)) != list(map(_class_key, declared.classes)):
        theirs, ours = (", ".join(map(str, named.classes)) for named in (scored, declared))
        text = f"the {name} names classes [{theirs}], the declaration [{ours}]"
        return Unusable("wrong_classes", text)
    if numbers.shape[1:] not in ({(classes,), ()} if classes == 2 else {(classes,)}):
        return _wrong_shape(name, numbers, f"{classes} probabilities a row")
    epsilon = float(np.finfo(numbers.dtype if numbers.dtype.kind == "f" else np.float64).eps)
    numbers = numbers.astype(np.float64)
    outside = numbers.size and (numbers.min() < 0 or numbers.max() > 1)
    off_one = numbers.ndim == 2 and (np.abs(numbers.sum(axis=1) - 1) > SUM_TOLERANCE).any()
    if outside or off_one:
        what = "outside 0 to 1" if outside else "that do not sum to one"
        return Unusable("not_probabilities", f"the {name} predicts numbers {what}")
    if numbers.ndim == 1 and len(numbers) > 2 and np.isin(numbers, (0.0, 1.0)).all():
        text = f"the {name} answers with classes, not probabilities: save it with predict_proba"
        return Unusable("hard_labels", text)
    if classes > 2:
        return Predicted(numbers, numbers.argmax(axis=1), epsilon)
    positive = numbers if numbers.ndim == 1 else np.ascontiguousarray(numbers[:, 1])
    threshold = declared.decision if scored.threshold is None else scored.threshold
    return Predicted(positive, (positive >= threshold).astype(np.int64), epsilon)


def seen_rows(holdout: Holdout, models: Mapping[Name, Scored]) -> dict[Name, Mask]:
    """By model, which rows of the holdout it was trained on; no entry where nobody knows.

    Champion and base were often trained on the same rows, which are then looked up once.
    """
    trained_on = {
        name: scored.trained_on for name, scored in models.items() if scored.trained_on is not None
    }
    seen: dict[Name, Mask] = {}
    for name, rows in trained_on.items():
        same = next((other for other in seen if np.array_equal(trained_on[other], rows)), None)
        seen[name] = np.isin(holdout.row_id, rows) if same is None else seen[same]
    return seen


def _wrong_shape(name: str, numbers: npt.NDArray[Any], wanted: str) -> Unusable:
    shape = " × ".join(f"{size:,}" for size in numbers.shape)
    return Unusable("wrong_shape", f"the {name} predicts an array {shape}, not {wanted}")


def _class_key(value: object) -> tuple[str, object]:
    """A class by kind and value: true, 1 and 1.0 are one, however a file gave them back."""
    if isinstance(value, bool | np.bool_ | int | float | np.number):
        return "number", float(value)
    return "text", str(value)
