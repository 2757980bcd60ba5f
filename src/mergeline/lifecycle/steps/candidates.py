"""Trained models by fingerprint: found if one is known, trained if not."""

from __future__ import annotations

import datetime as dt
import platform
import re
import shutil
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

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
from mergeline.adapters.store.store import Stored
from mergeline.core.compare.comparison import compare
from mergeline.core.compare.result import Comparison, Scored
from mergeline.core.declare.model import MetricChoice, Role
from mergeline.core.release.bundle import (
    CANDIDATE_FILES,
    HOLDOUT,
    MODEL,
    TRAINING_ROWS,
    Candidate,
    SnapshotUse,
)
from mergeline.errors import (
    BundleError,
    DeclarationError,
    NotFoundError,
    StageError,
    StoreError,
    TrackingError,
)
from mergeline.lifecycle.steps.case import Case
from mergeline.lifecycle.steps.holdouts import keep_keys
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.project_tree import ProjectTree
from mergeline.lifecycle.steps.scoring import CANDIDATE, score_models
from mergeline.lifecycle.steps.snapshots import build_snapshots
from mergeline.lifecycle.steps.trained import Trained
from mergeline.system.atomic_writes import folder_written_whole
from mergeline.system.digests import file_sha256
from mergeline.system.import_isolation import isolated_imports
from mergeline.system.locks import file_lock

_PREFIX = re.compile(r"[0-9a-f]{6,64}")


def find(project: Project, model: str, fingerprint: str) -> Trained | None:
    """The trained model of a fingerprint, from the store or this machine's last runs.

    What the store has wins: that is what was reviewed.
    """
    stored = project.store.find(model, fingerprint)
    if stored is not None:
        return fetch(project, stored)
    return _local(project.candidate_folder(model, fingerprint))


def find_by(project: Project, name: str) -> Stored:
    """The stored candidate that a person names: by the beginning of its fingerprint, or its run.

    Raises:
        NotFoundError: there is none, or several.
    """
    store = project.store
    known = [(m, f) for m, f in store.known() if _PREFIX.fullmatch(name) and f.startswith(name)]
    if not known and project.mlflow is not None:
        run = project.mlflow.run(name)
        known = [(run.model, run.fingerprint)]
    stored = store.find(*known[0]) if len(known) == 1 else None
    if stored is None:
        raise NotFoundError(
            f"{len(known) if len(known) > 1 else 'no'} candidates are called {name!r}",
            where=store.name,
            next_step="`mergeline report` names the fingerprint and the run of the newest one",
        )
    return stored


def tree_of(project: Project, candidate: Candidate) -> ProjectTree:
    """The tree that a candidate was trained from, or another one of the same fingerprint.

    Raises:
        NotFoundError: it is not in this repository.
    """
    for tree in project.trees_of(candidate):
        return tree
    raise NotFoundError(
        f"the tree {candidate.origin.tree[:8]} of the candidate is not in this repository",
        where=str(project.repository.root),
        next_step="Fetch the pull request's commits",
    )


def find_or_train(
    project: Project, case: Case, say: Say, *, track: bool, beside: Iterable[Trained] = ()
) -> Trained:
    """The candidate of a case; nothing trains if its fingerprint is known.

    With `track` it is taken into the store. Models `beside` it are asked for the rows of its
    holdout while it is, once it is trained; `project` keeps that.

    Raises:
        StageError: a stage failed, or left something other than the declaration says.
    """
    name, fingerprint = case.model.name, case.ingredients.fingerprint
    trained = find(project, name, fingerprint)
    if trained is None:
        say(f"{name}: training fingerprint {fingerprint[:8]}")
        trained = train(project, case, say, beside=beside)
    else:
        say(f"{name}: {fingerprint[:8]} is known; nothing trains")
    if not track:
        return trained
    stored = project.store.put_candidate(trained.candidate, trained.folder)
    if stored.model_digest != trained.candidate.model_digest:
        trained = fetch(project, stored)  # another one was first: that is the reviewed one
    return replace(trained, stored=stored, run=show_run(project, trained, say))


