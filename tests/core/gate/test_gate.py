import dataclasses
import math
from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest

from mergeline.core.compare import digits
from mergeline.core.compare.result import (
    NOT_EVERY_CLASS,
    Absent,
    Comparison,
    Difference,
    HoldoutFacts,
    InputColumn,
    Measured,
    MetricResult,
    ModelFacts,
    Other,
    Problem,
    ProblemKind,
    SliceResult,
    Twins,
)
from mergeline.core.declare.model import Bar, Gate, Role
from mergeline.core.declare.strict import read_json, write_json
from mergeline.core.gate.judge import (
    judge,
    judge_both,
    judge_moved,
    judge_on_base_rows,
    judge_without_base_rows,
)
from mergeline.core.gate.verdict import (
    Approval,
    Context,
    Judgement,
    MovedLine,
    Reason,
    Situation,
    Verdict,
)

CHANGE = Context(Situation.CHANGE)
INPUTS = (InputColumn("hour", "long"), InputColumn("carrier", "string"))


def difference(
    low: float | None, high: float | None, estimate: float | None = None, reason: str = ""
) -> Difference:
    if estimate is None and low is not None and high is not None:
        estimate = (low + high) / 2
    return Difference(estimate, low, high, 0.95, "DeLong", "unclear", reason=reason)


def metric(
    name: str = "roc_auc",
    value: float | None = 0.7,
    against: Mapping[Other, Difference] | None = None,
    absent: Absent = "",
    **more: Any,
) -> MetricResult:
    negated = name.startswith("neg_")
    values: dict[Role, Measured] = {
        "candidate": Measured(value, absent, "said why" if absent else ""),
        "champion": Measured(0.7), "base": Measured(0.7),
    }  # fmt: skip
    fields: dict[str, Any] = {
        "label": name.removeprefix("neg_"), "greater_is_better": True, "negated": negated,
        "values": values, "differences": against or {},
    }  # fmt: skip
    return MetricResult(name=name, **(fields | more))


def facts(**more: Any) -> ModelFacts:
    fields: dict[str, Any] = {
        "scored": True, "trained_on": 100, "seen": 0, "latency_ms": 2.0, "size_bytes": 3_000_000,
        "inputs": INPUTS, "classes": ("no", "yes"), "decision": 0.5,
    }  # fmt: skip
    return ModelFacts(**(fields | more))


SAME = difference(-0.001, 0.001)


def comparison(*metrics: MetricResult, **more: Any) -> Comparison:
    metrics = metrics or (metric(against={"champion": SAME, "base": SAME}),)
    fields: dict[str, Any] = {
        "model": "late", "task": "binary", "label": "late", "primary": "roc_auc",
        "classes": ("no", "yes"), "level": 0.95,
        "holdout": HoldoutFacts("digest", 1000, 1000, None, None),
        "models": {"candidate": facts(), "champion": facts(), "base": facts()},
    }  # fmt: skip
    return Comparison(metrics=metrics, **(fields | more))


def rules(verdict: Verdict, outcome: str = "fail") -> list[str]:
    return [reason.rule for reason in verdict.reasons if reason.outcome == outcome]


def only(verdict: Verdict, rule: str) -> Reason:
    (reason,) = [reason for reason in verdict.reasons if reason.rule == rule]
    return reason


def test_a_model_that_is_no_worse_passes() -> None:
    gate = Gate("roc_auc", {"roc_auc": Bar(at_least=0.6, margin=0.005)})
    verdict = judge(gate, comparison(), CHANGE)
    assert verdict.outcome == "pass"
    assert rules(verdict, "pass") == ["threshold", "margin", "schema"]


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (-0.004, 0.002, "pass"),
        (0.001, 0.003, "pass"),
        (-0.005, 0.002, "pass"),
        (-0.006, 0.010, "inconclusive"),  # the estimate is better, the interval does not show it
        (-0.006, -0.004, "inconclusive"),
        (-0.02, -0.006, "fail"),
    ],
)
def test_a_margin_looks_at_the_interval_not_the_estimate(
    low: float, high: float, outcome: str
) -> None:
    gate = Gate("roc_auc", {"roc_auc": Bar(margin=0.005)}, inconclusive="ask")
    verdict = judge(gate, comparison(metric(against={"champion": difference(low, high)})), CHANGE)
    assert verdict.outcome == outcome
    reason = only(verdict, "margin")
    assert reason.outcome == outcome
    assert reason.numbers["low"] == low
    assert reason.numbers["margin"] == 0.005


def test_less_is_better_of_a_loss_of_ones_own() -> None:
    cost = metric("own.cost", 3.0, {"champion": difference(0.5, 0.9)}, greater_is_better=False)
    gate = Gate("own.cost", {"own.cost": Bar(at_most=2.5, margin=0.2)})
    verdict = judge(gate, comparison(cost), CHANGE)
    assert rules(verdict) == ["threshold", "margin"]
    assert "is 3, at most 2.5 is required" in only(verdict, "threshold").text
    cheaper = metric("own.cost", 2.0, {"champion": difference(-0.9, -0.5)}, greater_is_better=False)
    assert judge(gate, comparison(cheaper), CHANGE).outcome == "pass"


