"""The data of the gate: the context that goes in, the verdict and judgement that come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Literal

from mergeline.core.compare.result import Other

VerdictWord = Literal["pass", "fail", "inconclusive"]


class Situation(StrEnum):
    """What a candidate stands before."""

    FIRST = "first"
    """There is no champion yet."""
    CHANGE = "change"
    """A champion stands to be replaced."""
    RESTORE = "restore"
    """An earlier release goes back; it need not beat the champion."""
    SAME = "same"
    """Nothing that determines the model changes."""
    FAILED = "failed"
    """No comparison came about."""

    @classmethod
    def _missing_(cls, value: object) -> Situation | None:
        """The ledger's pages call a change a release."""
        return cls.CHANGE if value == "release" else None


@dataclass(frozen=True)
class Context:
    """What the gate must know beside the comparison.

    Attributes:
        kind: first, change or restore.
        evaluated_on: date of the evaluation, by the caller's clock.
        newest_row: date of the newest holdout row; None if its rows have no dates.
        leaks: input columns that give the label away, one sentence each (`compare.label_leaks`).
        look: number of this candidate among those judged on these rows; None if it is no new look.
    """

    kind: Situation
    evaluated_on: date | None = None
    newest_row: date | None = None
    leaks: tuple[str, ...] = ()
    look: int | None = None


@dataclass(frozen=True)
class Reason:
    """What one rule says of one thing.

    Attributes:
        rule: name of the rule, e.g. `margin`; docs/verdict.md lists all.
        text: one sentence with the numbers, for a person.
        slice: e.g. `origin = LGA`.
        numbers: what was compared, e.g. {"low": -0.007, "margin": 0.005}.
    """

    rule: str
    outcome: VerdictWord
    text: str
    metric: str | None = None
    slice: str | None = None
    against: Other | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Approval:
    """The recorded yes of a person with write access to a change that moves its bar."""

    by: str
    reason: str


@dataclass(frozen=True)
class Verdict:
    """The gate's verdict on a comparison; the worst reasons come first."""

    outcome: VerdictWord
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class MovedLine:
    """A line of the gate that the change edits, with its values as YAML shows them."""

    key: str
    before: str
    after: str


@dataclass(frozen=True)
class Judgement:
    """The verdict by the base's gate, and the verdicts by other bars.

    Attributes:
        moved: lines of the gate that the change edits.
        as_moved: the verdict by the gate as the change leaves it; None if it edits no line.
        base_rows: how many rows of the base's own holdout the models were compared on, if the
            change moves its holdout.
        on_base_rows: the verdict on those.
        base_problem: why there is no verdict on those.
        holdout_moved: how the change moves its holdout by more than drops; empty if it does not.
        bar_moved: how it edits what later changes must reach; empty if it does not.
        approval: a person's yes to those moves.
    """

    verdict: Verdict
    moved: tuple[MovedLine, ...] = ()
    as_moved: Verdict | None = None
    base_rows: int | None = None
    on_base_rows: Verdict | None = None
    base_problem: str = ""
    holdout_moved: str = ""
    bar_moved: str = ""
    approval: Approval | None = None
