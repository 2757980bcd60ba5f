import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics

from mergeline.core.compare.comparison import compare, with_metrics_of
from mergeline.core.compare.prepare import rows_digest
from mergeline.core.compare.result import Comparison, Holdout, InputColumn, Problem, Scored
from mergeline.core.compare.slices import slice_labels
from mergeline.core.declare.model import Bar, Gate, MetricChoice, Model, Role, SliceChoice
from mergeline.core.declare.strict import json_schema, read_json, write_json

ROWS = 2_000
PAIR: tuple[tuple[Role, float], ...] = (("candidate", 0.1), ("champion", 0.4))
BINARY = Model(
    name="late", task="binary", stage="evaluate", outputs="build", label="late", key=("id",),
    metrics=tuple(MetricChoice(n) for n in ("roc_auc", "neg_log_loss", "accuracy", "recall")),
    gate=Gate("roc_auc", {"roc_auc": Bar(margin=0.02), "recall": Bar(margin=0.1, against="base")}),
    classes=(False, True), cluster="day", slices=(SliceChoice("origin"),), slice_minimum=300,
)  # fmt: skip
MULTICLASS = dataclasses.replace(
    BINARY, task="multiclass", classes=("a", "b", "c"), cluster=None, slices=(),
    metrics=(MetricChoice("roc_auc_ovr"), MetricChoice("accuracy"), MetricChoice("f1_macro")),
    gate=Gate("accuracy"),
)  # fmt: skip
REGRESSION = dataclasses.replace(
    BINARY, task="regression", classes=(), metrics=(MetricChoice("neg_mean_absolute_error"),
    MetricChoice("r2")), gate=Gate("r2"),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Day:
    """A holdout and the chance of each row, from which better and worse models are made."""

    holdout: Holdout
    logit: Any

    def model(self, noise: float, seed: int = 1, **more: Any) -> Scored:
        logit = self.logit + noise * np.random.default_rng(seed).normal(size=len(self.logit))
        p = 1 / (1 + np.exp(-logit))
        fields: dict[str, Any] = {
            "predictions": np.column_stack([1 - p, p]),
            "classes": (False, True),
            "trained_on": np.array([], dtype=np.uint64),
            "latency_ms": 1.5,
            "size_bytes": 2_000,
            "inputs": (InputColumn("hour", "long"),),
        }
        return Scored(rows_digest=self.holdout.digest, **(fields | more))


def predictions_of(scored: Scored) -> Any:
    assert scored.predictions is not None
    return scored.predictions


@pytest.fixture(scope="module")
def day() -> Day:
    rng = np.random.default_rng(0)
    clusters = rng.integers(0, 30, ROWS)
    logit = -1 + rng.normal(size=30)[clusters] + 1.5 * rng.normal(size=ROWS)
    ids = rng.integers(0, 2**63, ROWS).astype(np.uint64)
    origins = np.array(["JFK", "LGA", "EWR", "HPN"])[rng.choice(4, ROWS, p=[0.4, 0.3, 0.25, 0.05])]
    labels = logit + rng.logistic(size=ROWS) > 0
    return Day(Holdout(ids, labels, rows_digest(ids), clusters, {"origin": origins}), logit)


@pytest.fixture(scope="module")
def comparison(day: Day) -> Comparison:
    models: dict[Role, Scored] = {
        "candidate": day.model(0.3),
        "champion": day.model(1.5),
        "base": day.model(1.5),
    }
    return compare(day.holdout, models, BINARY)


def kinds(comparison: Comparison) -> set[tuple[str, str | None]]:
    return {(problem.kind, problem.role) for problem in comparison.problems}


def test_a_better_model_is_better_on_the_same_rows(comparison: Comparison, day: Day) -> None:
    metric = comparison.metric("roc_auc")
    assert metric is not None
    difference = metric.differences["champion"]
    assert difference.outcome == "better"
    assert difference.margin == 0.02
    assert difference.margin_holds
    assert difference.unit == "clusters"
    champion = predictions_of(day.model(1.5))
    expected = sklearn.metrics.roc_auc_score(day.holdout.labels, champion[:, 1])
    assert metric.values["champion"].value == pytest.approx(expected)
    assert comparison.problems == ()


def test_equal_models_have_equal_numbers(comparison: Comparison) -> None:
    for metric in comparison.metrics:
        one, other = metric.differences["champion"], metric.differences["base"]
        same = {"margin": None, "margin_holds": None, "outcome": "unclear", "needed": None}
        assert dataclasses.replace(one, **same) == dataclasses.replace(other, **same)  # type: ignore[arg-type]


def test_a_margin_applies_to_the_model_that_the_bar_names(comparison: Comparison) -> None:
    recall = comparison.metric("recall")
    assert recall is not None
    assert recall.differences["base"].margin == 0.1
    assert recall.differences["champion"].margin is None


def test_a_comparison_is_plain_data_that_reads_back(comparison: Comparison) -> None:
    text = write_json(comparison)
    assert read_json(Comparison, text, where="comparison.json") == comparison
    assert "NaN" not in text
    assert json_schema(Comparison)["title"] == "Comparison"


def test_the_same_arrays_give_the_same_comparison(comparison: Comparison, day: Day) -> None:
    models: dict[Role, Scored] = {
        "candidate": day.model(0.3),
        "champion": day.model(1.5),
        "base": day.model(1.5),
    }
    assert compare(day.holdout, models, BINARY) == comparison


def test_rows_that_any_model_was_trained_on_are_left_out_and_counted(day: Day) -> None:
    ids = day.holdout.row_id
    models: dict[Role, Scored] = {
        "candidate": day.model(0.3, trained_on=ids[:10]),
        "champion": day.model(0.5, trained_on=np.append(ids[5:105], np.uint64(1))),
    }
    found = compare(day.holdout, models, BINARY)
    assert (found.holdout.rows, found.holdout.used) == (ROWS, ROWS - 105)
    assert (found.models["candidate"].seen, found.models["champion"].seen) == (10, 100)
    assert found.models["champion"].trained_on == 101
    predictions = predictions_of(models["candidate"])
    expected = sklearn.metrics.roc_auc_score(day.holdout.labels[105:], predictions[105:, 1])
    metric = found.metric("roc_auc")
    assert metric is not None
    assert metric.values["candidate"].value == pytest.approx(expected)
    assert kinds(found) == {("trained_on_holdout", "candidate"), ("trained_on_holdout", "champion")}


def test_a_model_that_cannot_score_the_rows_is_a_finding(day: Day) -> None:
    champion = day.model(1, predictions=None, problem="column 'dest' is gone")
    found = compare(day.holdout, {"candidate": day.model(0.3), "champion": champion}, BINARY)
    assert found.problems == (
        Problem(
            "unscored", "champion", "the champion could not score the rows: column 'dest' is gone"
        ),
    )
    for metric in found.metrics:
        assert metric.values["candidate"].value is not None
        assert metric.values["champion"].absent == "unscored"
        assert metric.differences == {}


def altered(day: Day, **how: Any) -> Comparison:
    candidate = dataclasses.replace(day.model(0.3), **how)
    return compare(day.holdout, {"candidate": candidate, "champion": day.model(1.0)}, BINARY)


def probabilities(value: Any) -> Any:
    numbers = np.full((ROWS, 2), 0.5)
    numbers[:, 1] = value
    return numbers


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ({"rows_digest": "another"}, "other_rows"),
        ({"predictions": np.full((ROWS - 1, 2), 0.5)}, "other_rows"),
        ({"predictions": np.full((ROWS, 3), 1 / 3)}, "wrong_shape"),
        ({"predictions": np.full(ROWS, "late")}, "wrong_shape"),
        ({"predictions": np.full((ROWS, 2), np.nan)}, "nan_predictions"),
        ({"predictions": np.full((ROWS, 2), np.inf)}, "infinite_predictions"),
        ({"predictions": probabilities(1.5)}, "not_probabilities"),
        ({"predictions": probabilities(0.1)}, "not_probabilities"),
        ({"predictions": probabilities(0.5)}, "constant_predictions"),
        ({"classes": ("late", "punctual")}, "wrong_classes"),
        ({"classes": (True, False)}, "wrong_classes"),
        ({"classes": ()}, "wrong_classes"),
        ({"trained_on": None}, "unknown_training_rows"),
    ],
)  # fmt: skip
def test_unfit_predictions_are_a_problem(day: Day, how: dict[str, Any], kind: str) -> None:
    assert kinds(altered(day, **how)) == {(kind, "candidate")}


