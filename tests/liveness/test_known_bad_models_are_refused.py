"""The gate is alive: known-bad models are refused, each for its own reason, and a good one passes.

Real scikit-learn models on made data that look like the reference project's: rows of days, a
carrier to slice by, a column that is only known after the fact. Every case goes the whole way from
a fitted model to a verdict; only the files of a bundle are not written.
"""

from __future__ import annotations

import dataclasses
import pickle
import sys
import time
import types
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from mergeline.adapters.bundles import digests
from mergeline.adapters.row_files import hash_inputs
from mergeline.core.compare.behaviour import Trialled, misbehaviour, trials
from mergeline.core.compare.comparison import compare
from mergeline.core.compare.label_leaks import find_leaks
from mergeline.core.compare.prepare import rows_digest
from mergeline.core.compare.result import Comparison, Holdout, InputColumn, Scored
from mergeline.core.compare.slices import slice_labels
from mergeline.core.compare.twins import HashedRows, count_twins
from mergeline.core.declare.model import Bar, Gate, MetricChoice, Model, Role, parse_model
from mergeline.core.gate.judge import judge
from mergeline.core.gate.verdict import Context, Situation, Verdict
from mergeline.core.release.bundle import CANDIDATE_FILES, check_files
from mergeline.errors import BundleError

KNOWN = ("hour", "wind", "carrier")
MAY_LACK = ("carrier",)  # by the signature of the models that are asked today
TODAY = date(2013, 8, 15)
CARRIERS = np.array(["AA", "B6", "DL", "UA"])

DECLARATION = """
task: binary
stage: evaluate
outputs: build/late
label: late
classes: [false, true]
key: [id]
cluster: day
metrics: [roc_auc, neg_log_loss]
slices: [carrier]
slice_minimum: 300
gate:
  primary: roc_auc
  first: {roc_auc: {at_least: 0.6}}
  metrics:
    roc_auc: {at_least: 0.6, margin: 0.02}
  slices:
    roc_auc: {margin: 0.05}
  latency_ms: 150
  size_mb: 1
  unavailable: [arrived_late]
  freshness_days: 60
"""


def surprise(labels: Any, probabilities: Any) -> float:
    """Mean of −log p without clipping: infinite for who calls impossible what then happens."""
    came_true = probabilities[np.arange(len(labels)), labels.astype(int)]
    with np.errstate(divide="ignore"):
        return float(-np.log(came_true).mean())


DECLARED = parse_model("late", DECLARATION)


@pytest.fixture(scope="module", autouse=True)
def own_metric() -> Any:
    """`surprise` under a name that a declaration can give."""
    module = types.ModuleType("own_metrics")
    module.__dict__["surprise"] = surprise
    sys.modules["own_metrics"] = module
    yield
    del sys.modules["own_metrics"]


def flights(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    day = rng.integers(0, 60, rows)
    frame = pd.DataFrame(
        {
            "id": np.arange(rows) + seed * 1_000_000,
            "day": [date(2013, 6, 1) + timedelta(days=int(one)) for one in day],
            "hour": rng.integers(5, 24, rows),
            "wind": rng.gamma(3, 4, rows),
            "carrier": rng.choice(CARRIERS, rows, p=[0.15, 0.25, 0.3, 0.3]),
        }
    )
    of_day = np.random.default_rng(7).normal(size=60)[day]
    of_carrier = frame["carrier"].map({"AA": 0.8, "B6": 0.4, "DL": -0.3, "UA": 0.0})
    chance = -2.5 + 0.2 * (frame["hour"] - 14) + 0.1 * frame["wind"] + of_carrier + 0.5 * of_day
    frame["late"] = chance + rng.logistic(size=rows) > 0
    frame["arrived_late"] = np.where(frame["late"], 15 + rng.gamma(2, 10, rows), -5.0)
    return frame


TRAINING = flights(4_000, seed=1)
HOLDOUT = flights(4_000, seed=2)


def ids(frame: pd.DataFrame) -> Any:
    return frame["id"].to_numpy(dtype=np.uint64)


def fit(
    estimator: Any,
    frame: pd.DataFrame = TRAINING,
    columns: tuple[str, ...] = KNOWN,
    labels: Any = None,
) -> Any:
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["carrier"]), remainder="passthrough"
    )
    model = make_pipeline(encode, estimator)
    return model.fit(frame[list(columns)], frame["late"] if labels is None else labels)


