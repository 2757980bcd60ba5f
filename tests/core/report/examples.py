"""Reports as an evaluation makes them, for the golden files and the property tests."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from statistics import NormalDist

from mergeline.core.compare.result import (
    CalibrationBin,
    Comparison,
    Confusion,
    Difference,
    Example,
    Flips,
    HoldoutFacts,
    InputColumn,
    LabelCount,
    LabelQuantiles,
    Measured,
    MetricResult,
    ModelFacts,
    Other,
    Outcome,
    Problem,
    SliceFlips,
    SliceResult,
    Twins,
    UnusualInput,
)
from mergeline.core.declare.model import Role
from mergeline.core.fingerprint.ingredients import Change
from mergeline.core.gate.verdict import Judgement, MovedLine, Reason, Situation, Verdict
from mergeline.core.report.content import (
    AttributionShare,
    AttributionShares,
    ChampionVersion,
    DataChange,
    EvaluatedTree,
    Failure,
    HoldoutMove,
    Moved,
    OnMerge,
    ReferenceVersion,
    Report,
    TrackedRun,
    UnreleasedBase,
)

MEAN = "means of paired per-row losses, by cluster"
_LABELS = {
    "roc_auc": "ROC AUC", "neg_log_loss": "log loss", "neg_brier_score": "Brier score",
    "recall": "recall",
}  # fmt: skip
CARRIERS = {"9E": 4100, "AA": 5900, "B6": 9800, "DL": 8700, "EV": 9100, "MQ": 4600, "UA": 11000,
            "US": 3600, "WN": 2300, "VX": 900}  # fmt: skip


def difference(
    estimate: float,
    half: float,
    outcome: Outcome,
    *,
    margin: float | None = None,
    holds: bool | None = None,
    needed: int | None = None,
    level: float = 0.95,
    method: str = MEAN,
) -> Difference:
    return Difference(
        estimate=estimate, low=estimate - half, high=estimate + half, level=level, method=method,
        outcome=outcome, margin=margin, margin_holds=holds, needed=needed, unit="clusters",
    )  # fmt: skip


def metric(
    name: str, values: Mapping[Role, float], differences: Mapping[Other, Difference]
) -> MetricResult:
    """As `core.compare` has it: a loss with its sign turned."""
    return MetricResult(
        name=name,
        label=_LABELS[name],
        greater_is_better=True,
        negated=name.startswith("neg_"),
        values={role: Measured(value) for role, value in values.items()},
        differences=dict(differences),
    )


def metrics(*, worse: bool = False) -> tuple[MetricResult, ...]:
    sign = -1 if worse else 1
    auc, loss = 0.7423 + 0.0088 * sign, -0.4021 + 0.0052 * sign
    better: Outcome = "worse" if worse else "better"
    return (
        metric(
            "roc_auc",
            {"candidate": auc, "champion": 0.7423, "base": 0.7423},
            {"champion": difference(0.0088 * sign, 0.0031, better, margin=0.005,
                                    holds=not worse, method="DeLong by cluster")},
        ),
        metric(
            "neg_log_loss",
            {"candidate": loss, "champion": -0.4021, "base": -0.4021},
            {"champion": difference(0.0052 * sign, 0.0019, better, margin=0.01, holds=True)},
        ),
        metric(
            "neg_brier_score",
            {"candidate": -0.1263, "champion": -0.1268, "base": -0.1268},
            {"champion": difference(0.0005, 0.0009, "unclear", needed=140)},
        ),
        metric(
            "recall",
            {"candidate": 0.6712, "champion": 0.6698, "base": 0.6698},
            {"champion": difference(0.0014, 0.0120, "same", margin=0.05, holds=True)},
        ),
    )  # fmt: skip


def slices(*, worse: bool = False) -> tuple[SliceResult, ...]:
    by_slice = []
    for index, (value, rows) in enumerate(
        [("EWR", 21410), ("JFK", 20150), ("LGA", 19644), *CARRIERS.items()]
    ):
        column = "origin" if index < 3 else "carrier"
        estimate = 0.009 + 0.004 * math.sin(3.1 * index)
        half = 0.6 / math.sqrt(rows)
        outcome: Outcome = "better" if estimate > half else "unclear"
        auc = metric(
            "roc_auc",
            {"champion": 0.74, "base": 0.74, "candidate": 0.74 + estimate},
            {"champion": difference(estimate, half, outcome, level=0.9979, needed=60)},
        )
        drop = -0.031 if value == "LGA" else 0.006 * math.cos(index)
        hurt = value == "LGA"
        recall = metric(
            "recall",
            {"champion": 0.61, "base": 0.61, "candidate": 0.61 + drop},
            {"champion": difference(drop, 0.018, "worse" if hurt else "same", margin=0.1,
                                    holds=not (worse and hurt), level=0.9979)},
        )  # fmt: skip
        judged = rows >= 1000
        by_slice.append(
            SliceResult(column, value, rows, 31, judged, (auc, recall) if judged else ())
        )
    return tuple(by_slice)


def curve(auc: float) -> tuple[tuple[float, float], ...]:
    """ROC of two normal distributions: what an AUC of this size looks like."""
    normal = NormalDist()
    shift = math.sqrt(2) * normal.inv_cdf(auc)
    inner = [i / 60 for i in range(1, 60)]
    return (
        (0.0, 0.0),
        *((x, round(normal.cdf(shift + normal.inv_cdf(x)), 5)) for x in inner),
        (1.0, 1.0),
    )


def recall_precision(auc: float, share: float) -> tuple[tuple[float, float], ...]:
    return tuple(
        (tpr, round(share * tpr / (share * tpr + (1 - share) * fpr), 5))
        for fpr, tpr in curve(auc)[1:]
    )


def calibration(stretch: float) -> tuple[CalibrationBin, ...]:
    bins = []
    for i in range(10):
        predicted = 0.05 + 0.06 * i + 0.003 * i * i
        observed = 0.21 + (predicted - 0.21) * stretch
        bins.append(CalibrationBin(predicted - 0.03, predicted + 0.03, 6120, predicted, observed))
    return tuple(bins)


EXAMPLE = Example(
    row=1_204,
    key={"flight_date": "2013-07-02", "carrier": "UA", "flight": "1545", "origin": "EWR"},
    slices={"origin": "EWR", "hour": "[17, 24]"},
    label="false",
    candidate=0.8125,
    other=0.0412,
    candidate_says="true",
    other_says="false",
    unusual=(
        UnusualInput("temp", "99.86", "78.08", 0.0004),
        UnusualInput("carrier", "HA", "UA", 0.0009),
    ),
)


def comparison(*, worse: bool = False) -> Comparison:
    inputs = (
        InputColumn("carrier", "string"),
        InputColumn("hour", "long"),
        InputColumn("temp", "double"),
    )
    facts = ModelFacts(True, 169_480, 96, 2.14, 1_412_000, inputs, ("false", "true"), 0.3)
    twins = Twins(rows=61_204, twins=812, expected=0.0149, beyond=0.0)
    return Comparison(
        model="delay",
        task="binary",
        label="late",
        primary="roc_auc",
        classes=("false", "true"),
        level=0.95,
        holdout=HoldoutFacts("8c41d90fe3b2aa10", 61_300, 61_204, "flight_date", 31),
        models={
            "candidate": dataclasses.replace(facts, twins=twins),
            "champion": dataclasses.replace(facts, trained_on=140_055, seen=0, latency_ms=2.02),
            "base": dataclasses.replace(facts, trained_on=140_055, seen=0, latency_ms=2.02),
        },
        metrics=metrics(worse=worse),
        slices=slices(worse=worse),
        slice_level=0.9979,
        slice_adjustment="Bonferroni over 12 slices × 2 metrics: each interval at 99.79 %",
        flips={"champion": flips()},
        examples={"champion": (EXAMPLE, dataclasses.replace(EXAMPLE, row=58_011, unusual=()))},
        calibration={"candidate": calibration(1.02), "champion": calibration(0.86)},
        roc={"candidate": curve(0.7335 if worse else 0.7511), "champion": curve(0.7423)},
        pr={
            "candidate": recall_precision(0.7335 if worse else 0.7511, 0.21),
            "champion": recall_precision(0.7423, 0.21),
        },
        confusion={
            "candidate": Confusion(("false", "true"), ((38_211, 10_140), (4_226, 8_627))),
            "champion": Confusion(("false", "true"), ((38_120, 10_231), (4_244, 8_609))),
        },
        labels=(LabelCount("false", 48_351, 0.79), LabelCount("true", 12_853, 0.21)),
    )


def flips() -> Flips:
    by_slice = (
        SliceFlips("origin", "EWR", 21410, 120, 30, 90),
        SliceFlips("origin", "JFK", 20150, 142, 40, 102),
        SliceFlips("origin", "LGA", 19644, 150, 80, 70),
    )
    return Flips(61_204, 412, 150, 262, by_slice)


CHANGES = (
    Change("drop", "data/raw/flights/2013-07.csv.dvc", "drop 2013-07.csv", None,
           "7d793037a0760186574b0282f2f435e7", ("snapshot", "train", "evaluate")),
    Change("params", "params.yaml", "train.learning_rate", "0.1", "0.05", ("train", "evaluate")),
)  # fmt: skip

DATA = (
    DataChange(
        table="flights",
        drops_added=("2013-07",),
        rows_added=29_425,
        rows_removed=0,
        rows=195_583,
        drift=("dep_hour: PSI 0.04, Kolmogorov-Smirnov p = 2e-12",),
    ),
)

PASS = Report(
    model="delay",
    kind=Situation.CHANGE,
    subject=EvaluatedTree(
        tree="0f3b7c5f2d1e4a6b8c9d0e1f2a3b4c5d6e7f8091",
        commit="9c1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f6a7b8c9d",
        pull_request=12,
        branch="main",
        base="41b7a90c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f70",
        base_fingerprint="b" * 64,
    ),
    evaluated_at="2026-11-03T14:02:11+00:00",
    fingerprint="3f2ac1d09b7e" + "0" * 52,
    champion=ChampionVersion(3, "b" * 64, "41b7a90c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f70", 9),
    comparison=comparison(),
    judgement=Judgement(
        Verdict(
            "pass",
            (
                Reason("margin", "pass", "ROC AUC is not worse than v3's by more than 0.005",
                       "roc_auc", None, "champion", {"low": 0.0057, "margin": 0.005}),
                Reason("at_least", "pass", "ROC AUC 0.751 is at least 0.6", "roc_auc"),
                Reason("at_least", "pass", "recall 0.58 at origin = LGA is at least 0.2",
                       "recall", "origin = LGA"),
                Reason("latency", "pass", "2.14 ms for one row, at most 50 ms"),
            ),
        )
    ),
    run=TrackedRun("3f2a9be04a6c4d5b8f60a1c2d3e4f506", None, trained=True, seconds=48.2),
    oldest_row="2013-01-04",
    newest_row="2013-07-29",
    rows_before=52_127,
    changes=CHANGES,
    data=DATA,
    on_merge=OnMerge(4, replaces=3, rollback=3),
)  # fmt: skip

FAIL = dataclasses.replace(
    PASS,
    comparison=comparison(worse=True),
    judgement=Judgement(
        Verdict(
            "fail",
            (
                Reason("margin", "fail",
                       "ROC AUC is worse than v3's by more than 0.005: −0.009 ± 0.003",
                       "roc_auc", None, "champion"),
                Reason("margin", "fail", "recall at origin = LGA may be 0.049 worse than v3's; the "
                       "margin is 0.04", "recall", "origin = LGA", "champion"),
                Reason("latency", "pass", "2.14 ms for one row, at most 50 ms"),
            ),
        )
    ),
    changes=CHANGES[1:],
    data=(),
)  # fmt: skip

INCONCLUSIVE = dataclasses.replace(
    PASS,
    comparison=dataclasses.replace(
        comparison(),
        metrics=(
            metric(
                "roc_auc",
                {"candidate": 0.7391, "champion": 0.7423, "base": 0.7423},
                {"champion": difference(-0.0032, 0.0064, "unclear", margin=0.005, holds=False,
                                        needed=96, method="DeLong by cluster")},
            ),
            *metrics()[2:],
        ),
        slices=(),
    ),
    judgement=Judgement(
        Verdict(
            "inconclusive",
            (Reason("margin", "inconclusive", "ROC AUC may be worse than v3's by more than 0.005: "
                    "−0.003 ± 0.006; about 96 clusters would tell", "roc_auc", None, "champion"),),
        )
    ),
    run=TrackedRun("77e0c1", "https://mlflow.example.org/#/experiments/1/runs/77e0c1",
                   trained=False, seconds=6.31),
    subject=dataclasses.replace(PASS.subject, behind=2),
    changes=(Change("code", "pipelines/train.py", "train.py", "a1", "b2", ("train", "evaluate")),),
    data=(),
)  # fmt: skip


def first() -> Report:
    alone = comparison()
    only = tuple(
        dataclasses.replace(one, values={"candidate": one.values["candidate"]}, differences={})
        for one in alone.metrics
    )
    return dataclasses.replace(
        PASS,
        kind=Situation.FIRST,
        champion=None,
        comparison=dataclasses.replace(
            alone, metrics=only, slices=(), flips={},
            models={"candidate": alone.models["candidate"]},
            roc={"candidate": alone.roc["candidate"]}, pr={"candidate": alone.pr["candidate"]},
            calibration={"candidate": alone.calibration["candidate"]},
            confusion={"candidate": alone.confusion["candidate"]},
        ),
        judgement=Judgement(
            Verdict("pass", (Reason("at_least", "pass", "ROC AUC 0.751 is at least 0.6"),))
        ),
        changes=(),
        data=(),
        on_merge=OnMerge(1),
        subject=dataclasses.replace(PASS.subject, base=None, base_fingerprint=None),
    )  # fmt: skip


FAILED = Report(
    model="delay",
    kind=Situation.FAILED,
    subject=PASS.subject,
    evaluated_at=PASS.evaluated_at,
    fingerprint=PASS.fingerprint,
    champion=PASS.champion,
    run=TrackedRun(None, seconds=12.9),
    changes=CHANGES[1:],
    failure=Failure(
        "train",
        "`python -m pipelines.train` ended with exit code 1",
        (
            "Traceback (most recent call last):",
            '  File "pipelines/train.py", line 41, in <module>\n    main()\n',
            "ValueError: learning_rate == -0.05, must be > 0\n",
        ),
        "Correct train.learning_rate in params.yaml and push again",
    ),
)

MOVED = dataclasses.replace(
    FAIL,
    judgement=Judgement(
        FAIL.judgement.verdict if FAIL.judgement else Verdict("fail", ()),
        (
            MovedLine("metrics.roc_auc.margin", "0.005", "0.05"),
            MovedLine("improve", "true", "absent"),
        ),
        Verdict("pass", ()),
        base_rows=58_310,
        on_base_rows=Verdict("fail", ()),
    ),
    moved=(Moved("holdout", "pipelines/holdout.py", "the rule that chooses the holdout changed"),),
)  # fmt: skip

NASTY_NAME = (
    "x|y`z``|\\| @octocat #123 GH-7 <img src=x onerror=alert(1)> [a](http://evil.example) "
    "www.evil.example https://evil.example a@b.example --> <!-- $x^2$ :boom: **bold** "
    "\u202egnp.exe\u200b\x07\r\n# title"
)
NASTY = dataclasses.replace(
    PASS,
    model="delay",
    comparison=dataclasses.replace(
        comparison(),
        slices=(
            dataclasses.replace(slices()[2], value=NASTY_NAME),
            dataclasses.replace(slices()[1], value="n" * 10_000),
        ),
        flips={"champion": Flips(10, 3, 2, 1, (SliceFlips("c" * 10_000, NASTY_NAME, 9, 3, 2, 1),))},
    ),
    judgement=Judgement(
        Verdict("fail", (Reason("margin", "fail", f"recall at origin = {NASTY_NAME} is worse"),))
    ),
    subject=dataclasses.replace(PASS.subject, branch=NASTY_NAME),
    changes=(
        Change("params", "params.yaml", NASTY_NAME, "True", "False", ("train",)),
        Change("params", "params.yaml", "train.tiny", "1e-06", "1.2e-06", ("train",)),
        Change("code", f"pipelines/{NASTY_NAME}.py", NASTY_NAME, None, "b", ("train",)),
    ),
    data=(DataChange(NASTY_NAME, (NASTY_NAME,), (), 1, 2, 3, (NASTY_NAME,), (NASTY_NAME,)),),
    moved=(Moved("holdout", NASTY_NAME, NASTY_NAME),),
    run=TrackedRun(NASTY_NAME, "javascript:alert(1)"),
)

SAME = Report(
    model="delay",
    kind=Situation.SAME,
    subject=PASS.subject,
    evaluated_at=PASS.evaluated_at,
    fingerprint="b" * 64,
    champion=PASS.champion,
    run=TrackedRun("3f2a9be0", None, trained=False, seconds=0.4),
    on_merge=OnMerge(None, replaces=3),
)

RESTORE = dataclasses.replace(
    PASS,
    kind=Situation.RESTORE,
    champion=ChampionVersion(5, "c" * 64),
    on_merge=OnMerge(4, replaces=5, rollback=5),
    run=TrackedRun("3f2a9be0", None, trained=False, seconds=3.2),
)

SPLIT = dataclasses.replace(
    PASS,
    attribution=AttributionShares(
        (
            AttributionShare("roc_auc", "ROC AUC", difference(0.0071, 0.0024, "better"),
                  difference(0.0017, 0.0020, "unclear"), difference(0.0088, 0.0031, "better")),
        ),
        "The data alone was trained for this (run 1a2b3c4d).",
    ),
)  # fmt: skip


def unscored() -> Report:
    """The champion takes a column that is gone, and one metric of the candidate is NaN."""
    usual = comparison()
    gone = "it takes the column 'wind_gust', which the holdout does not have"
    unmeasured = tuple(
        dataclasses.replace(
            one,
            values={
                "candidate": one.values["candidate"]
                if one.name == "roc_auc"
                else Measured(None, "nan", "the scorer returned NaN"),
                "champion": Measured(None, "unscored", gone),
            },
            differences={},
        )
        for one in usual.metrics[:2]
    )
    facts = dataclasses.replace(usual.models["champion"], scored=False, latency_ms=None)
    return dataclasses.replace(
        FAIL,
        comparison=dataclasses.replace(
            usual,
            metrics=unmeasured,
            slices=(),
            flips={},
            models={"candidate": usual.models["candidate"], "champion": facts},
            calibration={},
            roc={"candidate": usual.roc["candidate"]},
            pr={},
            confusion={"candidate": usual.confusion["candidate"]},
            problems=(Problem("unscored", "champion", f"v3 cannot score the rows: {gone}"),),
        ),
        judgement=Judgement(
            Verdict(
                "fail",
                (
                    Reason("unscored", "fail", f"v3 cannot score the rows: {gone}"),
                    Reason("missing", "fail", "log loss of this change is NaN", "neg_log_loss"),
                ),
            )
        ),
    )


def regression() -> Report:
    """Minutes of delay: numbers of another size, no decisions, a base that is not the champion."""
    error = MetricResult(
        name="neg_mean_absolute_error",
        label="mean absolute error",
        greater_is_better=True,
        negated=True,
        values={
            "candidate": Measured(-18.4213),
            "champion": Measured(-18.9944),
            "base": Measured(-18.6021),
        },
        differences={
            "champion": difference(0.5731, 0.2204, "better", margin=0.5, holds=True),
            "base": Difference(0.1808, -0.06, 0.35, 0.95, MEAN, "unclear", needed=70,
                               unit="clusters"),
        },
    )  # fmt: skip
    usual = comparison()
    bins = tuple(
        CalibrationBin(-8.0 + 9 * i, 1.0 + 9 * i, 6120, -4.0 + 9 * i, -3.1 + 8.7 * i)
        for i in range(10)
    )
    return dataclasses.replace(
        PASS,
        model="minutes",
        subject=dataclasses.replace(PASS.subject, base_fingerprint="e" * 64),
        comparison=Comparison(
            model="minutes",
            task="regression",
            label="arr_delay",
            primary=error.name,
            classes=(),
            level=0.95,
            holdout=usual.holdout,
            models={
                role: dataclasses.replace(facts, classes=(), decision=None)
                for role, facts in usual.models.items()
            },
            metrics=(error,),
            slices=(
                SliceResult("origin", "JFK", 20150, 31, True, (error,)),
                SliceResult("origin", "EWR", 21410, 31, True, (error,)),
            ),
            slice_level=0.975,
            slice_adjustment="Bonferroni over 2 slices × 1 metric: each interval at 97.5 %",
            calibration={"candidate": bins},
            label_quantiles=LabelQuantiles(-79.0, -17.0, -5.0, 14.0, 1272.0, 6.9),
        ),
        judgement=Judgement(
            Verdict("pass", (Reason("margin", "pass", "mean absolute error is not worse"),))
        ),
    )


def multiclass() -> Report:
    """Four classes: no curves, a matrix."""
    classes = ("early", "on time", "late", "very late")
    counts = ((9_800, 2_100, 300, 20), (1_900, 30_400, 2_700, 150), (210, 3_900, 5_100, 640),
              (15, 402, 890, 1_877))  # fmt: skip
    usual = comparison()
    return dataclasses.replace(
        PASS,
        comparison=dataclasses.replace(
            usual,
            task="multiclass",
            classes=classes,
            roc={},
            pr={},
            metrics=usual.metrics[:2],
            slices=(),
            confusion={"candidate": Confusion(classes, counts)},
            labels=tuple(LabelCount(name, sum(row), sum(row) / 60_404)
                         for name, row in zip(classes, counts, strict=True)),
        ),
    )  # fmt: skip


def unreleased() -> Report:
    """Many small steps down, on top of a move of the holdout that main was refused."""
    comparison = FAIL.comparison
    assert comparison is not None
    since = difference(-0.0210, 0.0040, "worse", margin=0.005, holds=False)
    auc = comparison.metrics[0]
    metrics = (
        dataclasses.replace(auc, differences={**auc.differences, "reference": since}),
        *comparison.metrics[1:],
    )
    models = {**comparison.models, "reference": comparison.models["champion"]}
    moves = "what makes the holdout is edited (pipelines/holdout.py: holdout.py changed)"
    waits = f"{moves}; a person with write access must approve that"
    sums = "ROC AUC is worse by more than 0.005: −0.021 ± 0.004 against the reference"
    reasons = (
        Reason("margin", "fail", sums, "roc_auc", against="reference"),
        Reason("holdout_moved", "inconclusive", waits),
    )
    return dataclasses.replace(
        FAIL,
        comparison=dataclasses.replace(comparison, metrics=metrics, models=models),
        judgement=Judgement(Verdict("fail", reasons), holdout_moved=moves),
        moved=(Moved("holdout", "pipelines/holdout.py", "holdout.py changed"),),
        reference=ReferenceVersion(1, "a" * 64, "better", 2),
        look=12,
        unreleased=UnreleasedBase("b" * 40, f"the gate said inconclusive: {waits}"),
        holdout_move=HoldoutMove(2, "2026-09-01T10:00:00+00:00", "Ana", 31, "Rex", "new airports"),
        on_merge=OnMerge(4, 3, None),
    )


ALL = {
    "pass": PASS, "fail": FAIL, "inconclusive": INCONCLUSIVE, "first": first(), "failed": FAILED,
    "moved": MOVED, "nasty": NASTY, "same": SAME, "restore": RESTORE, "split": SPLIT,
    "unscored": unscored(), "regression": regression(), "multiclass": multiclass(),
    "unreleased": unreleased(),
}  # fmt: skip
