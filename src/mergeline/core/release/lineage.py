"""What a model's ledger says of what stands: the reference, and the last move of the holdout.

Many small steps down, each within the gate's margin, add up. So each candidate is held against the
*reference* beside the model in production: the release that was last shown better than the one
before it. A restored release has the past that it had when it was released.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mergeline.core.gate.verdict import Situation
from mergeline.core.release.ledger import Entry


@dataclass(frozen=True)
class Reference:
    """The page of the reference, why it is that, and how many releases came since."""

    entry: Entry
    why: Literal["first", "better", "override"]
    releases: int


def find_reference(ledger: Sequence[Entry]) -> Reference | None:
    """The reference by a model's ledger, oldest page first; None before the first release.

    It is the last release that was shown better than the one before it, or that a person released
    in spite of its verdict, or else the first. A restored release has the reference that it had.
    """
    at = len(ledger) - 1
    while at >= 0:
        entry = ledger[at]
        why = _why(entry)
        if why is None and at == 0:
            why = "first"
        if why is not None:
            return Reference(entry, why, len(ledger) - 1 - at)
        at = _before(ledger, at)
    return None


def _why(entry: Entry) -> Literal["first", "better", "override"] | None:
    if entry.kind is Situation.RESTORE:
        return None
    if entry.kind is Situation.FIRST:
        return "first"
    if entry.override and entry.verdict != "pass":
        return "override"
    return "better" if entry.better else None


def _before(ledger: Sequence[Entry], at: int) -> int:
    """The place of the page whose reference is this one's too."""
    entry = ledger[at]
    if entry.kind is Situation.RESTORE:
        for earlier in range(at - 1, -1, -1):
            if ledger[earlier].fingerprint == entry.fingerprint:
                return earlier
    return at - 1


def last_move_of_holdout(ledger: Sequence[Entry]) -> Entry | None:
    """The last release that moved the holdout by more than drops; None if none did."""
    at = len(ledger) - 1
    while at >= 0:
        if ledger[at].holdout_moved:
            return ledger[at]
        at = _before(ledger, at)
    return None