def linear() -> LogisticRegression:
    return LogisticRegression(max_iter=2_000)


@dataclasses.dataclass(frozen=True)
class Trial:
    """A candidate on its way to the gate, and everything about it that a case may spoil."""

    model: Any
    columns: tuple[str, ...] = KNOWN
    fitted_on: pd.DataFrame = dataclasses.field(default_factory=lambda: TRAINING)
    holdout: pd.DataFrame = dataclasses.field(default_factory=lambda: HOLDOUT)
    scored_on: pd.DataFrame | None = None
    newest: date = date(2013, 7, 30)
    may_lack: tuple[str, ...] = MAY_LACK
    asked_again: bool = False

    def compared(self, champion: Any | None, declared: Model) -> tuple[Comparison, Context]:
        frame = self.holdout
        carriers = slice_labels(frame["carrier"].to_numpy(), declared.slices[0])
        rows = Holdout(
            row_id=ids(frame),
            labels=frame["late"].to_numpy(),
            digest=rows_digest(ids(frame)),
            cluster=frame["day"].astype(str).to_numpy(),
            slices={"carrier": carriers},
        )
        on = frame if self.scored_on is None else self.scored_on
        candidate = score(
            self.model,
            on,
            self.columns,
            self.fitted_on,
            may_lack=self.may_lack,
            asked_again=self.asked_again,
        )
        scored: dict[Role, Scored] = {"candidate": candidate}
        if champion is not None:
            scored["champion"] = score(champion, frame, KNOWN, TRAINING[:800])
        taken = {name: frame[name].to_numpy() for name in self.columns}
        context = Context(
            kind=Situation.FIRST if champion is None else Situation.CHANGE,
            evaluated_on=TODAY,
            newest_row=self.newest,
            leaks=tuple(find_leaks(taken, frame["late"].to_numpy(), declared.task).values()),
        )
        return compare(rows, scored, declared), context


TYPES = {"hour": "long", "wind": "double", "carrier": "string", "arrived_late": "double"}


def score(
    model: Any,
    frame: pd.DataFrame,
    columns: tuple[str, ...],
    fitted_on: pd.DataFrame,
    *,
    may_lack: tuple[str, ...] = MAY_LACK,
    asked_again: bool = False,
) -> Scored:
    """What an evaluation does with a model: predictions, the time of one row, its size.

    The time is the processor's, so that a busy machine refuses nobody.
    """
    asked = frame[list(columns)]
    digest = rows_digest(ids(frame))
    inputs = tuple(
        InputColumn(name, TYPES.get(name, "string"), required=name not in may_lack)
        for name in columns
    )
    predictions = model.predict_proba(asked) if len(frame) else np.empty((0, 2))
    taken = []
    for _ in range(3 if len(frame) else 0):
        start = time.process_time()
        model.predict_proba(asked.head(1))
        taken.append(1e3 * (time.process_time() - start))
    again = [
        Trialled(trial, np.concatenate([
            model.predict_proba(asked.iloc[trial.rows[start : start + trial.batch]])
            for start in range(0, len(trial.rows), trial.batch)
        ]))
        for trial in (trials(ids(frame), []) if asked_again else ())
    ]  # fmt: skip
    return Scored(
        rows_digest=digest,
        predictions=predictions,
        misbehaviour=misbehaviour(predictions, again),
        classes=tuple(model.classes_.tolist()),
        trained_on=ids(fitted_on),
        latency_ms=float(np.median(taken)) if taken else 1.0,
        size_bytes=len(pickle.dumps(model)),
        inputs=inputs,
        twins=count_twins(hashed(frame, columns), hashed(fitted_on, columns)),
    )


def hashed(frame: pd.DataFrame, columns: tuple[str, ...]) -> HashedRows:
    return HashedRows(ids(frame), hash_inputs(frame[list(columns)]))


CHAMPION = fit(linear(), TRAINING[:800])


@cache
def compared(case: Callable[[], Trial], *, first: bool) -> tuple[Comparison, Context]:
    return case().compared(None if first else CHAMPION, case_declared(case))


def case_declared(case: Callable[[], Trial]) -> Model:
    """The declaration, with a metric of its own where the case is about that."""
    if case is not infinitely_surprised:
        return DECLARED
    own = MetricChoice("own_metrics.surprise", greater_is_better=False)
    return dataclasses.replace(DECLARED, metrics=(*DECLARED.metrics, own))


