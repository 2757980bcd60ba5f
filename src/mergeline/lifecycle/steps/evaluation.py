"""What an evaluation leaves: a bundle, and its entry in the tracking store."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from mergeline.adapters.bundles import digests, manifest_digest, write_evaluation
from mergeline.adapters.row_files import write_examples, write_predictions
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
from mergeline.core.report.content import Report
from mergeline.core.report.view import view_of
from mergeline.lifecycle.steps.judging import Match
from mergeline.lifecycle.steps.project import Project
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


def log_evaluation(project: Project, match: Match, report: Report) -> Evaluated:
    """Leave the bundle in the state folder, and log its evaluation with the candidate's run."""
    against = match.champion.version.fingerprint[:12] if match.champion else "first"
    folder = project.state / "bundles" / f"{match.trained.folder.name}-{against}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(f"{folder}.lock"):
        evaluated = leave_bundle(folder, match, report)
        if match.trained.run is not None:
            files = folder / EVALUATION_FILES
            project.tracking.log_evaluation(match.trained.run, evaluated.evaluation, files)
    return evaluated


def leave_bundle(folder: Path, match: Match, report: Report) -> Evaluated:
    """Write the bundle: the candidate's files, and those of its evaluation."""
    from mergeline.core.report.render.formats import RENDERERS
    from mergeline.core.report.render.plots import curves

    with folder_written_whole(folder) as scratch:
        shutil.copytree(match.trained.folder, scratch, dirs_exist_ok=True)
        files = scratch / EVALUATION_FILES
        files.mkdir()
        answers = {str(role): scored.predictions for role, scored in match.scored.items()}
        write_predictions(files / PREDICTIONS, match.holdout, match.case.judge, answers)
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
            better=match.comparison.shown_better,
        )
        write_evaluation(scratch, evaluation)
    return Evaluated(report, evaluation, folder)
