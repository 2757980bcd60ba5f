"""`report`: find the report of an evaluation, to show it again."""

from __future__ import annotations

from pathlib import Path

from mergeline.core.release.bundle import EVALUATION_FILES, REPORT
from mergeline.core.report.content import Report, read_report
from mergeline.errors import DeclarationError, NotFoundError
from mergeline.lifecycle.steps.candidates import find_by
from mergeline.lifecycle.steps.evaluation import stored_report
from mergeline.lifecycle.steps.project import Project
from mergeline.system.atomic_writes import finished_folders


def find_report(project: Project, source: str | None) -> Report:
    """The report of a bundle's folder, or of a candidate by its fingerprint or run.

    Without a source, the newest on this machine.

    Raises:
        NotFoundError: there is none.
    """
    if source is not None and not Path(source).is_dir():
        return stored_report(project, find_by(project, source))
    if source is not None:
        return _read(Path(source) / EVALUATION_FILES / REPORT)
    bundles = finished_folders(project.state / "bundles")
    reports = [folder / EVALUATION_FILES / REPORT for folder in bundles]
    reports = [path for path in reports if path.is_file()]
    if not reports:
        raise NotFoundError(
            "nothing was evaluated here yet",
            where=str(project.state),
            next_step="Run mergeline evaluate",
        )
    return _read(max(reports, key=lambda path: path.stat().st_mtime))


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
