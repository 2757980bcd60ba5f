"""From what was handed in to arrays that can be compared, with what is wrong about them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mergeline.core.compare.result import Holdout, Problem, ProblemKind, Scored
from mergeline.core.declare.model import Model, Role

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[Any]

SUM_TOLERANCE = 1e-3


def rows_digest(row_id: npt.NDArray[np.uint64]) -> str:
    """Digest of rows in their order."""
    return hashlib.sha256(np.ascontiguousarray(row_id, dtype="<u8").data).hexdigest()


@dataclass(frozen=True)
class Rows:
    """Rows to measure on.

    Attributes:
        labels: shape (n,): codes 0 … classes−1, or numbers of a regression.
        clusters: codes, shape (n,), or None.
    """

    labels: npt.NDArray[Any]
    clusters: Codes | None

    def __len__(self) -> int:
        return len(self.labels)

    def cluster_count(self) -> int | None:
        """How many clusters the rows come from; None where they are independent."""
        if self.clusters is None:
            return None
        return int(np.count_nonzero(np.bincount(self.clusters, minlength=1)))

    def take(self, rows: Any) -> Rows:  # noqa: ANN401 - an index, a mask or a slice
        """Those rows only."""
        clusters = None if self.clusters is None else self.clusters[rows]
        return Rows(self.labels[rows], clusters)


@dataclass(frozen=True)
class Predicted:
    """What a model says of the rows.

    Attributes:
        numbers: probability of the positive class (n,), of every class (n, classes), or the
            numbers of a regression (n,).
        decided: codes of the classes it decides for; of a regression, `numbers`.
        epsilon: smallest probability that its precision tells from zero.
        order: that sorts the numbers of a binary task.
    """

    numbers: Floats
    decided: npt.NDArray[Any]
    epsilon: float
    order: npt.NDArray[np.intp] | None = None

    def take(self, rows: Any) -> Predicted:  # noqa: ANN401 - an index, a mask or a slice
        """Those rows only, without their order."""
        return replace(self, numbers=self.numbers[rows], decided=self.decided[rows], order=None)

    def ordered(self) -> Predicted:
        """The same with the order that sorts it, where the numbers have one."""
        if self.numbers.ndim > 1:
            return self
        return replace(self, order=np.argsort(self.numbers))

    def split(self, parts: Parts) -> Iterator[Predicted]:
        """The rows of each part, in their order; sorted once for all of them."""
        arranged = self.take(parts.arrangement)
        local = None
        if self.order is not None:
            by_part = self.order[np.argsort(parts.codes[self.order], kind="stable")]
            position = np.empty(len(by_part), dtype=np.intp)
            position[parts.arrangement] = np.arange(len(by_part))
            local = position[by_part]
        for start, end in parts.bounds:
            order = None if local is None else local[start:end] - start
            yield replace(arranged.take(slice(start, end)), order=order)


@dataclass(frozen=True)
class Parts:
    """Rows by the value of one column.

    Attributes:
        values: that have rows enough, in the order that a person expects (numbers by size).
        codes: part of each row, one more than the last for the rows of all small parts.
        arrangement: sorts the codes; part k lies in `bounds[k]` of it.
        small: values without rows enough, and their rows, largest first.
    """

    values: tuple[str, ...]
    codes: Codes
    arrangement: npt.NDArray[np.intp]
    bounds: tuple[tuple[int, int], ...]
    small: tuple[tuple[str, int], ...]


def parts_of(values: npt.NDArray[Any], least: int, listed: int) -> Parts:
    """The parts of `least` rows or more, and the `listed` largest of the others."""
    found, names = factorize(values)
    sizes = np.bincount(found, minlength=len(names))
    enough = sorted(np.flatnonzero(sizes >= least).tolist(), key=lambda code: _natural(names[code]))
    number = np.full(len(names), len(enough))
    number[enough] = np.arange(len(enough))
    codes = number[found].astype(np.uint16 if len(enough) < 2**16 - 1 else np.int64)
    ends = np.cumsum(sizes[enough]).tolist()
    order = np.argsort(-sizes, kind="stable").tolist()
    others = [(str(names[code]), int(sizes[code])) for code in order if 0 < sizes[code] < least]
    return Parts(
        values=tuple(str(names[code]) for code in enough),
        codes=codes,
        arrangement=np.argsort(codes, kind="stable"),
        bounds=tuple(zip([0, *ends[:-1]], ends, strict=True)) if ends else (),
        small=tuple(others[:listed]),
    )


def factorize(values: npt.NDArray[Any]) -> tuple[Codes, list[Any]]:
    """Codes of the values, and the distinct values that the codes number."""
    if values.dtype == np.bool_:
        return values.astype(np.int64), [False, True]
    if values.dtype.kind in "iufmM":
        distinct, codes = np.unique(values, return_inverse=True)
        return codes, distinct.tolist()
    listed = values.tolist()
    names = list(dict.fromkeys(listed))
    number = {name: code for code, name in enumerate(names)}
    return np.fromiter(map(number.__getitem__, listed), np.int64, len(listed)), names


def _natural(value: object) -> tuple[tuple[int, float, str], ...]:
    """Sorting key by which `[9, 13)` stands before `[13, 17)`."""
    import re

    pieces = re.split(r"(\d+(?:\.\d+)?)", str(value))
    return tuple(
        (0, float(piece), "") if index % 2 else (1, 0.0, piece)
        for index, piece in enumerate(pieces)
        if piece
    )


@dataclass(frozen=True)
class Prepared:
    """Everything handed in, on the rows that no model was trained on.

    Attributes:
        used: which of the holdout's rows those are.
        usable: predictions by role; equal ones are one object. Roles that could not be used have
            a problem instead.
        seen: by role, which of the holdout's rows it was trained on, where that is known.
    """

    rows: Rows
    used: npt.NDArray[np.bool_]
    usable: Mapping[Role, Predicted]
    seen: Mapping[Role, npt.NDArray[np.bool_]]
    problems: tuple[Problem, ...]


def prepare(holdout: Holdout, scored: Sequence[Scored], model: Model) -> Prepared:
    """Check what was handed in, and keep the rows that no model was trained on."""
    labels, problems = encode_labels(holdout, model)
    seen = seen_rows(holdout, scored)
    used = np.isfinite(labels) if model.task == "regression" else labels >= 0
    for rows_seen in seen.values():
        used = used & ~rows_seen
    clusters = None if holdout.cluster is None else factorize(holdout.cluster[used])[0]
    usable: dict[Role, Predicted] = {}
    for one in scored:
        found = predicted(one, holdout, model)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            usable[one.role] = _shared(found.take(used), usable)
    return Prepared(Rows(labels[used], clusters), used, usable, seen, tuple(problems))


def _shared(one: Predicted, others: Mapping[Role, Predicted]) -> Predicted:
    """The same object for equal predictions, so that they are measured once; else sorted."""
    for other in others.values():
        same = np.array_equal(one.numbers, other.numbers)
        if same and np.array_equal(one.decided, other.decided):
            return other
    return one.ordered()


def encode_labels(holdout: Holdout, model: Model) -> tuple[npt.NDArray[Any], list[Problem]]:
    """Labels as class codes (below 0: not one of the classes) or numbers, and what is wrong."""
    labels = np.asarray(holdout.labels)
    if model.task == "regression":
        try:
            numbers = labels.astype(np.float64)
        except (TypeError, ValueError):
            return np.full(len(labels), np.nan), [
                Problem("unknown_labels", None, f"{model.label} holds values that are no numbers")
            ]
        bad = int(np.count_nonzero(~np.isfinite(numbers)))
        return numbers, _if(bad, "missing_labels", f"{bad:,} rows have no finite {model.label}")
    codes, names = factorize(labels)
    known = {_plain(name): code for code, name in enumerate(model.classes)}
    code_of = [-1 if is_missing(name) else known.get(_plain(name), -2) for name in names]
    codes = np.array([*code_of, -1], dtype=np.int64)[codes]
    missing = int(np.count_nonzero(codes == -1))
    strange = [repr(name) for name, code in zip(names, code_of, strict=True) if code == -2]
    return codes, [
        *_if(missing, "missing_labels", f"{missing:,} rows have no {model.label}"),
        *_if(
            strange,
            "unknown_labels",
            f"{model.label} holds {', '.join(strange[:3])}, not a declared class",
        ),
    ]


def predicted(scored: Scored, holdout: Holdout, model: Model) -> Predicted | Problem:
    """The predictions as arrays, or why they cannot be compared."""
    role = scored.role
    if scored.predictions is None:
        said = scored.problem or "it left no predictions"
        return Problem("unscored", role, f"the {role} could not score the rows: {said}")
    numbers = np.asarray(scored.predictions)
    if scored.rows_digest != holdout.digest or len(numbers) != len(holdout.row_id):
        return Problem("other_rows", role, f"the {role}'s predictions are for other rows")
    if problem := _not_numbers(role, numbers):
        return problem
    if model.task != "regression":
        return _probabilities(scored, numbers, model)
    if numbers.ndim == 2 and numbers.shape[1] == 1:
        numbers = numbers[:, 0]
    if numbers.ndim != 1:
        return _shape(role, numbers, "one number a row")
    values = numbers.astype(np.float64)
    return Predicted(values, values, 0.0)


def _not_numbers(role: Role, numbers: npt.NDArray[Any]) -> Problem | None:
    if numbers.dtype.kind not in "biuf":
        return Problem("wrong_shape", role, f"the {role} predicts {numbers.dtype}, not numbers")
    if np.isfinite(numbers).all():
        return None
    absent = np.isnan(numbers).reshape(len(numbers), -1).any(axis=1)
    if many := int(np.count_nonzero(absent)):
        return Problem("nan_predictions", role, f"the {role} predicts NaN for {many:,} rows")
    return Problem("infinite_predictions", role, f"the {role} predicts infinite numbers")


def _probabilities(scored: Scored, numbers: npt.NDArray[Any], model: Model) -> Predicted | Problem:
    role, classes = scored.role, len(model.classes)
    if [_plain(name) for name in scored.classes] != [_plain(name) for name in model.classes]:
        theirs, ours = _listed(scored.classes), _listed(model.classes)
        return Problem(
            "wrong_classes", role, f"the {role} names classes {theirs}, the declaration {ours}"
        )
    if numbers.shape[1:] not in ({(classes,), ()} if classes == 2 else {(classes,)}):
        return _shape(role, numbers, f"{classes} probabilities a row")
    epsilon = float(np.finfo(numbers.dtype if numbers.dtype.kind == "f" else np.float64).eps)
    numbers = numbers.astype(np.float64)
    outside = numbers.size and (numbers.min() < 0 or numbers.max() > 1)
    if outside or (numbers.ndim == 2 and _off_one(numbers)):
        said = "outside 0 to 1" if outside else "that do not sum to one"
        return Problem("not_probabilities", role, f"the {role} predicts numbers {said}")
    if classes > 2:
        return Predicted(numbers, numbers.argmax(axis=1), epsilon)
    positive = numbers if numbers.ndim == 1 else np.ascontiguousarray(numbers[:, 1])
    decision = model.decision if scored.decision is None else scored.decision
    return Predicted(positive, (positive >= decision).astype(np.int64), epsilon)


def is_missing(value: object) -> bool:
    """Whether it stands for no value: None, NaN, or what pandas has for them."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(value, float) and value != value  # noqa: PLR0124 - NaN