def test_one_nan_among_all_predictions_is_enough(day: Day) -> None:
    predictions = predictions_of(day.model(0.3))
    predictions[7, 1] = np.nan
    found = altered(day, predictions=predictions)
    assert found.problems[0].text == "the candidate predicts NaN for 1 rows"
    assert found.metrics[0].values["candidate"].absent == "unscored"


def test_classes_as_numbers_are_the_same_classes(day: Day) -> None:
    assert kinds(altered(day, classes=(0, 1))) == set()
    assert kinds(altered(day, classes=(np.False_, np.True_))) == set()


def test_predictions_may_be_the_positive_class_alone(day: Day, comparison: Comparison) -> None:
    predictions = predictions_of(day.model(0.3))
    found = altered(day, predictions=predictions[:, 1])
    for one, other in zip(found.metrics, comparison.metrics, strict=True):
        assert one.values["candidate"] == other.values["candidate"]


def test_predictions_against_the_label_are_worse_than_chance(day: Day) -> None:
    predictions = predictions_of(day.model(0.3))
    assert kinds(altered(day, predictions=predictions[:, ::-1])) == {
        ("worse_than_chance", "candidate")
    }


def holdout_with(day: Day, **how: Any) -> Comparison:
    holdout = dataclasses.replace(day.holdout, **how)
    candidate = dataclasses.replace(day.model(0.3), rows_digest=holdout.digest)
    return compare(holdout, {"candidate": candidate}, BINARY)