def test_a_reason_shows_a_negated_loss_as_the_loss() -> None:
    loss = metric("neg_log_loss", -0.6, {"champion": difference(-0.2, -0.1)})
    gate = Gate("neg_log_loss", {"neg_log_loss": Bar(at_least=-0.5, margin=0.01)})
    verdict = judge(gate, comparison(loss), CHANGE)
    assert only(verdict, "threshold").text == "log_loss is 0.6000, at most 0.5 is required"
    assert only(verdict, "margin").text == (
        "log_loss is worse by more than 0.01: +0.15 ± 0.05 against the champion"
    )


def test_a_difference_reads_the_same_in_a_reason_and_in_the_table() -> None:
    loss = metric("neg_log_loss", -0.6, {"champion": difference(-0.0183, -0.0081)})
    gate = Gate("neg_log_loss", {"neg_log_loss": Bar(margin=0.005)})
    in_table = digits.change(loss.readable().differences["champion"])
    assert in_table in only(judge(gate, comparison(loss), CHANGE), "margin").text


@pytest.mark.parametrize(
    ("policy", "outcome"), [("pass", "pass"), ("fail", "fail"), ("ask", "inconclusive")]
)
def test_the_gate_decides_what_inconclusive_means(policy: Any, outcome: str) -> None:
    gate = Gate("roc_auc", {"roc_auc": Bar(margin=0.005)}, inconclusive=policy)
    unclear = comparison(metric(against={"champion": difference(-0.01, 0.01)}))
    verdict = judge(gate, unclear, CHANGE)
    assert verdict.outcome == outcome
    assert rules(verdict, "inconclusive") == ["margin"]


def test_a_difference_without_an_interval_is_inconclusive() -> None:
    gate = Gate("roc_auc", {"roc_auc": Bar(margin=0.005)}, improve=True, inconclusive="ask")
    alone = comparison(metric(against={"champion": difference(None, None, 0.1, "one row only")}))
    verdict = judge(gate, alone, CHANGE)
    assert rules(verdict, "inconclusive") == ["margin", "improve"]
    assert "one row only" in only(verdict, "margin").text


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.001, 0.003, "pass"),
        (-0.001, 0.003, "inconclusive"),
        (0.0, 0.0, "fail"),
        (-0.003, -0.001, "fail"),
    ],
)
def test_improvement_must_be_shown_where_it_is_required(
    low: float, high: float, outcome: str
) -> None:
    gate = Gate("roc_auc", {"roc_auc": Bar(margin=0.01)}, improve=True, inconclusive="ask")
    verdict = judge(gate, comparison(metric(against={"champion": difference(low, high)})), CHANGE)
    assert only(verdict, "improve").outcome == outcome


def test_without_a_margin_the_primary_metric_must_not_be_shown_worse() -> None:
    gate = Gate("roc_auc")
    worse = comparison(metric(against={"champion": difference(-0.003, -0.001)}))
    assert rules(judge(gate, worse, CHANGE)) == ["primary"]
    unclear = comparison(metric(against={"champion": difference(-0.003, 0.001)}))
    assert judge(gate, unclear, CHANGE).outcome == "pass"
    untold = comparison(metric(against={"champion": difference(None, None, -0.4, "one cluster")}))
    verdict = judge(gate, untold, CHANGE)
    assert (verdict.outcome, rules(verdict, "inconclusive")) == ("fail", ["primary"])
    assert "one cluster" in only(verdict, "primary").text
    against_base = Gate("roc_auc", {"roc_auc": Bar(margin=0.01, against="base")})
    both: dict[Other, Difference] = {"champion": difference(-0.003, -0.001), "base": SAME}
    assert rules(judge(against_base, comparison(metric(against=both)), CHANGE)) == ["primary"]


@pytest.mark.parametrize(
    ("absent", "rule"),
    [("nan", "metric_nan"), ("infinite", "metric_infinite"), ("undefined", "metric_undefined"),
     ("failed", "metric_failed")],
)  # fmt: skip
def test_a_metric_without_a_value_refuses_whether_or_not_it_is_barred(
    absent: Absent, rule: str
) -> None:
    found = comparison(metric(against={"champion": SAME}), metric("recall", None, absent=absent))
    for gate in (Gate("roc_auc"), Gate("roc_auc", {"recall": Bar(at_least=0.1, margin=0.1)})):
        verdict = judge(gate, found, CHANGE)
        assert rules(verdict) == [rule]
        assert "said why" in only(verdict, rule).text


