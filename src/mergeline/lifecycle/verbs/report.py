"""`report`: find the report of an evaluation, to show it again."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

from mergeline.core.release.bundle import EVALUATION_FILES, FLIPPED_ROWS, REPORT
from mergeline.core.report.content import Report, read_report
from mergeline.errors import DeclarationError, NotFoundError
from mergeline.lifecycle.steps.bundle_folders import read_reports
from mergeline.lifecycle.steps.candidates import find_by
from mergeline.lifecycle.steps.evaluation import stored_evaluation
from mergeline.lifecycle.steps.project import Project
from mergeline.system.atomic_writes import finished_folders


def find_reports(project: Project, source: str | None) -> list[Report]:
    """The reports of a folder of bundles, or of a candidate by its fingerprint or run.

    Without a source, the newest one here, and with it those of the same tree's other models.

    Raises:
        NotFoundError: there is no such candidate, or nothing was evaluated here.
        BundleError: there is no report in the folder.
    """
    if source is not None and Path(source).is_dir():
        return read_reports(Path(source))
    if source is not None:
        return [_read(_evaluation(project, source) / REPORT)]
    newest_first = (_read(folder / REPORT) for folder in _evaluations_here(project))
    newest = next(newest_first)
    found = {newest.model: newest}
    for report in takewhile(lambda other: other.subject.tree == newest.subject.tree, newest_first):
        found.setdefault(report.model, report)
    return [report for _, report in sorted(found.items())]


def find_rows(project: Project, source: str | None) -> Path:
    """The Parquet file of the rows that moved most, of the same evaluation.

    Raises:
        NotFoundError: there is no such evaluation, or no row of it moved.
    """
    path = _evaluation(project, source) / FLIPPED_ROWS
    if path.is_file():
        return path
    raise NotFoundError(
        "no table of rows there: none moved, or an earlier version made the evaluation",
        where=str(path.parent),
        next_step="Read mergeline report; or evaluate again",
    )


def _evaluation(project: Project, source: str | None) -> Path:
    """The folder of an evaluation's files."""
    if source is not None and not Path(source).is_dir():
        return stored_evaluation(project, find_by(project, source))
    if source is not None:
        return Path(source) / EVALUATION_FILES
    return _evaluations_here(project)[0]


def _evaluations_here(project: Project) -> list[Path]:
    """The folders of what was evaluated here, the newest first; one at least."""
    bundles = finished_folders(project.state / "bundles")
    reports = [folder / EVALUATION_FILES / REPORT for folder in bundles]
    reports = [path for path in reports if path.is_file()]
    if not reports:
        raise NotFoundError(
            "nothing was evaluated here yet",
            where=str(project.state),
            next_step="Run mergeline evaluate",
        )
    reports.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return [path.parent for path in reports]


def of_another_tree(project: Project, report: Report) -> bool:
    """Whether the working tree makes another model than the report is of."""
    tree, origin = project.target_tree()
    if report.subject.tree == origin.tree:
        return False
    try:
        now = tree.declared(report.model)
    except DeclarationError:
        return True
    return now is None or now.ingredients.fingerprint != report.fingerprint


def _read(path: Path) -> Report:
    try:
        return read_report(path.read_bytes(), where=str(path))
    except FileNotFoundError as error:
        raise NotFoundError(
            "no report there", where=str(path), next_step="Name a bundle's folder or a run"
        ) from error
