"""The declaration of a model, `models/<name>.yaml`: what it predicts, and its gate."""

from __future__ import annotations

import itertools
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import PurePosixPath
from typing import Literal

from mergeline.core.declare.strict import CORRECT, parse_yaml, read_named
from mergeline.errors import DeclarationError

Task = Literal["binary", "multiclass", "regression"]
Role = Literal["candidate", "champion", "base", "reference"]
DECISION = 0.5
"""From which probability on a model says yes, unless its declaration says otherwise."""
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class MetricChoice:
    """A metric by scikit-learn scorer name, or a custom one by import path.

    A custom `name` is `package.module.function`, called as `function(labels, predictions)`.

    Attributes:
        name: of a scikit-learn scorer, such as `roc_auc`, or an import path.
        greater_is_better: of a custom metric; more is better of every scikit-learn scorer.
    """

    name: str
    greater_is_better: bool | None = None

    @property
    def own(self) -> bool:
        """Whether it is the project's own, by import path."""
        return "." in self.name


@dataclass(frozen=True)
class SliceChoice:
    """A column whose values, or `bins` of whose values, make slices.

    Attributes:
        column: of the holdout.
        bins: edges, each above the last; a bin holds its lower edge, and not its upper one.
    """

    column: str
    bins: tuple[float, ...] = ()


@dataclass(frozen=True)
class Bar:
    """What one metric must reach, in its own unit and direction.

    Attributes:
        at_least: for a metric where more is better (scikit-learn's `neg_` losses are such).
        at_most: for a metric where less is better.
        margin: the most that the candidate may be worse than `against`.
        against: the model that the margin is measured from; without one, champion and reference.
    """

    at_least: float | None = None
    at_most: float | None = None
    margin: float | None = None
    against: Literal["champion", "base", "reference"] | None = None

    def measured_from(
        self, roles: Container[Role]
    ) -> tuple[Literal["champion", "base", "reference"], ...]:
        """The models that the margin is measured from, of those that take part.

        Where no reference does, the champion is the reference itself.
        """
        if "reference" not in roles and self.against != "base":
            return ("champion",)
        return ("champion", "reference") if self.against is None else (self.against,)


@dataclass(frozen=True)
class Gate:
    """The policy that a candidate must meet.

    See `core.gate` for what each line means on a comparison.

    Attributes:
        primary: the metric of the headline, one of the model's.
        metrics: the bar of each metric on all rows.
        slices: the bar of a metric in each slice by itself.
        first: the bars of a first release, which has no other model to be held against.
        improve: whether the primary metric must get better, and not only not worse.
        inconclusive: what a comparison that cannot tell amounts to; `ask` for a person's yes.
        latency_ms: at most so many milliseconds for one row, the median.
        size_mb: at most so large a model.
        load_s: at most so many seconds to load it.
        memory_mb: at most so much memory, in MB.
        schema: `compatible` if no column may be taken that production does not need.
        freshness_days: how old the newest row of the holdout may be.
        unavailable: columns that are not known yet when a prediction is asked for; a model that
            takes one is refused.
        looks: how many candidates may be judged on the same rows; each interval is widened so that
            all of so many hold together.
        twin_rows: the largest share of the holdout's rows, beyond what is to be expected, that may
            have the inputs of a training row.
    """

    primary: str
    metrics: Mapping[str, Bar] = field(default_factory=dict)
    slices: Mapping[str, Bar] = field(default_factory=dict)
    first: Mapping[str, Bar] = field(default_factory=dict)
    improve: bool = False
    inconclusive: Literal["pass", "fail", "ask"] = "fail"
    latency_ms: float | None = None
    size_mb: float | None = None
    load_s: float | None = None
    memory_mb: float | None = None
    schema: Literal["compatible", "any"] = "compatible"
    freshness_days: float | None = None
    unavailable: tuple[str, ...] = ()
    looks: int | None = None
    twin_rows: float | None = None


@dataclass(frozen=True)
class Serving:
    """How a model is served.

    Attributes:
        base: the image, by its digest, that its own image begins with.
    """

    base: str


@dataclass(frozen=True)
class Model:
    """One declared model.

    Attributes:
        name: the file's name without `.yaml`.
        task: what is predicted: one of two classes, one of several, or a number.
        stage: the last stage of `dvc.yaml` that makes the model.
        outputs: folder of what its stages leave: `model/`, `holdout.parquet`,
            `training_rows.parquet`.
        label: column of the holdout that is predicted.
        metrics: what is measured, by names of scikit-learn scorers or import paths.
        gate: the policy that a candidate must meet.
        description: for people.
        classes: order of the probability columns; of a binary task the last is the positive one.
        key: columns that name a row.
        cluster: column of rows that are not independent of each other.
        decision: probability from which a binary model says the positive class.
        slices: columns whose values are looked at one by one.
        slice_minimum: rows below which a slice is not judged.
        private: columns of the holdout and of the tables whose values no report may show.
        holdout: whether bundle and store hold the holdout's rows, or only their keys, by which the
            rows are made again from a table.
        attribution: whether a change of data and code is taken apart, which trains once more.
        serving: where an image of it is to be made.
    """

    name: str
    task: Task
    stage: str
    outputs: str
    label: str
    key: tuple[str, ...]
    metrics: tuple[MetricChoice, ...]
    gate: Gate
    description: str = ""
    classes: tuple[bool | int | str, ...] = ()
    cluster: str | None = None
    decision: float = DECISION
    slices: tuple[SliceChoice, ...] = ()
    slice_minimum: int = 200
    private: tuple[str, ...] = ()
    attribution: bool = False
    holdout: Literal["stored", "rebuilt"] = "stored"
    serving: Serving | None = None


