"""`why`: where an answer comes from: from its model's digest back to people, data and params.

Ledger and store say it all; MLflow is not asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mergeline.core.release.bundle import Evaluation, Origin, SnapshotUse
from mergeline.core.release.facts import Time, facts_of
from mergeline.core.release.ledger import Entry
from mergeline.core.report.sentences import headline
from mergeline.errors import NotFoundError
from mergeline.lifecycle.steps.describing import report_of
from mergeline.lifecycle.steps.project import Project

_DIGEST = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True)
class Why:
    """Where one model comes from.

    Attributes:
        version: that it was released as; None if it never entered a stage.
        brought_by: the ledger's page with pull request, author and who approved; None likewise.
        times: that it was in a stage, oldest first, each with the page that began it.
        origin: of the tree that it was trained from.
        evaluation: that let it through; of one that never entered a stage the newest.
        headline: of that evaluation's report; empty where this version cannot read it.
    """

    model: str
    version: int | None
    model_digest: str
    fingerprint: str
    brought_by: Entry | None
    times: tuple[Time, ...]
    origin: Origin
    snapshots: tuple[SnapshotUse, ...]
    params: Mapping[str, Any]
    environment: Mapping[str, str]
    evaluation: Evaluation | None
    headline: str


def why(project: Project, what: str) -> list[Why]:
    """The origin of what is in production of a model, or of the models of a digest.

    `what` is a model's name, or the digest that an answer bears: all of it, or its beginning.
    Several models have one digest where they are the same bytes.

    Raises:
        NotFoundError: nothing is called so, several digests begin so, or nothing of the model was
            released.
        StoreError: the store lacks what the ledger names.
    """
    names = sorted({page.model for page in project.pages})
    if what in names and (champion := project.ledger_of(what).champion):
        return [_why(project, what, champion.fingerprint)]
    start = what.strip().lower().removeprefix("sha256:")
    found = sorted(_released(project, names, start) or _stored(project, start))
    digests = {digest for digest, _, _ in found}
    if len(digests) == 1:
        return [_why(project, model, fingerprint) for _, model, fingerprint in found]
    raise NotFoundError(
        f"{len(digests)} digests begin with {start}"
        if digests
        else f"{what!r} is no model that was released, nor a model's digest",
        where=project.store.name,
        next_step="Name a model that was released, or the digest of an answer: "
        "its header `mergeline-model-digest`",
    )


def _released(project: Project, names: list[str], start: str) -> set[tuple[str, str, str]]:
    """Digest, model and fingerprint of what entered a stage and has a digest that begins so."""
    moves = (move for name in names for move in project.ledger_of(name).moves)
    return {
        (move.model_digest, move.model, move.fingerprint)
        for move in moves
        if _DIGEST.fullmatch(start) and move.model_digest.startswith(start)
    }


def _stored(project: Project, start: str) -> Iterator[tuple[str, str, str]]:
    """The same of the candidates in the store."""
    if not _DIGEST.fullmatch(start):
        return
    for model, fingerprint in project.store.known():
        stored = project.store.find(model, fingerprint)
        if stored and stored.model_digest.startswith(start):
            yield stored.model_digest, model, fingerprint


def _why(project: Project, model: str, fingerprint: str) -> Why:
    ledger = project.ledger_of(model)
    stored = project.store.find(model, fingerprint)
    if stored is None:
        raise NotFoundError(
            f"{model} {fingerprint[:8]} was deleted just now", where=project.store.name
        )
    candidate = project.store.read_candidate(stored)
    evaluations = project.store.evaluations(stored)
    facts = facts_of(ledger.moves, fingerprint, evaluations)
    evaluation = facts.evaluation or next(reversed(evaluations), None)
    report = report_of(project, stored, evaluation) if evaluation else None
    return Why(
        model=model,
        version=facts.brought_by.version if facts.brought_by else None,
        model_digest=stored.model_digest,
        fingerprint=fingerprint,
        brought_by=facts.brought_by,
        times=facts.times,
        origin=candidate.origin,
        snapshots=candidate.snapshots,
        params=candidate.params,
        environment=candidate.environment,
        evaluation=evaluation,
        headline="".join(span.text for span in headline(report)) if report else "",
    )