def test_a_holdout_with_another_digest_is_a_problem(day: Day) -> None:
    assert kinds(holdout_with(day, digest="0" * 64)) == {("tampered_holdout", None)}


def test_a_holdout_without_a_declared_slice_is_a_problem(day: Day) -> None:
    assert kinds(holdout_with(day, slices={})) == {("missing_slice", None)}


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NaT])
def test_rows_without_a_cluster_are_a_problem_not_one_big_cluster(day: Day, missing: Any) -> None:
    clusters = np.arange(ROWS).astype(object)
    clusters[:3] = missing
    assert kinds(holdout_with(day, cluster=clusters)) == {("missing_clusters", None)}


def test_missing_and_unknown_labels_are_reported_and_left_out(day: Day) -> None:
    labels = day.holdout.labels.astype(object)
    labels[:3] = [None, float("nan"), pd.NA]
    labels[3] = "perhaps"
    found = holdout_with(day, labels=labels)
    assert kinds(found) == {("missing_labels", None), ("unknown_labels", None)}
    assert found.holdout.used == ROWS - 4
    assert "'perhaps'" in " ".join(problem.text for problem in found.problems)


def test_labels_may_be_numbers_that_stand_for_the_classes(day: Day) -> None:
    found = holdout_with(day, labels=day.holdout.labels.astype(np.int8))
    assert kinds(found) == set()


def test_a_holdout_of_one_class_is_a_problem(day: Day) -> None:
    found = holdout_with(day, labels=np.zeros(ROWS, dtype=bool))
    assert kinds(found) == {("one_class_holdout", None)}
    auc, accuracy = found.metric("roc_auc"), found.metric("accuracy")
    assert auc is not None
    assert accuracy is not None
    assert auc.values["candidate"].absent == "undefined"
    assert accuracy.values["candidate"].value is not None
    assert found.roc == {}


