"""`evaluate`: the candidate of a tree, held against production and base on the same rows."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mergeline.adapters.bundles import (
    check_replaceable,
    digests,
    manifest_digest,
    write_evaluation,
    written_whole,
)
from mergeline.adapters.git import Commit
from mergeline.adapters.holdout import HoldoutFile, read_holdout, write_predictions
from mergeline.core.bundle import (
    EVALUATION_FILES,
    HOLDOUT,
    PREDICTIONS,
    REPORT,
    REPORT_MARKDOWN,
    REPORT_PAGE,
    Evaluation,
    gate_digest,
)
from mergeline.core.compare import MovedRows, compare, moved_rows
from mergeline.core.comparison import Comparison, Scored
from mergeline.core.gate import (
    Context,
    Judgement,
    Kind,
    judge_both,
    judge_on_base_rows,
    judge_without_base_rows,
)
from mergeline.core.leakage import find_leaks
from mergeline.core.model import Role
from mergeline.core.release import Version
from mergeline.core.report import (
    Report,
    to_markdown,
    write_json,
)
from mergeline.core.report.content import Moved
from mergeline.errors import MergelineError, StageError, TrackingError
from mergeline.lifecycle.attribution import split
from mergeline.lifecycle.candidates import (
    Trained,
    fetch,
    find,
    importable,
    rows_trained_on,
    score,
    train,
)
from mergeline.lifecycle.case import Case, read_cases
from mergeline.lifecycle.plan import may_move_rows
from mergeline.lifecycle.project import Project, Say
from mergeline.lifecycle.report import Match, describe, describe_failure, describe_unread

_ENOUGH = 0.5  # share of the base's rows that must be left to compare on


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


def evaluate(
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
    with _judging_code(project, case):
        match = _compare(project, case, trained, champion, say)
    report = describe(project, match, time.monotonic() - since)
    if bundle is not None:
        return Evaluated(report, _write_bundle(bundle, match, report), bundle)
    return _log(project, match, report)


def _log(project: Project, match: Match, report: Report) -> Evaluated:
    """Leave the bundle in the state folder, and log its evaluation with the candidate's run."""
    from filelock import FileLock

    against = match.champion[0].fingerprint[:12] if match.champion else "first"
    folder = project.state / "bundles" / f"{match.trained.folder.name}-{against}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        evaluation = _write_bundle(folder, match, report)
        if match.trained.run is not None:
            files = folder / EVALUATION_FILES
            project.tracking.log_evaluation(match.trained.run, evaluation, files)
    return Evaluated(report, evaluation, folder)


def find_champion(project: Project, model: str) -> tuple[Version, Trained] | None:
    """The model in production with its files.

    Raises:
        TrackingError: the ledger names releases, but the registry has none in production; or what
            it has there carries no fingerprint.
    """
    version = project.tracking.champion(model)
    if version is not None and not version.fingerprint:
        raise TrackingError(
            f"{model} v{version.number} is in production and was not released by mergeline",
            where=project.tracking.uri,
            next_step="Take the alias `production` from it",
        )
    if version is None:
        ledger = project.ledger(model)
        if ledger:
            raise TrackingError(
                f"the ledger says {model} v{ledger[-1].version} is in production, "
                "but the registry has no champion",
                where=project.tracking.uri,
                next_step="Point MLFLOW_TRACKING_URI at the registry of the releases",
            )
        return None
    return version, fetch(project, project.tracking.run_of(version))


def _tracked(project: Project, trained: Trained, say: Say) -> Trained:
    say("logging the run")
    run = project.tracking.log(trained.candidate, trained.folder)
    if run.model_digest != trained.candidate.model_digest:
        return fetch(project, run)  # another one was first: that is the reviewed one
    return Trained(trained.candidate, trained.folder, run, trained.fresh)


def _compare(
    project: Project,
    case: Case,
    trained: Trained,
    champion: tuple[Version, Trained] | None,
    say: Say,
) -> Match:
    base = _base_model(project, case)
    if champion is None and base and base.candidate.fingerprint == trained.candidate.fingerprint:
        base = None  # the first model tells nothing by being held against itself
    models: dict[Role, Trained] = {"candidate": trained}
    models |= {"champion": champion[1]} if champion else {}
    models |= {"base": base} if base else {}
    on = _score_all(case, models, read_holdout(trained.holdout, case.judge))
    context = _context(case, on, has_champion=champion is not None)
    judgement = judge_both(case.gate, case.model.gate, on.comparison, context)
    moved: tuple[Moved, ...] = ()
    if champion and context.kind == "change":
        known = {**models, "base": base or champion[1]}
        moved, judgement = _hold_on_base_rows(case, known, on.holdout, judgement, say)
    return Match(
        case=case,
        trained=trained,
        champion=champion,
        holdout=on.holdout,
        scored=on.scored,
        comparison=on.comparison,
        judgement=judgement,
        moved=moved,
        attribution=split(project, case, trained, base, on.holdout, say=say),
    )


@contextlib.contextmanager
def _judging_code(project: Project, case: Case) -> Iterator[None]:
    """The project's own metrics as the base has them (law 5); new ones as the tree has them."""
    metrics = [metric for metric in case.judge.metrics if metric.own]
    if not metrics:
        yield
        return
    tree = case.tree
    if case.base is not None and case.before is not None:
        new = [path for path in tree.list() if case.before.blob(path) is None]
        tree = project.repository.compose(case.base.sha, tree, new)
    with tempfile.TemporaryDirectory(prefix="mergeline-") as folder:
        project.repository.export(tree, Path(folder))
        with importable(Path(folder), metrics):
            yield


