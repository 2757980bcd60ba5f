"""What must be written so that MLflow shows what the store and the ledger have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mergeline.core.release.bundle import Evaluation
from mergeline.core.release.facts import facts_of
from mergeline.core.release.ledger import Entry
from mergeline.core.release.stages import stages_of
from mergeline.core.release.version import RegistryStage, Version

ShowKind = Literal["take over", "log", "log evaluation", "register", "promote", "move", "describe"]


@dataclass(frozen=True)
class Kept:
    """A candidate in the store, known by the digest of its model.

    Attributes:
        evaluations: of it, oldest first.
    """

    model_digest: str
    evaluations: tuple[Evaluation, ...] = ()

    @property
    def evaluated_at(self) -> str | None:
        """Time of its newest evaluation; None if there is none."""
        return self.evaluations[-1].evaluated_at if self.evaluations else None


@dataclass(frozen=True)
class ShownRun:
    """A complete run of a candidate in MLflow, and the newest evaluation that is logged with it."""

    run_id: str
    model_digest: str
    evaluated_at: str | None


@dataclass(frozen=True)
class ShowStep:
    """One thing to write; `fingerprint` and `number` say of which candidate and version.

    Attributes:
        stage: that the version is moved to.
    """

    kind: ShowKind
    text: str
    fingerprint: str
    number: int = 0
    stage: RegistryStage = "None"


@dataclass(frozen=True)
class ShowPlan:
    """What to write for one model."""

    model: str
    steps: tuple[ShowStep, ...]


def plan_showing(
    model: str,
    moves: Sequence[Entry],
    kept: Mapping[str, Kept],
    runs: Mapping[str, ShownRun],
    versions: Sequence[Version],
) -> ShowPlan:
    """Decide what to write for one model. Applied, it leaves a state for which there are no steps.

    Args:
        model: its name.
        moves: all pages of the ledger, oldest first.
        kept: the store's candidates by fingerprint.
        runs: MLflow's by fingerprint.
        versions: MLflow's registered ones.
    """
    return ShowPlan(model, (*_run_steps(kept, runs), *_version_steps(moves, kept, versions)))


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
    moves: Sequence[Entry],
    kept: Mapping[str, Kept],
    versions: Sequence[Version],
) -> Iterator[ShowStep]:
    released = {entry.version: entry for entry in moves}  # a restore repeats its number
    stages = stages_of(moves)
    known = {(version.number, version.model_digest): version for version in versions}
    for number, entry in sorted(released.items()):
        fingerprint, stage = entry.fingerprint, stages[number]
        if fingerprint not in kept:
            continue  # nobody has its files any more
        version = known.get((number, entry.model_digest))
        if version is None:
            yield ShowStep("register", f"v{number} ({fingerprint[:8]})", fingerprint, number)
        if (version.stage if version else "None") != stage:
            kind: ShowKind = "promote" if stage == "Production" else "move"
            yield ShowStep(kind, f"v{number} to {stage}", fingerprint, number, stage)
        facts = facts_of(moves, fingerprint, kept[fingerprint].evaluations)
        if version is None or version.described != facts.digest:
            yield ShowStep("describe", f"v{number}", fingerprint, number)
