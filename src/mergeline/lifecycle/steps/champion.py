"""The version in production, and whether registry and ledger can be of the same project."""

from __future__ import annotations

from collections.abc import Sequence
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
    """The version of a model in production, as the ledger has it; None before the first release.

    Raises:
        TrackingError: the ledger is empty, and the registry has a version in production.
    """
    champion = project.ledger_of(model).champion
    if champion is None:
        refuse_another_s(project, project.tracking.versions(model))
        return None
    return Version(
        model=model,
        number=champion.version,
        stage="Production",
        fingerprint=champion.fingerprint,
        model_digest=champion.model_digest,
        run_id=champion.run_id,
        override=champion.override,
    )


def refuse_another_s(project: Project, versions: Sequence[Version]) -> None:
    """Refuse a version in production that this ledger, which is empty, knows nothing of.

    Raises:
        TrackingError: there is one.
    """
    for version in versions:
        if version.stage == "Production":
            raise TrackingError(
                f"{version.model} v{version.number} is in production by the registry, and no "
                "release of this repository made it so",
                where=project.tracking.uri,
                next_step="Give this model another name; or, if nobody else needs it, take the "
                "alias `production` from that version",
            )


def refuse_another_registry(project: Project) -> None:
    """Refuse a registry that does not have what the ledger says was released last, of any model.

    Raises:
        TrackingError: it does not; or somebody has forged that page.
    """
    for model in {page.model for page in project.pages if page.entry}:
        ledger = project.ledger_of(model)
        last = [page for page in project.pages if page.model == model and page.entry][-1]
        if last.entry not in ledger.entries:
            doubts = [doubt for doubt in ledger.doubts if doubt.startswith(last.name)]
            raise TrackingError(doubts[0], where=project.tracking.uri, next_step=_NEXT)
