"""What must be written so that MLflow shows what the store and the ledger have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mergeline.core.release.ledger import Entry
from mergeline.core.release.version import Version

ShowKind = Literal["take over", "log", "log evaluation", "register", "promote", "archive"]


@dataclass(frozen=True)
class Kept:
    """A candidate in the store, known by the digest of its model.

    Attributes:
        evaluated_at: time of its newest evaluation; None if there is none.
    """

    model_digest: str
    evaluated_at: str | None


@dataclass(frozen=True)
class ShownRun:
    """A complete run of a candidate in MLflow, and the newest evaluation that is logged with it."""

    run_id: str
    model_digest: str
    evaluated_at: str | None


@dataclass(frozen=True)
class ShowStep:
    """One thing to write; `fingerprint` and `number` say of which candidate and version."""

    kind: ShowKind
    text: str
    fingerprint: str
    number: int = 0


@dataclass(frozen=True)
class ShowPlan:
    """What to write for one model."""

    model: str
    steps: tuple[ShowStep, ...]


def plan_showing(
    model: str,
    entries: Sequence[Entry],
    kept: Mapping[str, Kept],
    runs: Mapping[str, ShownRun],
    versions: Sequence[Version],
) -> ShowPlan:
    """Decide what to write for one model. Applied, it leaves a state for which there are no steps.

    Args:
        model: its name.
        entries: of the ledger, oldest first.
        kept: the store's candidates by fingerprint.
        runs: MLflow's by fingerprint.
        versions: MLflow's registered ones.
    """
    return ShowPlan(model, (*_run_steps(kept, runs), *_version_steps(entries, kept, versions)))


def plan_taking_over(
    model: str, pages: Sequence[Entry], kept: Mapping[str, Kept], runs: Mapping[str, ShownRun]
) -> ShowPlan:
    """Which released candidates only MLflow has, as versions before 0.2 left them.

    One that no page names may be another project's, and is trained again where it is needed.
    """
    released = {entry.fingerprint: entry.model_digest for entry in pages}
    steps = (
        ShowStep("take over", f"the candidate of run {run.run_id[:8]} into the store", fingerprint)
        for fingerprint, run in runs.items()
        if fingerprint not in kept and released.get(fingerprint) == run.model_digest
    )
    return ShowPlan(model, tuple(steps))


def _run_steps(kept: Mapping[str, Kept], runs: Mapping[str, ShownRun]) -> Iterator[ShowStep]:
    for fingerprint, candidate in sorted(kept.items()):
        run = runs.get(fingerprint)
        if run is None:
            yield ShowStep("log", f"the run of {fingerprint[:8]}", fingerprint)
        if candidate.evaluated_at and (run is None or run.evaluated_at != candidate.evaluated_at):
            text = f"the evaluation of {fingerprint[:8]} at {candidate.evaluated_at}"
            yield ShowStep("log evaluation", text, fingerprint)


def _version_steps(
    entries: Sequence[Entry],
    kept: Mapping[str, Kept],
    versions: Sequence[Version],
) -> Iterator[ShowStep]:
    released = {entry.version: entry for entry in entries}  # a restore repeats its number
    champion = entries[-1].version if entries else None
    known = {(version.number, version.model_digest): version.stage for version in versions}
    for number, entry in sorted(released.items()):
        fingerprint = entry.fingerprint
        if fingerprint not in kept:
            continue  # nobody has its files any more
        stage = known.get((number, entry.model_digest))
        if stage is None:
            yield ShowStep("register", f"v{number} ({fingerprint[:8]})", fingerprint, number)
        if number == champion:
            if stage != "Production":
                yield ShowStep("promote", f"v{number} to Production", fingerprint, number)
        elif stage in {None, "None", "Production"}:
            yield ShowStep("archive", f"v{number}", fingerprint, number)