def test_an_empty_holdout_is_a_problem() -> None:
    none = np.array([], dtype=np.uint64)
    holdout = Holdout(
        none, np.array([], dtype=bool), rows_digest(none), none, {"origin": np.array([], dtype=str)}
    )
    candidate = Scored(holdout.digest, np.empty((0, 2)), (False, True), trained_on=none)
    found = compare(holdout, {"candidate": candidate}, BINARY)
    assert kinds(found) == {("empty_holdout", None)}
    assert found.metrics[0].values["candidate"].absent == "undefined"
    assert (found.slices, found.labels) == ((), ())


def test_a_holdout_of_one_row_has_values_and_no_intervals(day: Day) -> None:
    one = np.array([5], dtype=np.uint64)
    holdout = Holdout(
        one, np.array([True]), rows_digest(one), np.array([0]), {"origin": np.array(["JFK"])}
    )
    models = {
        role: Scored(holdout.digest, np.array([[p, 1 - p]]), (False, True), trained_on=one[:0])
        for role, p in PAIR
    }
    found = compare(holdout, models, BINARY)
    loss = found.metric("neg_log_loss")
    assert loss is not None
    assert loss.differences["champion"].estimate == pytest.approx(np.log(0.9 / 0.6))
    assert loss.differences["champion"].low is None
    assert loss.differences["champion"].reason == "one cluster only"


def test_every_slice_is_measured_and_those_too_small_are_listed(
    comparison: Comparison, day: Day
) -> None:
    by_name = {one.value: one for one in comparison.slices}
    assert list(by_name) == ["EWR", "JFK", "LGA", "HPN"]
    assert [one.judged for one in comparison.slices] == [True, True, True, False]
    assert by_name["HPN"].metrics == ()
    chosen = day.holdout.slices["origin"] == "LGA"
    predictions = predictions_of(day.model(0.3))
    expected = sklearn.metrics.roc_auc_score(day.holdout.labels[chosen], predictions[chosen, 1])
    assert by_name["LGA"].metrics[0].values["candidate"].value == pytest.approx(expected)
    assert by_name["LGA"].rows == chosen.sum()
    assert by_name["LGA"].clusters == 30


def test_a_slice_has_the_numbers_that_its_rows_alone_would_have(
    comparison: Comparison, day: Day
) -> None:
    chosen = day.holdout.slices["origin"] == "JFK"
    ids = day.holdout.row_id[chosen]
    assert day.holdout.cluster is not None
    clusters = day.holdout.cluster[chosen]
    holdout = Holdout(ids, day.holdout.labels[chosen], rows_digest(ids), clusters)
    both: dict[Role, Scored] = {"candidate": day.model(0.3), "champion": day.model(1.5)}
    models = {
        role: dataclasses.replace(
            one, predictions=predictions_of(one)[chosen], rows_digest=holdout.digest
        )
        for role, one in both.items()
    }
    alone = compare(holdout, models, dataclasses.replace(BINARY, slices=()))
    within = next(one for one in comparison.slices if one.value == "JFK")
    for part, whole in zip(within.metrics, alone.metrics, strict=True):
        assert part.values["candidate"].value == pytest.approx(whole.values["candidate"].value)
        assert part.differences["champion"].estimate == pytest.approx(
            whole.differences["champion"].estimate
        )


def test_slices_have_wider_intervals_and_the_comparison_explains_them(
    comparison: Comparison,
) -> None:
    assert comparison.slice_level == pytest.approx(1 - 0.05 / 12)
    assert comparison.slice_adjustment == (
        "Bonferroni over 3 slices × 4 metrics: each interval at 99.58 %"
    )
    levels = {
        d.level for one in comparison.slices for m in one.metrics for d in m.differences.values()
    }
    assert levels == {comparison.slice_level}


