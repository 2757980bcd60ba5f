"""What a registered version's description is written from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from mergeline.core.declare.strict import write_json
from mergeline.core.release.bundle import Evaluation, evaluation_digest
from mergeline.core.release.ledger import Entry

_FORM = 1  # of the text; a new one is written over an old one


@dataclass(frozen=True)
class Time:
    """A time in a stage: the page that began it, and when another one ended it."""

    entry: Entry
    until: str | None


@dataclass(frozen=True)
class Facts:
    """The releases of one version, oldest first, and the evaluation that let it through."""

    times: tuple[Time, ...]
    evaluation: Evaluation | None

    @property
    def digest(self) -> str:
        """Of the facts and of the text's form: what is written already has the same."""
        evaluation = evaluation_digest(self.evaluation) if self.evaluation else ""
        facts = [str(_FORM), evaluation, *(f"{write_json(t.entry)}{t.until}" for t in self.times)]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def facts_of(
    entries: Sequence[Entry], fingerprint: str, evaluations: Sequence[Evaluation]
) -> Facts:
    """What is known of the version of a fingerprint.

    Args:
        entries: of all moves in the model's ledger, oldest first.
        fingerprint: of the version's candidate.
        evaluations: of that candidate, oldest first.
    """
    ours = [at for at, entry in enumerate(entries) if entry.fingerprint == fingerprint]
    times = tuple(Time(entries[at], _end(entries[at], entries[at + 1 :])) for at in ours)
    return Facts(times, _let_through(times[0].entry, evaluations) if times else None)


def _end(entry: Entry, after: Sequence[Entry]) -> str | None:
    """When a version left the stage that it entered: it or another one was moved."""
    holds_alone = entry.stage in {"Production", "Staging"}
    ends = (
        one.released_at
        for one in after
        if one.version == entry.version or (holds_alone and one.stage == entry.stage)
    )
    return next(ends, None)


def _let_through(entry: Entry, evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """The evaluation that a release was decided by; of an old page the newest before it."""
    named = [one for one in evaluations if evaluation_digest(one) == entry.evaluation]
    before = [one for one in evaluations if one.evaluated_at <= entry.released_at]
    return next(iter([*named, *reversed(before)]), None)
