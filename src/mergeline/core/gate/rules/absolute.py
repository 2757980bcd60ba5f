"""Rules on the candidate by itself: its predictions, values, cost, columns and the rows' age."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mergeline.core.compare.result import Measured, MetricResult
from mergeline.core.declare.model import Bar
from mergeline.core.gate.subject import Judged, candidate_value, ends
from mergeline.core.gate.verdict import Reason, Situation, VerdictWord
from mergeline.core.numbers import beside, counted, given, ordinal, share

TWIN_ROWS = 0.01
"""Where a gate does not say which share of twins it allows; docs/verdict.md says why so much."""
NOTED_ONLY = ("trained_on_holdout", "unknown_training_rows")
"""Problems of another model that are told, and do not keep it from being compared with."""


def problems(judged: Judged) -> Iterator[Reason]:
    """The holdout, the candidate's predictions and its training rows are fit to compare."""
    for problem in judged.comparison.problems:
        if problem.role is None or problem.role == "candidate":
            yield Reason(problem.kind, "fail", problem.text)
        elif problem.kind in NOTED_ONLY:
            yield Reason(problem.kind, "pass", problem.text, against=problem.role)
    if judged.candidate is None:
        yield Reason("unscored", "fail", "there is no candidate")


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
    """The candidate's values are within `at_least` and `at_most`; a first model has own bars."""
    first = judged.gate.first if judged.context.kind is Situation.FIRST else {}
    for name, bar in {**judged.gate.metrics, **first}.items():
        metric = judged.comparison.metric(name)
        value = None if metric is None else candidate_value(metric)
        if metric is not None and value is not None:
            yield from bounds("threshold", metric, value, bar)


def bounds(
    rule: str, metric: MetricResult, value: float, bar: Bar, where: str | None = None
) -> Iterator[Reason]:
    """Hold a value against a bar's bounds; a loss is told without its turned sign.

    Value and bar are in the metric's own sign; `where` is the slice, None over all rows.
    """
    sign = -1 if metric.negated else 1
    at = f" at {where}" if where else ""
    for bound, word in ((bar.at_least, "least"), (bar.at_most, "most")):
        if bound is None:
            continue
        holds = value >= bound if word == "least" else value <= bound
        wanted = word if sign > 0 else "most"
        text = (
            f"{metric.label}{at} is {beside(sign * value, sign * bound)}, "
            f"at {wanted} {given(sign * bound)} is required"
        )
        numbers = {"value": value, f"at_{word}": bound}
        yield Reason(rule, "pass" if holds else "fail", text, metric.name, where, numbers=numbers)


def ceilings(judged: Judged) -> Iterator[Reason]:
    """The model costs no more time and memory than the gate allows."""
    facts, gate = judged.candidate, judged.gate
    latency = facts.latency_ms if facts else None
    megabytes = facts.size_bytes / 1e6 if facts and facts.size_bytes is not None else None
    load, memory = (facts.load_s, facts.memory_mb) if facts else (None, None)
    yield from _ceiling("latency", "one row's prediction takes", latency, "ms", gate.latency_ms)
    yield from _ceiling("size", "the model's files take", megabytes, "MB", gate.size_mb)
    yield from _ceiling("load", "the model takes to load", load, "s", gate.load_s)
    yield from _ceiling("memory", "its process holds", memory, "MB", gate.memory_mb)


def _ceiling(
    rule: str, what: str, value: float | None, unit: str, ceiling: float | None
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


def twin_rows(judged: Judged) -> Iterator[Reason]:
    """Few rows of the holdout have the inputs of a training row, beyond what is to be expected."""
    facts, declared = judged.candidate, judged.gate.twin_rows
    if facts is None or facts.twins is None:
        if facts is not None and declared is not None:
            text = "its training rows carry no hashes of inputs, though the gate limits twins"
            yield Reason("twin_rows", "fail", text)
        return
    twins, limit = facts.twins, TWIN_ROWS if declared is None else declared
    text = (
        f"{share(twins.twins, twins.rows)} of the holdout's rows have the inputs of a row that the "
        f"candidate was trained on, {share(twins.expected, 1)} are to be expected; at most "
        f"{given(100 * limit)} % more are allowed"
    )
    outcome: VerdictWord = "pass" if twins.beyond <= limit else "fail"
    numbers = {"beyond": twins.beyond, "expected": twins.expected, "at_most": limit}
    yield Reason("twin_rows", outcome, text, numbers=numbers)


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
    fresh = -1 <= age <= limit  # a day ahead is another time zone
    text = f"{counted(age, 'day')} old; {given(limit)} are allowed"
    if age < -1:
        text = "which has not come: its date is wrong"
    yield Reason(
        "freshness", "pass" if fresh else "fail", f"the newest holdout row is of {newest}, {text}",
        numbers={"days": float(age), "at_most": limit},
    )  # fmt: skip


def looks(judged: Judged) -> Iterator[Reason]:
    """The rows were not asked more often than the gate allows; a restore was judged before."""
    limit, look = judged.gate.looks, judged.context.look
    if limit is None or look is None or judged.context.kind is Situation.RESTORE:
        return
    text = f"this is the {ordinal(look)} look at these rows, at most {limit:,} are allowed"
    if look > limit:
        text += ": they are worn out"
    outcome: VerdictWord = "pass" if look <= limit else "inconclusive"
    numbers = {"look": float(look), "at_most": float(limit)}
    yield Reason("looks", outcome, text, numbers=numbers)
