"""`promote`: move a version to Staging, to the archive, or out of all stages.

The ledger's page comes first, as with a release, and MLflow follows it. Into production a version
goes by a release only: what main says, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mergeline.core.release.ledger import Entry, Ledger, page_name
from mergeline.core.release.stages import stages_of
from mergeline.core.release.version import RegistryStage
from mergeline.errors import InputError, NotFoundError, TrackingError
from mergeline.lifecycle.steps.ledger_pages import releasing, write_page
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.showing import show_model
from mergeline.lifecycle.steps.staging import Chosen, deploy_staged, image_of, page_of

_TRIES = 5
_HELD: dict[str, RegistryStage] = {"staging": "Staging", "production": "Production"}


@dataclass(frozen=True)
class Promoted:
    """What was moved, or would be with `--plan`.

    Attributes:
        before: the stage that the version stood in by the ledger.
        page: of the ledger, that was or would be written; None where it stands there already.
    """

    model: str
    version: int
    before: RegistryStage
    stage: RegistryStage
    page: str | None
    applied: bool = True


def promote(
    project: Project, model: str, which: str, stage: RegistryStage, *, plan_only: bool, say: Say
) -> Promoted:
    """Move the version that `which` names: a stage's (`staging`), a number (`v3`), or a commit's.

    Where the environment of the stage says where it serves, the version is deployed there; if it
    fails, the one before it is in its place again.

    Raises:
        InputError: the stage is Production, or the version is in production.
        DeployError: it failed where it is deployed, and was taken back.
        NotFoundError: nothing is named so, or its candidate is not in the store.
        MergelineError: a step failed; run again to go on.
    """
    if stage == "Production":
        raise InputError(
            "into production a version goes by a release of main",
            next_step="Merge it, and run: mergeline release",
        )
    if plan_only:
        return replace(_planned(project, model, which, stage)[0], applied=False)
    with releasing(project):
        for _ in range(_TRIES):
            planned, entry = _planned(project, model, which, stage)
            if entry is not None and stage == "Staging":
                entry = replace(entry, image=image_of(project, entry, say))
            if entry is None or write_page(project, entry, project.signing()):
                show_model(project, model, say=say)
                if stage == "Staging":
                    deploy_staged(project, model, say)
                return planned
            project.forget_ledger()  # another page has been written meanwhile
    raise TrackingError(
        "the ledger's next page was taken again and again", where=model, next_step="Run again"
    )


def _planned(
    project: Project, model: str, which: str, stage: RegistryStage
) -> tuple[Promoted, Entry | None]:
    ledger = project.ledger_of(model)
    chosen = _choose(project, ledger, model, which)
    number, stages = ledger.number_of(chosen.fingerprint), stages_of(ledger.moves)
    before = stages.get(number, "None")
    if before == "Production":
        raise InputError(
            f"{model} v{number} is in production, and production is never without a model",
            next_step="Put another one there: merge a change, or revert its commit",
        )
    if before == stage and number in stages:
        return Promoted(model, number, before, stage, None), None
    entry = page_of(project, ledger, model, chosen, stage)
    return Promoted(model, number, before, stage, page_name(model, entry.sequence)), entry


def _choose(project: Project, ledger: Ledger, model: str, which: str) -> Chosen:
    """The newest move of the version of that stage or number, or the candidate of a commit."""
    stages, held = stages_of(ledger.moves), _HELD.get(which.lower())
    number = which.lower().removeprefix("v")
    for move in reversed(ledger.moves):
        if (held and stages[move.version] == held) or str(move.version) == number:
            return Chosen(move.fingerprint, move.commit)
    if held or number.isdecimal():
        raise NotFoundError(
            f"no version of {model} is {f'in {held}' if held else f'v{number}'}",
            where="the ledger",
            next_step=f"Look: mergeline history {model}",
        )
    head = project.repository.commit(which)
    tree = project.tree(head.sha)
    [declared] = tree.choose_models(model).values()
    return Chosen(tree.ingredients(declared).fingerprint, head.sha)
