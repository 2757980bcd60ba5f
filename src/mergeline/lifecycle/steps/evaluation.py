"""What an evaluation leaves: a bundle, and its entries in the store and in MLflow."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from mergeline.adapters.bundles import digests, manifest_digest, write_evaluation
from mergeline.adapters.mlflow.runs import Run
from mergeline.adapters.row_files import write_examples, write_predictions
from mergeline.adapters.store.store import Stored
from mergeline.core.release.bundle import (
    EVALUATION_FILES,
    FLIPPED_ROWS,
    PREDICTIONS,
    REPORT,
    REPORT_MARKDOWN,
    REPORT_PAGE,
    Evaluation,
    gate_digest,
)
from mergeline.core.report.content import Report, read_report
from mergeline.core.report.view import view_of
from mergeline.errors import NotFoundError, TrackingError
from mergeline.lifecycle.steps.judging import Match
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.system.atomic_writes import folder_written_whole
from mergeline.system.locks import file_lock


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation leaves.

    Attributes:
        folder: the bundle.
    """

    report: Report
    evaluation: Evaluation
    folder: Path

    @property
    def passed(self) -> bool:
        """Whether the gate lets it through."""
        return self.evaluation.verdict == "pass"

    @property
    def exit_code(self) -> int:
        """What the command ends with: 1 where the gate refuses."""
        return 0 if self.passed else 1

    @property
    def page(self) -> Path:
        """The report for a browser."""
        return self.folder / EVALUATION_FILES / REPORT_PAGE


def log_evaluation(project: Project, match: Match, report: Report, say: Say) -> Evaluated:
    """Leave the bundle in the state folder, and its evaluation in the store and in MLflow."""
    against = match.champion.version.fingerprint[:12] if match.champion else "first"
    folder = project.state / "bundles" / f"{match.trained.folder.name}-{against}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(f"{folder}.lock"):
        evaluated = leave_bundle(folder, match, report)
        trained = match.trained
        if trained.stored is not None:
            project.store.put_evaluation(trained.stored, evaluated.evaluation, folder)
        if trained.run is not None:
            show_evaluation(project, trained.run, evaluated.evaluation, folder, say)
    return evaluated


def show_evaluation(
    project: Project, run: Run, evaluation: Evaluation, bundle: Path, say: Say
) -> None:
    """Log a bundle's evaluation with the run that people see of it; say where that fails."""
    if project.mlflow is None:
        return
    try:
        if not project.mlflow.has_evaluation(run, evaluation):
            project.mlflow.log_evaluation(run, evaluation, bundle / EVALUATION_FILES)
    except TrackingError as error:
        say(f"the evaluation could not be logged, `mergeline reconcile` will: {error}")


def stored_evaluation(project: Project, stored: Stored) -> Path:
    """The files of a stored candidate's newest evaluation, brought here.

    Raises:
        NotFoundError: it was never evaluated.
    """
    evaluations = project.store.evaluations(stored)
    if not evaluations:
        raise NotFoundError(
            f"{stored.model} {stored.fingerprint[:8]} was never held against another",
            where=project.store.name,
            next_step="Evaluate its tree again",
        )
    folder = project.state / "fetched" / f"{stored.model}-{stored.fingerprint[:20]}"
    with folder_written_whole(folder) as scratch:
        project.store.fetch_evaluation(stored, evaluations[-1], scratch)
    return folder / EVALUATION_FILES


def stored_report(project: Project, stored: Stored) -> Report:
    """The report of a stored candidate's newest evaluation; NotFoundError if there is none."""
    return read_report((stored_evaluation(project, stored) / REPORT).read_bytes(), where=REPORT)


def leave_bundle(folder: Path, match: Match, report: Report) -> Evaluated:
    """Write the bundle: the candidate's files, and those of its evaluation."""
    from mergeline.core.report.render.formats import RENDERERS
    from mergeline.core.report.render.plots import curves

    with folder_written_whole(folder) as scratch:
        shutil.copytree(match.trained.folder, scratch, dirs_exist_ok=True)
        files = scratch / EVALUATION_FILES
        files.mkdir()
        answers = {str(role): scored.predictions for role, scored in match.scored.items()}
        stored = match.trained.candidate.rebuilt is None
        write_predictions(
            files / PREDICTIONS, match.holdout, match.case.judge, answers, labelled=stored
        )
        if (view := view_of(report)) is not None and view.examples and view.against:
            path = files / FLIPPED_ROWS
            write_examples(path, match.holdout, match.case.judge, view.examples, view.against)
        forms = {REPORT: "json", REPORT_MARKDOWN: "markdown", REPORT_PAGE: "html"}
        texts = {name: RENDERERS[form](report) for name, form in forms.items()}
        for name, text in {**texts, **curves(report)}.items():
            (files / name).write_text(text, encoding="utf-8")
        verdict = match.judgement.verdict
        evaluation = Evaluation(
            verdict=verdict.outcome,
            reasons=tuple(reason.text for reason in verdict.reasons if reason.outcome != "pass"),
            gate_digest=gate_digest(match.case.gate),
            champion=match.champion.version.fingerprint if match.champion else None,
            origin=match.case.origin,
            evaluated_at=match.case.started_at.isoformat(timespec="seconds"),
            manifest=manifest_digest(scratch),
            files=digests(scratch, EVALUATION_FILES),
            smoke_test=match.smoke_test,
            rows=match.comparison.holdout.digest,
            walls=report.walls or "",
            better=match.comparison.shown_better,
            holdout_moved=bool(match.judgement.holdout_moved),
            approval=match.judgement.approval,
        )
        write_evaluation(scratch, evaluation)
    return Evaluated(report, evaluation, folder)
