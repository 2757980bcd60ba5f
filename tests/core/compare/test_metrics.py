from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from scipy import stats

from mergeline.core.compare.arrays import Predicted, Rows
from mergeline.core.compare.metrics import ranks as ranking
from mergeline.core.compare.metrics.catalogue import Metric, metric_of
from mergeline.core.declare.model import Gate, MetricChoice, Model, Task
from mergeline.errors import DeclarationError

RNG = np.random.default_rng
CLASSES: dict[Task, tuple[str, ...]] = {
    "binary": ("no", "yes"), "multiclass": ("a", "b", "c", "d"), "regression": ()
}  # fmt: skip
OF_LABELS_ALONE = ("adjusted", "completeness", "fowlkes", "homogeneity", "mutual", "rand_score",
                   "v_measure", "normalized")  # fmt: skip
OF_NUMBERS = ("r2", "explained_variance", "d2_absolute", "error", "deviance")


def declared(task: Task) -> Model:
    return Model(
        name="demo", task=task, stage="evaluate", outputs="build", label="y", key=("id",),
        metrics=(), gate=Gate("x"), classes=CLASSES[task],
    )  # fmt: skip


def metric(name: str, task: Task, **more: Any) -> Metric:
    return metric_of(MetricChoice(name, **more), declared(task))


def draw(task: Task, rows: int = 600, seed: int = 0) -> tuple[Rows, Predicted, Predicted]:
    """Rows and two models of different quality, with ties."""
    rng = RNG(seed)
    classes = len(CLASSES[task])
    if task == "regression":
        labels = rng.gamma(2, size=rows) + 0.1
        guesses = [labels * rng.gamma(shape, 1 / shape, size=rows) for shape in (9, 6)]
        first, second = (Predicted(g, g, 0.0) for g in guesses)
        return Rows(labels, None), first, second
    codes = rng.choice(classes, rows, p=np.arange(1, classes + 1) / sum(range(1, classes + 1)))
    said = []
    for quality in (0.8, 0.5):
        p = rng.dirichlet(np.ones(classes), rows)
        p[np.arange(rows), codes] += quality
        p = np.round(p / p.sum(axis=1, keepdims=True), 2)
        p[:, 0] += 1 - p.sum(axis=1)
        p = np.clip(p, 0, 1)
        decided = (p[:, 1] >= 0.5).astype(int) if classes == 2 else p.argmax(axis=1)
        numbers = np.ascontiguousarray(p[:, 1]) if classes == 2 else p
        said.append(Predicted(numbers, decided, float(np.finfo(float).eps)).ordered())
    return Rows(codes, None), said[0], said[1]


def score(name: str, task: Task, rows: Rows, said: Predicted) -> float:
    """What the functions behind scikit-learn's scorers say, called by hand."""
    scorer = sklearn.metrics.get_scorer(name)
    function, sign, options = scorer._score_func, scorer._sign, scorer._kwargs
    wants = scorer._response_method
    decisions = wants == "predict"
    return float(
        sign * function(rows.labels, said.decided if decisions else said.numbers, **options)
    )


def names(task: Task) -> list[str]:
    every = sklearn.metrics.get_scorer_names()
    numbers = [n for n in every if n.startswith(OF_NUMBERS[:3]) or n.endswith(OF_NUMBERS[3:])]
    if task == "regression":
        return numbers
    rest = [n for n in every if n not in numbers and not n.startswith(OF_LABELS_ALONE)]
    rest = [n for n in rest if not n.endswith("_samples")]
    if task == "binary":
        return [n for n in rest if n != "top_k_accuracy"]
    binary_only = {"roc_auc", "f1", "precision", "recall", "jaccard", "average_precision"}
    return [n for n in rest if n not in binary_only and "likelihood" not in n]


EVERY: list[tuple[Task, str]] = [
    (task, name) for task in CLASSES for name in names(task)
]  # fmt: skip


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_a_metric_is_what_scikit_learn_says(task: Task, name: str) -> None:
    rows, first, second = draw(task)
    one = metric(name, task)
    assert one.greater_is_better
    assert one.negated == name.startswith("neg_")
    for said in (first, second):
        assert one.sample(rows, said).value == pytest.approx(score(name, task, rows, said))