def _hold_on_base_rows(
    case: Case,
    models: Mapping[Role, Trained],
    holdout: HoldoutFile,
    judgement: Judgement,
    say: Say,
) -> tuple[tuple[Moved, ...], Judgement]:
    """Judge on the base's rows too where the change moves its holdout; what moved of them.

    Args:
        case: the evaluated one.
        models: all; where the base was never trained, production stands for it.
        holdout: the candidate's.
        judgement: on those rows.
        say: is told what goes on.
    """
    try:
        rows = read_holdout(models["base"].holdout, case.judge)
    except StageError as error:
        return (), _without_base_rows(case, judgement, str(error))
    found = moved_rows(rows.rows, holdout.rows)
    if not found and not any(one.what in {"holdout", "contract"} for one in case.moved):
        return (), judgement
    say("scoring the rows of the base's own holdout too, since the change moves it")
    moved = _moved_rows_said(case, found)
    fitted_on = rows_trained_on(models["candidate"], case.judge)
    left = rows if fitted_on is None else rows.without(fitted_on)
    if len(left.frame) < _ENOUGH * len(rows.frame):
        out = len(rows.frame) - len(left.frame)
        problem = f"the candidate is fitted on {out:,} of its {len(rows.frame):,} rows"
        return moved, _without_base_rows(case, judgement, problem)
    there = _score_all(case, models, left)
    if there.scored[0].predictions is None:  # it takes a column that is new
        problem = f"the candidate {there.scored[0].problem}"
        return moved, _without_base_rows(case, judgement, problem)
    context = _context(case, there, has_champion=True)
    return moved, judge_on_base_rows(judgement, case.gate, there.comparison, context)


def _without_base_rows(case: Case, judgement: Judgement, problem: str) -> Judgement:
    """Where only drops came and went, as in a window of days that moves on, it is said only."""
    if may_move_rows(case.at_base, case.model, case.ingredients):
        return judge_without_base_rows(judgement, case.gate, problem)
    return replace(judgement, base_problem=problem)


def _moved_rows_said(case: Case, found: MovedRows) -> tuple[Moved, ...]:
    said = [f"{found.gone:,} are gone"] if found.gone else []
    said += [f"{found.relabelled:,} have another label"] if found.relabelled else []
    if not said:
        return ()
    text = f"of the {found.of:,} rows before, {' and '.join(said)}"
    return (Moved("holdout", f"{case.model.outputs}/{HOLDOUT}", text),)


@dataclass(frozen=True)
class _OnRows:
    """What the models say about the rows of one holdout."""

    holdout: HoldoutFile
    scored: tuple[Scored, ...]
    comparison: Comparison


def _score_all(case: Case, models: Mapping[Role, Trained], holdout: HoldoutFile) -> _OnRows:
    scored = tuple(score(model, role, holdout, case.judge) for role, model in models.items())
    return _OnRows(holdout, scored, compare(holdout.rows, scored, case.judge))


def _context(case: Case, on: _OnRows, *, has_champion: bool) -> Context:
    frame, judge = on.holdout.frame, case.judge
    leaks = find_leaks(
        {name: frame[name].to_numpy() for name in _new_columns(on.scored, on.holdout)},
        frame[judge.label].to_numpy(),
        judge.task,
    )
    kind: Kind = "first"
    if has_champion:
        kind = "restore" if case.restored else "change"
    return Context(
        kind=kind,
        evaluated_on=case.started_at.date(),
        newest_row=on.holdout.newest,
        leaks=leaks,
    )


def _new_columns(scored: Sequence[Scored], holdout: HoldoutFile) -> list[str]:
    """Columns that the candidate takes and the champion, should there be one, does not."""
    known = {column.name for one in scored if one.role == "champion" for column in one.inputs}
    taken = [column.name for one in scored if one.role == "candidate" for column in one.inputs]
    return [name for name in taken if name not in known and name in holdout.frame]


def _base_model(project: Project, case: Case) -> Trained | None:
    """The model of the base, where it was ever trained; nothing trains for a comparison."""
    if case.at_base is None:
        return None
    return find(project, case.model.name, case.at_base[1].fingerprint)


def _write_bundle(folder: Path, match: Match, report: Report) -> Evaluation:
    """The bundle: the candidate's files, and those of its evaluation."""
    from mergeline.core.comment import ROOM
    from mergeline.core.report.html import to_html
    from mergeline.core.report.plots import curves

    with written_whole(folder) as scratch:
        shutil.copytree(match.trained.folder, scratch, dirs_exist_ok=True)
        files = scratch / EVALUATION_FILES
        files.mkdir()
        write_predictions(
            files / PREDICTIONS,
            match.holdout,
            match.case.judge,
            {one.role: one.predictions for one in match.scored},
        )
        (files / REPORT).write_text(write_json(report), encoding="utf-8")
        (files / REPORT_MARKDOWN).write_text(to_markdown(report, limit=ROOM), encoding="utf-8")
        (files / REPORT_PAGE).write_text(to_html(report), encoding="utf-8")
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

    An error that is nobody's mistake but ours is reported too, and raised as it is.
    """
    try:
        yield
    except Exception as error:
        if bundle is not None:
            _leave(bundle, describe(_as_ours(error)))
        raise


def _leave(bundle: Path, failed: Report) -> None:
    with written_whole(bundle) as scratch:
        files = scratch / EVALUATION_FILES
        files.mkdir()
        (files / REPORT).write_text(write_json(failed), encoding="utf-8")


def _as_ours(error: Exception) -> MergelineError:
    if isinstance(error, MergelineError):
        return error
    return MergelineError(
        f"{type(error).__name__}: {error}",
        next_step="This is a defect of mergeline: report it with the log of the job",
    )