@pytest.mark.parametrize("where", ["metrics", "slices", "first"])
def test_a_metric_that_the_gate_names_and_nobody_measured_refuses(where: str) -> None:
    bars = {"recall": Bar(at_least=0.1)}
    gate = dataclasses.replace(Gate("roc_auc", inconclusive="pass"), **{where: bars})  # type: ignore[arg-type]
    verdict = judge(gate, comparison(), CHANGE)
    assert rules(verdict) == ["metric_missing"]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_comparison_from_a_file_with_a_nan_is_refused(bad: float) -> None:
    gate = Gate("roc_auc", {"roc_auc": Bar(at_least=0.6, margin=0.1)}, inconclusive="pass")
    assert (
        judge(gate, comparison(metric(value=bad, against={"champion": SAME})), CHANGE).outcome
        == "fail"
    )
    hidden = comparison(metric(against={"champion": difference(bad, 0.1, 0.0)}))
    assert "metric_nan" in rules(judge(gate, hidden, CHANGE))
    limits = Gate("roc_auc", latency_ms=50, size_mb=50)
    slow = comparison(models={"candidate": facts(latency_ms=math.nan), "champion": facts()})
    assert rules(judge(limits, slow, CHANGE)) == ["latency"]


def test_a_baseline_without_the_metric_refuses_and_does_not_crash() -> None:
    # MLflow's thresholds crash where the metric is missing from the baseline.
    gate = Gate("roc_auc", {"recall": Bar(margin=0.1)}, inconclusive="pass")
    recall = metric(
        "recall",
        values={"candidate": Measured(0.5), "champion": Measured(None, "undefined", "no late row")},
    )
    verdict = judge(gate, comparison(metric(against={"champion": SAME}), recall), CHANGE)
    assert rules(verdict) == ["baseline_missing"]
    assert "no late row" in only(verdict, "baseline_missing").text
    primary = metric(
        values={"candidate": Measured(0.5), "champion": Measured(None, "nan", "it is NaN")}
    )
    assert rules(judge(Gate("roc_auc"), comparison(primary), CHANGE)) == ["baseline_missing"]


def test_negative_baselines_do_not_turn_the_gate_around() -> None:
    # MLflow's relative thresholds invert: a share of a negative number is negative.
    gate = Gate("r2", {"r2": Bar(margin=0.05)})
    better = metric("r2", -0.2, {"champion": difference(0.25, 0.35)})
    worse = metric("r2", -0.8, {"champion": difference(-0.35, -0.25)})
    assert judge(gate, comparison(better), CHANGE).outcome == "pass"
    assert rules(judge(gate, comparison(worse), CHANGE)) == ["margin"]


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [
        (5.0, 4.5, 5.5, "+5.0 ± 0.5"),  # from 0, which `dvc metrics diff` leaves out
        (1.2e-6, 1e-7, 3e-7, "+2.0e-7 ± 1.0e-7"),  # which it prints as 0.0
    ],
)
def test_small_numbers_and_numbers_that_rose_from_zero_keep_their_meaning(
    value: float, low: float, high: float, expected: str
) -> None:
    gate = Gate("own.cost", {"own.cost": Bar(margin=1e-8)})
    cost = metric("own.cost", value, {"champion": difference(low, high)}, greater_is_better=False)
    reason = only(judge(gate, comparison(cost), CHANGE), "margin")
    assert reason.outcome == "fail"
    assert expected in reason.text


def scores(value: float | None, low: float, high: float, name: str = "recall") -> SliceResult:
    absent: Absent = "" if value is not None else "undefined"
    found = metric(name, value, {"champion": difference(low, high)}, absent)
    return SliceResult("origin", "LGA", 500, None, True, (found,))


WHOLE = (metric(against={"champion": SAME}), metric("recall", 0.6, {"champion": SAME}))
SLICED = Gate("roc_auc", slices={"recall": Bar(at_least=0.2, margin=0.1)}, inconclusive="ask")


@pytest.mark.parametrize(
    ("one", "outcome", "rule"),
    [
        (scores(0.6, -0.02, 0.02), "pass", "slices"),
        (scores(0.1, -0.02, 0.02), "fail", "slice_threshold"),
        (scores(0.4, -0.3, -0.1), "fail", "slice_margin"),
        (scores(0.4, -0.3, 0.01), "inconclusive", "slice_margin"),
        (scores(0.5, -0.3, 0.2), "pass", "slices"),  # few rows, no sign of harm
        (scores(0.5, -0.09, -0.03), "pass", "slices"),  # worse, but within the margin
        (scores(None, 0, 0), "inconclusive", "slice_undefined"),
    ],
)
def test_an_average_hides_no_hurt_slice(one: SliceResult, outcome: str, rule: str) -> None:
    fine = dataclasses.replace(scores(0.6, -0.02, 0.02), value="JFK")
    verdict = judge(SLICED, comparison(*WHOLE, slices=(fine, one)), CHANGE)
    assert verdict.outcome == outcome
    reason = next(reason for reason in verdict.reasons if reason.rule == rule)
    assert reason.outcome == outcome
    if rule != "slices":
        assert reason.slice == "origin = LGA"
        assert "at origin = LGA" in reason.text
    held = only(verdict, "slices").text
    assert held == f"recall holds its bar in {2 if outcome == 'pass' else 1} of 2 slices"


