"""The version in production, and whether registry and ledger can be of the same project."""

from __future__ import annotations

from dataclasses import dataclass

from mergeline.core.release.version import Version
from mergeline.errors import TrackingError
from mergeline.lifecycle.steps.candidates import fetch
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.trained import Trained

_NEXT = "Point MLFLOW_TRACKING_URI at the registry of the releases"


@dataclass(frozen=True)
class InProduction:
    """The champion as it is registered, and with its files."""

    version: Version
    trained: Trained


def find_champion(project: Project, model: str) -> InProduction | None:
    """The model in production with its files; None before the first release.

    Raises:
        TrackingError: see `read_champion`.
    """
    version = read_champion(project, model)
    if version is None:
        return None
    return InProduction(version, fetch(project, project.tracking.run(version.run_id)))


def read_champion(project: Project, model: str) -> Version | None:
    """The version of a model in production by the ledger; None before the first release.

    Raises:
        TrackingError: the registry does not have that version, or another model under its number.
    """
    champion = project.ledger_of(model).champion
    if champion is None:
        return None
    for version in project.tracking.versions(model):
        if version.number == champion.version and version.run_id == champion.run_id:
            return version
    raise TrackingError(
        f"the ledger says {model} v{champion.version} is in production, and the registry has no "
        f"such version of run {champion.run_id[:8]}",
        where=project.tracking.uri,
        next_step=_NEXT,
    )


def refuse_another_registry(project: Project) -> None:
    """Refuse a registry that lacks what the ledger says was released last, of any model.

    Raises:
        TrackingError: it does.
    """
    for model in {page.model for page in project.pages}:
        read_champion(project, model)
