"""The model in production: the ledger says which, and the store has its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mergeline.core.release.ledger import Entry, Ledger
from mergeline.core.release.version import Version
from mergeline.errors import StoreError, TrackingError
from mergeline.lifecycle.steps.candidates import fetch
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.trained import Trained


@dataclass(frozen=True)
class InProduction:
    """The champion as it was released, and with its files."""

    version: Version
    trained: Trained


def find_champion(project: Project, model: str) -> InProduction | None:
    """The model in production with its files; None before the first release.

    Raises:
        StoreError: the store does not have what the ledger says was released.
    """
    version = read_champion(project, model)
    if version is None:
        return None
    stored = project.store.find(model, version.fingerprint)
    if stored is None or stored.model_digest != version.model_digest:
        raise StoreError(
            f"the ledger says {model} v{version.number} ({version.fingerprint[:8]}) is in "
            f"production, and the store has {'another model' if stored else 'nothing'} of it",
            where=project.store.name,
            next_step="Point MERGELINE_STORE at the store of the releases; what only MLflow has, "
            "`mergeline reconcile` takes over",
        )
    return InProduction(version, fetch(project, stored))


def read_champion(project: Project, model: str) -> Version | None:
    """The version of a model in production by the ledger; None before the first release."""
    champion = project.ledger_of(model).champion
    return version_of(champion) if champion else None


def version_of(entry: Entry) -> Version:
    """The version that a page puts into production."""
    return Version(
        model=entry.model,
        number=entry.version,
        stage="Production",
        fingerprint=entry.fingerprint,
        model_digest=entry.model_digest,
        run_id=entry.run_id,
        override=entry.override,
    )


def read_promoted(
    project: Project, ledger: Ledger, versions: Sequence[Version], target: str | None = None
) -> Version | None:
    """The version that MLflow has in production; `target` is the fingerprint that should be there.

    Raises:
        TrackingError: no release of this ledger made it so, and nobody moved it there by hand: a
            project of the same model's name on the same server, or somebody's own version.
    """
    promoted = next((version for version in versions if version.stage == "Production"), None)
    ours = {target, *(entry.fingerprint for entry in ledger.moves)}
    if promoted is None or promoted.fingerprint in ours:
        return promoted
    by_hand = ledger.entries and promoted.fingerprint
    if by_hand and project.store.find(promoted.model, promoted.fingerprint):
        return promoted
    raise TrackingError(
        f"{promoted.model} v{promoted.number} is in production by the registry, and no release of "
        "this repository made it so",
        where=project.tracking.uri,
        next_step="If it is another project's, give the model another name, or name another server "
        "in MLFLOW_TRACKING_URI; if it is yours, take the alias `production` from it",
    )
