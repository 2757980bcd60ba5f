"""What the gate is told, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Literal

from mergeline.core.compare.result import Other

Decision = Literal["pass", "fail", "inconclusive"]


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
        newest_row: date of the newest holdout row.
        leaks: input columns that give the label away, one sentence each (`core.leakage`).
    """

    kind: Situation
    evaluated_on: date | None = None
    newest_row: date | None = None
    leaks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reason:
    """One rule that was applied, and what came of it.

    Attributes:
        rule: name of the rule, e.g. `margin`; see docs/verdict.md for all.
        text: one sentence with the numbers, for a person.
        slice: e.g. `origin = LGA`.
        numbers: what was compared, e.g. {"low": -0.007, "margin": 0.005}.
    """

    rule: str
    outcome: Decision
    text: str
    metric: str | None = None
    slice: str | None = None
    against: Other | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """The gate's outcome; the reasons that decide it come first, those that held last."""

    outcome: Decision
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class MovedLine:
    """A line of the gate that the change edits, values as YAML would show them."""

    key: str
    before: str
    after: str


@dataclass(frozen=True)
class Judgement:
    """The verdict by the base's gate, and what it is by another bar.

    Attributes:
        verdict: what counts.
        moved: lines of the gate that the change edits; `as_moved` is the verdict by the gate then.
        base_rows: where the change edits how the holdout is made: how many rows of the base's own
            holdout the models were compared on; `on_base_rows` is the verdict on those.
        base_problem: why there is none on those.
    """

    verdict: Verdict
    moved: tuple[MovedLine, ...] = ()
    as_moved: Verdict | None = None
    base_rows: int | None = None
    on_base_rows: Verdict | None = None
    base_problem: str = ""
