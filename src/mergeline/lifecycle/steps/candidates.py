"""Trained models by fingerprint: found if one is known, trained if not."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from mergeline.adapters.bundles import read_candidate, write_candidate
from mergeline.adapters.dvc.stages import reproduce, share_cache
from mergeline.adapters.mlflow.runs import Run
from mergeline.adapters.models.folder import model_digest
from mergeline.adapters.row_files import (
    check_keys,
    read_holdout,
    read_inputs_hashes,
    read_training_rows,
)
from mergeline.core.compare.comparison import compare
from mergeline.core.compare.result import Comparison
from mergeline.core.declare.model import MetricChoice, Role
from mergeline.core.release.bundle import (
    CANDIDATE_FILES,
    HOLDOUT,
    MANIFEST,
    MODEL,
    TRAINING_ROWS,
    Candidate,
    SnapshotUse,
)
from mergeline.errors import BundleError, DeclarationError, StageError
from mergeline.lifecycle.steps.case import Case
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.scoring import CANDIDATE, score_models
from mergeline.lifecycle.steps.snapshots import build_snapshots
from mergeline.lifecycle.steps.trained import Trained
from mergeline.system.atomic_writes import folder_written_whole
from mergeline.system.digests import file_sha256
from mergeline.system.import_isolation import isolated_imports
from mergeline.system.locks import file_lock

if TYPE_CHECKING:
    pass


def find(project: Project, model: str, fingerprint: str) -> Trained | None:
    """The trained model of a fingerprint, from the tracking store or this machine's last runs.

    What the tracking store has wins: that is what was reviewed.
    """
    run = project.tracking.find(model, fingerprint)
    return fetch(project, run) if run else _local(project.candidate_folder(model, fingerprint))


def find_or_train(project: Project, case: Case, say: Say, *, track: bool) -> Trained:
    """The candidate of a case; nothing trains if its fingerprint is known.

    With `track` its run is logged in the tracking store, if it has none there.

    Raises:
        StageError: a stage failed, or left something other than the declaration says.
    """
    name, fingerprint = case.model.name, case.ingredients.fingerprint
    trained = find(project, name, fingerprint)
    if trained is None:
        say(f"{name}: training fingerprint {fingerprint[:8]}")
        trained = train(project, case, say)
    else:
        say(f"{name}: {fingerprint[:8]} is known; nothing trains")
    if not track or trained.run is not None:
        return trained
    say("logging the run")
    run = project.tracking.log(trained.candidate, trained.folder)
    if run.model_digest != trained.candidate.model_digest:
        return fetch(project, run)  # another one was first: that is the reviewed one
    return replace(trained, run=run)


def fetch(project: Project, run: Run) -> Trained:
    """Bring a tracked candidate's files here, unless they are here already.

    Raises:
        BundleError: what the store has is not what its manifest says.
    """
    folder = project.candidate_folder(run.model, run.fingerprint)
    with file_lock(f"{folder}.lock"):
        local = _local(folder)
        if local and local.candidate.model_digest == run.model_digest:
            return replace(local, run=run)
        with folder_written_whole(folder) as scratch:
            project.tracking.fetch(run, MANIFEST, scratch)
            project.tracking.fetch(run, CANDIDATE_FILES, scratch)
            candidate = read_candidate(scratch)
            fetched = (candidate.model, candidate.fingerprint, candidate.model_digest)
            if fetched != (run.model, run.fingerprint, run.model_digest):
                raise BundleError(
                    f"the files of run {run.run_id} are those of another candidate", where=run.model
                )
    return Trained(candidate, folder, run, fresh=False)


def train(project: Project, case: Case, say: Say) -> Trained:
    """Run the model's stages on a tree, in a checkout of its own.

    Raises:
        StageError: a stage failed, or left something other than the declaration says.
        MergelineError: the snapshots could not be built.
    """
    folder = project.candidate_folder(case.model.name, case.ingredients.fingerprint)
    with file_lock(f"{folder}.lock"):
        if known := _local(folder):
            return known
        uses = _build_snapshots(project, case, say)
        checkout = project.state / "builds" / folder.name
        try:
            seconds = _run_stages(project, case, checkout, say)
            with folder_written_whole(folder) as scratch, importable(checkout, case.model.metrics):
                shutil.copytree(checkout / case.model.outputs, scratch / CANDIDATE_FILES)
                write_candidate(scratch, _describe(project, scratch, case, uses, seconds))
        finally:
            shutil.rmtree(checkout, ignore_errors=True)
    return Trained(read_candidate(folder), folder, None, fresh=True)


def importable(root: Path, metrics: Iterable[MetricChoice]) -> AbstractContextManager[None]:
    """The project's own metrics can be imported from a checkout, and are forgotten afterwards."""
    return isolated_imports(root, {m.name.partition(".")[0] for m in metrics if m.own})


