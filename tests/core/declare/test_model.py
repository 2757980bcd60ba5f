from typing import Any

import pytest
import yaml

from mergeline.core.declare.model import Bar, MetricChoice, SliceChoice, parse_model
from mergeline.errors import DeclarationError

WHOLE: dict[str, Any] = {
    "description": "Will it be late?",
    "task": "binary",
    "stage": "evaluate",
    "outputs": "build/delay",
    "label": "late",
    "classes": [False, True],
    "key": ["date", "flight"],
    "cluster": "date",
    "decision": 0.3,
    "metrics": ["roc_auc", "neg_log_loss", {"name": "own.cost", "greater_is_better": False}],
    "slices": ["origin", {"column": "hour", "bins": [0, 9, 24]}],
    "gate": {
        "primary": "roc_auc",
        "metrics": {
            "roc_auc": {"at_least": 0.6, "margin": 0.005},
            "neg_log_loss": {"at_least": -0.7, "margin": 0.01, "against": "base"},
            "own.cost": {"at_most": 3},
        },
        "slices": {"roc_auc": {"at_least": 0.5}},
        "first": {"roc_auc": {"at_least": 0.55}},
        "inconclusive": "ask",
        "unavailable": ["arr_delay"],
    },
}


def declared(path: str = "", value: Any = None) -> str:
    """The whole declaration with one line of it changed."""
    document: Any = yaml.safe_load(yaml.safe_dump(WHOLE))
    if path:
        *way, last = path.split("/")
        place = document
        for key in way:
            place = place[key]
        place[last] = value
    return yaml.safe_dump(document)


def test_a_declaration_is_read_whole() -> None:
    model = parse_model("delay", declared())
    assert model.metrics[2] == MetricChoice("own.cost", greater_is_better=False)
    assert model.slices == (SliceChoice("origin"), SliceChoice("hour", (0, 9, 24)))
    assert model.gate.metrics["neg_log_loss"] == Bar(at_least=-0.7, margin=0.01, against="base")
    assert model.gate.unavailable == ("arr_delay",)
    assert (model.slice_minimum, model.gate.schema) == (200, "compatible")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("metrics", ["roc_auc", "roc_auc"], "named twice"),
        ("metrics", ["roc_auc", "neg_log_loss", "own.cost"], "say greater_is_better of own.cost"),
        (
            "metrics",
            [{"name": "roc_auc", "greater_is_better": False}, *WHOLE["metrics"][1:]],
            "more is better of roc_auc",
        ),
        ("gate/metrics", {"neg_log_loss": {"at_most": 0.5}}, "say at_least, in its own sign"),
        ("gate/metrics", {"own.cost": {"at_least": 3}}, "say at_most"),
        ("gate/metrics", {"roc_auc": {"margin": -0.1}}, "gate.metrics.roc_auc.margin: 0 or more"),
        ("gate/metrics", {"roc_auc": {"at_least": float("nan")}}, "a bar is a finite number"),
        ("gate/metrics", {"roc_acu": {"at_least": 0.5}}, "roc_acu"),
        ("gate/metrics", {"roc_auc": {"at_lest": 0.5}}, "did you mean 'at_least'?"),
        ("gate/first", {"roc_auc": {"margin": 0.1}}, "no other model yet"),
        ("gate/latency_ms", float("inf"), "gate.latency_ms: 0 or more, and finite"),
        ("gate/freshness_days", -1, "gate.freshness_days"),
        ("gate/unavailble", ["x"], "did you mean 'unavailable'?"),
        ("gate/primary", "recall", "not one of the metrics"),
        ("slices", ["origin", "origin"], "a column is named twice"),
        ("slices", [{"column": "hour", "bins": [9, 0]}], "each above the last"),
        ("slices", [{"column": "hour", "bins": [9]}], "two edges or more"),
        ("slices", [{"column": "hour", "bins": [float("nan"), 1, 30]}], "finite"),
        ("slices", [{"column": "hour", "bins": [0, float("inf")]}], "finite"),
        ("classes", [True, True], "classes: one is named twice"),
        ("key", ["date", "date"], "key: a column is named twice"),
        ("outputs", "/etc", "outputs: a folder of the repository"),
        ("outputs", "../../etc", "outputs: a folder of the repository"),
        ("outputs", "build/../../etc", "outputs: a folder of the repository"),
        ("outputs", ".", "outputs: a folder of the repository"),
        ("slices", [], "no slices are declared"),
        ("slice_minimum", 0, "slice_minimum: 1 or more"),
        ("decision", 1, "decision: between 0 and 1"),
        ("gate/twin_rows", -0.1, "gate.twin_rows: 0 or more"),
        ("private", ["late"], "private: late is the label"),
        ("private", ["plane", "hour"], "private: hour is one of the slices"),
    ],
)
def test_a_declaration_that_cannot_be_meant_is_refused(path: str, value: Any, said: str) -> None:
    with pytest.raises(DeclarationError) as refusal:
        parse_model("delay", declared(path, value))
    assert said in str(refusal.value)
    assert "models/delay.yaml" in str(refusal.value)


def test_a_private_cluster_has_no_age_to_show() -> None:
    gate = {**WHOLE["gate"], "freshness_days": 30}
    parse_model("delay", declared("private", ["date"]))
    with pytest.raises(DeclarationError, match="freshness_days shows a date of date"):
        parse_model("delay", yaml.safe_dump({**WHOLE, "gate": gate, "private": ["date"]}))
