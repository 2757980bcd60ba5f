"""`store gc`: delete from the store what nothing pins (law 10)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from mergeline.core.release.bundle import Evaluation
from mergeline.errors import InputError
from mergeline.lifecycle.steps.pinned_candidates import pinned_candidates
from mergeline.lifecycle.steps.project import Project, Say

_YOUNG = 0  # days


@dataclass(frozen=True)
class StoreGarbage:
    """What `store gc` deletes, or would with `--plan`.

    Attributes:
        delete: model, fingerprint and the time of its last evaluation, of each candidate.
        keep: number of those that stay.
    """

    delete: tuple[tuple[str, str, str], ...]
    keep: int
    applied: bool


def collect(project: Project, *, days: int, plan_only: bool = False, say: Say) -> StoreGarbage:
    """Delete the candidates that nothing pins and that were last evaluated more than `days` ago.

    A candidate is pinned by a release, by an open pull request that it was evaluated for, and by
    the tip of a branch or the working tree that has its fingerprint. One without an evaluation has
    no age, and stays.

    Raises:
        InputError: the number of days is negative.
        MergelineError: the store, the forge or origin does not answer: nothing is garbage then.
    """
    if days < _YOUNG:
        raise InputError("the number of days is negative", next_step="Say --days 30, for example")
    store, now = project.store, dt.datetime.now(dt.UTC)
    pinned = {(stored.model, stored.fingerprint) for stored in pinned_candidates(project)}
    known = store.known()
    delete = []
    for model, fingerprint in known:
        stored = None if (model, fingerprint) in pinned else store.find(model, fingerprint)
        evaluations = store.evaluations(stored) if stored else []
        if evaluations and _age(evaluations[-1], now) > dt.timedelta(days=days):
            delete.append((model, fingerprint, evaluations[-1].evaluated_at))
    if not plan_only:
        for model, fingerprint, _ in delete:
            say(f"deleting {model} {fingerprint[:8]}")
            store.remove(model, fingerprint)
        store.sweep()
    return StoreGarbage(tuple(delete), len(known) - len(delete), applied=not plan_only)


def _age(evaluation: Evaluation, now: dt.datetime) -> dt.timedelta:
    return now - dt.datetime.fromisoformat(evaluation.evaluated_at)
