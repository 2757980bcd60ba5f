"""Have MLflow's pages say what a registered version is, and how its model is asked."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mergeline.adapters.store.store import Stored
from mergeline.core.declare.model import Model
from mergeline.core.release.bundle import EVALUATION_FILES, REPORT, Evaluation
from mergeline.core.release.facts import facts_of
from mergeline.core.report.content import Report, read_report
from mergeline.core.report.render.registered import model_text, version_text
from mergeline.errors import MergelineError
from mergeline.lifecycle.steps.project import Project


def describe_version(project: Project, model: str, number: int) -> None:
    """Write the description of a released version, unless it has it already.

    Raises:
        TrackingError: MLflow fails.
        StoreError: the store fails.
    """
    mlflow, entries = project.tracking, project.ledger_of(model).moves
    released = next((entry for entry in entries if entry.version == number), None)
    stored = project.store.find(model, released.fingerprint) if released else None
    known = (version for version in mlflow.versions(model) if version.number == number)
    version = next(known, None)
    if released is None or stored is None or version is None:
        return
    facts = facts_of(entries, released.fingerprint, project.store.evaluations(stored))
    if version.described == facts.digest:
        return
    report = report_of(project, stored, facts.evaluation) if facts.evaluation else None
    text = version_text(facts, project.store.read_candidate(stored), report)
    mlflow.describe(version, text, facts.digest)


def describe_model(project: Project, model: Model) -> None:
    """Write how a registered model is asked; TrackingError if MLflow fails."""
    if not is_described(project, model):
        project.tracking.describe_model(model.name, model_text(model))


def is_described(project: Project, model: Model) -> bool:
    """Whether there is nothing to write of how a model is asked."""
    return project.tracking.description(model.name) in {None, model_text(model)}


def report_of(project: Project, stored: Stored, evaluation: Evaluation) -> Report | None:
    """The report of a stored evaluation; None where another version of mergeline wrote it so.

    Raises:
        StoreError: the store fails.
    """
    with tempfile.TemporaryDirectory(prefix="mergeline-") as scratch:
        project.store.fetch_evaluation(stored, evaluation, Path(scratch))
        try:
            path = Path(scratch) / EVALUATION_FILES / REPORT
            return read_report(path.read_bytes(), where=REPORT)
        except MergelineError:  # of another version of mergeline
            return None
