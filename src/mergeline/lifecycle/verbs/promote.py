"""`promote`: move a version to Staging, to the archive, or out of all stages.

The ledger's page comes first, as with a release, and MLflow follows it. Into production a version
goes by a release only: what main says, and nothing else.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from mergeline.core.gate.verdict import Situation
from mergeline.core.release.ledger import FORMAT, Entry, Ledger, page_name
from mergeline.core.release.stages import stages_of
from mergeline.core.release.version import RegistryStage
from mergeline.errors import DeployError, InputError, NotFoundError, TrackingError
from mergeline.lifecycle.steps.deploying import (
    ask_server,
    bring,
    bring_back,
    is_verified,
    take_back,
    verify,
)
from mergeline.lifecycle.steps.image_parts import have_image
from mergeline.lifecycle.steps.ledger_pages import releasing, write_page
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.project_tree import ProjectTree
from mergeline.lifecycle.steps.showing import show_model

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


@dataclass(frozen=True)
class _Chosen:
    """A candidate that a person named, and the commit that its page is of."""

    fingerprint: str
    commit: str


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
                entry = replace(entry, image=_image(project, entry, say))
            if entry is None or write_page(project, entry, project.signing()):
                show_model(project, model, say=say)
                _deploy(project, planned, say)
                return planned
            project.forget_ledger()  # another page has been written meanwhile
    raise TrackingError(
        "the ledger's next page was taken again and again", where=model, next_step="Run again"
    )


def _main(project: Project) -> ProjectTree:
    return project.tree(project.repository.main_branch())


def _image(project: Project, entry: Entry, say: Say) -> str:
    stored = project.store.find(entry.model, entry.fingerprint)
    main = _main(project)
    if stored is None or entry.model not in main.models:
        return ""
    return have_image(project, main, stored, say)


def _deploy(project: Project, planned: Promoted, say: Say) -> None:
    """Have what is in staging now serve there, where it is said where that is.

    Raises:
        DeployError: it does not; then it was taken back.
    """
    environment = _main(project).environments.staging
    if planned.stage != "Staging" or environment.server is None:
        return
    moves = project.ledger_of(planned.model).moves
    page = next(move for move in reversed(moves) if move.stage == "Staging")
    try:
        if ask_server(project, environment, page.model, "staging") != page.model_digest:
            say(f"deploy: v{page.version} to staging")
            bring(project, environment, page, page.image, "staging")
        if environment.verify and not is_verified(project, page):
            say("verify: what it answers in staging")
            verify(project, environment, page, "staging")
    except DeployError as error:
        former = take_back(project, page, error.message)
        if former is not None:
            show_model(project, page.model, say=say)
            if former.stage == "Staging" and (
                problem := bring_back(project, environment, former, "staging")
            ):
                say(f"v{former.version} does not serve either: {problem}")
            error.message = f"{page.model} v{page.version} was taken back: {error.message}"
        raise


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
    entry = _page(project, ledger, model, chosen, stage)
    return Promoted(model, number, before, stage, page_name(model, entry.sequence)), entry


def _choose(project: Project, ledger: Ledger, model: str, which: str) -> _Chosen:
    """The newest move of the version of that stage or number, or the candidate of a commit."""
    stages, held = stages_of(ledger.moves), _HELD.get(which.lower())
    number = which.lower().removeprefix("v")
    for move in reversed(ledger.moves):
        if (held and stages[move.version] == held) or str(move.version) == number:
            return _Chosen(move.fingerprint, move.commit)
    if held or number.isdecimal():
        raise NotFoundError(
            f"no version of {model} is {f'in {held}' if held else f'v{number}'}",
            where="the ledger",
            next_step=f"Look: mergeline history {model}",
        )
    head = project.repository.commit(which)
    tree = project.tree(head.sha)
    [declared] = tree.choose_models(model).values()
    return _Chosen(tree.ingredients(declared).fingerprint, head.sha)


def _page(
    project: Project, ledger: Ledger, model: str, chosen: _Chosen, stage: RegistryStage
) -> Entry:
    store = project.store
    stored = store.find(model, chosen.fingerprint)
    if stored is None:
        raise NotFoundError(
            f"{model} of {chosen.commit[:8]} was never evaluated",
            where=store.name,
            next_step="Check that commit out, and run: mergeline evaluate",
        )
    passed, override = store.backing(stored)
    if not passed and not override:
        raise InputError(
            f"no evaluation of {model} {chosen.fingerprint[:8]} passed",
            where=store.name,
            next_step="Look at it: mergeline report",
        )
    commit = project.repository.commit(chosen.commit)
    now = dt.datetime.now(dt.UTC)
    return Entry(
        format=FORMAT,
        model=model,
        sequence=ledger.next,
        kind=Situation.CHANGE,
        version=ledger.number_of(chosen.fingerprint),
        fingerprint=chosen.fingerprint,
        model_digest=stored.model_digest,
        run_id="",
        commit=commit.sha,
        subject=commit.subject,
        author=commit.author,
        pull_request=None,
        replaced=None,
        verdict="pass" if passed else None,
        override=override,
        released_at=now.isoformat(timespec="seconds"),
        stage=stage,
    )
