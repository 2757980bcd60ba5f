"""The gate: from a comparison to a verdict, with reasons.

What it refuses whatever the policy says: a holdout that is altered, empty, of one class, or one the
candidate was trained on, predictions that are absent, not finite, constant, for other rows or
classes, or worse than chance, columns that give the label away, and any number that a rule needs
and that is missing (law 6). `core.rules` has them all; docs/verdict.md lists them by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from mergeline.core.compare.result import Comparison
from mergeline.core.declare.model import Gate
from mergeline.core.gate.rules import absolute as rules
from mergeline.core.gate.verdict import (
    Context,
    Decision,
    Judgement,
    MovedLine,
    Reason,
    Verdict,
)

__all__ = [
    "Context", "Decision", "Judgement", "MovedLine", "Reason", "Verdict", "judge",
    "judge_both", "judge_on_base_rows", "judge_without_base_rows", "moved_lines",
]  # fmt: skip

_ORDER: Mapping[Decision, int] = {"fail": 0, "inconclusive": 1, "pass": 2}


def judge(gate: Gate, comparison: Comparison, context: Context) -> Verdict:
    """The verdict of a gate on a comparison."""
    reasons = rules.apply(gate, comparison, context)
    outcomes = {reason.outcome for reason in reasons}
    outcome: Decision = "pass"
    if "fail" in outcomes:
        outcome = "fail"
    elif "inconclusive" in outcomes:
        outcome = "inconclusive" if gate.inconclusive == "ask" else gate.inconclusive
    return Verdict(outcome, tuple(sorted(reasons, key=lambda reason: _ORDER[reason.outcome])))


def judge_both(base: Gate, candidate: Gate, comparison: Comparison, context: Context) -> Judgement:
    """The verdict by the base's gate; where the change edits the gate, the verdict by that too."""
    verdict = judge(base, comparison, context)
    moved = moved_lines(base, candidate)
    if not moved:
        return Judgement(verdict)
    return Judgement(verdict, moved, judge(candidate, comparison, context))


def judge_on_base_rows(
    judgement: Judgement, gate: Gate, comparison: Comparison, context: Context
) -> Judgement:
    """Hold a change that edits its holdout against the rows that it would have been judged on too.

    Args:
        judgement: on the change's own holdout; the worse of both outcomes counts.
        gate: the base's.
        comparison: of the same models on the base's holdout.
        context: with what differs there, e.g. the newest row.
    """
    # How old the rows are, and what the model costs, is no question of theirs.
    rows_only = dataclasses.replace(gate, freshness_days=None, latency_ms=None, size_mb=None)
    there = judge(rows_only, comparison, context)
    where = f"on the base's own holdout ({comparison.holdout.used:,} rows)"
    why = f"{where}: {there.reasons[0].text}" if there.outcome != "pass" else f"{where} it passes"
    verdict = _with(judgement.verdict, Reason("base_holdout", there.outcome, why), there.outcome)
    return dataclasses.replace(
        judgement, verdict=verdict, base_rows=comparison.holdout.used, on_base_rows=there
    )


def judge_without_base_rows(judgement: Judgement, gate: Gate, problem: str) -> Judgement:
    """Say that a change that edits its holdout cannot be held against the base's rows.

    Absent is not fine: then the rows cannot tell, and the gate says what that means.
    """
    text = f"the holdout moves, and on the base's own nothing can be told: {problem}"
    outcome: Decision = "inconclusive" if gate.inconclusive == "ask" else gate.inconclusive
    verdict = _with(judgement.verdict, Reason("base_holdout", "inconclusive", text), outcome)
    return dataclasses.replace(judgement, verdict=verdict, base_problem=problem)


def _with(verdict: Verdict, reason: Reason, outcome: Decision) -> Verdict:
    """One more reason, and the worse of both outcomes."""
    return Verdict(
        min(verdict.outcome, outcome, key=_ORDER.__getitem__),
        tuple(sorted([*verdict.reasons, reason], key=lambda one: _ORDER[one.outcome])),
    )


def moved_lines(base: Gate, candidate: Gate) -> tuple[MovedLine, ...]:
    """The gate's lines that differ."""
    before, after = (dict(_flat("", dataclasses.asdict(gate))) for gate in (base, candidate))
    absent = "not set"
    return tuple(
        MovedLine(key, before.get(key, absent), after.get(key, absent))
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    )


def _flat(key: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(f"{key}.{name}" if key else str(name), inner)
    elif isinstance(value, bool):
        yield key, str(value).lower()
    elif isinstance(value, Sequence) and not isinstance(value, str):
        if value:
            yield key, ", ".join(str(one) for one in value)
    elif value is not None:
        yield key, str(value)