def test_slices_that_are_all_too_small_are_inconclusive() -> None:
    small = SliceResult("origin", "HPN", 20, None, judged=False)
    verdict = judge(SLICED, comparison(*WHOLE, slices=(small,)), CHANGE)
    assert verdict.outcome == "inconclusive"


def test_a_slice_without_a_value_of_the_champion_is_inconclusive() -> None:
    lonely = metric(
        "recall", 0.6, {}, values={"candidate": Measured(0.6), "champion": Measured(None)}
    )
    one = SliceResult("origin", "LGA", 500, None, judged=True, metrics=(lonely,))
    verdict = judge(SLICED, comparison(*WHOLE, slices=(one,)), CHANGE)
    assert rules(verdict, "inconclusive") == ["slice_undefined"]


def test_a_slice_whose_rows_give_no_model_a_value_is_listed_and_refuses_nothing() -> None:
    nothing = Measured(None, "undefined", NOT_EVERY_CLASS)
    for values in (
        {"candidate": nothing, "champion": nothing},
        {"candidate": nothing},  # the first model
    ):
        one = SliceResult(
            "origin", "LGA", 500, None, judged=True,
            metrics=(metric("recall", None, {}, values=values),),
        )  # fmt: skip
        strict = dataclasses.replace(SLICED, inconclusive="fail")
        context = CHANGE if "champion" in values else Context(Situation.FIRST)
        verdict = judge(strict, comparison(*WHOLE, slices=(one,)), context)
        assert verdict.outcome == "pass"
        [reason] = [reason for reason in verdict.reasons if reason.rule == "slice_undefined"]
        assert NOT_EVERY_CLASS in reason.text


def test_a_slice_where_only_the_candidate_has_no_value_is_inconclusive() -> None:
    values = {"candidate": Measured(None, "undefined", NOT_EVERY_CLASS), "champion": Measured(0.6)}
    one = SliceResult(
        "origin", "LGA", 500, None, judged=True,
        metrics=(metric("recall", None, {}, values=values),),
    )  # fmt: skip
    verdict = judge(SLICED, comparison(*WHOLE, slices=(one,)), CHANGE)
    assert rules(verdict, "inconclusive") == ["slice_undefined"]


@pytest.mark.parametrize(
    ("gate", "how", "expected"),
    [
        (
            Gate("roc_auc", {"roc_auc": Bar(at_least=0.7)}),
            {"value": 0.69999},
            "roc_auc is 0.69999, at least 0.7 is required",
        ),
        (
            Gate("roc_auc", {"roc_auc": Bar(margin=0.005)}),
            {"against": {"champion": difference(-0.0050001, 0.0010001)}},
            "worse by more than 0.005: −0.0020000 ± 0.0030001 against the champion",
        ),
        (
            Gate("roc_auc", latency_ms=50.0),
            {"latency_ms": 50.001},
            "one row's prediction takes 50.001 ms, at most 50 ms is allowed",
        ),
        (
            Gate("roc_auc", size_mb=3.0),
            {"size_bytes": 3_000_001},
            "the model's files take 3.000001 MB, at most 3 MB is allowed",
        ),
    ],
)
def test_a_narrow_refusal_does_not_read_as_a_pass(
    gate: Gate, how: dict[str, Any], expected: str
) -> None:
    measures: dict[str, Any] = {key: how[key] for key in ("value", "against") if key in how}
    weights = {key: how[key] for key in how if key not in measures}
    usual: dict[str, Any] = {"against": {"champion": SAME, "base": SAME}}
    found = comparison(
        metric(**(usual | measures)),
        models={"candidate": facts(**weights), "champion": facts(), "base": facts()},
    )
    verdict = judge(gate, found, CHANGE)
    refused = [reason.text for reason in verdict.reasons if reason.outcome != "pass"]
    assert any(text.endswith(expected) for text in refused)


def test_a_narrow_refusal_of_a_slice_does_not_read_as_a_pass() -> None:
    one = scores(0.49999, -0.013, -0.00708)
    gate = Gate("roc_auc", slices={"recall": Bar(at_least=0.5, margin=0.01)})
    verdict = judge(gate, comparison(*WHOLE, slices=(one,)), CHANGE)
    text = "\n".join(reason.text for reason in verdict.reasons)
    assert "is 0.49999, at least 0.5 is required" in text
    assert "by more than 0.01: −0.01004 ± 0.00296" in text


