"""What a registered version's description is written from."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from mergeline.core.declare.strict import write_json
from mergeline.core.release.bundle import Evaluation, evaluation_digest
from mergeline.core.release.ledger import Entry

_FORM = 3  # of the text; a new one is written over an old one


@dataclass(frozen=True)
class Time:
    """A time in a stage: the page that began it, and when another one ended it."""

    entry: Entry
    until: str | None

    @property
    def seconds(self) -> float | None:
        """How long it lasted; None if it still does."""
        if self.until is None:
            return None
        begun, ended = map(dt.datetime.fromisoformat, (self.entry.released_at, self.until))
        return max(0.0, (ended - begun).total_seconds())  # clocks of two machines may differ


@dataclass(frozen=True)
class Facts:
    """The releases of one version, oldest first, and the evaluation that let it through."""

    times: tuple[Time, ...]
    evaluation: Evaluation | None

    @property
    def brought_by(self) -> Entry | None:
        """The page that says who brought it: that of its first release, or else its first."""
        return _brought_by(self.times)

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
    times = tuple(time for time in times_of(entries) if time.entry.fingerprint == fingerprint)
    brought_by = _brought_by(times)
    return Facts(times, _let_through(brought_by, evaluations) if brought_by else None)


def times_of(entries: Sequence[Entry]) -> tuple[Time, ...]:
    """When each page's version left the stage that it entered: it or another one was moved.

    Args:
        entries: of all moves, of one model or several, each model's oldest first.
    """
    next_of_version: dict[tuple[str, int], tuple[int, str]] = {}
    next_of_stage: dict[tuple[str, str], tuple[int, str]] = {}
    times = []
    for at, entry in reversed([*enumerate(entries)]):
        version, stage = (entry.model, entry.version), (entry.model, entry.stage)
        ends = [next_of_version.get(version)]
        if entry.stage in {"Production", "Staging"}:  # which one version holds alone
            ends.append(next_of_stage.get(stage))
        times.append(Time(entry, min(filter(None, ends), default=(at, None))[1]))
        next_of_version[version] = next_of_stage[stage] = at, entry.released_at
    return tuple(reversed(times))


def _brought_by(times: Sequence[Time]) -> Entry | None:
    released = (time.entry for time in times if time.entry.stage == "Production")
    return next(released, times[0].entry if times else None)


def _let_through(entry: Entry, evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """The evaluation that a release was decided by; of an old page the newest before it."""
    named = [one for one in evaluations if evaluation_digest(one) == entry.evaluation]
    before = [one for one in evaluations if one.evaluated_at <= entry.released_at]
    return next(iter([*named, *reversed(before)]), None)
