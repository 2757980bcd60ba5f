"""A model's declaration held against the contract of its table."""

from __future__ import annotations

import pytest

from mergeline.core.declare.contract import parse_contract
from mergeline.core.declare.model import parse_model
from mergeline.core.declare.model_columns import check_columns
from mergeline.errors import DeclarationError


def checked(label: str, classes: str) -> list[str]:
    """What is said of classes of a label that a contract declares so."""
    task = "multiclass" if classes.count(",") > 1 else "binary"
    model = parse_model(
        "late",
        f"{{task: {task}, stage: train, outputs: build, label: kind, classes: {classes}, "
        "key: [id], metrics: [neg_log_loss], gate: {primary: neg_log_loss}}",
    )
    contract = parse_contract(
        "parcels",
        f"{{source: raw, format: csv, columns: {{id: {{type: int64}}, kind: {label}}}}}",
    )
    return check_columns(model, [contract], lambda _: False)


@pytest.mark.parametrize(
    ("label", "classes"),
    [
        ("{type: bool}", "[false, true]"),
        ("{type: string}", "[big, small]"),
        ("{type: string, allowed: [b, a]}", "[a, b]"),
        ("{type: int64, min: 0, max: 2}", "[0, 1, 2]"),
        ("{type: float64}", "[0, 1]"),
    ],
)
def test_classes_that_the_label_can_be_are_taken(label: str, classes: str) -> None:
    assert checked(label, classes) == []


@pytest.mark.parametrize(
    ("label", "classes", "said"),
    [
        ("{type: string, allowed: [Yes, No]}", "['No', 'yes']", "never 'yes'.*mean 'Yes'"),
        ("{type: int64, min: 1, max: 3}", "[0, 1, 2]", "never 0"),
        ("{type: int64, min: 0, max: 1}", "[0, 2]", "never 2"),
        ("{type: int64, allowed: [0, 1]}", "[0, 2]", "never 2"),
    ],
)
def test_a_class_that_the_label_never_is_is_refused(label: str, classes: str, said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        checked(label, classes)


@pytest.mark.parametrize(
    ("label", "classes", "said"),
    [
        ("{type: string}", "[0, 1]", "class 0 is no string"),
        ("{type: bool}", "[0, 1]", "class 0 is no bool"),
        ("{type: string, allowed: [a, b, c]}", "[a, b]", "to be 'c', which is none"),
        ("{type: bool}", "[true, false]", "do not rise"),
        ("{type: string, allowed: [low, mid, top]}", "[top, mid, low]", "do not rise"),
    ],
)
def test_what_code_may_have_a_reason_for_is_said(label: str, classes: str, said: str) -> None:
    [note] = checked(label, classes)
    assert said in note