@pytest.mark.parametrize(
    ("gate", "how", "rule", "passes"),
    [
        (Gate("roc_auc", load_s=3), {"load_s": 3.0}, "load", True),
        (Gate("roc_auc", load_s=3), {"load_s": 3.1}, "load", False),
        (Gate("roc_auc", memory_mb=500), {"memory_mb": 500.0}, "memory", True),
        (Gate("roc_auc", memory_mb=500), {"memory_mb": 501.0}, "memory", False),
        (Gate("roc_auc", memory_mb=500), {"memory_mb": None}, "memory", False),
        (Gate("roc_auc", latency_ms=2), {}, "latency", True),
        (Gate("roc_auc", latency_ms=1.9), {}, "latency", False),
        (Gate("roc_auc", latency_ms=2), {"latency_ms": None}, "latency", False),
        (Gate("roc_auc", size_mb=3), {}, "size", True),
        (Gate("roc_auc", size_mb=2.9), {}, "size", False),
        (Gate("roc_auc", size_mb=3), {"size_bytes": None}, "size", False),
        (Gate("roc_auc"), {"inputs": INPUTS[:1]}, "schema", True),
        (Gate("roc_auc"), {"inputs": (*INPUTS, InputColumn("dest", "string"))}, "schema", False),
        (Gate("roc_auc"), {"inputs": (InputColumn("hour", "string"),)}, "schema", False),
        (Gate("roc_auc"), {"inputs": (InputColumn("hour", "integer"),)}, "schema", False),
        (Gate("roc_auc"), {"inputs": ()}, "schema", False),
        (
            Gate("roc_auc"), {"inputs": (InputColumn("hour", "long", required=False),)},
            "schema", True,
        ),
        (Gate("roc_auc", unavailable=("arr_time",)), {}, "leak", True),
        (Gate("roc_auc", unavailable=("hour",)), {}, "leak", False),
        (
            Gate("roc_auc", schema="any"), {"inputs": (InputColumn("late", "boolean"),)},
            "leak", False,
        ),
    ],
)  # fmt: skip
def test_columns_are_judged(gate: Gate, how: dict[str, Any], rule: str, passes: bool) -> None:
    found = comparison(models={"candidate": facts(**how), "champion": facts()})
    verdict = judge(gate, found, CHANGE)
    assert rules(verdict) == ([] if passes else [rule])


def test_a_candidate_may_take_a_wider_number_type() -> None:
    models = {"candidate": facts(inputs=(InputColumn("hour", "double"),)),
              "champion": facts(inputs=(InputColumn("hour", "integer"),))}  # fmt: skip
    assert judge(Gate("roc_auc"), comparison(models=models), CHANGE).outcome == "pass"


@pytest.mark.parametrize(
    ("before", "kind", "expected"),
    [
        ("string", "string", "null or left out"),
        ("integer", "long", "null or left out"),
        ("double", "double", "left out"),
        ("integer", "double", "left out"),
    ],
)  # fmt: skip
def test_a_value_that_callers_may_leave_out_may_not_become_required(
    before: str, kind: str, expected: str
) -> None:
    free = facts(inputs=(InputColumn("it", before, required=False),))
    strict, still_free = (
        facts(inputs=(InputColumn("it", kind, required=must),)) for must in (True, False)
    )
    text = f"the candidate requires it, which the champion lets be {expected}"
    for candidate, broken in ((strict, [text]), (still_free, [])):
        found = comparison(models={"candidate": candidate, "champion": free})
        verdict = judge(Gate("roc_auc"), found, CHANGE)
        assert [reason.text for reason in verdict.reasons if reason.outcome == "fail"] == broken


def test_any_schema_is_fine_where_the_gate_says_so() -> None:
    models = {"candidate": facts(inputs=(InputColumn("dest", "string"),)), "champion": facts()}
    gate = Gate("roc_auc", schema="any")
    assert judge(gate, comparison(models=models), CHANGE).outcome == "pass"


@pytest.mark.parametrize(
    ("newest", "today", "rules_broken"),
    [
        (date(2013, 7, 1), date(2013, 7, 31), []),
        (date(2013, 7, 1), date(2013, 8, 1), ["freshness"]),
        (None, date(2013, 8, 1), ["freshness"]),
        (date(2013, 7, 1), None, ["freshness"]),
        (date(2013, 8, 2), date(2013, 8, 1), []),  # another time zone
        (date(2099, 8, 1), date(2013, 8, 1), ["freshness"]),  # no row is of a day to come
    ],
)
def test_freshness_by_the_age_of_the_newest_row(
    newest: date | None, today: date | None, rules_broken: list[str]
) -> None:
    context = Context(Situation.CHANGE, evaluated_on=today, newest_row=newest)
    assert rules(judge(Gate("roc_auc", freshness_days=30), comparison(), context)) == rules_broken


@pytest.mark.parametrize(
    "kind",
    ["tampered_holdout", "empty_holdout", "one_class_holdout", "missing_labels", "unknown_labels",
     "missing_slice", "missing_clusters"],
)  # fmt: skip
def test_a_holdout_that_is_unfit_refuses(kind: ProblemKind) -> None:
    found = comparison(problems=(Problem(kind, None, "why"),))
    assert rules(judge(Gate("roc_auc", inconclusive="pass"), found, CHANGE)) == [kind]


