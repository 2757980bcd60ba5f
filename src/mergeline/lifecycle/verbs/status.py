"""`status`: what Git says should serve, what does, and their difference."""

from __future__ import annotations

from dataclasses import dataclass

from mergeline.adapters.git.repository import Commit, Repository
from mergeline.core.release.ledger import Entry
from mergeline.core.release.plan import plan_release
from mergeline.core.release.stages import moved_by_hand, stages_of
from mergeline.errors import MergelineError
from mergeline.lifecycle.steps.deploying import ask_server
from mergeline.lifecycle.steps.live import read_live, read_target
from mergeline.lifecycle.steps.project import Project


@dataclass(frozen=True)
class Status:
    """Target and live of one model.

    Attributes:
        commit: the commit of the main branch that says what should serve.
        target: its fingerprint.
        champion: version in production by the ledger; `fingerprint` its own.
        staging: version in staging by the ledger.
        served: digest that the server answers with; None if no server is configured or it does
            not answer, and then `server_problem` says so.
        drift: one sentence for each difference.
        waits: what keeps main's version in staging for now; empty if nothing.
        doubts: one for each tag that has the name of a page and is not believed.
    """

    model: str
    commit: str
    target: str
    champion: int | None
    fingerprint: str | None
    served: str | None
    server_problem: str
    staging: int | None
    releases: int
    drift: tuple[str, ...]
    waits: str
    doubts: tuple[str, ...]


def status(project: Project, *, model: str | None = None) -> list[Status]:
    """Target and live of each model of the main branch (or the one named)."""
    repository = project.repository
    head = repository.commit(repository.main_branch())
    statuses = []
    for declared in project.tree(head.sha).choose_models(model).values():
        target = read_target(project, head, declared)
        served, problem = None, ""
        try:
            environment = project.tree(head.sha).environments.production
            served = ask_server(project, environment, declared.name)
        except MergelineError as error:
            problem = str(error)
        live = read_live(project, target, served)
        plan = plan_release(target, live)
        drift = plan.refusal or tuple(f"{step.kind}: {step.text}" for step in plan.steps)
        if plan.missing:
            drift = (f"{plan.missing}: mergeline evaluate",)
        champion = live.ledger.champion
        drift = _unlikely(repository, head, champion) or drift
        stages = stages_of(live.ledger.moves)
        statuses.append(
            Status(
                model=declared.name,
                commit=head.sha,
                target=target.fingerprint,
                champion=champion.version if champion else None,
                fingerprint=champion.fingerprint if champion else None,
                served=live.served,
                server_problem=problem,
                releases=len(live.ledger.entries),
                staging=next((n for n, stage in stages.items() if stage == "Staging"), None),
                drift=(*drift, *moved_by_hand(live.ledger.moves, live.versions)),
                waits=plan.waits,
                doubts=live.ledger.doubts,
            )
        )
    return statuses


def _unlikely(repository: Repository, head: Commit, champion: Entry | None) -> tuple[str, ...]:
    """What looks like drift and is rather this clone."""
    if champion is None or champion.commit == head.sha:
        return ()
    if repository.is_ancestor(champion.commit, head.sha):
        return ()
    commit = champion.commit[:8]
    way_out = "git fetch --unshallow" if repository.is_shallow() else "git fetch"
    return (f"production is of {commit}, which main here does not have: {way_out}",)
