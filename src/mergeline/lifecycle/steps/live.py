"""What registry, ledger and server say, and what a commit says should serve."""

from __future__ import annotations

import datetime as dt

from mergeline.adapters.git.repository import Commit
from mergeline.core.declare.model import Model
from mergeline.core.release.facts import facts_of
from mergeline.core.release.ledger import Ledger
from mergeline.core.release.plan import Live, Target
from mergeline.core.release.stages import holder
from mergeline.lifecycle.steps.champion import read_promoted
from mergeline.lifecycle.steps.deploying import is_verified
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.smoke_test import serving_versions
from mergeline.lifecycle.steps.staging import is_staged


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
    staging = holder(ledger.moves, "Staging") if target.enter else None
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
        verified=_is_verified(project, target, ledger),
        staged=staging is None or is_staged(project, staging, tuple(versions)),
        now=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    )


def read_target(project: Project, head: Commit, model: Model) -> Target:
    """What a commit says should serve."""
    ingredients = project.tree(head.sha).ingredients(model)
    enter = project.tree(head.sha).environments.production.enter
    return Target(model.name, ingredients.fingerprint, head.sha, enter=enter)


def _is_verified(project: Project, target: Target, ledger: Ledger) -> bool:
    declared = project.tree(target.commit).environments.production.verify
    if declared is None:
        return True
    champion = ledger.champion
    return champion is not None and is_verified(project, champion)