def test_a_candidate_that_could_not_be_measured_is_refused_for_that_alone() -> None:
    models = {"candidate": facts(scored=False), "champion": facts()}
    gone = metric(value=None, absent="unscored")
    found = comparison(
        gone, models=models, problems=(Problem("nan_predictions", "candidate", "NaN"),)
    )
    gate = Gate(
        "roc_auc",
        {"roc_auc": Bar(at_least=0.6, margin=0.1)},
        {"roc_auc": Bar(at_least=0.5)},
        improve=True,
    )
    verdict = judge(gate, found, CHANGE)
    assert [(r.rule, r.text) for r in verdict.reasons if r.outcome != "pass"] == [
        ("nan_predictions", "NaN")
    ]


def test_without_a_candidate_nothing_passes() -> None:
    found = comparison(metric(value=None, absent="unscored"), models={"champion": facts()})
    assert rules(judge(Gate("roc_auc"), found, CHANGE)) == ["unscored"]


def test_a_change_needs_a_champion_that_scored_the_rows() -> None:
    alone = comparison(models={"candidate": facts()})
    assert rules(judge(Gate("roc_auc", inconclusive="pass"), alone, CHANGE)) == ["champion_missing"]
    models = {"candidate": facts(), "champion": facts(scored=False)}
    problem = Problem("unscored", "champion", "column 'dest' is gone")
    found = comparison(metric(), models=models, problems=(problem,))
    verdict = judge(
        Gate("roc_auc", {"roc_auc": Bar(margin=0.1)}, inconclusive="pass"), found, CHANGE
    )
    assert rules(verdict) == ["champion_unscored"]
    assert verdict.reasons[0].text == "column 'dest' is gone"


def test_a_base_is_needed_only_where_a_bar_counts_from_it() -> None:
    found = comparison(models={"candidate": facts(), "champion": facts()})
    assert judge(Gate("roc_auc"), found, CHANGE).outcome == "pass"
    gate = Gate("roc_auc", {"roc_auc": Bar(margin=0.1, against="base")})
    assert rules(judge(gate, found, CHANGE)) == ["base_missing"]


def test_one_holdout_row_seen_in_training_refuses_the_candidate() -> None:
    """Were a few borne, a change could say of the rows that it fails on that it has seen them."""
    found = comparison(
        models={"candidate": facts(seen=1), "champion": facts()},
        problems=(Problem("trained_on_holdout", "candidate", "so many"),),
    )
    verdict = judge(Gate("roc_auc"), found, CHANGE)
    assert (verdict.outcome, rules(verdict)) == ("fail", ["trained_on_holdout"])


def test_rows_that_the_champion_was_trained_on_are_told_and_do_not_refuse() -> None:
    problems = tuple(
        Problem(kind, "champion", "so many")
        for kind in ("trained_on_holdout", "unknown_training_rows")
    )
    verdict = judge(Gate("roc_auc"), comparison(problems=problems), CHANGE)
    assert verdict.outcome == "pass"
    assert only(verdict, "trained_on_holdout").against == "champion"


def test_leaks_that_the_caller_found_refuse() -> None:
    context = Context(Situation.CHANGE, leaks=("the column x",))
    verdict = judge(Gate("roc_auc", inconclusive="pass"), comparison(), context)
    assert rules(verdict) == ["leak"]


ALONE = comparison(metric(value=0.55), models={"candidate": facts()})


def test_the_first_model_has_its_own_bars() -> None:
    gate = Gate(
        "roc_auc",
        {"roc_auc": Bar(at_least=0.7, margin=0.01)},
        first={"roc_auc": Bar(at_least=0.5)},
        improve=True,
    )
    assert judge(gate, ALONE, Context(Situation.FIRST)).outcome == "pass"
    strict = dataclasses.replace(gate, first={"roc_auc": Bar(at_least=0.6)})
    assert rules(judge(strict, ALONE, Context(Situation.FIRST))) == ["threshold"]
    usual = dataclasses.replace(gate, first={})
    assert rules(judge(usual, ALONE, Context(Situation.FIRST))) == ["threshold"]


@pytest.mark.parametrize("kind", [Situation.FIRST, Situation.RESTORE])
def test_limits_hold_for_the_first_and_for_a_restored_model_too(kind: Situation) -> None:
    gate = Gate(
        "roc_auc", {"roc_auc": Bar(at_least=0.6)}, latency_ms=1, size_mb=1, unavailable=("hour",)
    )
    assert rules(judge(gate, ALONE, Context(kind))) == ["threshold", "latency", "size", "leak"]


def test_a_restored_model_need_not_beat_the_champion() -> None:
    gate = Gate(
        "roc_auc",
        {"roc_auc": Bar(margin=0.01)},
        {"recall": Bar(margin=0.1)},
        improve=True,
        freshness_days=1,
    )
    worse = difference(-0.3, -0.2)
    found = comparison(
        metric(against={"champion": worse}), metric("recall", 0.4, {"champion": worse}),
        slices=(scores(0.4, -0.3, -0.1),),
        models={"candidate": facts(inputs=(InputColumn("dest", "string"),)), "champion": facts()},
    )  # fmt: skip
    assert judge(gate, found, CHANGE).outcome == "fail"
    assert judge(gate, found, Context(Situation.RESTORE)).outcome == "pass"


