"""Examples of who is hurt: the rows whose prediction moved most from another model's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mergeline.core.compare.arrays import Predicted, is_missing
from mergeline.core.compare.prepare import Prepared
from mergeline.core.compare.result import Example, Holdout, Other, UnusualInput
from mergeline.core.compare.slices import MISSING
from mergeline.core.declare.model import Model, Role
from mergeline.core.numbers import number

EXAMPLES = 20
_UNUSUAL = 3  # inputs told of one row
_RARE = 0.25  # share of rows that are as far from typical; a commoner value is not told
_SAMPLE = 100_000  # rows that say what is typical
_LONGEST = 200  # characters of a value


def examples(
    holdout: Holdout, prepared: Prepared[Role], inputs: Sequence[str], model: Model
) -> dict[Other, tuple[Example, ...]]:
    """The rows that moved most from the champion's, else the base's, the first most of all.

    Of a classification they are rows that are decided otherwise, by how far the probability moved:
    that of the positive class, or with several classes that of the row's own. Of a regression they
    are the rows whose number moved. Only values of `Holdout.shown` are told.

    Args:
        holdout: all its rows.
        prepared: the rows and predictions that are compared.
        inputs: the columns that the candidate takes.
        model: the declaration that judges.
    """
    other: Other = "champion" if "champion" in prepared.models else "base"
    candidate, before = prepared.usable.of("candidate"), prepared.usable.of(other)
    if candidate is None or before is None:
        return {}
    rows = _most_moved(candidate, before, prepared, model)
    unusual = _unusual(holdout, prepared.used, rows, inputs)
    positions = np.flatnonzero(prepared.used)[rows].tolist()
    found = tuple(
        Example(
            row=position,
            key=_texts_at(holdout, model.key, position),
            slices={name: str(labels[position]) for name, labels in holdout.slices.items()},
            label=_label(prepared.rows.labels[row], model),
            candidate=_number(candidate, row, prepared, model),
            other=_number(before, row, prepared, model),
            candidate_says=_says(candidate, row, model),
            other_says=_says(before, row, model),
            unusual=of_row,
        )
        for row, position, of_row in zip(rows.tolist(), positions, unusual, strict=True)
    )
    return {other: found} if found else {}


def _most_moved(
    candidate: Predicted, other: Predicted, prepared: Prepared[Role], model: Model
) -> npt.NDArray[np.intp]:
    """Places among the rows compared, at most `EXAMPLES`."""
    far = candidate.numbers - other.numbers
    if far.ndim > 1:
        far = far[np.arange(len(far)), prepared.rows.labels]
    far = np.abs(far)
    eligible = far > 0 if model.task == "regression" else candidate.decided != other.decided
    rows = np.flatnonzero(eligible)
    return rows[np.argsort(-far[rows], kind="stable")[:EXAMPLES]]


def _number(predicted: Predicted, row: int, prepared: Prepared[Role], model: Model) -> float:
    if model.task == "multiclass":
        return float(predicted.numbers[row, prepared.rows.labels[row]])
    return float(predicted.numbers[row])


def _says(predicted: Predicted, row: int, model: Model) -> str:
    return "" if model.task == "regression" else _label(predicted.decided[row], model)


def _label(code: Any, model: Model) -> str:  # noqa: ANN401 - a class's code, or a number
    if model.task == "regression":
        return number(float(code), 4)
    name = model.classes[int(code)]
    return str(name).lower() if isinstance(name, bool) else str(name)


def _texts_at(holdout: Holdout, names: Sequence[str], position: int) -> dict[str, str]:
    shown = {name: holdout.shown[name] for name in names if name in holdout.shown}
    return {name: _text(_item(values, position)) for name, values in shown.items()}


def _unusual(
    holdout: Holdout,
    used: npt.NDArray[np.bool_],
    rows: npt.NDArray[np.intp],
    inputs: Sequence[str],
) -> list[tuple[UnusualInput, ...]]:
    """Of each row, the inputs that are furthest from typical, the furthest first."""
    told: list[list[tuple[float, UnusualInput]]] = [[] for _ in rows]
    for name in inputs:
        if name not in holdout.shown or not len(rows):
            continue
        values = holdout.shown[name][used]
        shares, typical = _rarity(values, rows)
        for of_row, place, share in zip(told, rows.tolist(), shares, strict=True):
            if share <= _RARE:
                unusual = UnusualInput(name, _text(_item(values, place)), typical, share)
                of_row.append((share, unusual))
    return [
        tuple(unusual for _, unusual in sorted(of_row, key=lambda pair: pair[0])[:_UNUSUAL])
        for of_row in told
    ]


def _rarity(values: npt.NDArray[Any], rows: npt.NDArray[np.intp]) -> tuple[list[float], str]:
    """The share of all rows that are as far from typical as each of these, and what is typical.

    Of numbers: as far from the median. Of other values: as rare as this one or rarer.
    """
    sample = values[:: -(-len(values) // _SAMPLE)]
    if values.dtype.kind in "iuf":
        present = sample[np.isfinite(sample)] if values.dtype.kind == "f" else sample
        if not len(present):
            return [1.0] * len(rows), MISSING
        median = float(np.median(present))
        distance = np.abs(present - median)
        missing = 1 - len(present) / len(sample)
        far = [abs(float(value) - median) for value in values[rows]]
        shares = [
            float(np.mean(distance >= one) * (1 - missing)) if np.isfinite(one) else missing
            for one in far
        ]
        return shares, number(median, 4)
    counts = Counter(map(_text, sample.tolist()))
    total, by_count = len(sample), np.sort(list(counts.values()))
    running = np.concatenate([[0], np.cumsum(by_count)])
    of_rows = [counts[_text(_item(values, row))] for row in rows.tolist()]
    places = np.searchsorted(by_count, of_rows, side="right")
    return (running[places] / total).tolist(), counts.most_common(1)[0][0]


def _item(values: npt.NDArray[Any], place: int) -> object:
    """A value as Python has it."""
    return values[place : place + 1].tolist()[0]


def _text(value: object) -> str:
    if is_missing(value):
        return MISSING
    if isinstance(value, float):
        return number(value, 4)
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