RESAMPLED_WHOLE = ("d2_absolute", "max_error", "median")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "name"),
    [(task, name) for task, name in EVERY if not any(part in name for part in RESAMPLED_WHOLE)],
)
def test_an_interval_is_as_wide_as_resampling_the_rows_makes_it(task: Task, name: str) -> None:
    rows, first, second = draw(task, 500, seed=3)
    one = metric(name, task)
    better, worse = one.sample(rows, first), one.sample(rows, second)
    interval = one.difference(rows, better, worse, 0.95)
    assert interval.estimate == pytest.approx(better.value - worse.value)
    rng = RNG(1)
    spread = []
    for _ in range(150):
        picked = rng.integers(0, 500, 500)
        here = rows.take(picked)
        a, b = (one.sample(here, said.take(picked)).value for said in (first, second))
        spread.append(a - b)
    assert interval.low is not None
    assert interval.high is not None
    assert (interval.high - interval.low) / 2 == pytest.approx(
        stats.t.ppf(0.975, 499) * np.std(spread, ddof=1), rel=0.25
    )


def in_clusters(task: Task) -> tuple[Rows, Predicted, Predicted]:
    """80 clusters of three rows, of mixed classes, each of which stands there three times."""
    rows, first, second = draw(task, 240, seed=4)
    again = np.repeat(np.arange(240), 3)
    clustered = Rows(rows.labels[again], np.repeat(np.arange(80), 9))
    return clustered, first.take(again), second.take(again)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("binary", "roc_auc"), ("binary", "average_precision"), ("binary", "precision"),
        ("binary", "recall"), ("binary", "f1"), ("binary", "matthews_corrcoef"),
        ("multiclass", "roc_auc_ovr"), ("multiclass", "roc_auc_ovr_weighted"),
        ("multiclass", "roc_auc_ovo"), ("multiclass", "roc_auc_ovo_weighted"),
        ("multiclass", "f1_macro"), ("regression", "r2"),
    ],
)  # fmt: skip
def test_an_interval_by_cluster_is_as_wide_as_resampling_the_clusters_makes_it(
    task: Task, name: str
) -> None:
    rows, first, second = in_clusters(task)
    one = metric(name, task)

    def width(rows: Rows) -> float:
        interval = one.difference(rows, one.sample(rows, first), one.sample(rows, second), 0.95)
        assert interval.low is not None
        assert interval.high is not None
        return interval.high - interval.low

    rng = RNG(1)
    spread = []
    for _ in range(200):
        picked = (9 * rng.integers(0, 80, 80)[:, None] + np.arange(9)).ravel()
        here = rows.take(picked)
        a, b = (one.sample(here, said.take(picked)).value for said in (first, second))
        spread.append(a - b)
    expected = 2 * stats.t.ppf(0.975, 79) * np.std(spread, ddof=1)
    assert width(rows) == pytest.approx(expected, rel=0.15)
    assert width(rows) > 1.4 * width(Rows(rows.labels, None))  # three times are not three rows


@pytest.mark.parametrize(
    ("task", "name", "method"),
    [
        ("binary", "roc_auc", "DeLong"),
        ("multiclass", "roc_auc_ovr", "DeLong over classes"),
        ("binary", "average_precision", "linearised"),
        ("binary", "neg_log_loss", "paired mean"),
        ("binary", "accuracy", "linearised"),
        ("binary", "d2_brier_score", "linearised"),
        ("regression", "neg_mean_squared_error", "paired mean"),
        ("binary", "recall", "linearised"),
        ("regression", "r2", "linearised"),
        ("regression", "neg_median_absolute_error", "bootstrap"),
    ],
)
def test_every_kind_of_metric_says_how_its_interval_was_made(
    task: Task, name: str, method: str
) -> None:
    rows, first, second = draw(task)
    one = metric(name, task)
    clustered = Rows(rows.labels, np.arange(len(rows)) % 40)
    for where, said in ((rows, method), (clustered, f"{method} by cluster")):
        interval = one.difference(where, one.sample(where, first), one.sample(where, second), 0.95)
        assert interval.method == said
        assert interval.low is not None


@pytest.mark.parametrize("name", ["accuracy", "recall", "f1", "balanced_accuracy"])
def test_that_no_decision_differs_is_no_certainty(name: str) -> None:
    rows, first, _ = draw("binary", 200)
    other = replace(first, numbers=first.numbers * 0.999)
    one = metric(name, "binary")
    samples = one.sample(rows, first), one.sample(rows, other)
    found = one.difference(rows, *samples, 0.95)
    assert found.estimate == 0
    assert found.low is not None
    assert found.low < -0.005
    same = one.difference(rows, samples[0], samples[0], 0.95)  # the very same predictions
    assert (same.low, same.high) == (0, 0)


