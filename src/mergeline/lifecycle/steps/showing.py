"""Have MLflow show what the store and the ledger have.

Nothing is decided by what MLflow says. So whatever was deleted or moved there by hand, or was lost
with its server, is written again. What is another project's is left alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mergeline.adapters.bundles import read_candidate, write_evaluation
from mergeline.adapters.mlflow.runs import Run
from mergeline.adapters.mlflow.tracking import Tracking
from mergeline.adapters.store.store import Stored
from mergeline.core.declare.model import Model
from mergeline.core.release.bundle import CANDIDATE_FILES, EVALUATION_FILES, HOLDOUT, MANIFEST
from mergeline.core.release.reconcile import (
    Kept,
    ShowKind,
    ShownRun,
    ShowPlan,
    ShowStep,
    plan_showing,
    plan_taking_over,
)
from mergeline.errors import BundleError, InputError, StoreError, TrackingError
from mergeline.lifecycle.steps.candidates import fetch, logged_run
from mergeline.lifecycle.steps.champion import read_promoted
from mergeline.lifecycle.steps.describing import describe_model, describe_version, is_described
from mergeline.lifecycle.steps.project import Project, Say


def show_all(project: Project, *, plan_only: bool = False, say: Say) -> list[ShowPlan]:
    """Have MLflow show the candidates and releases of each model.

    Released candidates that only MLflow has, as earlier versions of mergeline left them, are taken
    over into the store first.

    Returns:
        What was written for each model; with `plan_only`, what would be.

    Raises:
        InputError: no server is named, in a workflow.
        TrackingError: MLflow fails; or what it has in production under a model's name is another
            project's, or was never released by mergeline.
        StoreError: the store fails.
    """
    mlflow = project.mlflow
    if mlflow is None:
        raise InputError(
            "there is no MLflow to write to", next_step="Set MLFLOW_TRACKING_URI to its server"
        )
    jobs = [_Job(project, mlflow, model, say) for model in _models(project)]
    plans = [job.plan() for job in jobs]  # all of them, before anything is written
    if plan_only:
        return plans
    return [job.apply(plan) for job, plan in zip(jobs, plans, strict=True)]


def show_model(project: Project, model: str, *, say: Say) -> None:
    """Have MLflow show one model, where there is an MLflow; errors as of `show_all`."""
    if project.mlflow is not None:
        job = _Job(project, project.mlflow, model, say)
        job.apply(job.plan())


def _models(project: Project) -> list[str]:
    stored = {model for model, _ in project.store.known()}
    released = {page.model for page in project.pages}
    declared = set(project.tree("HEAD").choose_models(None))
    return sorted(stored | released | declared)


@dataclass
class _Job:
    """What is shown of one model."""

    project: Project
    mlflow: Tracking
    model: str
    say: Say

    def plan(self) -> ShowPlan:
        """Gather, and let the core decide."""
        project, store = self.project, self.project.store
        kept = {}
        for model, fingerprint in store.known():
            stored = store.find(model, fingerprint) if model == self.model else None
            if stored is not None:
                kept[fingerprint] = Kept(stored.model_digest, tuple(store.evaluations(stored)))
        runs, versions = self._runs(kept), self.mlflow.versions(self.model)
        pages = [page.entry for page in project.pages_of(self.model) if page.entry]
        taking = plan_taking_over(self.model, pages, kept, runs)
        if taking.steps:
            return taking  # what the ledger says is believed once the store has it
        ledger = project.ledger_of(self.model)
        read_promoted(project, ledger, versions)
        plan = plan_showing(self.model, ledger.moves, kept, runs, versions)
        declared = self._declared()
        if declared is None or is_described(project, declared):
            return plan
        step = ShowStep("describe", f"how {self.model} is asked", "")
        return replace(plan, steps=(*plan.steps, step))

    def _runs(self, kept: Mapping[str, Kept]) -> dict[str, ShownRun]:
        """MLflow's runs, but for those of another model than the store's."""
        shown: dict[str, ShownRun] = {}
        newest_first = self.mlflow.candidates(self.model)
        for run in reversed(newest_first):  # the first of a fingerprint counts
            known = kept.get(run.fingerprint)
            if known is not None and known.model_digest != run.model_digest:
                continue
            evaluation = self.mlflow.evaluation(run)
            at = evaluation.evaluated_at if evaluation else None
            shown.setdefault(run.fingerprint, ShownRun(run.run_id, run.model_digest, at))
        return shown

    def apply(self, plan: ShowPlan) -> ShowPlan:
        """Take the steps; what was done."""
        actions: Mapping[ShowKind, Callable[[ShowStep], None]] = {
            "take over": self._take_over,
            "log": self._log,
            "log evaluation": self._log_evaluation,
            "register": self._register,
            "promote": self._move,
            "move": self._move,
            "describe": self._describe,
        }
        for step in plan.steps:
            self.say(f"{self.model}: {step.kind}: {step.text}")
            actions[step.kind](step)
        if not any(step.kind == "take over" for step in plan.steps):
            return plan
        self.project.forget_ledger()
        then = self.apply(self.plan())
        return replace(plan, steps=(*plan.steps, *then.steps))

    def _take_over(self, step: ShowStep) -> None:
        """Bring a candidate that was only tracked into the store, with its newest evaluation."""
        mlflow = self.mlflow
        run = mlflow.find(self.model, step.fingerprint)
        if run is None:
            raise self._gone(step)
        with tempfile.TemporaryDirectory(prefix="mergeline-") as scratch:
            bundle = Path(scratch)
            mlflow.fetch(run, MANIFEST, bundle)
            mlflow.fetch(run, CANDIDATE_FILES, bundle)
            if not (bundle / CANDIDATE_FILES / HOLDOUT).exists():
                raise BundleError(
                    f"run {run.run_id} has no rows, so the store must have had its candidate",
                    where=self.project.store.name,
                    next_step="Point MERGELINE_STORE at the store of that candidate, or delete the "
                    "run",
                )
            stored = self.project.store.put_candidate(read_candidate(bundle), bundle)
            evaluation = mlflow.evaluation(run)
            if evaluation is not None:
                mlflow.evaluation_files(run, bundle / "fetched").rename(bundle / EVALUATION_FILES)
                write_evaluation(bundle, evaluation)
                self.project.store.put_evaluation(stored, evaluation, bundle)

    def _log(self, step: ShowStep) -> None:
        self._run(step.fingerprint)

    def _run(self, fingerprint: str) -> Run:
        return logged_run(self.project, fetch(self.project, self._stored(fingerprint)))

    def _log_evaluation(self, step: ShowStep) -> None:
        stored, store = self._stored(step.fingerprint), self.project.store
        with tempfile.TemporaryDirectory(prefix="mergeline-") as scratch:
            newest = store.evaluations(stored)[-1]
            store.fetch_evaluation(stored, newest, Path(scratch))
            files = Path(scratch) / EVALUATION_FILES
            self.mlflow.log_evaluation(self._run(step.fingerprint), newest, files)

    def _register(self, step: ShowStep) -> None:
        version = self.mlflow.register(self._run(step.fingerprint), step.number)
        entries = self.project.ledger_of(self.model).moves
        for reason in (entry.override for entry in entries if entry.version == step.number):
            if reason:
                self.mlflow.remember_override(version, reason)

    def _move(self, step: ShowStep) -> None:
        self.mlflow.move(self.model, step.number, step.stage)

    def _describe(self, step: ShowStep) -> None:
        if step.number:
            describe_version(self.project, self.model, step.number)
        declared = self._declared()
        if declared is not None:
            describe_model(self.project, declared)

    def _declared(self) -> Model | None:
        return self.project.tree("HEAD").choose_models(None).get(self.model)

    def _stored(self, fingerprint: str) -> Stored:
        stored = self.project.store.find(self.model, fingerprint)
        if stored is None:
            raise StoreError(
                f"the candidate {fingerprint[:8]} of {self.model} is gone",
                where=self.project.store.name,
                next_step="Run again",
            )
        return stored

    def _gone(self, step: ShowStep) -> TrackingError:
        return TrackingError(
            f"the run of {step.fingerprint[:8]} is gone",
            where=self.mlflow.uri,
            next_step="Run again",
        )
