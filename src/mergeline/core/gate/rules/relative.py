"""Rules on how the candidate differs from another model over all rows, and on bounds of a value.

Bars on a difference look at the interval's end, bars on a value at the value.
"""

from __future__ import annotations

from collections.abc import Iterator

from mergeline.core.compare.result import Difference, MetricResult, Other
from mergeline.core.declare.model import Bar
from mergeline.core.gate.subject import Judged, ends, in_words, oriented
from mergeline.core.gate.verdict import Decision, Reason
from mergeline.core.numbers import beside, given


def margins(judged: Judged) -> Iterator[Reason]:
    """Non-inferiority: the interval's worse end is within the margin."""
    if not judged.change:
        return
    for name, bar in judged.gate.metrics.items():
        metric = judged.comparison.metric(name)
        if bar.margin is None or metric is None or judged.gone(metric, bar.against):
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
        said = f"{in_words(metric, difference, margin)} against the {against}"
        if worst >= -margin:
            outcome, word = "pass", "is not worse by more than"
        elif best < -margin:
            outcome, word = "fail", "is worse by more than"
        else:
            word = "cannot be shown to be not worse by more than"
        text = f"{metric.label} {word} {given(margin)}: {said}"
    numbers = ends(difference) | {"margin": margin}
    return Reason("margin", outcome, text, metric.name, against=against, numbers=numbers)


def primary(judged: Judged) -> Iterator[Reason]:
    """Without a margin of its own, the primary metric must not be shown to be worse."""
    bar = judged.gate.metrics.get(judged.gate.primary, Bar())
    if not judged.change or (bar.margin is not None and bar.against == "champion"):
        return
    found = _primary_difference(judged)
    if found is None:
        metric = judged.comparison.metric(judged.gate.primary)
        if metric is not None and not judged.gone(metric, "champion"):
            yield _baseline_missing(metric, "champion")
        return
    metric, difference = found
    _, best = oriented(metric, difference)
    outcome: Decision = "inconclusive"
    text = f"{metric.label} cannot be told from the champion's: {difference.reason}"
    if best is not None:
        outcome = "fail" if best < 0 else "pass"
        word = "is worse" if best < 0 else "is not shown to be worse"
        text = f"{metric.label} {word} than the champion's: {in_words(metric, difference)}"
    yield Reason(
        "primary", outcome, text, metric.name, against="champion", numbers=ends(difference)
    )


def improve(judged: Judged) -> Iterator[Reason]:
    """Where improvement is required, the primary metric is shown to be better."""
    found = _primary_difference(judged)
    if not judged.gate.improve or found is None:
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


def _primary_difference(judged: Judged) -> tuple[MetricResult, Difference] | None:
    metric = judged.comparison.metric(judged.gate.primary)
    if not judged.change or metric is None or "champion" not in metric.differences:
        return None
    return metric, metric.differences["champion"]


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
            f"{metric.label}{at} is {beside(sign * value, sign * bound)}, "
            f"at {wanted} {given(sign * bound)} is required"
        )
        yield Reason(
            rule, "pass" if holds else "fail", text, metric.name, where,
            numbers={"value": value, f"at_{word}": bound},
        )  # fmt: skip
