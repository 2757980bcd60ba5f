"""`track`: take a bundle of an untrusted job into the tracking store.

Its files are checked against its digests and its fingerprint against its own ingredients; the model
is never loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mergeline.adapters.bundles import read_candidate, read_evaluation
from mergeline.adapters.mlflow.runs import Run
from mergeline.adapters.model_folder import model_digest
from mergeline.core.release.bundle import CANDIDATE_FILES, EVALUATION_FILES, MANIFEST, MODEL, REPORT
from mergeline.errors import BundleError
from mergeline.lifecycle.steps.project import Project, Say


def track(project: Project, bundle: Path, *, say: Say) -> list[Run]:
    """Log the candidates of a bundle, or of a folder of bundles, and their evaluations.

    A run that failed leaves a report and no candidate; then there is nothing to log.

    Raises:
        BundleError: a file is missing, altered or extra, or what the manifest says of fingerprint
            or model is not so. Nothing was logged of that bundle.
    """
    return [_track_one(project, folder, say) for folder in _bundles_with_candidate(bundle, say)]


@dataclass(frozen=True)
class PlannedTracking:
    """What `track` would log of one candidate.

    Attributes:
        verdict: of its evaluation.
        run_id: where the candidate is tracked already; None if it is not.
        evaluation_tracked: whether its evaluation is tracked too.
    """

    model: str
    fingerprint: str
    verdict: str
    run_id: str | None
    evaluation_tracked: bool


def plan_tracking(project: Project, bundle: Path, *, say: Say) -> list[PlannedTracking]:
    """What `track` would log; logs nothing.

    Raises:
        BundleError: as `track`.
    """
    tracking, planned = project.tracking, []
    for folder in _bundles_with_candidate(bundle, say):
        candidate, evaluation = read_candidate(folder), read_evaluation(folder)
        known = tracking.find(candidate.model, candidate.fingerprint)
        planned.append(
            PlannedTracking(
                candidate.model,
                candidate.fingerprint,
                evaluation.verdict,
                run_id=known.run_id if known else None,
                evaluation_tracked=known is not None and tracking.has_evaluation(known, evaluation),
            )
        )
    return planned


def _bundles_with_candidate(bundle: Path, say: Say) -> list[Path]:
    """The bundle itself, or those in the folder; none if there are only reports of failed runs."""
    if (bundle / MANIFEST).is_file():
        return [bundle]
    inside = sorted(path.parent for path in bundle.glob(f"[!.]*/{MANIFEST}"))
    report = f"{EVALUATION_FILES}/{REPORT}"
    if not inside and not (bundle / report).exists() and not any(bundle.glob(f"[!.]*/{report}")):
        raise BundleError(
            "no bundle here", where=str(bundle), next_step="Name what evaluate --bundle left"
        )
    if not inside:
        say("the evaluation failed: there is no candidate to track")
    return inside


def _track_one(project: Project, folder: Path, say: Say) -> Run:
    candidate = read_candidate(folder)
    evaluation = read_evaluation(folder)
    if model_digest(folder / CANDIDATE_FILES / MODEL) != candidate.model_digest:
        raise BundleError(
            "the model is not the one that the manifest names",
            where=f"{folder.name}/{MANIFEST}",
            next_step="Evaluate again",
        )
    name = f"{candidate.model} {candidate.fingerprint[:8]}"
    known = project.tracking.find(candidate.model, candidate.fingerprint)
    if known is None:
        say(f"logging {name}")
    run = known or project.tracking.log(candidate, folder)
    if run.model_digest != candidate.model_digest:
        raise BundleError(
            f"fingerprint {candidate.fingerprint[:8]} is tracked with another model already",
            where=f"run {run.run_id}",
            next_step="Evaluate again: the tracked candidate will be compared",
        )
    if project.tracking.has_evaluation(run, evaluation):
        say(describe_tracked(run.model, run.fingerprint, run.run_id))
        return run
    if known is not None:
        say(f"logging the evaluation of {name}")
    project.tracking.log_evaluation(run, evaluation, folder / EVALUATION_FILES)
    return run


def describe_tracked(model: str, fingerprint: str, run_id: str) -> str:
    """That a candidate and its evaluation are tracked already."""
    return (
        f"{model} {fingerprint[:8]} and this evaluation of it are tracked as run {run_id}; "
        "nothing to do"
    )
