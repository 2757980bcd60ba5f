"""Rules on the candidate by itself: its predictions, values, cost, columns and the rows' age."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mergeline.core.compare.result import Measured, MetricResult, Problem
from mergeline.core.declare.model import Bar
from mergeline.core.gate.subject import Judged, candidate_value, ends
from mergeline.core.gate.verdict import Reason, Situation
from mergeline.core.numbers import beside, counted, given

NOTED_ONLY = ("trained_on_holdout", "unknown_training_rows")
"""Problems of another model that are told, and do not keep it from being compared with."""


def problems(judged: Judged) -> Iterator[Reason]:
    """The holdout, the candidate's predictions and its training rows are fit to compare."""
    for problem in judged.comparison.problems:
        if problem.role in {None, "candidate"}:
            yield Reason(problem.kind, "fail", problem.text)
        elif problem.kind in NOTED_ONLY:
            yield _note(problem)
    if judged.candidate is None:
        yield Reason("unscored", "fail", "there is no candidate")


def _note(problem: Problem) -> Reason:
    other = problem.role if problem.role in {"champion", "base"} else None
    return Reason(problem.kind, "pass", problem.text, against=other)


def values_exist(judged: Judged) -> Iterator[Reason]:
    """Every metric, measured or named by the gate, has a value for the candidate."""
    if not judged.scored:
        return
    known = {metric.name: metric for metric in judged.comparison.metrics}
    named = (judged.gate.primary, *judged.gate.metrics, *judged.gate.first, *judged.gate.slices)
    for name in dict.fromkeys([*known, *named]):
        if name not in known:
            text = f"{name} was not measured, though the gate names it"
            yield Reason("metric_missing", "fail", text, metric=name)
            continue
        value = known[name].values.get("candidate", Measured(None, "undefined", "not measured"))
        if value.value is None or not math.isfinite(value.value):
            text = f"{known[name].label} has no value: {value.reason}"
            yield Reason(f"metric_{value.absent or 'nan'}", "fail", text, metric=name)


def differences_are_finite(judged: Judged) -> Iterator[Reason]:
    """A comparison that was read from a file may hold what `compare` never writes."""
    for metric in judged.comparison.metrics:
        for other, difference in metric.differences.items():
            if not all(math.isfinite(number) for number in ends(difference).values()):
                text = f"{metric.label}'s difference from the {other} is not finite"
                yield Reason("metric_nan", "fail", text, metric.name, against=other)


def values_within_bounds(judged: Judged) -> Iterator[Reason]:
    """The candidate's values are within `at_least` and `at_most`."""
    for name, bar in judged.absolute_bars().items():
        metric = judged.comparison.metric(name)
        value = None if metric is None else candidate_value(metric)
        if metric is not None and value is not None:
            yield from bounds("threshold", metric, value, bar)


def bounds(
    rule: str, metric: MetricResult, value: float, bar: Bar, where: str | None = None
) -> Iterator[Reason]:
    """Hold a value against a bar's bounds; a loss is told without its turned sign.

    Args:
        rule: name of the reasons.
        metric: whose value it is.
        value: in the metric's own sign, as the bar.
        bar: with one bound, both or none.
        where: the slice, e.g. `origin = LGA`; None over all rows.
    """
    sign = -1 if metric.negated else 1
    at = f" at {where}" if where else ""
    for bound, holds, word in (
        (bar.at_least, bar.at_least is None or value >= bar.at_least, "least"),
        (bar.at_most, bar.at_most is None or value <= bar.at_most, "most"),
    ):
        if bound is None:
            continue
        wanted = word if sign > 0 else "most"
        text = (
            f"{metric.label}{at} is {beside(sign * value, sign * bound)}, "
            f"at {wanted} {given(sign * bound)} is required"
        )
        yield Reason(
            rule, "pass" if holds else "fail", text, metric.name, where,
            numbers={"value": value, f"at_{word}": bound},
        )  # fmt: skip


def latency_ceiling(judged: Judged) -> Iterator[Reason]:
    """One row's prediction takes no longer than the gate allows."""
    value = judged.candidate.latency_ms if judged.candidate else None
    yield from _ceiling(
        "latency", "one row's prediction takes", "ms", value, judged.gate.latency_ms
    )


def size_ceiling(judged: Judged) -> Iterator[Reason]:
    """The model's files are no larger than the gate allows."""
    value = judged.candidate.size_bytes if judged.candidate else None
    megabytes = None if value is None else value / 1e6
    yield from _ceiling("size", "the model's files take", "MB", megabytes, judged.gate.size_mb)


def load_ceiling(judged: Judged) -> Iterator[Reason]:
    """The model takes no longer to load than the gate allows."""
    value = judged.candidate.load_s if judged.candidate else None
    yield from _ceiling("load", "the model takes to load", "s", value, judged.gate.load_s)


def memory_ceiling(judged: Judged) -> Iterator[Reason]:
    """The process of the model holds no more memory than the gate allows."""
    value = judged.candidate.memory_mb if judged.candidate else None
    yield from _ceiling("memory", "its process holds", "MB", value, judged.gate.memory_mb)


def _ceiling(
    rule: str, what: str, unit: str, value: float | None, ceiling: float | None
) -> Iterator[Reason]:
    if ceiling is None:
        return
    if value is None:
        yield Reason(rule, "fail", f"the {rule} was not measured, though the gate limits it")
        return
    text = f"{what} {beside(value, ceiling)} {unit}, at most {given(ceiling)} {unit} is allowed"
    numbers = {"value": value, "at_most": ceiling}
    yield Reason(rule, "pass" if value <= ceiling else "fail", text, numbers=numbers)


def leaks(judged: Judged) -> Iterator[Reason]:
    """The candidate takes no column that gives the label away or is not known in time."""
    for column in judged.candidate.inputs if judged.candidate else ():
        if column.name == judged.comparison.label:
            yield Reason("leak", "fail", f"the candidate takes {column.name}, which is the label")
        elif column.name in judged.gate.unavailable:
            text = f"the candidate takes {column.name}, which is not known when it is asked"
            yield Reason("leak", "fail", text)
    for text in judged.context.leaks:
        yield Reason("leak", "fail", text)


def freshness(judged: Judged) -> Iterator[Reason]:
    """The newest holdout row is no older than the gate allows; a restore may be of old rows."""
    limit = judged.gate.freshness_days
    if limit is None or judged.context.kind is Situation.RESTORE:
        return
    newest, today = judged.context.newest_row, judged.context.evaluated_on
    if newest is None or today is None:
        text = "the date of the newest holdout row is not known, though the gate limits its age"
        yield Reason("freshness", "fail", text)
        return
    age = (today - newest).days
    numbers = {"days": float(age), "at_most": limit}
    if age < -1:  # a day ahead is another time zone
        text = f"the newest holdout row is of {newest}, which has not come: its date is wrong"
        yield Reason("freshness", "fail", text, numbers=numbers)
        return
    text = (
        f"the newest holdout row is of {newest}, {counted(age, 'day')} old; "
        f"{given(limit)} are allowed"
    )
    yield Reason("freshness", "pass" if age <= limit else "fail", text, numbers=numbers)
