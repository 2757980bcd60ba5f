"""The data of a comparison: what goes in and what comes out.

`Holdout` and `Scored` go in and hold arrays. `Comparison` comes out and is plain data: it can be
written with `declare.strict.write_json` and read back. A number that could not be measured is None
with a reason beside it, never NaN.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mergeline.core.declare.model import Role, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Other = Literal["champion", "base", "reference"]
Outcome = Literal["better", "worse", "same", "unclear"]
LEVEL = 0.95
"""Of intervals over all rows."""
UNJUDGED = 50
"""How many slices of a column without enough rows are listed."""
Absent = Literal["", "nan", "infinite", "undefined", "unscored", "failed"]
NOT_EVERY_CLASS = "the rows do not hold every class"
"""Why a metric has no value for any model."""
ProblemKind = Literal[
    "empty_holdout", "one_class_holdout", "missing_labels", "unknown_labels", "missing_slice",
    "missing_clusters", "duplicate_rows", "tampered_holdout", "unscored", "other_rows",
    "wrong_shape", "wrong_classes",
    "nan_predictions", "infinite_predictions", "not_probabilities", "constant_predictions",
    "worse_than_chance", "unknown_training_rows", "trained_on_holdout", "hard_labels",
    "fails_on_single_rows", "depends_on_batch", "unstable", "fails_on_null",
    "fails_when_served",
]  # fmt: skip

CLOSE = 1e-9
"""Relative difference up to which predictions are the same: processors round differently."""


@dataclass(frozen=True)
class Holdout:
    """The rows that every model scores, in one order.

    Attributes:
        row_id: uint64, shape (n,): hash of the key columns.
        labels: shape (n,): values of `Model.classes`, or numbers of a regression.
        digest: `rows_digest(row_id)` as it was recorded with the rows.
        cluster: shape (n,): value or code of the cluster column; None if rows are independent.
        slices: by column, the slice of each row, shape (n,); see `slices.slice_labels`.
        shown: other columns whose values may stand in a report, shape (n,): no private ones.
    """

    row_id: npt.NDArray[np.uint64]
    labels: npt.NDArray[Any]
    digest: str
    cluster: npt.NDArray[Any] | None = None
    slices: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    shown: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class InputColumn:
    """An input column as the model's signature declares it.

    Attributes:
        required: whether a row must have a value; else it may be left out or null.
    """

    name: str
    type: str
    required: bool = True


@dataclass(frozen=True)
class Scored:
    """What one model predicts for the holdout's rows, and what is known of it.

    Attributes:
        rows_digest: `rows_digest` of the rows it scored, in its order.
        predictions: probabilities of shape (n, classes) in the order of `classes`, or a
            regression's numbers of shape (n,); None if it could not score the rows.
        classes: as the model itself names them; empty for a regression.
        problem: why it could not score the rows.
        trained_on: row ids of the rows it was trained on; None if nobody knows.
        latency_ms: median time of one row; None if not measured.
        size_bytes: of the model's files; None if not measured.
        inputs: raw columns it takes.
        threshold: probability from which it decides for the positive class; None: the
            declaration's (`decision` in `models/*.yaml`).
        load_s: seconds that it took to load; None if not measured.
        memory_mb: the most memory that its process held, in 10^6 bytes; None if not measured.
        misbehaviour: what is wrong with its answers when it is asked in other ways.
        twins: rows of the holdout that equal training rows; of the candidate, if known.
    """

    rows_digest: str
    predictions: npt.NDArray[Any] | None
    classes: tuple[bool | int | str, ...] = ()
    problem: str = ""
    trained_on: npt.NDArray[np.uint64] | None = None
    latency_ms: float | None = None
    size_bytes: int | None = None
    inputs: tuple[InputColumn, ...] = ()
    threshold: float | None = None
    load_s: float | None = None
    memory_mb: float | None = None
    misbehaviour: tuple[Problem, ...] = ()
    twins: Twins | None = None


@dataclass(frozen=True)
class Measured:
    """A number, or why there is none."""

    value: float | None
    absent: Absent = ""
    reason: str = ""


@dataclass(frozen=True)
class Difference:
    """The candidate minus another model, paired on the same rows.

    Attributes:
        estimate: candidate − other, in the metric's own unit and sign.
        low, high: ends of the interval at `level`; None if there is none, and `reason` says why.
        method: how the interval was made, in words.
        margin: by how much the gate allows the candidate to be worse than this model.
        margin_holds: whether the interval's worse end is within the margin; None without a margin
            or an interval.
        needed: about how many `unit`s would decide an unclear outcome; None if no number would.
    """

    estimate: float | None
    low: float | None
    high: float | None
    level: float
    method: str
    outcome: Outcome
    margin: float | None = None
    margin_holds: bool | None = None
    needed: int | None = None
    unit: Literal["rows", "clusters"] = "rows"
    reason: str = ""

    def turned(self) -> Difference:
        """The difference of the same metric with its sign turned."""
        return dataclasses.replace(
            self,
            estimate=_minus(self.estimate),
            low=_minus(self.high),
            high=_minus(self.low),
        )


@dataclass(frozen=True)
class MetricResult:
    """One metric over a set of rows.

    Attributes:
        name: as declared.
        label: what a person calls it; a loss is called so once it is `readable()`.
        greater_is_better: for the values as they stand here.
        negated: whether the values are a loss with its sign turned (scikit-learn's `neg_`).
        values: by role, for the models that take part.
        differences: of the candidate from each other model, if both have a value.
    """

    name: str
    label: str
    greater_is_better: bool
    negated: bool
    values: Mapping[Role, Measured]
    differences: Mapping[Other, Difference]

    def readable(self) -> MetricResult:
        """The same with a `neg_` loss turned back into the loss that its label names."""
        if not self.negated:
            return self
        values = {
            role: dataclasses.replace(measured, value=_minus(measured.value))
            for role, measured in self.values.items()
        }
        differences = {other: difference.turned() for other, difference in self.differences.items()}
        return dataclasses.replace(
            self,
            greater_is_better=not self.greater_is_better,
            negated=False,
            values=values,
            differences=differences,
        )


def _minus(number: float | None) -> float | None:
    return None if number is None else 0.0 - number


@dataclass(frozen=True)
class SliceResult:
    """The metrics on the rows of one slice, `column` = `value`.

    Its intervals are at `Comparison.slice_level`. A slice below the declared minimum is listed
    with `judged` False, without metrics or clusters (the largest `UNJUDGED` of a column).
    """

    column: str
    value: str
    rows: int
    clusters: int | None
    judged: bool
    metrics: tuple[MetricResult, ...] = ()


@dataclass(frozen=True)
class SliceFlips:
    """Rows of the slice `column` = `value` that the candidate decides differently."""

    column: str
    value: str
    rows: int
    changed: int
    right_to_wrong: int
    wrong_to_right: int


@dataclass(frozen=True)
class Flips:
    """Rows that the candidate decides differently from another model."""

    rows: int
    changed: int
    right_to_wrong: int
    wrong_to_right: int
    slices: tuple[SliceFlips, ...] = ()


@dataclass(frozen=True)
class UnusualInput:
    """An input of one row that is far from typical.

    Attributes:
        typical: the median, or the most common value.
        share: of all rows, those as far from typical; of values that are no numbers, as rare.
    """

    name: str
    value: str
    typical: str
    share: float


@dataclass(frozen=True)
class Example:
    """A row of which the candidate says something else than another model.

    Attributes:
        row: its place in the holdout, from 0.
        key, slices: values by column, those that are not private.
        candidate, other: probability of the positive class, with several classes of the row's own;
            of a regression, the number.
        candidate_says, other_says: the class that each decides for; empty for a regression.
    """

    row: int
    key: Mapping[str, str]
    slices: Mapping[str, str]
    label: str
    candidate: float
    other: float
    candidate_says: str = ""
    other_says: str = ""
    unusual: tuple[UnusualInput, ...] = ()


@dataclass(frozen=True)
class CalibrationBin:
    """Rows whose prediction lies in [low, high], as many in each bin as ties allow.

    Attributes:
        predicted: mean probability of the positive class; with several classes, of the class
            decided for; for a regression, mean number.
        observed: share of rows where it came true; for a regression, the mean label.
    """

    low: float
    high: float
    rows: int
    predicted: float
    observed: float


@dataclass(frozen=True)
class Confusion:
    """`counts[i][j]`: rows of class `classes[i]` for which the model says `classes[j]`."""

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class LabelCount:
    """Rows of one class in the rows used."""

    label: str
    rows: int
    share: float


@dataclass(frozen=True)
class LabelQuantiles:
    """Distribution of a regression's label in the rows used."""

    minimum: float
    quarter: float
    median: float
    three_quarters: float
    maximum: float
    mean: float


@dataclass(frozen=True)
class HoldoutFacts:
    """Which rows were compared.

    Attributes:
        digest: of all rows of the holdout.
        rows: how many it has; `used`: how many of them no model was trained on.
        clusters: how many clusters the rows used come from; None if rows are independent.
    """

    digest: str
    rows: int
    used: int
    cluster_column: str | None
    clusters: int | None


@dataclass(frozen=True)
class Twins:
    """How many rows of the holdout have the same inputs as a row that a model was trained on.

    Attributes:
        rows: of the holdout, without those that it was itself trained on.
        expected: share of rows that have the inputs of another among the training rows, or among
            the holdout's: the larger one.
        beyond: share of rows that are surely more than that; 0 where chance may explain them.
    """

    rows: int
    twins: int
    expected: float
    beyond: float


@dataclass(frozen=True)
class ModelFacts:
    """What is known of one model beside its metrics.

    Attributes:
        scored: whether its predictions could be used.
        trained_on: how many rows it was trained on; `seen`: how many of them are in the holdout
            (left out for every model). None if nobody knows.
        decision: the threshold by which it decides (`decision` in `models/*.yaml`); binary only.
        twins: of the candidate; None where its training rows carry no hashes of their inputs.
    """

    scored: bool
    trained_on: int | None
    seen: int | None
    latency_ms: float | None
    size_bytes: int | None
    inputs: tuple[InputColumn, ...]
    classes: tuple[str, ...]
    decision: float | None
    load_s: float | None = None
    memory_mb: float | None = None
    twins: Twins | None = None


@dataclass(frozen=True)
class Problem:
    """Something that makes the holdout (`role` None) or a model's predictions unfit."""

    kind: ProblemKind
    role: Role | None
    text: str


@dataclass(frozen=True)
class Comparison:
    """What the models do on the same rows.

    Attributes:
        level: of the intervals in `metrics`.
        slice_level: of the intervals in `slices`; `slice_adjustment` explains it.
        flips: by the model that the candidate is compared with; empty for a regression.
        examples: the rows that moved most from the champion's, else the base's.
        roc: points of false-positive rate and true-positive rate, at most 100; binary only.
        pr: points of recall and precision, likewise.
        labels: of a classification; `label_quantiles` of a regression.
    """

    model: str
    task: Task
    label: str
    primary: str
    classes: tuple[str, ...]
    level: float
    holdout: HoldoutFacts
    models: Mapping[Role, ModelFacts]
    metrics: tuple[MetricResult, ...]
    slices: tuple[SliceResult, ...] = ()
    slice_level: float | None = None
    slice_adjustment: str = ""
    flips: Mapping[Other, Flips] = field(default_factory=dict)
    examples: Mapping[Other, tuple[Example, ...]] = field(default_factory=dict)
    calibration: Mapping[Role, tuple[CalibrationBin, ...]] = field(default_factory=dict)
    roc: Mapping[Role, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    pr: Mapping[Role, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    confusion: Mapping[Role, Confusion] = field(default_factory=dict)
    labels: tuple[LabelCount, ...] = ()
    label_quantiles: LabelQuantiles | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def shown_better(self) -> bool:
        """Whether the primary metric is shown better than the champion's.

        One that is still below the reference does not count: else steps down and one small step
        up, over and over, would lower what the next step is measured from.
        """
        primary = self.metric(self.primary)
        if primary is None or "champion" not in primary.differences:
            return False
        since = primary.differences.get("reference")
        gain = 0.0 if since is None or since.estimate is None else since.estimate
        lost = gain < 0 if primary.greater_is_better else gain > 0
        return primary.differences["champion"].outcome == "better" and not lost

    def metric(self, name: str) -> MetricResult | None:
        """The result of the metric declared as `name`, if it was computed."""
        return next((metric for metric in self.metrics if metric.name == name), None)
