"""The candidate of a tree, held against production and base on the same rows."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mergeline.adapters.bundles import (
    check_replaceable,
    digests,
    manifest_digest,
    write_evaluation,
)
from mergeline.adapters.git.repository import Commit
from mergeline.adapters.row_files import write_predictions
from mergeline.core.release.bundle import (
    EVALUATION_FILES,
    PREDICTIONS,
    REPORT,
    REPORT_MARKDOWN,
    REPORT_PAGE,
    Evaluation,
    gate_digest,
)
from mergeline.core.release.plan import Version
from mergeline.core.report.content import Report, write_json
from mergeline.errors import MergelineError, StageError
from mergeline.lifecycle.steps.candidates import Trained, fetch, find, train
from mergeline.lifecycle.steps.case import Case, read_cases
from mergeline.lifecycle.steps.champion import read_champion
from mergeline.lifecycle.steps.judging import Match, hold_against, judging_code
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.reporting import describe, describe_failure, describe_unread
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


def evaluate_models(
    project: Project,
    *,
    model: str | None = None,
    base: str | None = None,
    bundle: Path | None = None,
    merged_onto: Commit | None = None,
    say: Say,
) -> list[Evaluated]:
    """Evaluate the models that the working tree changes (or the one named).

    Args:
        project: the working copy.
        model: a declared model; None: each one that the tree changes, or all if it changes none.
        base: branch that the tree would be merged onto; None: the main branch.
        bundle: leave the bundle (of several models: a folder each) there and write to no store.
        merged_onto: of a commit that is merged already: what the branch was before.
        say: is told what goes on.

    Raises:
        MergelineError: see its classes; a failed run leaves a report of the failure in `bundle`.
    """
    if bundle is not None:
        check_replaceable(bundle)
    with _leaving_failure(bundle, partial(describe_unread, project, model)):
        cases = read_cases(project, model, base, merged_onto)
    done, failures = [], []
    for case in cases:
        folder = bundle / case.model.name if bundle and len(cases) > 1 else bundle
        try:
            with _leaving_failure(folder, partial(describe_failure, case)):
                done.append(_evaluate_one(project, case, folder, say))
            say(f"the page: {done[-1].folder / EVALUATION_FILES / REPORT_PAGE}")
        except MergelineError as error:
            failures.append(error)  # said when the other models have their reports
            if folder is None and isinstance(error, StageError):
                place = project.state / "bundles" / f"{case.model.name}-failed"
                _leave(place, describe_failure(case, error))
    if failures:
        raise failures[0]
    return done


def _evaluate_one(project: Project, case: Case, bundle: Path | None, say: Say) -> Evaluated:
    since = time.monotonic()
    champion = find_champion(project, case.model.name)
    trained = find(project, case.model.name, case.ingredients.fingerprint)
    if trained is None:
        say(f"{case.model.name}: training fingerprint {case.ingredients.fingerprint[:8]}")
        trained = train(project, case, say)
    elif not trained.fresh:
        say(f"{case.model.name}: {case.ingredients.fingerprint[:8]} is known; nothing trains")
    if bundle is None and trained.run is None:
        trained = _tracked(project, trained, say)
    say("scoring the same rows with each model")
    with judging_code(project, case):
        match = hold_against(project, case, trained, champion, say)
    report = describe(project, match, time.monotonic() - since)
    if bundle is not None:
        return Evaluated(report, _write_bundle(bundle, match, report), bundle)
    return _log(project, match, report)


def _log(project: Project, match: Match, report: Report) -> Evaluated:
    """Leave the bundle in the state folder, and log its evaluation with the candidate's run."""
    against = match.champion[0].fingerprint[:12] if match.champion else "first"
    folder = project.state / "bundles" / f"{match.trained.folder.name}-{against}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(f"{folder}.lock"):
        evaluation = _write_bundle(folder, match, report)
        if match.trained.run is not None:
            files = folder / EVALUATION_FILES
            project.tracking.log_evaluation(match.trained.run, evaluation, files)
    return Evaluated(report, evaluation, folder)


def find_champion(project: Project, model: str) -> tuple[Version, Trained] | None:
    """The model in production with its files; see `read_champion`."""
    version = read_champion(project, model)
    if version is None:
        return None
    return version, fetch(project, project.tracking.run_of(version))


def _tracked(project: Project, trained: Trained, say: Say) -> Trained:
    say("logging the run")
    run = project.tracking.log(trained.candidate, trained.folder)
    if run.model_digest != trained.candidate.model_digest:
        return fetch(project, run)  # another one was first: that is the reviewed one
    return Trained(trained.candidate, trained.folder, run, trained.fresh)


def _write_bundle(folder: Path, match: Match, report: Report) -> Evaluation:
    """The bundle: the candidate's files, and those of its evaluation."""
    from mergeline.core.report.render.formats import RENDERERS
    from mergeline.core.report.render.plots import curves

    with folder_written_whole(folder) as scratch:
        shutil.copytree(match.trained.folder, scratch, dirs_exist_ok=True)
        files = scratch / EVALUATION_FILES
        files.mkdir()
        write_predictions(
            files / PREDICTIONS,
            match.holdout,
            match.case.judge,
            {one.role: one.predictions for one in match.scored},
        )
        forms = {REPORT: "json", REPORT_MARKDOWN: "markdown", REPORT_PAGE: "html"}
        for name, form in forms.items():
            (files / name).write_text(RENDERERS[form](report), encoding="utf-8")
        for name, svg in curves(report).items():
            (files / name).write_text(svg, encoding="utf-8")
        evaluation = _evaluation(match, scratch)
        write_evaluation(scratch, evaluation)
    return evaluation


def _evaluation(match: Match, folder: Path) -> Evaluation:
    champion = match.champion[0] if match.champion else None
    verdict = match.judgement.verdict
    return Evaluation(
        kind="change" if champion else "first",
        verdict=verdict.outcome,
        reasons=tuple(reason.text for reason in verdict.reasons if reason.outcome != "pass"),
        gate_digest=gate_digest(match.case.gate),
        champion=champion.fingerprint if champion else None,
        champion_version=champion.number if champion else None,
        base=match.case.base.sha if match.case.base else None,
        origin=match.case.origin,
        evaluated_at=match.case.started_at.isoformat(timespec="seconds"),
        manifest=manifest_digest(folder),
        files=digests(folder, EVALUATION_FILES),
    )


@contextlib.contextmanager
def _leaving_failure(
    bundle: Path | None, describe: Callable[[MergelineError], Report]
) -> Iterator[None]:
    """What fails within leaves a bundle that holds only its report, so that a comment can say it.

    An error that is nobody's mistake but ours is reported too, and raised as it is. What would end
    the process is an error: its code may be 0, which means that the gate passed.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        ours = _as_ours(error)
        if bundle is not None:
            _leave(bundle, describe(ours))
        if isinstance(error, SystemExit):
            raise ours from error
        raise


def _leave(bundle: Path, failed: Report) -> None:
    with folder_written_whole(bundle) as scratch:
        files = scratch / EVALUATION_FILES
        files.mkdir()
        (files / REPORT).write_text(write_json(failed), encoding="utf-8")


def _as_ours(error: Exception | SystemExit) -> MergelineError:
    if isinstance(error, MergelineError):
        return error
    if isinstance(error, SystemExit):
        return MergelineError(
            f"something ends the process: {error!r}",
            next_step="Let the project's own code raise another error than SystemExit",
        )
    return MergelineError(
        f"{type(error).__name__}: {error}",
        next_step="This is a defect of mergeline: report it with the log of the job",
    )
