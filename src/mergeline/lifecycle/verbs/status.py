"""`status`: what Git says should serve, what does, and their difference."""

from __future__ import annotations

from dataclasses import dataclass

from mergeline.adapters.git.repository import Commit, Repository
from mergeline.core.release.plan import Live, plan_release
from mergeline.errors import MergelineError
from mergeline.lifecycle.steps.live import ask_server, read_live, read_target
from mergeline.lifecycle.steps.project import Project


@dataclass(frozen=True)
class Status:
    """Target and live of one model.

    Attributes:
        commit: the commit of the main branch that says what should serve.
        target: its fingerprint.
        champion: version in production by the registry; `fingerprint` its own.
        served: digest that the server answers with; None if no server is configured or it does
            not answer, and then `server_problem` says so.
        drift: one sentence for each difference.
    """

    model: str
    commit: str
    target: str
    champion: int | None
    fingerprint: str | None
    served: str | None
    server_problem: str
    releases: int
    drift: tuple[str, ...]


def status(project: Project, *, model: str | None = None) -> list[Status]:
    """Target and live of each model of the main branch (or the one named)."""
    repository = project.repository
    head = repository.commit(repository.main_branch())
    statuses = []
    for declared in project.tree(head.sha).choose_models(model).values():
        target = read_target(project, head, declared)
        served, problem = None, ""
        try:
            served = ask_server(project, declared.name)
        except MergelineError as error:
            problem = str(error)
        live = read_live(project, target, served)
        plan = plan_release(target, live)
        drift = plan.refusal or tuple(f"{step.kind}: {step.text}" for step in plan.steps)
        drift = _unlikely(repository, head, live) or drift
        statuses.append(
            Status(
                model=declared.name,
                commit=head.sha,
                target=target.fingerprint,
                champion=live.champion.number if live.champion else None,
                fingerprint=live.champion.fingerprint if live.champion else None,
                served=live.served,
                server_problem=problem,
                releases=len(live.ledger),
                drift=drift,
            )
        )
    return statuses


def _unlikely(repository: Repository, head: Commit, live: Live) -> tuple[str, ...]:
    """What looks like drift and is rather this clone, or where it looks."""
    if not live.ledger:
        return ()
    last = live.ledger[-1]
    if live.champion is None:
        asked = "are MLFLOW_TRACKING_URI and MERGELINE_STATE those of the releases?"
        return (f"the ledger has v{last.version} in production, this registry nothing: {asked}",)
    if last.commit != head.sha and not repository.is_ancestor(last.commit, head.sha):
        return (f"production is of {last.commit[:8]}, which main here does not have: git fetch",)
    return ()