def seen_rows(holdout: Holdout, scored: Sequence[Scored]) -> dict[Role, npt.NDArray[np.bool_]]:
    """By role, which rows of the holdout the model was fitted on; no entry where nobody knows."""
    found: dict[int, npt.NDArray[np.bool_]] = {}
    for one in scored:
        if one.trained_on is not None and id(one.trained_on) not in found:
            found[id(one.trained_on)] = np.isin(holdout.row_id, one.trained_on)
    return {one.role: found[id(one.trained_on)] for one in scored if one.trained_on is not None}


def _off_one(numbers: Floats) -> bool:
    return bool((np.abs(numbers.sum(axis=1) - 1) > SUM_TOLERANCE).any())


def _shape(role: Role, numbers: npt.NDArray[Any], wanted: str) -> Problem:
    shape = " × ".join(f"{size:,}" for size in numbers.shape)
    return Problem("wrong_shape", role, f"the {role} predicts an array {shape}, not {wanted}")


def _plain(value: object) -> tuple[str, object]:
    """A class by kind and value: true, 1 and 1.0 are one, however a file gave them back."""
    if isinstance(value, bool | np.bool_ | int | float | np.number):
        return "number", float(value)
    return "text", str(value)


def _listed(values: Sequence[object]) -> str:
    return f"[{', '.join(str(value) for value in values)}]"


def _if(condition: object, kind: ProblemKind, text: str) -> list[Problem]:
    return [Problem(kind, None, text)] if condition else []
