"""Which rows are shown as those that moved most, and what is told of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from mergeline.core.compare.comparison import compare
from mergeline.core.compare.examples import EXAMPLES
from mergeline.core.compare.prepare import rows_digest
from mergeline.core.compare.result import Comparison, Example, Holdout, InputColumn, Scored
from mergeline.core.declare.model import Gate, MetricChoice, Model, Role, SliceChoice

ROWS = 1_000
BINARY = Model(
    name="late", task="binary", stage="evaluate", outputs="build", label="late", key=("id",),
    metrics=(MetricChoice("roc_auc"),), gate=Gate("roc_auc"), classes=(False, True),
    slices=(SliceChoice("origin"),),
)  # fmt: skip
RNG = np.random.default_rng(0)
IDS = np.arange(ROWS, dtype=np.uint64)
ORIGIN = np.array(["JFK", "LGA"], object)[RNG.integers(0, 2, ROWS)]
SHOWN: dict[str, Any] = {
    "id": np.arange(ROWS) + 5_000,
    "wind": np.where(np.arange(ROWS) == 7, 60.0, 8.0 + RNG.random(ROWS)),
    "plane": np.array([None if row == 7 else "A320" for row in range(ROWS)], object),
}
HOLDOUT = Holdout(
    IDS, RNG.random(ROWS) < 0.3, rows_digest(IDS), slices={"origin": ORIGIN}, shown=SHOWN
)
INPUTS = tuple(InputColumn(name, "double") for name in ("wind", "plane"))


def scored(numbers: Any, **more: Any) -> Scored:
    said = numbers if np.ndim(numbers) > 1 else np.column_stack([1 - numbers, numbers])
    fields: dict[str, Any] = {
        "predictions": said,
        "classes": (False, True),
        "trained_on": np.array([], dtype=np.uint64),
        "inputs": INPUTS,
    }
    return Scored(HOLDOUT.digest, **(fields | more))


def compared(
    candidate: Scored, other: Scored | None, model: Model = BINARY, holdout: Holdout = HOLDOUT
) -> Comparison:
    models: dict[Role, Scored] = {"candidate": candidate}
    if other is not None:
        models["champion"] = other
    return compare(holdout, models, model)


BEFORE = 0.2 + 0.2 * RNG.random(ROWS)


def moved(rows: dict[int, float]) -> Scored:
    numbers = BEFORE.copy()
    numbers[list(rows)] = list(rows.values())
    return scored(numbers)


def examples_of(comparison: Comparison) -> list[Example]:
    return list(comparison.examples.get("champion", ()))


def test_rows_that_are_decided_otherwise_are_shown_and_the_furthest_first() -> None:
    found = examples_of(compared(moved({7: 0.9, 40: 0.6, 41: 0.01, 99: 0.99}), scored(BEFORE)))
    assert [one.row for one in found] == [99, 7, 40]  # 41 moved, and is decided as before
    first = found[1]
    assert first.key == {"id": "5007"}
    assert first.slices == {"origin": ORIGIN[7]}
    assert first.label == str(bool(HOLDOUT.labels[7])).lower()
    assert (first.candidate, first.other) == (0.9, float(BEFORE[7]))
    assert (first.candidate_says, first.other_says) == ("true", "false")


def test_the_inputs_that_are_far_from_typical_are_told_and_the_others_are_not() -> None:
    found = examples_of(compared(moved({7: 0.9, 40: 0.6}), scored(BEFORE)))
    told = {one.name: (one.value, one.share) for one in found[0].unusual}
    assert told == {"wind": ("60", 0.001), "plane": ("(missing)", 0.001)}
    assert next(one for one in found[0].unusual if one.name == "plane").typical == "A320"
    assert "plane" not in [one.name for one in found[1].unusual]


def test_no_more_rows_are_shown_than_a_person_reads() -> None:
    assert len(examples_of(compared(scored(1 - BEFORE), scored(BEFORE)))) == EXAMPLES


def test_a_row_that_a_model_was_trained_on_is_not_shown() -> None:
    candidate = moved({7: 0.9, 40: 0.6})
    champion = scored(BEFORE, trained_on=IDS[:20])
    found = examples_of(compared(candidate, champion))
    assert [(one.row, one.key["id"]) for one in found] == [(40, "5040")]


def test_only_what_may_be_shown_is_told() -> None:
    holdout = dataclasses.replace(HOLDOUT, shown={"wind": SHOWN["wind"]})
    found = examples_of(compared(moved({7: 0.9}), scored(BEFORE), holdout=holdout))
    assert found[0].key == {}
    assert [one.name for one in found[0].unusual] == ["wind"]


def test_without_another_model_or_another_decision_no_row_is_shown() -> None:
    assert compared(scored(BEFORE), None).examples == {}
    assert compared(scored(BEFORE), scored(BEFORE)).examples == {}
    unscored = scored(BEFORE, predictions=None)
    assert compared(unscored, scored(BEFORE)).examples == {}


def test_of_several_classes_the_probability_of_the_row_s_own_counts() -> None:
    model = dataclasses.replace(BINARY, task="multiclass", classes=("a", "b", "c"))
    model = dataclasses.replace(
        model, metrics=(MetricChoice("accuracy"),), gate=Gate("accuracy"), slices=()
    )
    labels = np.array(["a", "b", "c", "a"] * 250, object)
    holdout = dataclasses.replace(HOLDOUT, labels=labels, slices={})
    before = np.tile([0.6, 0.3, 0.1], (ROWS, 1))
    after = before.copy()
    after[4], after[9] = [0.1, 0.3, 0.6], [0.1, 0.8, 0.1]
    classes = {"classes": model.classes}
    found = examples_of(
        compared(scored(after, **classes), scored(before, **classes), model, holdout)
    )
    assert [(one.row, one.label, one.candidate_says) for one in found] == [
        (4, "a", "c"),
        (9, "b", "b"),
    ]
    assert (found[0].candidate, found[0].other) == (0.1, 0.6)


def test_of_a_regression_the_rows_whose_number_moved_are_shown() -> None:
    model = dataclasses.replace(
        BINARY, task="regression", classes=(), metrics=(MetricChoice("r2"),), gate=Gate("r2")
    )
    holdout = dataclasses.replace(HOLDOUT, labels=RNG.normal(size=ROWS))
    before, after = np.zeros(ROWS), np.zeros(ROWS)
    after[[3, 5]] = [1.5, -2.5]
    own, other = (
        dataclasses.replace(scored(before), predictions=said, classes=())
        for said in (after, before)
    )
    found = examples_of(compared(own, other, model, holdout))
    assert [(one.row, one.candidate, one.candidate_says) for one in found] == [
        (5, -2.5, ""),
        (3, 1.5, ""),
    ]


@pytest.mark.parametrize(
    "strange",
    [
        np.array([np.nan] * ROWS),
        np.array([None] * ROWS, object),
        np.array([[1, 2], [3]] * (ROWS // 2), object),
        np.array([np.inf, -np.inf] * (ROWS // 2)),
        np.array(["2013-07-01", "NaT"] * (ROWS // 2), "datetime64[ns]"),
        np.array([b"\xff", "x" * 10_000] * (ROWS // 2), object),
    ],
)
def test_columns_of_any_kind_can_be_told(strange: Any) -> None:
    holdout = dataclasses.replace(HOLDOUT, shown={"id": strange, "wind": strange})
    found = examples_of(compared(moved({7: 0.9, 8: 0.9}), scored(BEFORE), holdout=holdout))
    assert len(found) == 2
    assert all(len(one.key["id"]) <= 200 for one in found)
