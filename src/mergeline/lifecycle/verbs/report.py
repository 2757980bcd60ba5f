"""`report`: what an evaluation found, put together and shown."""

from __future__ import annotations

from pathlib import Path

from mergeline.core.release.bundle import EVALUATION_FILES, REPORT
from mergeline.core.report.content import Report, read_report
from mergeline.core.report.render.formats import RENDERERS
from mergeline.errors import DeclarationError, NotFoundError
from mergeline.lifecycle.steps.project import (
    Project,
    declared_models,
    read_model_ingredients,
)
from mergeline.system.atomic_writes import finished_folders


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
    bundles = finished_folders(project.state / "bundles")
    reports = [folder / EVALUATION_FILES / REPORT for folder in bundles]
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
    """The report in one of the forms of `RENDERERS`."""
    if form == "terminal":
        from rich.console import Console

        from mergeline.core.report.render.terminal import terminal_text

        return terminal_text(report, Console())  # in this terminal's width and colours
    return RENDERERS[form](report)


def _read(path: Path) -> Report:
    try:
        return read_report(path.read_bytes(), where=str(path))
    except FileNotFoundError as error:
        raise NotFoundError(
            "no report there", where=str(path), next_step="Name a bundle's folder or a run"
        ) from error
