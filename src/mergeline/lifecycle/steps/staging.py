"""Have a candidate stand in staging: its page, its image, and its server."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from mergeline.core.gate.verdict import Situation
from mergeline.core.release.ledger import FORMAT, Entry, Ledger
from mergeline.core.release.stages import holder
from mergeline.core.release.version import RegistryStage, Version
from mergeline.errors import DeployError, InputError, NotFoundError
from mergeline.lifecycle.steps.deploying import (
    ask_server,
    bring,
    bring_back,
    is_verified,
    take_back,
    verify,
)
from mergeline.lifecycle.steps.image_parts import have_image
from mergeline.lifecycle.steps.ledger_pages import write_page
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.project_tree import ProjectTree
from mergeline.lifecycle.steps.showing import show_model


@dataclass(frozen=True)
class Chosen:
    """A candidate, and the commit that its page is of."""

    fingerprint: str
    commit: str


def enter_staging(project: Project, model: str, fingerprint: str, commit: str, say: Say) -> bool:
    """Have a candidate in staging; False where another page was written meanwhile.

    Raises:
        DeployError: it fails where it is deployed, and was taken back.
        MergelineError: another step failed; run again to go on.
    """
    ledger = project.ledger_of(model)
    page = holder(ledger.moves, "Staging")
    if page is None or page.fingerprint != fingerprint:
        entry = page_of(project, ledger, model, Chosen(fingerprint, commit), "Staging")
        entry = replace(entry, image=image_of(project, entry, say))
        if not write_page(project, entry, project.signing()):
            return False
    show_model(project, model, say=say)
    deploy_staged(project, model, say)
    return True


def is_staged(project: Project, page: Entry, versions: tuple[Version, ...]) -> bool:
    """Whether registry and server have in staging what a page says, and it was seen to hold."""
    environment = _main(project).environments.staging
    if project.mlflow and not any(
        one.number == page.version and one.stage == "Staging" for one in versions
    ):
        return False
    if environment.server is None:
        return True
    if environment.verify and not is_verified(project, page):
        return False
    try:
        return ask_server(project, environment, page.model, "staging") == page.model_digest
    except DeployError:
        return False


def _main(project: Project) -> ProjectTree:
    return project.tree(project.repository.main_branch())


def image_of(project: Project, entry: Entry, say: Say) -> str:
    """The image that serves a page's candidate, built unless it is there; its name or nothing."""
    stored = project.store.find(entry.model, entry.fingerprint)
    main = _main(project)
    if stored is None or entry.model not in main.models:
        return ""
    return have_image(project, main, stored, say)


def deploy_staged(project: Project, model: str, say: Say) -> None:
    """Have what is in staging now serve there, where it is said where that is.

    Raises:
        DeployError: it does not; then it was taken back.
    """
    environment = _main(project).environments.staging
    page = holder(project.ledger_of(model).moves, "Staging")
    if page is None or environment.server is None:
        return
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
                say(f"v{former.version} could not be deployed again: {problem}")
            error.message = f"{page.model} v{page.version} was taken back: {error.message}"
        raise


def page_of(
    project: Project, ledger: Ledger, model: str, chosen: Chosen, stage: RegistryStage
) -> Entry:
    """The page by which a candidate enters another stage than production.

    Raises:
        NotFoundError: it is not in the store.
        InputError: no evaluation of it passed.
    """
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