def test_a_metric_undefined_in_every_slice_widens_no_interval(day: Day) -> None:
    models: dict[Role, Scored] = {
        "candidate": day.model(0.3, threshold=1.0),
        "champion": day.model(1.5),
    }
    metrics = (MetricChoice("accuracy"), MetricChoice("precision"))
    found = compare(day.holdout, models, dataclasses.replace(BINARY, metrics=metrics))
    alone = dataclasses.replace(BINARY, metrics=metrics[:1])
    judged = [one.metrics for one in found.slices if one.judged]
    assert [precision.differences for _, precision in judged] == [{}, {}, {}]
    assert found.slice_level == compare(day.holdout, models, alone).slice_level
    assert found.slice_adjustment == (
        "Bonferroni over 3 slices × 1 metric: each interval at 98.33 %"
    )
    levels = {d.level for accuracy, _ in judged for d in accuracy.differences.values()}
    assert levels == {found.slice_level}


@pytest.mark.slow
def test_few_comparisons_of_equal_models_find_a_difference() -> None:
    """5 % at the most, over all slices and all metrics; over the slices alone it was 12 %."""
    rng = np.random.default_rng(20)
    rows, ids = 1_500, np.arange(1_500, dtype=np.uint64)
    names = ("roc_auc", "neg_log_loss", "neg_brier_score", "accuracy")
    model = dataclasses.replace(
        BINARY, metrics=tuple(map(MetricChoice, names)), cluster=None, slice_minimum=50
    )
    missed = 0
    for _ in range(100):
        logit = 1.5 * rng.normal(size=rows)
        labels = logit + rng.logistic(size=rows) > 0
        slices = {"origin": rng.integers(0, 10, rows)}
        one = Day(Holdout(ids, labels, rows_digest(ids), slices=slices), logit)
        seeds = rng.integers(0, 2**31, 2).tolist()
        pair = {role: one.model(1, seed) for (role, _), seed in zip(PAIR, seeds, strict=True)}
        found = compare(one.holdout, pair, model)
        assert [slice_.judged for slice_ in found.slices] == [True] * 10
        missed += any(
            d.outcome in {"better", "worse"}
            for slice_ in found.slices for m in slice_.metrics for d in m.differences.values()
        )  # fmt: skip
    assert missed <= 5


def test_slices_without_a_model_to_compare_with_have_no_level(day: Day) -> None:
    found = holdout_with(day)
    assert [one.judged for one in found.slices] == [True, True, True, False]
    assert (found.slice_level, found.slice_adjustment) == (None, "")


def test_slices_too_small_to_be_judged_do_not_flood_the_comparison(day: Day) -> None:
    found = holdout_with(day, slices={"origin": np.array([f"row {i}" for i in range(ROWS)])})
    assert len(found.slices) == 50
    assert (found.slice_level, found.slice_adjustment) == (None, "")


@pytest.mark.parametrize(
    ("values", "bins", "expected"),
    [
        (["JFK", None, "LGA"], (), ["JFK", "(missing)", "LGA"]),
        ([1.0, float("nan")], (), ["1.0", "(missing)"]),
        ([pd.NA, pd.NaT, "LGA"], (), ["(missing)", "(missing)", "LGA"]),
        ([0, 8, 9, 24, 25, -1], (0, 9, 24),
         ["[0, 9)", "[0, 9)", "[9, 24]", "[9, 24]", "> 24", "< 0"]),
        ([float("nan"), 0.5], (0.25, 0.75), ["(missing)", "[0.25, 0.75]"]),
    ],
)  # fmt: skip
def test_slices_by_value_or_by_bin(
    values: list[Any], bins: tuple[float, ...], expected: list[str]
) -> None:
    assert slice_labels(np.array(values), SliceChoice("x", bins)).tolist() == expected


