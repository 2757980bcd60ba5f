"""The version in production, and whether registry and ledger can be of the same project."""

from __future__ import annotations

from dataclasses import dataclass

from mergeline.core.release.version import Version
from mergeline.errors import TrackingError
from mergeline.lifecycle.steps.candidates import Trained, fetch
from mergeline.lifecycle.steps.project import Project

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
    """The version of a model in production; None before the first release.

    Raises:
        TrackingError: the ledger names releases, but the registry has none in production; or what
            it has there carries no fingerprint.
    """
    version = project.tracking.champion(model)
    if version is None and (ledger := project.ledger(model)):
        raise TrackingError(
            f"the ledger says {model} v{ledger[-1].version} is in production, "
            "but the registry has no champion",
            where=project.tracking.uri,
            next_step=_NEXT,
        )
    if version is not None and not version.fingerprint:
        raise TrackingError(
            f"{model} v{version.number} is in production and was not released by mergeline",
            where=project.tracking.uri,
            next_step="Take the alias `production` from it",
        )
    return version


def refuse_another_registry(project: Project) -> None:
    """Refuse a registry that lacks what the ledger says was released last, of any model.

    Raises:
        TrackingError: it does; see `read_champion` too.
    """
    last = {entry.model: entry for entry in project.ledger()}
    for model, entry in last.items():
        read_champion(project, model)
        versions = project.tracking.versions(model)
        if entry.fingerprint not in {version.fingerprint for version in versions}:
            raise TrackingError(
                f"the ledger's {model} v{entry.version} ({entry.fingerprint[:8]}) is not in the "
                "registry",
                where=project.tracking.uri,
                next_step=_NEXT,
            )