def test_the_worst_reasons_come_first() -> None:
    gate = Gate("roc_auc", {"roc_auc": Bar(at_least=0.6, margin=0.001)}, latency_ms=1)
    found = comparison(metric(against={"champion": difference(-0.1, 0.1)}))
    outcomes = [reason.outcome for reason in judge(gate, found, CHANGE).reasons]
    assert outcomes == ["fail", "inconclusive", "pass", "pass"]


BASE = Gate("roc_auc", {"roc_auc": Bar(at_least=0.6, margin=0.005)}, latency_ms=50)


def test_an_unedited_gate_gives_one_verdict() -> None:
    judgement = judge_both(BASE, dataclasses.replace(BASE), comparison(), CHANGE)
    assert judgement == Judgement(judge(BASE, comparison(), CHANGE))


def test_an_edited_gate_is_listed_and_judged_both_ways() -> None:
    lower = dataclasses.replace(
        BASE,
        metrics={"roc_auc": Bar(margin=0.5)},
        improve=True,
        latency_ms=None,
        unavailable=("x", "y"),
    )
    worse = comparison(metric(value=0.4, against={"champion": difference(-0.4, -0.3)}))
    judgement = judge_both(BASE, lower, worse, CHANGE)
    assert set(judgement.moved) == {
        MovedLine("metrics.roc_auc.at_least", "0.6", "not set"),
        MovedLine("metrics.roc_auc.margin", "0.005", "0.5"),
        MovedLine("improve", "false", "true"),
        MovedLine("latency_ms", "50", "not set"),
        MovedLine("unavailable", "not set", "x, y"),
    }
    assert rules(judgement.verdict) == ["threshold", "margin"]
    assert judgement.as_moved is not None
    assert rules(judgement.as_moved) == ["improve"]


def on_base_rows(here: Difference, there: Difference, **more: Any) -> Judgement:
    gate = Gate("roc_auc", {"roc_auc": Bar(margin=0.005)}, **more)
    judgement = judge_both(gate, gate, comparison(metric(against={"champion": here})), CHANGE)
    holdout = HoldoutFacts("other", 2000, 1500, None, None)
    rows = comparison(metric(against={"champion": there}), holdout=holdout)
    return judge_on_base_rows(judgement, gate, rows, CHANGE)


WORSE = difference(-0.1, -0.05)
UNCLEAR = difference(-0.1, 0.1)


def test_a_moved_holdout_must_not_hide_that_the_model_is_worse_on_the_base_s_rows() -> None:
    judgement = on_base_rows(SAME, WORSE)
    assert judgement.verdict.outcome == "fail"
    assert rules(judgement.verdict) == ["base_holdout"]
    text = judgement.verdict.reasons[0].text
    assert text.startswith("on production's own holdout (1,500 rows): ")
    assert judgement.base_rows == 1500
    assert judgement.on_base_rows is not None
    assert rules(judgement.on_base_rows) == ["margin"]


def test_a_model_that_is_no_worse_on_either_holdout_passes() -> None:
    judgement = on_base_rows(SAME, SAME)
    assert judgement.verdict.outcome == "pass"
    assert only(judgement.verdict, "base_holdout").outcome == "pass"


@pytest.mark.parametrize(
    ("here", "there", "outcome"),
    [(SAME, UNCLEAR, "inconclusive"), (UNCLEAR, SAME, "inconclusive"), (WORSE, SAME, "fail"),
     (WORSE, UNCLEAR, "fail"), (UNCLEAR, WORSE, "fail")],
)  # fmt: skip
def test_the_worse_verdict_of_both_holdouts_counts(
    here: Difference, there: Difference, outcome: str
) -> None:
    assert on_base_rows(here, there, inconclusive="ask").verdict.outcome == outcome


def test_a_judgement_is_plain_data_that_reads_back() -> None:
    judgement = judge_both(BASE, Gate("roc_auc"), comparison(), CHANGE)
    assert read_json(Judgement, write_json(judgement), where="x") == judgement


def test_a_margin_that_names_no_model_holds_against_the_reference_too() -> None:
    against: dict[Other, Difference] = {
        "champion": SAME, "base": SAME, "reference": difference(-0.03, -0.02),
    }  # fmt: skip
    models = {role: facts() for role in ("candidate", "champion", "base", "reference")}
    since = comparison(metric(against=against), models=models)
    for bar in (Bar(margin=0.01), Bar(margin=0.01, against="reference")):
        verdict = judge(Gate("roc_auc", {"roc_auc": bar}), since, CHANGE)
        refused = [one.against for one in verdict.reasons if one.outcome == "fail"]
        assert refused == ["reference"]
    only_champion = Gate("roc_auc", {"roc_auc": Bar(margin=0.01, against="champion")})
    assert judge(only_champion, since, CHANGE).outcome == "pass"
    assert [
        one.against
        for one in judge(Gate("roc_auc"), since, CHANGE).reasons
        if one.outcome == "fail"
    ] == ["reference"]  # without a margin: shown worse than that