def show_run(project: Project, trained: Trained, say: Say) -> Run | None:
    """The run that people see of a candidate in MLflow, logged if it is not there yet.

    Nothing depends on it, so where it cannot be logged that is said.
    """
    if project.mlflow is None:
        return None
    try:
        return logged_run(project, trained)
    except TrackingError as error:
        say(f"the run could not be logged, `mergeline reconcile` will: {error}")
        return None


def logged_run(project: Project, trained: Trained) -> Run:
    """The run of a candidate in MLflow, logged if it is not there yet.

    It was trained just now, or when it was evaluated first.

    Raises:
        TrackingError: MLflow fails, or has another model with this fingerprint.
    """
    candidate, mlflow = trained.candidate, project.tracking
    known = project.store.evaluations(trained.stored) if trained.stored else []
    taken = dt.timedelta(seconds=sum(candidate.seconds.values()))
    at = dt.datetime.now(dt.UTC) - taken
    if known and not trained.fresh:
        at = dt.datetime.fromisoformat(known[0].evaluated_at)
    run = mlflow.log(candidate, trained.folder, at)
    if run.model_digest != candidate.model_digest:
        raise TrackingError(
            f"run {run.run_id} is of another model with fingerprint {candidate.fingerprint[:8]}",
            where=mlflow.uri,
            next_step="Delete that run, and run again",
        )
    return run


def fetch(project: Project, stored: Stored) -> Trained:
    """Bring a stored candidate's files here, unless they are here already.

    Raises:
        StoreError: what the store has is not what its manifest says.
    """
    folder = project.candidate_folder(stored.model, stored.fingerprint)
    with file_lock(f"{folder}.lock"):
        local = _local(folder)
        if local and local.candidate.model_digest == stored.model_digest:
            return replace(local, stored=stored)
        with folder_written_whole(folder) as scratch:
            project.store.fetch(stored, scratch)
            candidate = read_candidate(scratch)
            fetched = (candidate.model, candidate.fingerprint, candidate.model_digest)
            if fetched != (stored.model, stored.fingerprint, stored.model_digest):
                raise StoreError(
                    f"the files of {stored.digest} are those of another candidate",
                    where=project.store.name,
                )
    return Trained(candidate, folder, stored, fresh=False)


def train(project: Project, case: Case, say: Say, *, beside: Iterable[Trained] = ()) -> Trained:
    """Run the model's stages on a tree, in a checkout of its own; `beside` as `find_or_train`.

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
                write_candidate(
                    scratch, _describe(project, scratch, case, uses, seconds, beside=beside)
                )
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
        for built in build_snapshots(
            project, case.tree, case.origin, verify=used, private=case.private, say=say
        )
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
    *,
    beside: Iterable[Trained],
) -> Candidate:
    files = folder / CANDIDATE_FILES
    model = case.model
    holdout = read_holdout(files / HOLDOUT, model)
    read_training_rows(files / TRAINING_ROWS, model)
    read_inputs_hashes(files / TRAINING_ROWS, model)
    check_keys(files / HOLDOUT, files / TRAINING_ROWS, model)
    rebuilt = None
    if model.holdout == "rebuilt":
        rebuilt = keep_keys(project, files / HOLDOUT, uses, model)
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
        rebuilt=rebuilt,
    )
    own = Trained(candidate, folder, None, fresh=True)
    models = {CANDIDATE: own, **{str(at): other for at, other in enumerate(beside)}}
    scored: dict[Role, Scored] = {
        CANDIDATE: score_models(project, models, holdout, model)[CANDIDATE]
    }
    return replace(candidate, metrics=measured(compare(holdout.rows, scored, model)))


def measured(comparison: Comparison) -> dict[str, float]:
    """The candidate's metrics as its manifest has them."""
    values = {metric.name: metric.values.get("candidate") for metric in comparison.metrics}
    known = {name: one.value for name, one in values.items() if one and one.value is not None}
    return {**known, "holdout_rows": float(comparison.holdout.rows)}