def test_a_loss_of_recall_does_not_pass_because_few_positives_show_none_of_it() -> None:
    rng = RNG(6)
    one = metric("recall", "binary")
    labels = np.repeat([1, 0], [10, 190])
    passes = 0
    for _ in range(400):
        before = labels * (rng.random(200) < 0.8)
        after = np.where(rng.random(200) < 0.15 / 0.8, 0, before)  # truly 0.15 less
        first, second = (Predicted(rng.random(200), decided, 1e-16) for decided in (after, before))
        rows = Rows(labels, None)
        found = one.difference(rows, one.sample(rows, first), one.sample(rows, second), 0.95)
        assert found.low is not None
        passes += found.low >= -0.05
    assert passes / 400 <= 0.025


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_unit_of_a_regression_does_not_matter(scale: float) -> None:
    rows, first, second = draw("regression", 300)
    for name, power in (("r2", 0), ("neg_root_mean_squared_error", 1), ("explained_variance", 0)):
        one = metric(name, "regression")

        def width(unit: float, one: Metric = one) -> float:
            scaled = Rows(rows.labels * unit, None)
            said = (Predicted(p.numbers * unit, p.decided * unit, 0.0) for p in (first, second))
            samples = [one.sample(scaled, predicted) for predicted in said]
            found = one.difference(scaled, samples[0], samples[1], 0.95)
            assert found.low is not None
            assert found.high is not None
            return found.high - found.low

        assert width(scale) == pytest.approx(width(1.0) * scale**power, rel=1e-6)


@pytest.mark.parametrize(
    "name", ["recall", "precision", "f1", "jaccard", "roc_auc", "average_precision"]
)
def test_a_metric_that_the_rows_do_not_define_has_no_value_but_a_reason(name: str) -> None:
    nobody = Rows(np.zeros(20, dtype=int), None)
    said = Predicted(np.linspace(0, 0.4, 20), np.zeros(20, dtype=int), 1e-16)
    measured = metric(name, "binary").sample(nobody, said).measured()
    assert measured.value is None
    assert measured.absent == "undefined"
    assert measured.reason


def test_precision_of_a_model_that_never_decides_is_not_zero_but_undefined() -> None:
    rows = Rows(np.array([0, 1, 1, 0]), None)
    said = Predicted(np.full(4, 0.2), np.zeros(4, dtype=int), 1e-16)
    assert metric("precision", "binary").sample(rows, said).measured().value is None
    assert metric("recall", "binary").sample(rows, said).measured().value == 0


def test_a_class_that_does_not_occur_counts_as_scikit_learn_counts_it() -> None:
    rows = Rows(np.array([0, 1, 1, 0, 2, 2]), None)
    decided = np.array([0, 1, 0, 0, 3, 2])
    said = Predicted(np.eye(4)[decided], decided, 1e-16)
    with pytest.warns(sklearn.exceptions.UndefinedMetricWarning):
        expected = sklearn.metrics.recall_score(rows.labels, decided, average="macro")
    assert metric("recall_macro", "multiclass").sample(rows, said).value == pytest.approx(expected)


def test_a_loss_of_a_certain_error_is_finite_by_the_precision_of_the_predictions() -> None:
    rows = Rows(np.array([0, 1]), None)
    said = Predicted(np.array([1.0, 1.0]), np.ones(2, dtype=int), float(np.finfo(np.float32).eps))
    expected = -sklearn.metrics.log_loss([0, 1], np.array([1.0, 1.0], dtype=np.float32))
    assert metric("neg_log_loss", "binary").sample(rows, said).value == pytest.approx(
        expected, rel=1e-6
    )


def test_a_deviance_of_numbers_out_of_its_range_is_undefined() -> None:
    rows = Rows(np.array([1.0, 2.0]), None)
    numbers = np.array([1.0, -1.0])
    for name in ("neg_mean_poisson_deviance", "neg_mean_squared_log_error"):
        measured = (
            metric(name, "regression").sample(rows, Predicted(numbers, numbers, 0)).measured()
        )
        assert (measured.value, measured.absent) == (None, "undefined")


def test_labels_that_do_not_vary_have_no_r2() -> None:
    numbers = np.array([1.0, 2.0, 3.0])
    sample = metric("r2", "regression").sample(
        Rows(np.ones(3), None), Predicted(numbers, numbers, 0)
    )
    assert sample.measured().absent == "undefined"