def _local(folder: Path) -> Trained | None:
    """A candidate that an earlier run on this machine left whole."""
    try:
        return Trained(read_candidate(folder), folder, None, fresh=False)
    except (BundleError, DeclarationError):
        return None


def _build_snapshots(project: Project, case: Case, say: Say) -> tuple[SnapshotUse, ...]:
    """The snapshots that it is trained on, read to their end first: law 6 holds for rows too."""
    used = case.ingredients.snapshots
    return tuple(
        SnapshotUse(
            built.table, built.digest, built.version, f"{project.tables}/{built.table}", built.rows
        )
        for built in build_snapshots(project, case.tree, case.origin, verify=used, say=say)
        if built.table in used
    )


def _run_stages(project: Project, case: Case, checkout: Path, say: Say) -> dict[str, float]:
    model = case.model
    shutil.rmtree(checkout, ignore_errors=True)
    checkout.parent.mkdir(parents=True, exist_ok=True)
    project.repository.export(case.tree.files, checkout)
    for path, md5 in case.ingredients.tracked_data().items():
        project.drops.put(md5, checkout / path, path=path)
    share_cache(checkout, project.results or project.drops.cache_folder())
    environment = {"MERGELINE_STATE": str(project.state), "MERGELINE_TABLES": project.tables}
    seconds = reproduce(checkout, model.stage, environment=environment, say=say)
    if not (checkout / model.outputs).is_dir():
        raise StageError(
            f"the stages left no folder {model.outputs}",
            stage=model.stage,
            where=f"models/{model.name}.yaml",
            next_step="Correct `outputs`, or the outs in dvc.yaml",
        )
    return seconds


def _describe(
    project: Project,
    folder: Path,
    case: Case,
    uses: tuple[SnapshotUse, ...],
    seconds: dict[str, float],
) -> Candidate:
    files = folder / CANDIDATE_FILES
    model = case.model
    holdout = read_holdout(files / HOLDOUT, model)
    read_training_rows(files / TRAINING_ROWS, model)
    read_inputs_hashes(files / TRAINING_ROWS, model)
    check_keys(files / HOLDOUT, files / TRAINING_ROWS, model)
    candidate = Candidate(
        model=model.name,
        fingerprint=case.ingredients.fingerprint,
        declaration=model,
        ingredients=case.ingredients,
        origin=case.origin,
        model_digest=model_digest(files / MODEL),
        holdout_digest=file_sha256(files / HOLDOUT),
        snapshots=uses,
        params=case.ingredients.params(),
        metrics={},
        seconds=seconds,
        environment={
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.machine()}",
            "version": version("mergeline"),
        },
    )
    own = Trained(candidate, folder, None, fresh=True)
    models: dict[Role, Trained] = {CANDIDATE: own}
    scored = score_models(project, models, holdout, model)
    return replace(candidate, metrics=measured(compare(holdout.rows, scored, model)))


def measured(comparison: Comparison) -> dict[str, float]:
    """The candidate's metrics as its manifest has them."""
    values = {metric.name: metric.values.get("candidate") for metric in comparison.metrics}
    known = {name: one.value for name, one in values.items() if one and one.value is not None}
    return {**known, "holdout_rows": float(comparison.holdout.rows)}
