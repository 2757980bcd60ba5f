from typing import Any

import numpy as np
import pytest

from mergeline.core.compare.attribution import MetricSplit, Split, attribute
from mergeline.core.compare.prepare import rows_digest
from mergeline.core.compare.result import Holdout, Scored
from mergeline.core.declare.model import Gate, MetricChoice, Model
from mergeline.core.declare.strict import read_json, write_json

ROWS = 3_000
NOBODY = np.array([], dtype=np.uint64)
MODEL = Model(
    name="late", task="binary", stage="evaluate", outputs="build", label="late", key=("id",),
    metrics=(MetricChoice("roc_auc"), MetricChoice("neg_log_loss")), gate=Gate("roc_auc"),
    classes=(False, True),
)  # fmt: skip
RNG = np.random.default_rng(0)
LOGIT = 1.5 * RNG.normal(size=ROWS)
IDS = np.arange(ROWS).astype(np.uint64)
HOLDOUT = Holdout(IDS, LOGIT + RNG.logistic(size=ROWS) > 0, rows_digest(IDS))


def scored(noise: float, **more: Any) -> Scored:
    p = 1 / (1 + np.exp(-LOGIT - noise * np.random.default_rng(1).normal(size=ROWS)))
    fields: dict[str, Any] = {"predictions": p, "classes": (False, True), "trained_on": NOBODY}
    return Scored(HOLDOUT.digest, **(fields | more))


def split(**which: Scored) -> Split:
    models = {"base": scored(2), "data": scored(1), "candidate": scored(0.2)} | which
    return attribute(HOLDOUT, model=MODEL, **models)


def estimates(step: MetricSplit) -> tuple[float, float, float]:
    found = []
    for difference in (step.by_data, step.by_rest, step.total):
        assert difference is not None
        assert difference.estimate is not None
        assert difference.low is not None
        found.append(difference.estimate)
    return found[0], found[1], found[2]


def test_the_parts_add_up_to_the_whole() -> None:
    found = split()
    assert [step.name for step in found.metrics] == ["roc_auc", "neg_log_loss"]
    for step in found.metrics:
        by_data, by_rest, total = estimates(step)
        assert by_data + by_rest == pytest.approx(total)
        assert min(by_data, by_rest) > 0
        assert step.base.value is not None
        assert step.candidate.value == pytest.approx(step.base.value + total)


def test_a_change_of_params_alone_has_no_part_by_data() -> None:
    step = split(data=scored(2)).metrics[0]
    by_data, by_rest, total = estimates(step)
    assert by_data == 0
    assert by_rest == total
    assert step.by_data is not None
    assert step.by_data.outcome == "same"


def test_all_three_models_are_measured_on_rows_that_none_was_trained_on() -> None:
    found = split(data=scored(1, trained_on=IDS[:100]), base=scored(2, trained_on=IDS[50:150]))
    assert found.rows == ROWS - 150
    by_data, by_rest, total = estimates(found.metrics[0])
    assert by_data + by_rest == pytest.approx(total)


def test_without_a_score_of_the_data_only_model_there_is_still_a_total() -> None:
    found = split(data=scored(1, predictions=None, problem="a column is gone"))
    step = found.metrics[0]
    assert (step.by_data, step.by_rest) == (None, None)
    assert step.total is not None
    assert step.data.absent == "unscored"
    assert found.problems[0] == (
        "the model of the data alone could not score the rows: a column is gone"
    )


def test_an_attribution_is_plain_data_that_reads_back() -> None:
    found = split()
    assert read_json(Split, write_json(found), where="x") == found