def verdict_of(
    case: Callable[[], Trial], *, first: bool = False, gate: Gate = DECLARED.gate
) -> Verdict:
    comparison, context = compared(case, first=first)
    return judge(gate, comparison, context)


class Unfinished(LogisticRegression):  # type: ignore[misc]
    """Divides nothing by nothing before it answers."""

    def predict_proba(self, rows: Any) -> Any:
        return super().predict_proba(rows) * np.nan


class Thoughtful(LogisticRegression):  # type: ignore[misc]
    """Works a long time before it answers."""

    def predict_proba(self, rows: Any) -> Any:
        until = time.process_time() + 0.2
        while time.process_time() < until:
            pass
        return super().predict_proba(rows)


def good() -> Trial:
    return Trial(fit(linear()))


def all_nan() -> Trial:
    return Trial(fit(Unfinished(max_iter=2_000)))


def constant() -> Trial:
    return Trial(fit(DummyClassifier(strategy="prior")))


def swapped_labels() -> Trial:
    return Trial(fit(linear(), labels=~TRAINING["late"]))


def trained_on_the_holdout() -> Trial:
    return Trial(fit(linear(), HOLDOUT), fitted_on=HOLDOUT)


def trained_on_some_of_the_holdout() -> Trial:
    both = pd.concat([TRAINING, HOLDOUT[:200]])
    return Trial(fit(linear(), both), fitted_on=both)


def trained_on_copies_of_the_holdout() -> Trial:
    """Under keys of their own: nothing but their inputs tells."""
    copies = HOLDOUT.assign(id=HOLDOUT["id"] + 50_000_000)
    both = pd.concat([TRAINING, copies], ignore_index=True)
    return Trial(fit(DecisionTreeClassifier(random_state=0), both), fitted_on=both)


def trained_on_some_copies_of_the_holdout() -> Trial:
    copies = HOLDOUT[:150].assign(id=HOLDOUT["id"][:150] + 50_000_000)
    both = pd.concat([TRAINING, copies], ignore_index=True)
    return Trial(fit(linear(), both), fitted_on=both)


def trained_on_near_copies_of_the_holdout() -> Trial:
    """With so little noise that a tree does not see it."""
    noise = 1 + 1e-7 * np.random.default_rng(3).normal(size=len(HOLDOUT))
    copies = HOLDOUT.assign(id=HOLDOUT["id"] + 50_000_000, wind=HOLDOUT["wind"] * noise)
    both = pd.concat([TRAINING, copies], ignore_index=True)
    return Trial(fit(DecisionTreeClassifier(random_state=0), both), fitted_on=both)


class Answering:
    """A good model whose answers something is done to."""

    classes_ = np.array([False, True])

    def __init__(self) -> None:
        self.good = fit(linear())

    def predict_proba(self, rows: Any) -> Any:
        late = self.changed(rows, self.good.predict_proba(rows)[:, 1])
        return np.column_stack([1 - late, late])

    def changed(self, rows: Any, late: Any) -> Any:
        raise NotImplementedError


class Shifted(Answering):
    """Answers each row with what it thinks of the one before."""

    def changed(self, rows: Any, late: Any) -> Any:
        return np.roll(late, 1)


class Stateful(Answering):
    """Answers as it should when it is asked first, and ever more wrongly afterwards."""

    asked = 0

    def changed(self, rows: Any, late: Any) -> Any:
        self.asked += 1
        return late if self.asked == 1 else np.clip(late + 0.01 * self.asked, 0, 1)


class BatchStandardised(Answering):
    """Answers by where a row stands among those that are asked with it."""

    def changed(self, rows: Any, late: Any) -> Any:
        score = (late - late.mean()) / max(late.std(), 1e-9)
        return 1 / (1 + np.exp(-score))


class HardLabels(Answering):
    """Answers with the class that it decides for, as some flavours do."""

    def predict_proba(self, rows: Any) -> Any:
        return (self.good.predict_proba(rows)[:, 1] >= 0.5).astype(float)


class Rounded(Answering):
    """Answers with tens of percent."""

    def changed(self, rows: Any, late: Any) -> Any:
        return np.round(late, 1)


class Cubed(Answering):
    """Answers in the right order, with probabilities that are far too small."""

    def changed(self, rows: Any, late: Any) -> Any:
        return late**3


