"""`report`: what an evaluation found, put together and shown."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mergeline.adapters.bundles import finished
from mergeline.adapters.delta import Tables
from mergeline.adapters.git import Tree
from mergeline.adapters.holdout import HoldoutFile
from mergeline.core.bundle import EVALUATION_FILES, REPORT, Origin
from mergeline.core.comparison import Comparison, Scored
from mergeline.core.datawords import drift_lines, note_lines
from mergeline.core.fingerprint import changes
from mergeline.core.gate import Judgement
from mergeline.core.release import Version
from mergeline.core.report import (
    Attribution,
    Champion,
    DataChange,
    Failure,
    OnMerge,
    Report,
    Run,
    Subject,
    read_report,
    to_markdown,
    write_json,
)
from mergeline.core.report.content import Moved
from mergeline.errors import DeclarationError, MergelineError, NotFoundError, StageError
from mergeline.lifecycle.browse import diff_versions
from mergeline.lifecycle.candidates import Trained
from mergeline.lifecycle.case import Case
from mergeline.lifecycle.project import (
    Project,
    declared_models,
    declared_tables,
    read_model_ingredients,
)
from mergeline.lifecycle.snapshot import build_for


@dataclass(frozen=True)
class Match:
    """A candidate held against the others on the same rows, and judged.

    Attributes:
        rows_before: number of rows of the base's own holdout, where it is known.
    """

    case: Case
    trained: Trained
    champion: tuple[Version, Trained] | None
    holdout: HoldoutFile
    scored: tuple[Scored, ...]
    comparison: Comparison
    judgement: Judgement
    moved: tuple[Moved, ...]
    rows_before: int | None
    attribution: Attribution | None


def find_report(project: Project, source: str | None) -> Report:
    """The report of a bundle's folder or of a run; None: the newest on this machine.

    Raises:
        NotFoundError: there is none.
    """
    if source is not None and not Path(source).is_dir():
        run = project.tracking.run(source)
        folder = project.tracking.evaluation_files(run, project.state / "fetched" / source)
        return _read(folder / REPORT)
    if source is not None:
        return _read(Path(source) / EVALUATION_FILES / REPORT)
    reports = [folder / EVALUATION_FILES / REPORT for folder in finished(project.state / "bundles")]
    left = sorted(
        (path for path in reports if path.is_file()), key=lambda path: path.stat().st_mtime
    )
    if not left:
        raise NotFoundError(
            "nothing was evaluated here yet",
            where=str(project.state),
            next_step="Run mergeline evaluate",
        )
    return _read(left[-1])


def of_another_tree(project: Project, report: Report) -> bool:
    """Whether the working tree makes another model than the report is of."""
    tree, origin = project.target_tree()
    if report.subject.tree == origin.tree:
        return False
    try:
        declared = declared_models(tree)[report.model]
        now = read_model_ingredients(tree, declared).fingerprint
    except (DeclarationError, KeyError):
        return True
    return now != report.fingerprint


def render(report: Report, form: str) -> str:
    """The report as `terminal`, `markdown`, `html` or `json`, ending in a newline."""
    if form == "markdown":
        return to_markdown(report)
    if form == "json":
        return write_json(report)
    if form == "html":
        from mergeline.core.report.html import to_html

        return to_html(report)
    from io import StringIO

    from rich.console import Console

    from mergeline.core.report.terminal import to_terminal

    console = Console()
    out = Console(file=StringIO(), force_terminal=console.is_terminal, width=console.width,
                  color_system=console.color_system)  # type: ignore[arg-type]  # fmt: skip
    with out.capture() as captured:
        out.print(to_terminal(report))
    return captured.get()


def _read(path: Path) -> Report:
    try:
        return read_report(path.read_bytes(), where=str(path))
    except FileNotFoundError as error:
        raise NotFoundError(
            "no report there", where=str(path), next_step="Name a bundle's folder or a run"
        ) from error


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
        run=Run(
            id=match.trained.run.run_id if match.trained.run else None,
            url=match.trained.run.url if match.trained.run else None,
            trained=match.trained.fresh,
            seconds=round(seconds, 1),
        ),
        oldest_row=match.holdout.oldest.isoformat() if match.holdout.oldest else None,
        newest_row=match.holdout.newest.isoformat() if match.holdout.newest else None,
        changes=changes(case.at_base[1], case.ingredients) if case.at_base else (),
        data=_data_changes(project, case),
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


def _subject(case: Case) -> Subject:
    return Subject(
        tree=case.origin.tree,
        commit=case.origin.commit,
        pull_request=case.origin.pull_request,
        branch=case.branch.removeprefix("origin/") if case.branch else None,
        base=case.base.sha if case.base else None,
        base_fingerprint=case.at_base[1].fingerprint if case.at_base else None,
        behind=case.behind,
    )


def _champion(champion: tuple[Version, Trained] | None) -> Champion | None:
    if champion is None:
        return None
    version, trained = champion
    origin = trained.candidate.origin
    return Champion(version.number, version.fingerprint, origin.commit, origin.pull_request)


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


def _data_changes(project: Project, case: Case) -> tuple[DataChange, ...]:
    if case.at_base is None or case.base is None:
        return ()
    before = case.at_base[1].snapshots
    moved = [t for t, now in case.ingredients.snapshots.items() if t not in before
             or before[t].digest != now.digest]  # fmt: skip
    base_tree = project.repository.tree(case.base.sha)
    return tuple(_data_change(project, case, table, base_tree) for table in moved)


def _data_change(project: Project, case: Case, table: str, base_tree: Tree) -> DataChange:
    """What a table's new snapshot has that the base's has not; only the changed drops are read."""
    now = case.ingredients.snapshots[table].pointers
    known = case.at_base[1].snapshots if case.at_base else {}
    old: Mapping[str, str] = known[table].pointers if table in known else {}
    change = DataChange(
        table,
        _drop_names([path for path, md5 in now.items() if old.get(path) != md5]),
        _drop_names([path for path, md5 in old.items() if now.get(path) != md5]),
    )
    try:
        after = build_for(project, case.tree, case.origin, only={table})[0]
        found = build_for(project, base_tree, _base_origin(case), only={table})
        before = found[0].version if found else None
        contract = declared_tables(case.tree)[table]
        tables = Tables(project.tables)
        label = {case.model.label}
        diff = diff_versions(tables, table, before, after.version, key=contract.key, labels=label)
    except MergelineError as error:
        return replace(change, notes=(f"the rows could not be compared: {error}",))
    return replace(
        change,
        rows_added=diff.rows_added,
        rows_removed=diff.rows_removed,
        rows=diff.after.rows,
        schema=tuple(map(str, diff.schema)),
        drift=drift_lines(diff),
        notes=note_lines(diff),
    )


def _base_origin(case: Case) -> Origin:
    commit = case.base.sha if case.base else None
    return Origin(case.origin.tree, commit, case.branch, case.base.author if case.base else None)


def _drop_names(paths: list[str]) -> tuple[str, ...]:
    return tuple(path.rpartition("/")[2].removesuffix(".dvc") for path in sorted(paths))


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
        subject=Subject(origin.tree, origin.commit, origin.pull_request),
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