def test_where_there_is_no_reference_the_champion_is_it() -> None:
    gate = Gate("roc_auc", {"roc_auc": Bar(margin=0.01, against="reference")})
    worse = comparison(metric(against={"champion": difference(-0.03, -0.02), "base": SAME}))
    assert only(judge(gate, worse, CHANGE), "margin").against == "champion"


def test_a_reference_that_cannot_score_the_rows_is_inconclusive() -> None:
    models = {"candidate": facts(), "champion": facts(), "reference": facts(scored=False)}
    lost = comparison(metric(against={"champion": SAME}), models=models)
    gate = Gate("roc_auc", {"roc_auc": Bar(margin=0.01)}, inconclusive="ask")
    verdict = judge(gate, lost, CHANGE)
    assert (verdict.outcome, rules(verdict, "inconclusive")) == (
        "inconclusive", ["reference_unscored"],
    )  # fmt: skip
    unasked = Gate("roc_auc", {"roc_auc": Bar(margin=0.01, against="champion")})
    assert judge(unasked, lost, CHANGE).outcome == "pass"


@pytest.mark.parametrize("rule", ["holdout_moved", "bar_moved"])
@pytest.mark.parametrize("policy", ["pass", "fail", "ask"])
def test_a_moved_bar_waits_for_a_person_whatever_the_policy(policy: Any, rule: Any) -> None:
    gate = Gate("roc_auc", inconclusive=policy)
    passed = Judgement(judge(gate, comparison(), CHANGE))
    waiting = judge_moved(passed, rule, "rows are gone", None)
    assert waiting.verdict.outcome == "inconclusive"
    assert getattr(waiting, rule) == "rows are gone"
    approved = judge_moved(passed, rule, "rows are gone", Approval("Rex", "they were wrong"))
    assert approved.verdict.outcome == "pass"
    assert only(approved.verdict, rule).text == (
        "rows are gone; Rex approved that: they were wrong"
    )
    for told, outcome in ((approved, "pass"), (waiting, {"fail": "fail"}.get(policy))):
        nothing = judge_without_base_rows(told, gate, "none is left")
        assert nothing.verdict.outcome == (outcome or "inconclusive")


def test_a_refused_change_is_not_saved_by_an_approval() -> None:
    refused = Judgement(Verdict("fail", (Reason("leak", "fail", "it takes the label"),)))
    approved = judge_moved(refused, "holdout_moved", "rows are gone", Approval("Rex", "fine"))
    assert approved.verdict.outcome == "fail"


def test_rows_that_were_asked_too_often_are_worn_out() -> None:
    gate = Gate("roc_auc", looks=50, inconclusive="ask")
    last = judge(gate, comparison(), Context(Situation.CHANGE, look=50))
    assert last.outcome == "pass"
    worn = judge(gate, comparison(), Context(Situation.CHANGE, look=51))
    assert (worn.outcome, rules(worn, "inconclusive")) == ("inconclusive", ["looks"])
    assert only(worn, "looks").text == (
        "this is the 51st look at these rows, at most 50 are allowed: they are worn out"
    )
    for context in (CHANGE, Context(Situation.RESTORE, look=51)):
        assert judge(gate, comparison(), context).outcome == "pass"


def twin_rows(beyond: float | None, limit: float | None = None) -> Verdict:
    twins = None if beyond is None else Twins(1_000, 40, expected=0.02, beyond=beyond)
    models = {"candidate": facts(twins=twins), "champion": facts(), "base": facts()}
    return judge(Gate("roc_auc", twin_rows=limit), comparison(models=models), CHANGE)


@pytest.mark.parametrize(
    ("beyond", "limit", "outcome"),
    [
        (0.0, None, "pass"),
        (0.01, None, "pass"),
        (0.011, None, "fail"),
        (0.011, 0.05, "pass"),
        (0.001, 0.0, "fail"),
        (None, 0.05, "fail"),
    ],
)
def test_copies_of_training_rows_in_the_holdout_are_refused_beyond_a_small_share(
    beyond: float | None, limit: float | None, outcome: str
) -> None:
    assert only(twin_rows(beyond, limit), "twin_rows").outcome == outcome


def test_where_no_gate_limits_them_unknown_copies_refuse_nothing() -> None:
    assert "twin_rows" not in [reason.rule for reason in twin_rows(None).reasons]


def test_the_reason_says_how_many_copies_there_are_and_how_many_may_be() -> None:
    assert only(twin_rows(0.02), "twin_rows").text == (
        "4.0 % of the holdout's rows have the inputs of a row that the candidate was trained on, "
        "2.0 % are to be expected; at most 1 % more are allowed"
    )