def shifted() -> Trial:
    return Trial(Shifted(), asked_again=True)


def stateful() -> Trial:
    return Trial(Stateful(), asked_again=True)


def batch_standardised() -> Trial:
    return Trial(BatchStandardised(), asked_again=True)


def hard_labels() -> Trial:
    return Trial(HardLabels())


def rounded() -> Trial:
    return Trial(Rounded())


def cubed() -> Trial:
    return Trial(Cubed())


def target_encoded_over_all_rows() -> Trial:
    """A column of means of the label by plane, each of a few flights, before the rows are split."""
    everything = pd.concat([TRAINING, HOLDOUT], ignore_index=True)
    plane = np.random.default_rng(4).integers(0, len(everything) // 3, len(everything))
    told = everything["late"].groupby(plane).transform("mean")
    train, hold = (
        frame.assign(plane_rate=told)
        for frame, told in (
            (TRAINING, told[: len(TRAINING)].to_numpy()),
            (HOLDOUT, told[len(TRAINING) :].to_numpy()),
        )
    )
    columns = (*KNOWN, "plane_rate")
    return Trial(fit(linear(), train, columns), columns=columns, fitted_on=train, holdout=hold)


def leaked_column() -> Trial:
    columns = ("hour", "carrier", "arrived_late")
    return Trial(fit(linear(), columns=columns), columns=columns)


def infinitely_surprised() -> Trial:
    return Trial(fit(DecisionTreeClassifier(random_state=0)))


def worse_on_one_slice() -> Trial:
    """A model of the carriers' own, whose small one was fitted on mixed-up labels."""

    class ByCarrier:
        classes_ = np.array([False, True])

        def __init__(self) -> None:
            small = TRAINING[TRAINING["carrier"] == "AA"]
            mixed = np.random.default_rng(0).permutation(small["late"].to_numpy())
            self.usual, self.small = fit(linear()), fit(linear(), small, labels=mixed)

        def __reduce__(self) -> Any:
            return dict, ()

        def predict_proba(self, rows: Any) -> Any:
            said = self.usual.predict_proba(rows)
            hurt = (rows["carrier"] == "AA").to_numpy()
            if hurt.any():
                said[hurt] = self.small.predict_proba(rows[hurt])
            return said

    return Trial(ByCarrier())


def too_slow() -> Trial:
    return Trial(fit(Thoughtful(max_iter=2_000)))


def too_big() -> Trial:
    forest = RandomForestClassifier(60, min_samples_leaf=5, random_state=0)
    return Trial(fit(forest))


def wrong_input_schema() -> Trial:
    plane = {"plane": "N14228"}
    train, hold = TRAINING.assign(**plane), HOLDOUT.assign(**plane)
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["carrier", "plane"]), remainder="passthrough"
    )
    model = make_pipeline(encode, linear()).fit(train[[*KNOWN, "plane"]], train["late"])
    return Trial(model, columns=(*KNOWN, "plane"), fitted_on=train, holdout=hold)


def value_required_that_callers_leave_out() -> Trial:
    return dataclasses.replace(good(), may_lack=())


def wrong_classes() -> Trial:
    return Trial(fit(linear(), labels=np.where(TRAINING["late"], "late", "on time")))


def predictions_for_other_rows() -> Trial:
    return dataclasses.replace(good(), scored_on=HOLDOUT.sample(frac=1, random_state=0))


def stale_data() -> Trial:
    return dataclasses.replace(good(), newest=TODAY - timedelta(days=61))


def empty_holdout() -> Trial:
    return dataclasses.replace(good(), holdout=HOLDOUT[:0])


def one_class_holdout() -> Trial:
    return dataclasses.replace(good(), holdout=HOLDOUT[~HOLDOUT["late"]])


def refusals(verdict: Verdict) -> set[str]:
    return {reason.rule for reason in verdict.reasons if reason.outcome != "pass"}


@pytest.mark.parametrize("first", [False, True])
def test_a_known_good_model_passes(first: bool) -> None:
    verdict = verdict_of(good, first=first)
    assert refusals(verdict) == set()
    assert verdict.outcome == "pass"