def test_slices_stand_in_the_order_that_a_person_expects(day: Day) -> None:
    hours = slice_labels(np.arange(ROWS) % 24, SliceChoice("origin", (0, 9, 13, 24)))
    found = holdout_with(day, slices={"origin": hours})
    assert [one.value for one in found.slices] == ["[0, 9)", "[9, 13)", "[13, 24]"]


def test_flips_are_counted_both_ways_and_by_slice(comparison: Comparison, day: Day) -> None:
    one, other = predictions_of(day.model(0.3)), predictions_of(day.model(1.5))
    labels = day.holdout.labels
    first, second = one[:, 1] >= 0.5, other[:, 1] >= 0.5
    flips = comparison.flips["champion"]
    assert flips.changed == (first != second).sum() == flips.right_to_wrong + flips.wrong_to_right
    assert flips.right_to_wrong == ((first != labels) & (second == labels)).sum()
    at_lga = next(one for one in flips.slices if one.value == "LGA")
    chosen = day.holdout.slices["origin"] == "LGA"
    assert (at_lga.rows, at_lga.changed) == (chosen.sum(), (first != second)[chosen].sum())
    assert {one.value for one in flips.slices} == {"EWR", "JFK", "LGA"}


def test_each_model_decides_by_its_own_threshold(day: Day) -> None:
    models: dict[Role, Scored] = {
        "candidate": day.model(1.0, threshold=0.3),
        "champion": day.model(1.0),
    }
    found = compare(day.holdout, models, BINARY)
    recall, auc = found.metric("recall"), found.metric("roc_auc")
    assert recall is not None
    assert auc is not None
    assert recall.differences["champion"].outcome == "better"
    assert auc.differences["champion"].outcome == "same"
    assert (found.models["candidate"].decision, found.models["champion"].decision) == (0.3, 0.5)


def test_confusion_balance_and_calibration_add_up(comparison: Comparison, day: Day) -> None:
    predictions = predictions_of(day.model(0.3))
    expected = sklearn.metrics.confusion_matrix(day.holdout.labels, predictions[:, 1] >= 0.5)
    assert comparison.confusion["candidate"].counts == tuple(tuple(r) for r in expected.tolist())
    assert comparison.confusion["candidate"].classes == ("false", "true")
    assert sum(one.rows for one in comparison.labels) == ROWS
    assert comparison.labels[1].share == day.holdout.labels.mean()
    bins = comparison.calibration["candidate"]
    assert len(bins) == 10
    assert sum(one.rows for one in bins) == ROWS
    assert sum(one.rows * one.observed for one in bins) == pytest.approx(day.holdout.labels.sum())


def test_curves_have_few_points_and_keep_their_area(comparison: Comparison) -> None:
    roc = np.array(comparison.roc["candidate"])
    assert len(roc) <= 100
    assert roc[0].tolist() == [0, 0]
    assert roc[-1].tolist() == [1, 1]
    auc = comparison.metrics[0].values["candidate"].value
    assert np.trapezoid(roc[:, 1], roc[:, 0]) == pytest.approx(auc, abs=0.005)
    pr = np.array(comparison.pr["champion"])
    assert len(pr) <= 100
    assert pr[-1, 1] == pytest.approx(comparison.labels[1].share)


def test_a_negated_loss_is_readable_as_the_loss(comparison: Comparison) -> None:
    loss = comparison.metric("neg_log_loss")
    assert loss is not None
    before, after = loss.differences["champion"], loss.readable().differences["champion"]
    assert before.low is not None
    assert before.high is not None
    read = loss.readable()
    assert read.label == "log loss"
    assert not read.greater_is_better
    value = loss.values["candidate"].value
    assert value is not None
    assert read.values["candidate"].value == -value
    assert (after.low, after.high) == (-before.high, -before.low)
    assert after.outcome == before.outcome == "better"
    assert read.readable() == read
    auc = comparison.metrics[0]
    assert auc.readable() == auc


