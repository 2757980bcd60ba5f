"""What registry, ledger and server say, and what a commit says should serve."""

from __future__ import annotations

from mergeline.adapters.git.repository import Commit
from mergeline.core.declare.model import Model
from mergeline.core.release.plan import (
    Live,
    Target,
)
from mergeline.lifecycle.steps.project import Project, read_model_ingredients
from mergeline.lifecycle.steps.smoke_test import served_digest


def read_live(project: Project, target: Target) -> Live:
    """What registry, ledger and server say of a target's model."""
    tracking = project.tracking
    versions = tracking.versions(target.model)
    same = [one for one in versions if one.fingerprint == target.fingerprint]
    run = tracking.find(target.model, target.fingerprint)
    return Live(
        champion=tracking.champion(target.model),
        registered=same[0] if same else None,
        candidate=run is not None,
        evaluation=tracking.evaluation(run) if run else None,
        ledger=project.ledger(target.model),
        served=served_digest(project.server, target.model) if project.server else None,
    )


def read_target(project: Project, head: Commit, model: Model) -> Target:
    """What a commit says should serve."""
    ingredients = read_model_ingredients(project.repository.tree(head.sha), model)
    return Target(model.name, ingredients.fingerprint, head.sha)
