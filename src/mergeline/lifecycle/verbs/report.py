"""`report`: find the report of an evaluation, to show it again."""

from __future__ import annotations

from pathlib import Path

from mergeline.core.release.bundle import EVALUATION_FILES, REPORT
from mergeline.core.report.content import Report, read_report
from mergeline.errors import DeclarationError, NotFoundError
from mergeline.lifecycle.steps.bundle_folders import read_reports
from mergeline.lifecycle.steps.project import Project
from mergeline.system.atomic_writes import finished_folders


def find_reports(project: Project, source: str | None) -> list[Report]:
    """The reports of a folder of bundles, of a run, or without a source the newest one here.

    Raises:
        NotFoundError: there is no such run, or nothing was evaluated here.
        BundleError: there is no report in the folder.
    """
    if source is not None and not Path(source).is_dir():
        run = project.tracking.run(source)
        folder = project.tracking.evaluation_files(run, project.state / "fetched" / source)
        return [_read(folder / REPORT)]
    if source is not None:
        return read_reports(Path(source))
    bundles = finished_folders(project.state / "bundles")
    reports = [folder / EVALUATION_FILES / REPORT for folder in bundles]
    reports = [path for path in reports if path.is_file()]
    if not reports:
        raise NotFoundError(
            "nothing was evaluated here yet",
            where=str(project.state),
            next_step="Run mergeline evaluate",
        )
    return [_read(max(reports, key=lambda path: path.stat().st_mtime))]


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