def is_name(text: str) -> bool:
    """Whether a model may be called so."""
    return _NAME.fullmatch(text) is not None


def parse_model(name: str, text: bytes | str) -> Model:
    """Read `models/<name>.yaml`.

    Raises:
        DeclarationError: unknown or missing keys, wrong types, or parts that contradict each other.
    """
    where = f"models/{name}.yaml"
    if not is_name(name):
        raise DeclarationError(
            "a model's name is lower-case letters, digits, - and _, at most 63",
            where=where,
            next_step="Rename the file",
        )
    document = parse_yaml(text, where=where)
    for key, short in (("metrics", "name"), ("slices", "column")):
        if isinstance(items := document.get(key), list):
            document[key] = [{short: item} if isinstance(item, str) else item for item in items]
    model = read_named(Model, {"name": name}, document, where=where)
    _check(model, where)
    return model


def _check(model: Model, where: str) -> None:
    names = [metric.name for metric in model.metrics]
    unknown = sorted({name for _, name, _ in _bars(model.gate)} - set(names))
    classes = len(model.classes)
    outputs = PurePosixPath(model.outputs)
    rules = {
        "key: name at least one column": not model.key,
        "metrics: a metric is named twice": len(set(names)) != len(names),
        f"gate.primary: {model.gate.primary!r} is not one of the metrics": (
            model.gate.primary not in names
        ),
        f"gate: no metric {unknown[:1]} is declared under metrics": bool(unknown),
        "classes: a regression has none": model.task == "regression" and classes > 0,
        "classes: a binary task names two, the positive one last": (
            model.task == "binary" and classes != 2
        ),
        "classes: a multiclass task names three or more": (
            model.task == "multiclass" and classes < 3
        ),
        "classes: one is named twice": len(set(model.classes)) != classes,
        "key: a column is named twice": len(set(model.key)) != len(model.key),
        "outputs: a folder of the repository": (
            outputs.is_absolute() or ".." in outputs.parts or not outputs.parts
        ),
        "decision: between 0 and 1": not 0 < model.decision < 1,
    }
    problems = [problem for problem, broken in rules.items() if broken]
    problems += [
        *_private_problems(model),
        *_slice_problems(model),
        *_metric_problems(model),
        *_gate_problems(model.gate),
    ]
    if problems:
        raise DeclarationError(problems[0], where=where, next_step=CORRECT)


def _private_problems(model: Model) -> Iterator[str]:
    """What a report is about cannot be kept out of it."""
    slices = {choice.column for choice in model.slices}
    for name in model.private:
        if name == model.label:
            yield f"private: {name} is the label, whose values every report shows"
        if name in slices:
            yield f"private: {name} is one of the slices, whose values the report shows"
        if name == model.cluster and model.gate.freshness_days is not None:
            yield f"private: gate.freshness_days shows a date of {name}"


def _slice_problems(model: Model) -> Iterator[str]:
    columns = [choice.column for choice in model.slices]
    if len(set(columns)) != len(columns):
        yield "slices: a column is named twice"
    for choice in model.slices:
        edges = choice.bins
        rising = all(a < b for a, b in itertools.pairwise(edges)) and all(map(isfinite, edges))
        if edges and not (len(edges) > 1 and rising):
            yield f"slices: bins of {choice.column}: two edges or more, finite, each above the last"
    if model.slice_minimum < 1:
        yield "slice_minimum: 1 or more"
    if model.gate.slices and not model.slices:
        yield "gate.slices: no slices are declared"


def _metric_problems(model: Model) -> Iterator[str]:
    """A bar that looks the wrong way would let every model pass, or none."""
    more = {}
    for metric in model.metrics:
        if metric.own and metric.greater_is_better is None:
            yield f"metrics: say greater_is_better of {metric.name}"
        if not metric.own and metric.greater_is_better is False:
            yield f"metrics: more is better of {metric.name}, as of every scikit-learn scorer"
        more[metric.name] = metric.greater_is_better is not False
    for key, name, bar in _bars(model.gate):
        if bar.margin is not None and key == "first":
            yield f"gate.first.{name}: there is no other model yet to count a margin from"
        if bar.at_most is not None and more.get(name) is True:
            yield f"gate.{key}.{name}: more is better, so say at_least, in its own sign"
        if bar.at_least is not None and more.get(name) is False:
            yield f"gate.{key}.{name}: less is better, so say at_most"


def _gate_problems(gate: Gate) -> Iterator[str]:
    limits = {
        "latency_ms": gate.latency_ms,
        "size_mb": gate.size_mb,
        "load_s": gate.load_s,
        "memory_mb": gate.memory_mb,
        "freshness_days": gate.freshness_days,
        "twin_rows": gate.twin_rows,
    }
    for key, name, bar in _bars(gate):
        limits[f"{key}.{name}.margin"] = bar.margin
        if not all(isfinite(bound) for bound in (bar.at_least, bar.at_most) if bound is not None):
            yield f"gate.{key}.{name}: a bar is a finite number"
    if gate.looks is not None and gate.looks < 1:
        yield "gate.looks: 1 or more"
    for key, limit in limits.items():
        if limit is not None and not (isfinite(limit) and limit >= 0):
            yield f"gate.{key}: 0 or more, and finite"


def _bars(gate: Gate) -> Iterator[tuple[str, str, Bar]]:
    """Each bar, with the gate's key that it stands under and its metric's name."""
    for key, bars in (("metrics", gate.metrics), ("slices", gate.slices), ("first", gate.first)):
        for name, bar in bars.items():
            yield key, name, bar
