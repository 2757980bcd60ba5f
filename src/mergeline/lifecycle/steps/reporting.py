"""What an evaluation found, put together as a report."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from mergeline.core.fingerprint.ingredients import changes
from mergeline.core.gate.verdict import Situation
from mergeline.core.release.lineage import Reference, last_move_of_holdout
from mergeline.core.report.content import (
    ChampionVersion,
    EvaluatedTree,
    Failure,
    HoldoutMove,
    OnMerge,
    ReferenceVersion,
    Report,
    TrackedRun,
    UnreleasedBase,
)
from mergeline.errors import MergelineError, StageError
from mergeline.lifecycle.steps.case import Case
from mergeline.lifecycle.steps.champion import InProduction
from mergeline.lifecycle.steps.data_changes import data_changes
from mergeline.lifecycle.steps.judging import Match
from mergeline.lifecycle.steps.moved_bar import moved_bar
from mergeline.lifecycle.steps.project import Project


def describe(project: Project, match: Match) -> Report:
    """The report of a match; the ledger is asked what merging would make."""
    case, champion, judgement = match.case, match.champion, match.judgement
    moved = moved_bar(case)
    situation = _situation(match)
    same = situation is Situation.SAME
    # Held against itself by the same bar, there is nothing to look at.
    looked_at = not same or judgement.verdict.outcome != "pass" or judgement.moved or moved
    return Report(
        model=case.model.name,
        kind=situation,
        subject=_subject(case),
        evaluated_at=case.started_at.isoformat(timespec="seconds"),
        fingerprint=case.ingredients.fingerprint,
        champion=_champion(champion),
        reference=_reference(match.reference),
        comparison=match.comparison if looked_at else None,
        judgement=judgement,
        run=TrackedRun(
            id=match.trained.run.run_id if match.trained.run else None,
            url=match.trained.run.url if match.trained.run else None,
            trained=match.trained.fresh,
            seconds=round(match.seconds, 1),
        ),
        oldest_row=_shown_date(case, match.holdout.oldest),
        newest_row=_shown_date(case, match.holdout.newest),
        changes=changes(case.at_base.ingredients, case.ingredients) if case.at_base else (),
        data=data_changes(project, case),
        moved=(*moved, *match.moved),
        rows_before=match.rows_before,
        look=match.look,
        unreleased=_unreleased(project, case),
        holdout_move=_holdout_move(project, case),
        walls=str(project.walls),
        on_merge=_on_merge(project, case, champion, same=same),
        attribution=match.attribution,
    )


def _shown_date(case: Case, date: dt.date | None) -> str | None:
    return date.isoformat() if date and case.judge.cluster not in case.private else None


def _situation(match: Match) -> Situation:
    if match.champion is None:
        return Situation.FIRST
    if match.champion.version.fingerprint == match.case.ingredients.fingerprint:
        return Situation.SAME
    return Situation.RESTORE if match.case.restored else Situation.CHANGE


def _subject(case: Case) -> EvaluatedTree:
    return EvaluatedTree(
        tree=case.origin.tree,
        commit=case.origin.commit,
        pull_request=case.origin.pull_request,
        branch=case.branch.removeprefix("origin/") if case.branch else None,
        base=case.base.sha if case.base else None,
        base_fingerprint=case.at_base.ingredients.fingerprint if case.at_base else None,
        behind=case.behind,
    )


def _champion(champion: InProduction | None) -> ChampionVersion | None:
    if champion is None:
        return None
    version, origin = champion.version, champion.trained.candidate.origin
    return ChampionVersion(version.number, version.fingerprint, origin.commit, origin.pull_request)


def _reference(reference: Reference | None) -> ReferenceVersion | None:
    if reference is None:
        return None
    page = reference.entry
    return ReferenceVersion(page.version, page.fingerprint, reference.why, reference.releases)


def _on_merge(
    project: Project, case: Case, champion: InProduction | None, *, same: bool
) -> OnMerge:
    in_production = champion.version.number if champion else None
    if same:
        return OnMerge(None, in_production, None)
    number = project.ledger_of(case.model.name).number_of(case.ingredients.fingerprint)
    back = _brought_back(project, case, champion)
    return OnMerge(number, in_production, back, trains=case.overtaken)


def _brought_back(project: Project, case: Case, champion: InProduction | None) -> int | None:
    """The version that a revert of the merge puts back into production; None if it puts none."""
    fingerprint = case.reverted_to
    if champion is not None and champion.version.fingerprint == fingerprint:
        return champion.version.number
    pages = reversed(project.ledger(case.model.name))
    return next((page.version for page in pages if page.fingerprint == fingerprint), None)


def _unreleased(project: Project, case: Case) -> UnreleasedBase | None:
    """That the base is not what is in production, and why."""
    if case.production is None or case.base is None:
        return None
    why = "it does not declare the model"
    if case.at_base is not None:
        fingerprint = case.at_base.ingredients.fingerprint
        stored = project.store.find(case.model.name, fingerprint)
        evaluations = project.store.evaluations(stored) if stored else []
        evaluation = evaluations[-1] if evaluations else None
        why = "its model was never judged"
        if evaluation is not None and evaluation.verdict == "pass":
            why = "its model passed the gate and is not released"
        elif evaluation is not None:
            because = "".join(f": {text}" for text in evaluation.reasons[:1])
            why = f"the gate said {evaluation.verdict}{because}"
    return UnreleasedBase(case.base.sha, why)


def _holdout_move(project: Project, case: Case) -> HoldoutMove | None:
    page = last_move_of_holdout(project.ledger(case.model.name))
    if page is None:
        return None
    approval = page.approval
    return HoldoutMove(
        version=page.version,
        released_at=page.released_at,
        author=page.author.partition(" <")[0],
        pull_request=page.pull_request,
        approved_by=approval.by if approval else None,
        reason=approval.reason if approval else page.override,
    )


def describe_unread(project: Project, model: str | None, error: MergelineError) -> Report:
    """The report of a tree whose declarations cannot be read, of one model or of all."""
    tree, origin = project.target_tree()
    paths = tree.files.list("models")
    return Report(
        model=model or ", ".join(Path(path).stem for path in paths) or "models",
        kind=Situation.FAILED,
        subject=EvaluatedTree(origin.tree, origin.commit, origin.pull_request),
        evaluated_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        failure=_failure(error, "plan"),
    )


def describe_failure(case: Case, error: MergelineError) -> Report:
    """The report of a run that came to no comparison."""
    return Report(
        model=case.model.name,
        kind=Situation.FAILED,
        subject=_subject(case),
        evaluated_at=case.started_at.isoformat(timespec="seconds"),
        fingerprint=case.ingredients.fingerprint,
        changes=changes(case.at_base.ingredients, case.ingredients) if case.at_base else (),
        failure=_failure(error, "evaluate"),
    )


def _failure(error: MergelineError, step: str) -> Failure:
    if isinstance(error, StageError):
        tail = tuple(error.tail.splitlines()[-20:])
        return Failure(error.stage, error.message, tail, error.next_step)
    where = f"{error.where}: " if error.where else ""
    return Failure(step, where + error.message, next_step=error.next_step)
