"""Judge a comparison by a gate: apply every rule, and make one verdict of their reasons.

What is refused whatever the policy says: a holdout that is altered, empty, of one class, or one the
candidate was trained on; predictions that are absent, not finite, constant, for other rows or
classes, or worse than chance; columns that give the label away; and any number that a rule needs
and that is missing (law 6).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from mergeline.core.compare.result import Comparison
from mergeline.core.declare.model import Gate
from mergeline.core.gate.rules import absolute, relative, slices
from mergeline.core.gate.subject import Judged
from mergeline.core.gate.verdict import (
    Approval,
    Context,
    Judgement,
    MovedLine,
    Reason,
    Verdict,
    VerdictWord,
)

RULES = (
    absolute.problems,
    relative.other_models,
    absolute.values_exist,
    absolute.differences_are_finite,
    absolute.values_within_bounds,
    relative.margins,
    relative.primary,
    relative.improve,
    slices.slices,
    absolute.ceilings,
    absolute.leaks,
    absolute.twin_rows,
    relative.schema,
    absolute.freshness,
    absolute.looks,
)
MovedRule = Literal["holdout_moved", "bar_moved"]
_WORST_FIRST: Mapping[VerdictWord, int] = {"fail": 0, "inconclusive": 1, "pass": 2}


def judge(gate: Gate, comparison: Comparison, context: Context) -> Verdict:
    """The verdict of a gate on a comparison."""
    judged = Judged(gate, comparison, context)
    reasons = [reason for rule in RULES for reason in rule(judged)]
    words = [reason.outcome for reason in reasons]
    word: VerdictWord = min(words, key=_WORST_FIRST.__getitem__, default="pass")
    return _verdict(_by_policy(gate) if word == "inconclusive" else word, reasons)


def _by_policy(gate: Gate) -> VerdictWord:
    """What the gate says it means that the rows cannot tell."""
    return "inconclusive" if gate.inconclusive == "ask" else gate.inconclusive


def _verdict(word: VerdictWord, reasons: Iterable[Reason]) -> Verdict:
    return Verdict(word, tuple(sorted(reasons, key=lambda reason: _WORST_FIRST[reason.outcome])))


def judge_both(base: Gate, candidate: Gate, comparison: Comparison, context: Context) -> Judgement:
    """The verdict by the base's gate; where the change edits the gate, the verdict by that too."""
    verdict = judge(base, comparison, context)
    moved = moved_lines(base, candidate)
    if not moved:
        return Judgement(verdict)
    return Judgement(verdict, moved, judge(candidate, comparison, context))


def judge_moved(
    judgement: Judgement,
    rule: MovedRule,
    how: str,
    approval: Approval | None,
) -> Judgement:
    """A change that moves what it or the next is judged by needs a person's yes (law 5).

    Whatever the gate says of what the rows cannot tell.
    """
    word: VerdictWord = "pass" if approval else "inconclusive"
    text = f"{how}; a person with write access must approve that"
    if approval is not None:
        text = f"{how}; {approval.by} approved that: {approval.reason}"
    verdict = _with(judgement.verdict, Reason(rule, word, text), word)
    moved = dataclasses.replace(judgement, verdict=verdict, approval=approval)
    if rule == "holdout_moved":
        return dataclasses.replace(moved, holdout_moved=how)
    return dataclasses.replace(moved, bar_moved=how)


def judge_on_base_rows(
    judgement: Judgement, gate: Gate, comparison: Comparison, context: Context
) -> Judgement:
    """Judge a change that moves its holdout on production's rows too; the worse verdict counts.

    `judgement` is on the change's own holdout; gate, comparison and context are those that judge.
    """
    # The age of the rows and the cost of the model were judged already.
    rows_only = dataclasses.replace(
        gate, freshness_days=None, latency_ms=None, size_mb=None, load_s=None, memory_mb=None
    )
    on_base_rows = judge(rows_only, comparison, context)
    word, used = on_base_rows.outcome, comparison.holdout.used
    result = " it passes" if word == "pass" else f": {on_base_rows.reasons[0].text}"
    reason = Reason("base_holdout", word, f"on production's own holdout ({used:,} rows){result}")
    verdict = _with(judgement.verdict, reason, word)
    return dataclasses.replace(
        judgement, verdict=verdict, base_rows=used, on_base_rows=on_base_rows
    )


def judge_without_base_rows(judgement: Judgement, gate: Gate, problem: str) -> Judgement:
    """The same where production's rows cannot tell: absent is not fine (law 6).

    A person who approved that the holdout moves has approved that.
    """
    text = f"the holdout moves, and on production's own nothing can be told: {problem}"
    outcome: VerdictWord = "pass" if judgement.approval else "inconclusive"
    word = "pass" if judgement.approval else _by_policy(gate)
    verdict = _with(judgement.verdict, Reason("base_holdout", outcome, text), word)
    return dataclasses.replace(judgement, verdict=verdict, base_problem=problem)


def judge_renamed(judgement: Judgement, before: str) -> Judgement:
    """A model under a new name has no production model of its own: a person decides.

    Whatever the gate says of what the rows cannot tell; it is no question of rows.
    """
    text = (
        f"{before} is gone and this model is new: under another name nothing holds it against "
        f"the production model of {before}, so a person decides"
    )
    reason = Reason("renamed", "inconclusive", text)
    verdict = _with(judgement.verdict, reason, "inconclusive")
    return dataclasses.replace(judgement, verdict=verdict)


def _with(verdict: Verdict, reason: Reason, word: VerdictWord) -> Verdict:
    """The verdict with one more reason, and the worse of both words."""
    worse = min(verdict.outcome, word, key=_WORST_FIRST.__getitem__)
    return _verdict(worse, [*verdict.reasons, reason])


def moved_lines(base: Gate, candidate: Gate) -> tuple[MovedLine, ...]:
    """The lines of a gate that a change edits."""
    before, after = (dict(_flat("", dataclasses.asdict(gate))) for gate in (base, candidate))
    absent = "not set"
    return tuple(
        MovedLine(key, before.get(key, absent), after.get(key, absent))
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    )


def _flat(key: str, value: object) -> Iterator[tuple[str, str]]:
    """Each line of a gate by its dotted key; nothing for what is not set."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(f"{key}.{name}" if key else str(name), inner)
    elif isinstance(value, bool):
        yield key, str(value).lower()
    elif isinstance(value, Sequence) and not isinstance(value, str):
        if value:
            yield key, ", ".join(map(str, value))
    elif value is not None:
        yield key, str(value)
