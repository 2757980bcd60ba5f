"""The gate's rules, each a function from the comparison to reasons.

A rule says pass, fail or inconclusive of each thing that it looks at, with the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from mergeline.core.compare.result import (
    Comparison,
    Measured,
    ModelFacts,
    Other,
    Problem,
)
from mergeline.core.declare.model import Gate
from mergeline.core.gate.rules import relative
from mergeline.core.gate.rules import slices as slicerules
from mergeline.core.gate.subject import Judged, candidate_value, ends
from mergeline.core.gate.verdict import Context, Reason, Situation
from mergeline.core.numbers import beside, counted, given

_NOTES = ("trained_on_holdout", "unknown_training_rows")
_MISSING_IS_NAN = {"double", "float"}  # null in any row, required or not
_WIDER: Mapping[str, tuple[str, ...]] = {"integer": ("long", "double"), "float": ("double",)}


def apply(gate: Gate, comparison: Comparison, context: Context) -> list[Reason]:
    """Every rule's reasons."""
    judged = Judged(gate, comparison, context)
    rules = (
        _problems, _others, _absent, _unreadable, _thresholds, relative.margins, relative.primary,
        relative.improve, slicerules.slices, _latency, _size, _leaks, _schema, _freshness,
    )  # fmt: skip
    return [reason for rule in rules for reason in rule(judged)]


def _problems(judged: Judged) -> Iterator[Reason]:
    """What is wrong with the holdout, the candidate's predictions, or its training rows."""
    for problem in judged.comparison.problems:
        if problem.role in {None, "candidate"}:
            yield Reason(problem.kind, "fail", problem.text)
        elif problem.kind in _NOTES:
            yield Reason(problem.kind, "pass", problem.text, against=_other(problem))
    if "candidate" not in judged.comparison.models:
        yield Reason("unscored", "fail", "there is no candidate")


def _others(judged: Judged) -> Iterator[Reason]:
    """The models that the gate compares with are there and scored the rows."""
    if not judged.change:
        return
    for other in _needed(judged.gate):
        facts = judged.comparison.models.get(other)
        if facts is None:
            text = f"there is no {other} to compare with"
            yield Reason(f"{other}_missing", "fail", text, against=other)
        elif not facts.scored:
            text = next(
                (
                    p.text
                    for p in judged.comparison.problems
                    if p.role == other and p.kind not in _NOTES
                ),
                f"the {other} could not score the rows",
            )
            yield Reason(f"{other}_unscored", "fail", text, against=other)


def _needed(gate: Gate) -> tuple[Other, ...]:
    bars = [*gate.metrics.values(), *gate.slices.values()]
    base = any(bar.margin is not None and bar.against == "base" for bar in bars)
    return ("champion", "base") if base else ("champion",)


def _absent(judged: Judged) -> Iterator[Reason]:
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


def _unreadable(judged: Judged) -> Iterator[Reason]:
    """A comparison that was read from a file may hold what `compare` never writes."""
    for metric in judged.comparison.metrics:
        for other, difference in metric.differences.items():
            if not all(math.isfinite(number) for number in ends(difference).values()):
                text = f"{metric.label}'s difference from the {other} is not finite"
                yield Reason("metric_nan", "fail", text, metric.name, against=other)


def _thresholds(judged: Judged) -> Iterator[Reason]:
    for name, bar in judged.absolute_bars().items():
        metric = judged.comparison.metric(name)
        value = None if metric is None else candidate_value(metric)
        if metric is not None and value is not None:
            yield from relative.threshold("threshold", metric, value, bar)


def _latency(judged: Judged) -> Iterator[Reason]:
    facts = judged.comparison.models.get("candidate")
    value = None if facts is None else facts.latency_ms
    yield from _ceiling(
        "latency", "one row's prediction takes", "ms", value, judged.gate.latency_ms
    )


def _size(judged: Judged) -> Iterator[Reason]:
    facts = judged.comparison.models.get("candidate")
    value = None if facts is None or facts.size_bytes is None else facts.size_bytes / 1e6
    yield from _ceiling("size", "the model's files take", "MB", value, judged.gate.size_mb)


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


def _leaks(judged: Judged) -> Iterator[Reason]:
    facts = judged.comparison.models.get("candidate")
    for column in facts.inputs if facts else ():
        if column.name == judged.comparison.label:
            yield Reason("leak", "fail", f"the candidate takes {column.name}, which is the label")
        elif column.name in judged.gate.unavailable:
            text = f"the candidate takes {column.name}, which is not known when it is asked"
            yield Reason("leak", "fail", text)
    for text in judged.context.leaks:
        yield Reason("leak", "fail", text)


def _schema(judged: Judged) -> Iterator[Reason]:
    """Whoever calls the champion can call the candidate with the same columns.

    Those that the candidate no longer takes are ignored where it is served.
    """
    facts = judged.comparison.models.get("candidate")
    champion = judged.comparison.models.get("champion")
    if judged.gate.schema == "any" or not judged.change or facts is None or champion is None:
        return
    broken = list(_incompatible(facts, champion))
    for text in broken:
        yield Reason("schema", "fail", text)
    if not broken:
        yield Reason("schema", "pass", "the candidate takes no column that the champion does not")


def _incompatible(facts: ModelFacts, champion: ModelFacts) -> Iterator[str]:
    for role, one in (("candidate", facts), ("champion", champion)):
        if not one.inputs:
            yield f"the {role} does not say which columns it takes"
            return
    given = {column.name: column for column in champion.inputs}
    for column in facts.inputs:
        name, before = column.name, given.get(column.name)
        if before is None:
            yield f"the candidate takes a column {name} that the champion does not"
            continue
        if column.type != before.type and column.type not in _WIDER.get(before.type, ()):
            yield f"the candidate takes {name} as {column.type}, the champion as {before.type}"
        if column.required and not before.required:
            absent = "left out" if column.type in _MISSING_IS_NAN else "null or left out"
            yield f"the candidate requires {name}, which the champion lets be {absent}"


def _freshness(judged: Judged) -> Iterator[Reason]:
    limit = judged.gate.freshness_days
    if limit is None or judged.context.kind is Situation.RESTORE:
        return
    newest, today = judged.context.newest_row, judged.context.evaluated_on
    if newest is None or today is None:
        text = "the date of the newest holdout row is not known, though the gate limits its age"
        yield Reason("freshness", "fail", text)
        return
    age = (today - newest).days
    if age < -1:  # a day ahead is another time zone
        text = f"the newest holdout row is of {newest}, which has not come: its date is wrong"
        yield Reason("freshness", "fail", text, numbers={"days": float(age), "at_most": limit})
        return
    old = counted(age, "day")
    text = f"the newest holdout row is of {newest}, {old} old; {given(limit)} are allowed"
    numbers = {"days": float(age), "at_most": limit}
    yield Reason("freshness", "pass" if age <= limit else "fail", text, numbers=numbers)


def _other(problem: Problem) -> Other | None:
    return problem.role if problem.role in {"champion", "base"} else None
