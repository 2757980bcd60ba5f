"""Rules on the candidate beside another model: differences over all rows, and columns.

Bars on a difference look at the interval's end, bars on a value (`absolute`) at the value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import get_args

from mergeline.core.compare.result import Difference, MetricResult, ModelFacts, Other
from mergeline.core.declare.model import Bar
from mergeline.core.gate.rules.absolute import NOTED_ONLY
from mergeline.core.gate.subject import Judged, ends, in_words, oriented
from mergeline.core.gate.verdict import Reason, VerdictWord
from mergeline.core.numbers import given

_MISSING_IS_NAN = {"double", "float"}  # null in any row, required or not
_WIDER: Mapping[str, tuple[str, ...]] = {"integer": ("long", "double"), "float": ("double",)}


def other_models(judged: Judged) -> Iterator[Reason]:
    """The models that the gate compares with exist and scored the rows."""
    if not judged.change:
        return
    bars = [*judged.gate.metrics.values(), *judged.gate.slices.values()]
    held = [bar for bar in bars if bar.margin is not None]
    if judged.gate.primary not in judged.gate.metrics:
        held.append(Bar())
    asked = {"champion", *(other for bar in held for other in judged.measured_from(bar))}
    for other in get_args(Other):
        if other not in asked:
            continue
        facts = judged.comparison.models.get(other)
        if facts is None:
            text = f"there is no {other} to compare with"
            yield Reason(f"{other}_missing", "fail", text, against=other)
        elif not facts.scored:
            texts = (
                problem.text
                for problem in judged.comparison.problems
                if problem.role == other and problem.kind not in NOTED_ONLY
            )
            text = next(texts, f"the {other} could not score the rows")
            # Production was compared with all the same: only the sum since then is not known.
            outcome: VerdictWord = "inconclusive" if other == "reference" else "fail"
            yield Reason(f"{other}_unscored", outcome, text, against=other)


def margins(judged: Judged) -> Iterator[Reason]:
    """Non-inferiority: the interval's worse end is within the margin."""
    if not judged.change:
        return
    for name, bar in judged.gate.metrics.items():
        metric = judged.comparison.metric(name)
        if bar.margin is None or metric is None:
            continue
        for other in judged.measured_from(bar):
            if judged.told_elsewhere(metric, other):
                continue
            difference = metric.differences.get(other)
            if difference is None:
                yield _baseline_missing(metric, other)
            else:
                yield _margin(metric, difference, other, bar.margin)


def _baseline_missing(metric: MetricResult, other: Other) -> Reason:
    value = metric.values.get(other)
    why = value.reason if value else "not measured"
    text = f"{metric.label} of the {other} has no value to compare with: {why}"
    return Reason("baseline_missing", "fail", text, metric.name, against=other)


def _margin(
    metric: MetricResult, difference: Difference, against: Other, margin: float
) -> Reason:  # fmt: skip
    worst, best = oriented(metric, difference)
    outcome: VerdictWord = "inconclusive"
    text = f"{metric.label} cannot be told from the {against}'s: {difference.reason}"
    if worst is not None and best is not None:
        words = "cannot be shown to be not worse by more than"
        if worst >= -margin:
            outcome, words = "pass", "is not worse by more than"
        elif best < -margin:
            outcome, words = "fail", "is worse by more than"
        shown = in_words(metric, difference, margin)
        text = f"{metric.label} {words} {given(margin)}: {shown} against the {against}"
    numbers = ends(difference) | {"margin": margin}
    return Reason("margin", outcome, text, metric.name, against=against, numbers=numbers)


def primary(judged: Judged) -> Iterator[Reason]:
    """Without a margin of its own, the primary metric must not be shown to be worse."""
    bar = judged.gate.metrics.get(judged.gate.primary, Bar())
    metric = judged.comparison.metric(judged.gate.primary)
    measured_from = judged.measured_from(bar)
    if not judged.change or metric is None:
        return
    if bar.margin is None:
        others = measured_from
    else:
        others = () if "champion" in measured_from else ("champion",)
    for other in others:
        difference = metric.differences.get(other)
        if difference is not None:
            yield _primary(metric, difference, other)
        elif not judged.told_elsewhere(metric, other):
            yield _baseline_missing(metric, other)


def _primary(metric: MetricResult, difference: Difference, other: Other) -> Reason:
    _, best = oriented(metric, difference)
    outcome: VerdictWord = "inconclusive"
    words = "cannot be told from"
    if best is not None:
        outcome = "fail" if best < 0 else "pass"
        words = "is worse than" if best < 0 else "is not shown to be worse than"
    return _beside("primary", outcome, words, metric, other=other, difference=difference)


def improve(judged: Judged) -> Iterator[Reason]:
    """Where improvement is required, the primary metric is shown to be better."""
    metric = judged.comparison.metric(judged.gate.primary)
    difference = metric.differences.get("champion") if metric else None
    if not (judged.gate.improve and judged.change) or metric is None or difference is None:
        return
    worst, best = oriented(metric, difference)
    outcome: VerdictWord = "inconclusive"
    words = "cannot be shown to be better than"
    if worst is not None and worst > 0:
        outcome, words = "pass", "is better than"
    elif best is not None and best <= 0:
        outcome, words = "fail", "is no better than"
    yield _beside("improve", outcome, words, metric, other="champion", difference=difference)


def _beside(
    rule: str,
    outcome: VerdictWord,
    words: str,
    metric: MetricResult,
    *,
    other: Other,
    difference: Difference,
) -> Reason:
    text = f"{metric.label} {words} the {other}'s: {in_words(metric, difference)}"
    return Reason(rule, outcome, text, metric.name, against=other, numbers=ends(difference))


def schema(judged: Judged) -> Iterator[Reason]:
    """Whoever calls the champion can call the candidate with the same columns.

    Those that the candidate no longer takes are ignored where it is served.
    """
    candidate, champion = judged.candidate, judged.comparison.models.get("champion")
    if judged.gate.schema == "any" or not judged.change or not candidate or not champion:
        return
    broken = list(_incompatible(candidate, champion))
    for text in broken:
        yield Reason("schema", "fail", text)
    if not broken:
        yield Reason("schema", "pass", "the candidate takes no column that the champion does not")


def _incompatible(candidate: ModelFacts, champion: ModelFacts) -> Iterator[str]:
    for role, facts in (("candidate", candidate), ("champion", champion)):
        if not facts.inputs:
            yield f"the {role} does not say which columns it takes"
            return
    given_now = {column.name: column for column in champion.inputs}
    for column in candidate.inputs:
        name, before = column.name, given_now.get(column.name)
        if before is None:
            yield f"the candidate takes a column {name} that the champion does not"
            continue
        if column.type != before.type and column.type not in _WIDER.get(before.type, ()):
            yield f"the candidate takes {name} as {column.type}, the champion as {before.type}"
        if column.required and not before.required:
            absent = "left out" if column.type in _MISSING_IS_NAN else "null or left out"
            yield f"the candidate requires {name}, which the champion lets be {absent}"