CASES: list[tuple[Callable[[], Trial], str, set[str]]] = [
    (all_nan, "nan_predictions", set()),
    (constant, "constant_predictions", {"threshold"}),
    (swapped_labels, "worse_than_chance", {"threshold"}),
    (trained_on_the_holdout, "trained_on_holdout", {"empty_holdout"}),
    (trained_on_some_of_the_holdout, "trained_on_holdout", set()),
    (trained_on_copies_of_the_holdout, "twin_rows", {"size"}),
    (trained_on_some_copies_of_the_holdout, "twin_rows", set()),
    (trained_on_near_copies_of_the_holdout, "twin_rows", {"size"}),
    (shifted, "depends_on_batch", {"threshold", "worse_than_chance"}),
    (stateful, "unstable", {"depends_on_batch"}),
    (batch_standardised, "depends_on_batch", set()),
    (hard_labels, "hard_labels", {"metric_missing"}),
    (leaked_column, "leak", set()),
    (infinitely_surprised, "metric_infinite", set()),
    (too_slow, "latency", set()),
    (too_big, "size", set()),
    (wrong_classes, "wrong_classes", set()),
    (predictions_for_other_rows, "other_rows", set()),
    (stale_data, "freshness", set()),
    (empty_holdout, "empty_holdout", set()),
    (one_class_holdout, "one_class_holdout", {"metric_undefined", "slice_undefined"}),
]
# What is told only by comparison with a champion.
COMPARED: list[tuple[Callable[[], Trial], str, set[str]]] = [
    (worse_on_one_slice, "slice_margin", set()),
    (wrong_input_schema, "schema", set()),
    (value_required_that_callers_leave_out, "schema", set()),
]
AGAINST_CHAMPION = {
    "constant": {"margin", "slice_margin"},
    "swapped_labels": {"margin", "slice_margin"},
    "shifted": {"margin", "slice_margin"},
    "leaked_column": {"schema"},
    "infinitely_surprised": {"margin", "slice_margin"},
    "too_big": {"margin"},
}


@pytest.mark.parametrize(
    ("case", "rule", "also"),
    CASES + COMPARED,
    ids=[case.__name__ for case, _, _ in CASES + COMPARED],
)
def test_a_known_bad_model_is_refused_for_its_own_reason(
    case: Callable[[], Trial], rule: str, also: set[str]
) -> None:
    verdict = verdict_of(case)
    assert verdict.outcome == "fail"
    assert rule in refusals(verdict)
    assert refusals(verdict) <= {rule} | also | AGAINST_CHAMPION.get(case.__name__, set())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "rule", "also"), CASES, ids=[case.__name__ for case, _, _ in CASES]
)
def test_a_known_bad_first_model_is_refused_too(
    case: Callable[[], Trial], rule: str, also: set[str]
) -> None:
    verdict = verdict_of(case, first=True)
    assert verdict.outcome == "fail"
    assert rule in refusals(verdict)
    assert refusals(verdict) <= {rule} | also


@pytest.mark.parametrize("policy", ["pass", "fail", "ask"])
@pytest.mark.parametrize("case", [case for case, _, _ in CASES + COMPARED])
def test_no_policy_on_the_inconclusive_lets_a_known_bad_model_pass(
    case: Callable[[], Trial], policy: Any
) -> None:
    gate = dataclasses.replace(DECLARED.gate, inconclusive=policy)
    assert verdict_of(case, gate=gate).outcome == "fail"


HOW_LATE = parse_model(
    "how-late",
    """
task: multiclass
stage: evaluate
outputs: build/how-late
label: how_late
classes: [early, late, very late]
key: [id]
cluster: day
metrics: [accuracy, neg_log_loss]
gate: {primary: accuracy}
""",
)


def how_late(frame: pd.DataFrame) -> Any:
    return np.where(frame["late"], np.where(frame["hour"] > 20, "very late", "late"), "early")


@pytest.mark.parametrize("lacking", ["", "very late"])
@pytest.mark.parametrize("swapped", [False, True])
def test_two_of_three_classes_swapped_are_refused_also_where_the_third_does_not_occur(
    swapped: bool, lacking: str
) -> None:
    """The average over the classes is above chance; the accuracy is held to nothing."""
    taught = how_late(TRAINING)
    if swapped:
        taught = np.select([taught == "early", taught == "late"], ["late", "early"], taught)
    frame = HOLDOUT[how_late(HOLDOUT) != lacking]
    rows = Holdout(ids(frame), how_late(frame), rows_digest(ids(frame)), frame["day"].to_numpy())
    candidate = score(fit(linear(), labels=taught), frame, KNOWN, TRAINING)
    verdict = judge(
        HOW_LATE.gate,
        compare(rows, {"candidate": candidate}, HOW_LATE),
        Context(Situation.FIRST, TODAY, TODAY),
    )
    assert refusals(verdict) == ({"worse_than_chance"} if swapped else set())