def test_average_precision_and_its_influence_hold_under_ties() -> None:
    rng = RNG(5)
    positive = rng.random(400) < 0.2
    scores: Any = np.round(rng.random(400) + 0.3 * positive, 1)
    value, influence = ranking.average_precision(scores, positive)
    assert value == pytest.approx(sklearn.metrics.average_precision_score(positive, scores))
    assert influence.mean() == pytest.approx(0, abs=1e-12)
    for row in np.flatnonzero(positive)[:3].tolist() + np.flatnonzero(~positive)[:3].tolist():
        weights = np.ones(400)
        weights[row] += 1e-6
        moved = sklearn.metrics.average_precision_score(positive, scores, sample_weight=weights)
        above = scores >= scores[row]
        precision = positive[above].mean()  # which a positive row moves by being there itself
        own = (1 - precision) / above.sum() / positive.mean() if positive[row] else 0
        derivative = (moved - value) / 1e-6 * 400
        assert influence[row] == pytest.approx(derivative - own / 2, abs=5e-3)


def cost(labels: Any, probabilities: Any) -> float:
    """Ten for a miss, one for an alarm: a metric of a user's own."""
    said = probabilities[:, 1] >= 0.5
    return float(np.mean(10 * ((labels == "yes") & ~said) + ((labels == "no") & said)))


def broken(labels: Any, predictions: Any) -> float:
    raise RuntimeError("no such column: fare\nand more")


def endless(labels: Any, predictions: Any) -> float:
    return float("inf")


def verdict(labels: Any, predictions: Any) -> bool:
    return True


def leaves(labels: Any, predictions: Any) -> float:
    raise SystemExit(0)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that can be imported by the name it gets."""
    import sys
    import types

    module = types.ModuleType("own_metrics")
    module.__dict__.update(
        cost=cost, broken=broken, leaves=leaves, endless=endless, verdict=verdict, number=3
    )
    monkeypatch.setitem(sys.modules, "own_metrics", module)
    return "own_metrics"


def test_a_metric_of_ones_own_by_import_path(own: str) -> None:
    rows, first, second = draw("binary")
    one = metric(f"{own}.cost", "binary", greater_is_better=False)
    assert (one.label, one.greater_is_better, one.negated) == ("cost", False, False)
    better, worse = one.sample(rows, first), one.sample(rows, second)
    words = np.array(["no", "yes"])[rows.labels]
    assert better.value == cost(words, np.column_stack([1 - first.numbers, first.numbers]))
    interval = one.difference(rows, better, worse, 0.95)
    assert interval.low is not None
    assert interval.high is not None
    assert interval.high < 0


def test_a_metric_of_ones_own_that_fails_is_a_finding_not_a_crash(own: str) -> None:
    rows, first, _ = draw("binary")
    one = metric(f"{own}.broken", "binary", greater_is_better=True)
    measured = one.sample(rows, first).measured()
    assert measured.absent == "failed"
    assert measured.reason == "RuntimeError: no such column: fare"
    leaves = metric(f"{own}.leaves", "binary", greater_is_better=True).sample(rows, first)
    assert leaves.measured().reason == "SystemExit: 0"
    endless = metric(f"{own}.endless", "binary", greater_is_better=True).sample(rows, first)
    assert endless.measured().absent == "infinite"
    verdict = metric(f"{own}.verdict", "binary", greater_is_better=True).sample(rows, first)
    assert verdict.measured().reason == "True is not a number"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("roc_acu", "did you mean 'roc_auc'?"),
        ("own_metrics.costs", "cannot be imported"),
        ("no_such_package.cost", "cannot be imported"),
        ("ends.cost", "cannot be imported: SystemExit: 0"),
        ("fails.cost", "cannot be imported: ZeroDivisionError: division by zero"),
        ("own_metrics.number", "is not a function"),
    ],
)
@pytest.mark.usefixtures("own")
def test_a_metric_that_leads_nowhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    (tmp_path / "ends.py").write_text("raise SystemExit(0)")
    (tmp_path / "fails.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DeclarationError, match=r"models/demo\.yaml") as refusal:
        metric(name, "binary", greater_is_better=True)
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "label"),
    [("neg_log_loss", "log loss"), ("roc_auc", "ROC AUC"), ("neg_brier_score", "Brier score"),
     ("neg_mean_absolute_error", "mean absolute error"), ("recall", "recall")],
)  # fmt: skip
def test_a_metric_is_called_as_people_call_it(name: str, label: str) -> None:
    task: Task = "regression" if "error" in name else "binary"
    assert metric(name, task).label == label
