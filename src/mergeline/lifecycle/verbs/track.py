"""`track`: take a judged bundle into the store, and into MLflow for people to look at.

Its files are checked against its digests and its fingerprint against its own ingredients; the model
is never loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mergeline.adapters.bundles import read_candidate, read_evaluation
from mergeline.adapters.models.folder import model_digest
from mergeline.adapters.store.store import Stored
from mergeline.core.release.bundle import CANDIDATE_FILES, MANIFEST, MODEL, Candidate, Evaluation
from mergeline.errors import BundleError
from mergeline.lifecycle.steps.bundle_folders import bundle_folders
from mergeline.lifecycle.steps.candidates import show_run
from mergeline.lifecycle.steps.evaluation import show_evaluation
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.trained import Trained


@dataclass(frozen=True)
class Tracked:
    """A candidate that is in the store.

    Attributes:
        digest: of its artifact.
        run_id: of the run that people see in MLflow; None where none is written or could be.
    """

    model: str
    fingerprint: str
    digest: str
    run_id: str | None


def track(project: Project, bundle: Path, *, say: Say) -> list[Tracked]:
    """Take in the candidates of a bundle, or of a folder of bundles, and their evaluations.

    A run that failed leaves a report and no candidate; then there is nothing to take. Nor is where
    the pull request that proposes MERGELINE_HEAD comes from a fork: anybody could fill the store.

    Raises:
        BundleError: a file is missing, altered or extra, or what the manifest says of fingerprint
            or model is not so. Nothing was taken of that bundle.
        StoreError: the store does not take it.
        InputError: the store would go away with the runner.
    """
    project.check_lasting()
    head, forge = project.environment.get("MERGELINE_HEAD"), project.forge
    pull = forge.pull_request_of(head) if forge and head else None
    if pull is not None and pull.fork:
        say(
            f"pull request {pull.number} is a fork's: its candidate is made again once it is merged"
        )
        return []
    return [_track_one(project, folder, say) for folder in _bundles_with_candidate(bundle, say)]


@dataclass(frozen=True)
class PlannedTracking:
    """What `track` would take in of one candidate.

    Attributes:
        verdict: of its evaluation.
        candidate_stored: whether the store has the candidate already.
        evaluation_stored: whether it has the evaluation too.
    """

    model: str
    fingerprint: str
    verdict: str
    candidate_stored: bool
    evaluation_stored: bool


def plan_tracking(project: Project, bundle: Path, *, say: Say) -> list[PlannedTracking]:
    """What `track` would take in; writes nothing.

    Raises:
        BundleError: as `track`.
    """
    planned = []
    for folder in _bundles_with_candidate(bundle, say):
        candidate, evaluation = _checked(folder)
        known = project.store.find(candidate.model, candidate.fingerprint)
        if known is not None:
            _refuse_another(project, known, candidate)
        planned.append(
            PlannedTracking(
                candidate.model,
                candidate.fingerprint,
                evaluation.verdict,
                candidate_stored=known is not None,
                evaluation_stored=known is not None
                and evaluation in project.store.evaluations(known),
            )
        )
    return planned


def _bundles_with_candidate(bundle: Path, say: Say) -> list[Path]:
    folders = bundle_folders(bundle)
    if not folders:
        say("the evaluation failed: there is no candidate to track")
    return folders


def _track_one(project: Project, folder: Path, say: Say) -> Tracked:
    candidate, evaluation = _checked(folder)
    name, store = f"{candidate.model} {candidate.fingerprint[:8]}", project.store
    known = store.find(candidate.model, candidate.fingerprint)
    if known is None:
        say(f"storing {name}")
    stored = known or store.put_candidate(candidate, folder)
    _refuse_another(project, stored, candidate)
    if known is not None and evaluation in store.evaluations(stored):
        say(describe_tracked(candidate.model, candidate.fingerprint))
    else:
        say(f"storing the evaluation of {name}")
        store.put_evaluation(stored, evaluation, folder)
    trained = Trained(candidate, folder, stored, fresh=False)
    run = show_run(project, trained, say)
    if run is not None:
        show_evaluation(project, run, evaluation, folder, say)
    run_id = run.run_id if run else None
    return Tracked(candidate.model, candidate.fingerprint, stored.digest, run_id)


def _checked(folder: Path) -> tuple[Candidate, Evaluation]:
    """What a bundle holds, once its files are those that it names."""
    candidate, evaluation = read_candidate(folder), read_evaluation(folder)
    if model_digest(folder / CANDIDATE_FILES / MODEL) != candidate.model_digest:
        raise BundleError(
            "the model is not the one that the manifest names",
            where=f"{folder.name}/{MANIFEST}",
            next_step="Evaluate again",
        )
    return candidate, evaluation


def _refuse_another(project: Project, stored: Stored, candidate: Candidate) -> None:
    known = project.store.read_candidate(stored)
    parts = {
        "model": known.model_digest != candidate.model_digest,
        "holdout": known.holdout_digest != candidate.holdout_digest,
    }
    for part in (name for name, differs in parts.items() if differs):
        raise BundleError(
            f"fingerprint {candidate.fingerprint[:8]} is stored with another {part} already",
            where=stored.digest,
            next_step="Evaluate again: the stored candidate will be compared",
        )


def describe_tracked(model: str, fingerprint: str) -> str:
    """That a candidate and its evaluation are in the store already."""
    return f"{model} {fingerprint[:8]} and this evaluation of it are in the store; nothing to do"