def test_a_missing_metric_is_refused() -> None:
    """The change drops a metric from its declaration; the base's gate still asks for it."""
    bars = {**DECLARED.gate.metrics, "recall": Bar(margin=0.05)}
    gate = dataclasses.replace(DECLARED.gate, metrics=bars)
    assert refusals(verdict_of(good, gate=gate)) == {"metric_missing"}


def test_a_tampered_file_is_refused_before_the_gate_is_asked(tmp_path: Path) -> None:
    """One bit of the model's file is not what its manifest says."""
    stored = bytearray(pickle.dumps(good().model))
    model = tmp_path / CANDIDATE_FILES / "model.pkl"
    model.parent.mkdir()
    model.write_bytes(stored)
    manifest = digests(tmp_path, CANDIDATE_FILES)
    stored[len(stored) // 2] ^= 1
    model.write_bytes(stored)
    with pytest.raises(BundleError, match=r"model\.pkl is not what the bundle's digests say"):
        check_files(manifest, digests(tmp_path, CANDIDATE_FILES), where="bundle")


def test_a_tampered_holdout_is_refused() -> None:
    recorded = rows_digest(ids(HOLDOUT))
    swapped = ids(HOLDOUT).copy()
    swapped[:2] = swapped[1::-1]
    rows = Holdout(
        swapped, HOLDOUT["late"].to_numpy(), recorded,
        slices={"carrier": HOLDOUT["carrier"].to_numpy()},
    )  # fmt: skip
    candidate = score(good().model, HOLDOUT, KNOWN, TRAINING)
    verdict = judge(
        DECLARED.gate,
        compare(rows, {"candidate": candidate}, DECLARED),
        Context(Situation.FIRST, TODAY, TODAY),
    )
    assert refusals(verdict) == {"tampered_holdout"}


def test_the_average_would_have_hidden_the_slice() -> None:
    reasons = verdict_of(worse_on_one_slice).reasons
    assert [one.outcome for one in reasons if one.rule == "margin"] == ["pass"]
    assert [one.slice for one in reasons if one.rule == "slice_margin"] == ["carrier = AA"]


def test_a_leak_is_found_by_its_name_and_by_what_it_tells() -> None:
    reasons = verdict_of(leaked_column).reasons
    assert [reason.text for reason in reasons if reason.rule == "leak"] == [
        "the candidate takes arrived_late, which is not known when it is asked",
        "the column arrived_late alone gives the label away (ROC AUC 1)",
    ]


@pytest.mark.parametrize("case", [rounded, cubed])
def test_probabilities_that_order_the_rows_well_and_mean_nothing_need_a_bar_on_a_loss(
    case: Callable[[], Trial],
) -> None:
    """AUC sees the order only. A gate that holds log loss to a margin refuses them."""
    assert refusals(verdict_of(case)) == set()
    bars = {**DECLARED.gate.metrics, "neg_log_loss": Bar(margin=0.02)}
    verdict = verdict_of(case, gate=dataclasses.replace(DECLARED.gate, metrics=bars))
    assert [one.metric for one in verdict.reasons if one.outcome != "pass"] == ["neg_log_loss"]


def test_a_column_of_labels_of_all_rows_shows_as_a_jump_and_as_a_new_column() -> None:
    """Each value is of three labels, so by itself it gives none away: a review must see it."""
    gate = dataclasses.replace(DECLARED.gate, schema="any")
    assert refusals(verdict_of(target_encoded_over_all_rows)) == {"schema"}
    assert refusals(verdict_of(target_encoded_over_all_rows, gate=gate)) == set()
    comparison, _ = compared(target_encoded_over_all_rows, first=False)
    auc = comparison.metric("roc_auc")
    assert auc is not None
    jump = auc.differences["champion"]
    assert jump.outcome == "better"
    assert jump.low is not None
    assert jump.low > 0.05
    said = (Path(__file__).parents[2] / "docs/verdict.md").read_text(encoding="utf-8")
    assert "target encoding" in said
