"""In which stage each version of a model stands, by the ledger, and what the registry says else.

Staging and Production have one holder. Who held one is archived when another enters it. A version
that the registry has and that no page names stands in None.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mergeline.core.release.ledger import Entry
from mergeline.core.release.version import RegistryStage, Version


def stages_of(moves: Sequence[Entry]) -> dict[int, RegistryStage]:
    """The stage of each version that a page names; `moves` are all pages, oldest first."""
    stages: dict[int, RegistryStage] = {}
    holders: dict[RegistryStage, int] = {}
    for move in moves:
        if move.stage in {"Production", "Staging"}:
            held = holders.get(move.stage)
            if held is not None and stages[held] == move.stage:
                stages[held] = "Archived"
            holders[move.stage] = move.version
        stages[move.version] = move.stage
    return stages


def holder(moves: Sequence[Entry], stage: RegistryStage) -> Entry | None:
    """The page by which a version stands in a stage that has one holder; None if none does."""
    stages = stages_of(moves)
    entered = (move for move in reversed(moves) if move.stage == stage)
    return next((move for move in entered if stages[move.version] == stage), None)


def moved_by_hand(moves: Sequence[Entry], versions: Sequence[Version]) -> Iterator[str]:
    """A sentence for each version whose stage the registry has otherwise than the ledger.

    What is in production by either is left out: the plan of a release tells that.
    """
    stages = stages_of(moves)
    for version in versions:
        stage = stages.get(version.number, "None")
        if version.stage != stage and "Production" not in {stage, version.stage}:
            yield (
                f"v{version.number} is in {version.stage} by the registry and in {stage} by the "
                "ledger: mergeline reconcile"
            )
