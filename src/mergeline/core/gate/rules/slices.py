"""Rules on slices: a bar that holds over all rows may hide that some rows are hurt."""

from __future__ import annotations

from collections.abc import Iterator

from mergeline.core.compare.result import NOT_EVERY_CLASS, Difference, MetricResult, Other
from mergeline.core.declare.model import Bar
from mergeline.core.gate.rules.absolute import bounds
from mergeline.core.gate.subject import Judged, ends, in_words, oriented, turned
from mergeline.core.gate.verdict import Reason, VerdictWord
from mergeline.core.numbers import given


def slices(judged: Judged) -> Iterator[Reason]:
    """Each bar holds in every slice; the slices where it holds are told together."""
    if not judged.gate.slices or not judged.scored:
        return
    large = [piece for piece in judged.comparison.slices if piece.judged]
    if not large:
        yield Reason("slices", "inconclusive", "no slice has rows enough to be judged")
        return
    for name, bar in judged.gate.slices.items():
        held, label = 0, name
        for piece in large:
            metric = next((metric for metric in piece.metrics if metric.name == name), None)
            if metric is None:
                continue
            where, label = f"{piece.column} = {piece.value}", metric.label
            reasons = _in_slice(judged, metric, bar, where)
            told = [
                one for one in reasons if one.outcome != "pass" or one.rule == "slice_undefined"
            ]
            held += not told
            yield from told
        text = f"{label} holds its bar in {held} of {len(large)} slices"
        yield Reason("slices", "pass", text, name)


def _in_slice(judged: Judged, metric: MetricResult, bar: Bar, where: str) -> Iterator[Reason]:
    value = metric.values.get("candidate")
    if value is None or value.value is None:
        why = value.reason if value else "not measured"
        text = f"{metric.label} at {where} has no value: {why}"
        others = judged.measured_from(bar)
        nobody = all(_nobody_could(metric, other) for other in others)
        outcome: VerdictWord = "pass" if nobody else "inconclusive"
        yield Reason("slice_undefined", outcome, text, metric.name, where)
        return
    yield from bounds("slice_threshold", metric, value.value, bar, where)
    if bar.margin is None or not judged.change:
        return
    for other in judged.measured_from(bar):
        if judged.told_elsewhere(metric, other):
            continue
        difference = metric.differences.get(other)
        if difference is None or difference.estimate is None:
            text = f"{metric.label} at {where} of the {other} has no value to compare with"
            yield Reason("slice_undefined", "inconclusive", text, metric.name, where, other)
        elif turned(metric, difference.estimate) < -bar.margin:
            yield _slice_margin(metric, difference, other, bar.margin, where)


def _nobody_could(metric: MetricResult, other: Other) -> bool:
    """Whether the rows give no model a value, such as those of one class; then nobody is hurt."""
    candidate, before = metric.values.get("candidate"), metric.values.get(other)
    if candidate is None or candidate.absent != "undefined":
        return False
    if before is None:
        return candidate.reason == NOT_EVERY_CLASS
    return before.value is None and before.reason == candidate.reason


def _slice_margin(
    metric: MetricResult, difference: Difference, against: Other, margin: float, where: str
) -> Reason:
    """A slice whose difference is past the margin: refused unless that may well be chance.

    To ask each of many slices for proof that it is no worse would refuse every change. So a slice
    is refused only when it is hurt: its measured difference is past the margin, and its interval,
    widened for all slices together, leaves zero out. If the interval holds zero, the rows cannot
    tell.
    """
    _, best = oriented(metric, difference)
    outcome: VerdictWord = "fail" if best is not None and best < 0 else "inconclusive"
    word = "is worse" if outcome == "fail" else "may be worse"
    text = (
        f"{metric.label} at {where} {word} than the {against}'s by more than "
        f"{given(margin)}: {in_words(metric, difference, margin)}"
    )
    numbers = ends(difference) | {"margin": margin}
    return Reason("slice_margin", outcome, text, metric.name, where, against, numbers)
