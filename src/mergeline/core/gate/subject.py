"""What the gate's rules look at, and how they say it."""

from __future__ import annotations

from dataclasses import dataclass

from mergeline.core.compare import digits
from mergeline.core.compare.result import Comparison, Difference, MetricResult, ModelFacts, Other
from mergeline.core.declare.model import Bar, Gate
from mergeline.core.gate.verdict import Context, Situation


@dataclass(frozen=True)
class Judged:
    """What a rule looks at."""

    gate: Gate
    comparison: Comparison
    context: Context

    @property
    def change(self) -> bool:
        """Whether a champion stands to be replaced, which the candidate is held against."""
        return self.context.kind is Situation.CHANGE

    @property
    def candidate(self) -> ModelFacts | None:
        """What is known of the candidate beside its metrics."""
        return self.comparison.models.get("candidate")

    @property
    def scored(self) -> bool:
        """Whether the candidate has predictions to measure."""
        facts = self.candidate
        return facts is not None and facts.scored and self.comparison.holdout.used > 0

    def measured_from(self, bar: Bar) -> tuple[Other, ...]:
        """The models that a bar's margin is measured from."""
        return bar.measured_from(self.comparison.models)

    def told_elsewhere(self, metric: MetricResult, other: Other) -> bool:
        """Whether another rule already says why there is nothing to compare."""
        facts = self.comparison.models.get(other)
        return facts is None or not facts.scored or candidate_value(metric) is None


def candidate_value(metric: MetricResult) -> float | None:
    """The candidate's value."""
    measured = metric.values.get("candidate")
    return None if measured is None else measured.value


def oriented(metric: MetricResult, difference: Difference) -> tuple[float | None, float | None]:
    """The worse and the better end of the interval, positive where the candidate is better."""
    if difference.low is None or difference.high is None:
        return None, None
    worst, best = sorted(turned(metric, end) for end in (difference.low, difference.high))
    return worst, best


def turned(metric: MetricResult, value: float) -> float:
    """The number with the sign by which more is better."""
    return value if metric.greater_is_better else -value


def ends(difference: Difference) -> dict[str, float]:
    """The estimate and the interval's ends by name, those that are known."""
    parts = {"estimate": difference.estimate, "low": difference.low, "high": difference.high}
    return {name: number for name, number in parts.items() if number is not None}


def in_words(metric: MetricResult, difference: Difference, margin: float | None = None) -> str:
    """The difference as the report's table shows it, e.g. `−0.013 ± 0.005`, or why there is none.

    Beside a margin it has enough digits to tell whether it is within.
    """
    if difference.estimate is None or difference.low is None or difference.high is None:
        return difference.reason
    return digits.change(difference.turned() if metric.negated else difference, margin)
