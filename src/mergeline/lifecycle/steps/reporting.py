"""What an evaluation found, put together as a report."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Literal

from mergeline.core.fingerprint.ingredients import changes
from mergeline.core.release.plan import Version
from mergeline.core.report.content import (
    ChampionVersion,
    EvaluatedTree,
    Failure,
    OnMerge,
    Report,
    TrackedRun,
)
from mergeline.errors import MergelineError, StageError
from mergeline.lifecycle.steps.candidates import Trained
from mergeline.lifecycle.steps.case import Case
from mergeline.lifecycle.steps.data_changes import data_changes
from mergeline.lifecycle.steps.judging import Match
from mergeline.lifecycle.steps.project import (
    Project,
)


def describe(project: Project, match: Match, seconds: float) -> Report:
    """The report of a match.

    Args:
        project: where the registry is asked what merging would make.
        match: the candidate and what it was held against.
        seconds: that the evaluation took.
    """
    case, champion = match.case, match.champion
    same = champion is not None and champion[0].fingerprint == case.ingredients.fingerprint
    return Report(
        model=case.model.name,
        kind=_kind(match, same=same),
        subject=_subject(case),
        evaluated_at=case.started_at.isoformat(timespec="seconds"),
        fingerprint=case.ingredients.fingerprint,
        champion=_champion(champion),
        comparison=None if same and _holds(match) else match.comparison,
        judgement=match.judgement,
        run=TrackedRun(
            id=match.trained.run.run_id if match.trained.run else None,
            url=match.trained.run.url if match.trained.run else None,
            trained=match.trained.fresh,
            seconds=round(seconds, 1),
        ),
        oldest_row=match.holdout.oldest.isoformat() if match.holdout.oldest else None,
        newest_row=match.holdout.newest.isoformat() if match.holdout.newest else None,
        changes=changes(case.at_base[1], case.ingredients) if case.at_base else (),
        data=data_changes(project, case),
        moved=(*case.moved, *match.moved),
        rows_before=match.rows_before,
        on_merge=_on_merge(project, case, champion, same=same),
        attribution=match.attribution,
    )


def _holds(match: Match) -> bool:
    """Whether there is nothing to look at: the model is held against itself, by the same bar."""
    judgement = match.judgement
    return judgement.verdict.outcome == "pass" and not judgement.moved and not match.case.moved


def _kind(match: Match, *, same: bool) -> Literal["first", "change", "restore", "same"]:
    if match.champion is None:
        return "first"
    if same:
        return "same"
    return "restore" if match.case.restored else "change"


def _subject(case: Case) -> EvaluatedTree:
    return EvaluatedTree(
        tree=case.origin.tree,
        commit=case.origin.commit,
        pull_request=case.origin.pull_request,
        branch=case.branch.removeprefix("origin/") if case.branch else None,
        base=case.base.sha if case.base else None,
        base_fingerprint=case.at_base[1].fingerprint if case.at_base else None,
        behind=case.behind,
    )


def _champion(champion: tuple[Version, Trained] | None) -> ChampionVersion | None:
    if champion is None:
        return None
    version, trained = champion
    origin = trained.candidate.origin
    return ChampionVersion(version.number, version.fingerprint, origin.commit, origin.pull_request)


def _on_merge(
    project: Project, case: Case, champion: tuple[Version, Trained] | None, *, same: bool
) -> OnMerge:
    versions = project.tracking.versions(case.model.name)
    in_production = champion[0].number if champion else None
    if same:
        return OnMerge(None, in_production, None)
    known = [one for one in versions if one.fingerprint == case.ingredients.fingerprint]
    number = known[0].number if known else max((one.number for one in versions), default=0) + 1
    return OnMerge(number, in_production, in_production, trains=case.overtaken)


def describe_unread(project: Project, model: str | None, error: MergelineError) -> Report:
    """The report of a tree whose declarations cannot be read.

    Args:
        project: the working copy.
        model: the one that was asked for; None: all that the tree declares.
        error: what is wrong with them.
    """
    tree, origin = project.target_tree()
    paths = tree.list("models")
    return Report(
        model=model or ", ".join(Path(path).stem for path in paths) or "models",
        kind="failed",
        subject=EvaluatedTree(origin.tree, origin.commit, origin.pull_request),
        evaluated_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        failure=_failure(error, "plan"),
    )


def describe_failure(case: Case, error: MergelineError) -> Report:
    """The report of a run that came to no comparison."""
    return Report(
        model=case.model.name,
        kind="failed",
        subject=_subject(case),
        evaluated_at=case.started_at.isoformat(timespec="seconds"),
        fingerprint=case.ingredients.fingerprint,
        changes=changes(case.at_base[1], case.ingredients) if case.at_base else (),
        failure=_failure(error, "evaluate"),
    )


def _failure(error: MergelineError, step: str) -> Failure:
    if isinstance(error, StageError):
        tail = tuple(error.tail.splitlines()[-20:])
        return Failure(error.stage, error.message, tail, error.next_step)
    where = f"{error.where}: " if error.where else ""
    return Failure(step, where + error.message, next_step=error.next_step)