def test_several_classes(day: Day) -> None:
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 3, ROWS)
    holdout = Holdout(day.holdout.row_id, np.array(["a", "b", "c"])[codes], day.holdout.digest)
    models: dict[Role, Scored] = {}
    for role, doubt in PAIR:
        p = doubt * rng.dirichlet(np.ones(3), ROWS)
        p[np.arange(ROWS), codes] += 0.2
        p /= p.sum(axis=1, keepdims=True)
        models[role] = Scored(
            holdout.digest, p, ("a", "b", "c"), trained_on=codes[:0].astype(np.uint64)
        )
    found = compare(holdout, models, MULTICLASS)
    assert found.problems == ()
    assert [m.differences["champion"].outcome for m in found.metrics] == ["better"] * 3
    assert found.holdout.clusters is None
    assert len(found.confusion["candidate"].counts) == 3
    assert (found.roc, found.pr) == ({}, {})
    assert found.flips["champion"].changed >= found.flips["champion"].wrong_to_right
    right = predictions_of(models["candidate"])
    turned = dataclasses.replace(models["candidate"], predictions=np.roll(right, 1, axis=1))
    assert kinds(compare(holdout, {"candidate": turned}, MULTICLASS)) == {
        ("worse_than_chance", "candidate")
    }
    swapped = dataclasses.replace(models["candidate"], predictions=right[:, [1, 0, 2]])
    problem = compare(holdout, {"candidate": swapped}, MULTICLASS).problems[0]
    assert problem.text.endswith("worse than chance would (a, b against the rest)")


def test_a_regression(day: Day) -> None:
    rng = np.random.default_rng(4)
    labels = 10 + day.logit
    holdout = dataclasses.replace(day.holdout, labels=labels)
    models = {
        role: Scored(
            holdout.digest,
            labels + noise * rng.normal(size=ROWS),
            trained_on=np.array([], dtype=np.uint64),
        )
        for role, noise in PAIR
    }
    found = compare(holdout, models, REGRESSION)
    assert found.problems == ()
    assert [m.differences["champion"].outcome for m in found.metrics] == ["better", "better"]
    assert (found.flips, found.confusion, found.labels) == ({}, {}, ())
    assert found.label_quantiles is not None
    assert found.label_quantiles.median == pytest.approx(np.median(labels))
    first = found.calibration["candidate"][0]
    assert first.low <= first.predicted <= first.high
    right = predictions_of(models["candidate"])
    turned = dataclasses.replace(models["candidate"], predictions=20 - right)
    assert kinds(compare(holdout, {"candidate": turned}, REGRESSION)) == {
        ("worse_than_chance", "candidate")
    }


def test_metrics_that_only_the_change_declares_are_measured_too() -> None:
    changed = dataclasses.replace(BINARY, metrics=(MetricChoice("accuracy"), MetricChoice("f1")))
    both = with_metrics_of(BINARY, changed)
    assert [one.name for one in both.metrics[-2:]] == ["recall", "f1"]
    assert len(both.metrics) == len(BINARY.metrics) + 1
    assert both.gate == BINARY.gate


def test_a_budget_of_looks_widens_each_interval(day: Day) -> None:
    scored: dict[Role, Scored] = {role: day.model(noise) for role, noise in PAIR}
    spent = dataclasses.replace(BINARY, gate=dataclasses.replace(BINARY.gate, looks=50))
    usual, wider = (compare(day.holdout, scored, model) for model in (BINARY, spent))
    assert usual.level == 0.95
    assert wider.level == pytest.approx(0.999)
    for metric, other in zip(usual.metrics, wider.metrics, strict=True):
        one, two = metric.differences["champion"], other.differences["champion"]
        assert one.low is not None
        assert two.low is not None
        assert one.estimate == two.estimate
        assert two.low < one.low
    assert usual.slice_level is not None
    assert wider.slice_level == pytest.approx(1 - (1 - usual.slice_level) / 50)
