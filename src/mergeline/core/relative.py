"""Rules on how the candidate differs from another model: over all rows, and in each slice.

Bars on a difference look at the interval's end, bars on a value at the value.
"""

from __future__ import annotations

from collections.abc import Iterator

from mergeline.core.case import Case, ends, in_words, measured, oriented, turned
from mergeline.core.comparison import Difference, MetricResult, Other
from mergeline.core.model import Bar
from mergeline.core.numbers import given
from mergeline.core.verdict import Decision, Reason


def margins(case: Case) -> Iterator[Reason]:
    """Non-inferiority: the interval's worse end is within the margin."""
    if not case.change:
        return
    for name, bar in case.gate.metrics.items():
        metric = case.comparison.metric(name)
        if bar.margin is None or metric is None or case.gone(metric, bar.against):
            continue
        difference = metric.differences.get(bar.against)
        if difference is None:
            yield _baseline_missing(metric, bar.against)
        else:
            yield _margin(metric, difference, bar.against, bar.margin)


def _baseline_missing(metric: MetricResult, other: Other) -> Reason:
    value = metric.values.get(other)
    why = value.reason if value else "not measured"
    text = f"{metric.label} of the {other} has no value to compare with: {why}"
    return Reason("baseline_missing", "fail", text, metric.name, against=other)


def _margin(
    metric: MetricResult, difference: Difference, against: Other, margin: float
) -> Reason:  # fmt: skip
    worst, best = oriented(metric, difference)
    outcome: Decision = "inconclusive"
    text = f"{metric.label} cannot be told from the {against}'s: {difference.reason}"
    if worst is not None and best is not None:
        said = f"{in_words(metric, difference)} against the {against}"
        if worst >= -margin:
            outcome, word = "pass", "is not worse by more than"
        elif best < -margin:
            outcome, word = "fail", "is worse by more than"
        else:
            word = "cannot be shown to be not worse by more than"
        text = f"{metric.label} {word} {given(margin)}: {said}"
    numbers = ends(difference) | {"margin": margin}
    return Reason("margin", outcome, text, metric.name, against=against, numbers=numbers)


def primary(case: Case) -> Iterator[Reason]:
    """Without a margin of its own, the primary metric must not be shown to be worse."""
    bar = case.gate.metrics.get(case.gate.primary, Bar())
    if not case.change or (bar.margin is not None and bar.against == "champion"):
        return
    found = _primary_difference(case)
    if found is None:
        metric = case.comparison.metric(case.gate.primary)
        if metric is not None and not case.gone(metric, "champion"):
            yield _baseline_missing(metric, "champion")
        return
    metric, difference = found
    _, best = oriented(metric, difference)
    if best is not None and best < 0:
        text = f"{metric.label} is worse than the champion's: {in_words(metric, difference)}"
        yield Reason(
            "primary", "fail", text, metric.name, against="champion", numbers=ends(difference)
        )


def improve(case: Case) -> Iterator[Reason]:
    """Where improvement is required, the primary metric is shown to be better."""
    found = _primary_difference(case)
    if not case.gate.improve or found is None:
        return
    metric, difference = found
    worst, best = oriented(metric, difference)
    outcome: Decision = "inconclusive"
    text = f"{metric.label} cannot be shown to be better: {difference.reason}"
    if worst is not None and best is not None:
        said = in_words(metric, difference)
        if worst > 0:
            outcome, text = "pass", f"{metric.label} is better than the champion's: {said}"
        elif best <= 0:
            outcome, text = "fail", f"{metric.label} is no better than the champion's: {said}"
        else:
            text = f"{metric.label} cannot be shown to be better than the champion's: {said}"
    yield Reason(
        "improve", outcome, text, metric.name, against="champion", numbers=ends(difference)
    )


def _primary_difference(case: Case) -> tuple[MetricResult, Difference] | None:
    metric = case.comparison.metric(case.gate.primary)
    if not case.change or metric is None or "champion" not in metric.differences:
        return None
    return metric, metric.differences["champion"]


def slices(case: Case) -> Iterator[Reason]:
    """Bars that hold in every slice; those that hold are said together."""
    if not case.gate.slices or not case.scored:
        return
    judged = [one for one in case.comparison.slices if one.judged]
    if not judged:
        yield Reason("slices", "inconclusive", "no slice has rows enough to be judged")
        return
    for name, bar in case.gate.slices.items():
        held = 0
        for one in judged:
            metric = next((metric for metric in one.metrics if metric.name == name), None)
            if metric is None:
                continue
            where = f"{one.column} = {one.value}"
            broken = [r for r in _slice(case, metric, bar, where) if r.outcome != "pass"]
            held += not broken
            yield from broken
        text = f"{name} holds its bar in {held} of {len(judged)} slices"
        yield Reason("slices", "pass", text, name)


def _slice(case: Case, metric: MetricResult, bar: Bar, where: str) -> Iterator[Reason]:
    value = metric.values.get("candidate")
    if value is None or value.value is None:
        why = value.reason if value else "not measured"
        text = f"{metric.label} at {where} has no value: {why}"
        yield Reason("slice_undefined", "inconclusive", text, metric.name, where)
        return
    yield from threshold("slice_threshold", metric, value.value, bar, where)
    if bar.margin is None or not case.change or case.gone(metric, bar.against):
        return
    difference = metric.differences.get(bar.against)
    if difference is None or difference.estimate is None:
        text = f"{metric.label} at {where} of the {bar.against} has no value to compare with"
        yield Reason("slice_undefined", "inconclusive", text, metric.name, where, bar.against)
        return
    if turned(metric, difference.estimate) < -bar.margin:
        yield _slice_margin(metric, difference, bar.against, bar.margin, where)


def _slice_margin(
    metric: MetricResult, difference: Difference, against: Other, margin: float, where: str
) -> Reason:
    """A slice whose difference is past the margin: refused unless that may well be chance.

    To ask each of many slices for proof that it is no worse would refuse every change, so a slice
    speaks when it is hurt: its measured difference is past the margin, and its interval, wide
    enough for all slices together, leaves zero out. If the interval holds zero, it cannot tell.
    """
    _, best = oriented(metric, difference)
    outcome: Decision = "fail" if best is not None and best < 0 else "inconclusive"
    word = "is worse" if outcome == "fail" else "may be worse"
    text = (
        f"{metric.label} at {where} {word} than the {against}'s by more than "
        f"{given(margin)}: {in_words(metric, difference)}"
    )
    numbers = ends(difference) | {"margin": margin}
    return Reason("slice_margin", outcome, text, metric.name, where, against, numbers)


def threshold(
    rule: str, metric: MetricResult, value: float, bar: Bar, where: str | None = None
) -> Iterator[Reason]:
    """A value against the bar's bounds, which a loss with its sign turned is read without."""
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
            f"{metric.label}{at} is {measured(sign * value)}, "
            f"at {wanted} {given(sign * bound)} is required"
        )
        yield Reason(
            rule, "pass" if holds else "fail", text, metric.name, where,
            numbers={"value": value, f"at_{word}": bound},
        )  # fmt: skip
