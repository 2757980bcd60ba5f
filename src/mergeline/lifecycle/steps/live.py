"""What registry, ledger and server say, and what a commit says should serve."""

from __future__ import annotations

import time

from mergeline.adapters.git.repository import Commit
from mergeline.adapters.scoring_server import Client
from mergeline.core.declare.model import Model
from mergeline.core.release.plan import Live, Target
from mergeline.core.release.version import Version
from mergeline.errors import DeployError
from mergeline.lifecycle.steps.project import Project

_PATIENCE = 60.0  # seconds for a server to take up a promotion


def read_live(project: Project, target: Target, served: str | None) -> Live:
    """What registry, ledger and server say of a model; `served` is what `ask_server` returned."""
    tracking = project.tracking
    versions = tracking.versions(target.model)
    run = tracking.find(target.model, target.fingerprint)
    same = (version for version in versions if version.fingerprint == target.fingerprint)
    return Live(
        champion=tracking.champion(target.model),
        registered=next(same, None),
        candidate=run is not None,
        evaluation=tracking.evaluation(run) if run else None,
        ledger=project.ledger(target.model),
        served=served,
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
