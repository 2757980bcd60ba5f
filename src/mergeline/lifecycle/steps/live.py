"""What registry, ledger and server say, and what a commit says should serve."""

from __future__ import annotations

import time

from mergeline.adapters.git.repository import Commit
from mergeline.adapters.scoring_server import Client
from mergeline.core.declare.model import Model
from mergeline.core.release.facts import facts_of
from mergeline.core.release.plan import Live, Target
from mergeline.core.release.version import Version
from mergeline.errors import DeployError
from mergeline.lifecycle.steps.champion import read_promoted
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.smoke_test import serving_versions

_PATIENCE = 60.0  # seconds for a server to take up a promotion


def read_live(project: Project, target: Target, served: str | None) -> Live:
    """What ledger, store, registry and server say of a model; `served` is of `ask_server`.

    Raises:
        TrackingError: what the registry has in production is another project's.
    """
    ledger, mlflow = project.ledger_of(target.model), project.mlflow
    stored = project.store.find(target.model, target.fingerprint)
    evaluations = project.store.evaluations(stored) if stored else []
    versions = mlflow.versions(target.model) if mlflow else []
    ours = ledger.number_of(target.fingerprint), stored.model_digest if stored else None
    same = (one for one in versions if (one.number, one.model_digest) == ours)
    registered = next(same, None)
    facts = facts_of(ledger.moves, target.fingerprint, evaluations)
    return Live(
        ledger=ledger,
        registry=mlflow is not None,
        promoted=read_promoted(project, ledger, versions, target.fingerprint),
        registered=registered,
        model_digest=stored.model_digest if stored else None,
        evaluation=evaluations[-1] if evaluations else None,
        serving=serving_versions(),
        served=served,
        described=registered is not None and registered.described == facts.digest,
        versions=tuple(versions),
    )


def ask_server(project: Project, model: str) -> str | None:
    """Digest of the model that the server has in production; None if no server is configured.

    It is empty if the server has none.

    Raises:
        DeployError: the server does not answer.
    """
    if project.server is None:
        return None
    for version in Client(project.server, token=project.server_token).versions(model):
        if str(version.get("stage", "")).lower() == "production" and version.get("loaded"):
            return str(version["model_digest"])
    return ""


def await_served(project: Project, version: Version) -> None:
    """Wait until the server answers with a version in production.

    Raises:
        DeployError: it does not within a minute.
    """
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if ask_server(project, version.model) == version.model_digest:
            return
        time.sleep(0.1)
    raise DeployError(
        f"the server did not take up {version.model} v{version.number} within {_PATIENCE:.0f} s",
        where=project.server or "",
        next_step="Look at its log and at /readyz, then run the release again",
    )


def read_target(project: Project, head: Commit, model: Model) -> Target:
    """What a commit says should serve."""
    ingredients = project.tree(head.sha).ingredients(model)
    return Target(model.name, ingredients.fingerprint, head.sha)
