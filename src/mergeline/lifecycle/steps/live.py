"""What registry, ledger and server say, and what a commit says should serve."""

from __future__ import annotations

from mergeline.adapters.git.repository import Commit
from mergeline.core.declare.model import Model
from mergeline.core.release.plan import Live, Target
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.smoke_test import served_digest


def read_live(project: Project, target: Target, served: str | None) -> Live:
    """What registry and ledger say of a target's model.

    Args:
        project: the working copy.
        target: what Git says should serve.
        served: what the server says, as `ask_server` tells it.
    """
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
    return served_digest(project.server, model) if project.server else None


def read_target(project: Project, head: Commit, model: Model) -> Target:
    """What a commit says should serve."""
    ingredients = project.tree(head.sha).ingredients(model)
    return Target(model.name, ingredients.fingerprint, head.sha)
