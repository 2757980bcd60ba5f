"""`doctor`: whether a repository is set up so that the laws hold, and what to click or run."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from mergeline.adapters.forge.base import STATUS_CONTEXT, Settings
from mergeline.adapters.forge.owners import owners_on_gitea, owners_on_github
from mergeline.adapters.git.tree import Tree
from mergeline.core.release.ledger import LEDGER
from mergeline.errors import InputError, MergelineError, StoreError
from mergeline.lifecycle.steps.project import Project
from mergeline.system.confinement import find_walls

State = Literal["ok", "unsafe", "better", "unknown"]
"""Fine; breaks a law; could be better; cannot be seen from here."""

_Find = Callable[[str, str], object]
_OWNERS = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")  # the first counts
_OWNERS_ON_GITEA = ("CODEOWNERS", "docs/CODEOWNERS", ".gitea/CODEOWNERS")
_WORKFLOWS = (".github/workflows/", ".gitea/workflows/", ".forgejo/workflows/")
_SECRET = re.compile(r"\bsecrets\.(?!GITHUB_|READ_)")
_PAGE = f"{LEDGER}/model/0001"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        next_step: what to click or run; empty where nothing is to be done.
    """

    topic: str
    state: State
    text: str
    next_step: str = ""


def examine(project: Project) -> list[Finding]:
    """Look at the repository, its forge, this machine and the stores, changing nothing."""
    findings = [
        *_of_forge(project),
        *_of_tree(project.working_tree().files),
        *_of_rows(project),
        *_of_machine(project),
        *_of_stores(project),
    ]
    order: tuple[State, ...] = ("unsafe", "better", "unknown", "ok")
    return sorted(findings, key=lambda finding: order.index(finding.state))


def _of_forge(project: Project) -> Iterator[Finding]:
    forge = project.forge
    if forge is None:
        yield Finding(
            "forge",
            "unknown",
            "no forge is named, so its rules cannot be seen",
            "Set GITHUB_TOKEN, GITHUB_REPOSITORY and, elsewhere than github.com, GITHUB_API_URL",
        )
        return
    branch = project.repository.main_branch().removeprefix("origin/")
    try:
        settings = forge.settings(branch)
    except MergelineError as error:
        yield Finding("forge", "unknown", error.message, error.next_step)
        return
    yield from _of_branch(settings, branch)
    yield _of_tags(settings)
    yield from _of_secrets(settings, branch)
    if settings.public:
        yield Finding(
            "artifacts",
            "better",
            "the repository is public, so anyone who is signed in can download the bundles of its "
            "jobs: models, keys of training rows, and holdouts",
            "Keep the repository private, or declare `holdout: rebuilt`, if its rows are not for "
            "everyone",
        )


def _of_branch(settings: Settings, branch: str) -> Iterator[Finding]:
    topic = "required status"
    if settings.required is None:
        yield _unseen(topic)
    elif STATUS_CONTEXT in settings.required:
        yield Finding(topic, "ok", f"{branch} takes only what has the status {STATUS_CONTEXT}")
    else:
        yield Finding(
            topic,
            "unsafe",
            f"a pull request can be merged onto {branch} without the status {STATUS_CONTEXT}",
            f"In the settings, protect {branch} and require the status {STATUS_CONTEXT}",
        )
    topic = "up to date"
    if settings.up_to_date is None:
        yield _unseen(topic)
    elif settings.up_to_date:
        yield Finding(topic, "ok", "what is merged was evaluated on top of main as it is")
    else:
        yield Finding(
            topic,
            "better",
            "two pull requests can be merged that were never evaluated together; the second then "
            "trains and is judged again before it is released",
            "Require branches to be up to date before merging, or use a merge queue",
        )
    topic = "code owners"
    if settings.owners_review is False:
        yield Finding(
            topic,
            "better",
            "whoever owns models/ and the workflows need not agree to a change of them",
            f"Require review from code owners on {branch}",
        )
    elif settings.owners_review:
        yield Finding(topic, "ok", "a code owner must agree")


def _of_tags(settings: Settings) -> Finding:
    topic = "ledger"
    if settings.protected_tags is None:
        return _unseen(topic)
    if any(_covers(pattern) for pattern in settings.protected_tags):
        return Finding(topic, "ok", f"not every writer may push tags under {LEDGER}/")
    return Finding(
        topic,
        "unsafe",
        f"every writer may push tags under {LEDGER}/, which is the ledger",
        f"Add a rule for tags {LEDGER}/** that only the release job may pass",
    )


def _covers(pattern: str) -> bool:
    if pattern.startswith("/") and pattern.endswith("/"):  # Gitea's regular expressions
        try:
            return re.search(pattern[1:-1], _PAGE) is not None
        except re.error:
            return False
    return fnmatch.fnmatchcase(_PAGE, pattern.replace("**", "*"))


def _of_secrets(settings: Settings, branch: str) -> Iterator[Finding]:
    topic = "environments"
    if not settings.has_environments:
        yield Finding(
            topic,
            "better",
            "this forge has no environments: a job of any branch here can read each secret, and "
            "so can everyone who may push a branch",
            "Let only people push whom you trust with the secrets; others propose from forks",
        )
    elif settings.environments is None:
        yield _unseen(topic)
    else:
        for name, restricted in sorted(settings.environments.items()):
            if restricted:
                yield Finding(topic, "ok", f"{name} is for chosen branches only")
            else:
                yield Finding(
                    topic,
                    "unsafe",
                    f"a workflow of any branch can use the environment {name} and its secrets",
                    f"Restrict the environment {name} to the branch {branch}",
                )
    if settings.jobs_may_write:
        yield Finding(
            "workflow permissions",
            "better",
            "a job that does not say its rights may write",
            "In Settings, Actions, General, let workflows read only by default",
        )


def _of_tree(files: Tree) -> Iterator[Finding]:
    yield _of_owners(files)
    for path in (path for folder in _WORKFLOWS for path in files.list(folder)):
        text = (files.read(path) or b"").decode(errors="replace")
        if re.search(r"^\s*-?\s*['\"]?pull_request_target\b", text, re.MULTILINE):
            yield Finding(
                "workflows",
                "unsafe",
                f"{path} runs with secrets and a writing token for a pull request of anyone",
                "Use pull_request there, and workflow_run for what needs a token",
            )
        elif re.search(r"\bpull_request\b", text) and _SECRET.search(text):
            yield Finding(
                "workflows",
                "unsafe",
                f"{path} hands secrets to a job of a pull request",
                "Move what needs secrets into a workflow that workflow_run starts; names of keys "
                "that may only read begin with READ_",
            )


def _of_rows(project: Project) -> Iterator[Finding]:
    """What of each model's holdout can be read, and where."""
    try:
        models = project.working_tree().models
    except MergelineError:  # which the store's finding says
        return
    for name, model in models.items():
        kept = "the rows of" if model.holdout == "stored" else "only the keys of"
        yield Finding(
            "rows",
            "ok",
            f"{name}: who may read the jobs' artifacts or {project.store.name} sees {kept} its "
            "holdout",
        )


def _of_owners(files: Tree) -> Finding:
    """Whether somebody is named for each file that the verdict hangs on, and for new ones."""
    topic = "code owners"
    workflows = [path for folder in _WORKFLOWS for path in files.list(folder)]
    on_gitea = any(not path.startswith(".github/") for path in workflows)
    places = _OWNERS_ON_GITEA if on_gitea else _OWNERS
    where = next((path for path in places if files.blob(path) is not None), None)
    folders = sorted({".github/workflows", *(path.rpartition("/")[0] for path in workflows)})
    if on_gitea:
        folders.remove(".github/workflows")
    folders.append("models")
    if where is None:
        return Finding(
            topic,
            "better",
            "nobody is named who must look at a change of models/ or the workflows",
            f"Write {places[0]} with lines for {' and '.join(folders)}",
        )
    text = (files.read(where) or b"").decode(errors="replace")
    owners_of = owners_on_gitea if on_gitea else owners_on_github
    looked_at = [*workflows, *files.list("models"), *(f"{folder}/new.yml" for folder in folders)]
    free = [path for path in looked_at if not owners_of(text, path)]
    if free:
        return Finding(
            topic,
            "better",
            f"{where} names nobody for {free[0]}"
            + (f" and {len(free) - 1} more" if len(free) > 1 else ""),
            f"Add a line for {free[0].rpartition('/')[0]} at its end",
        )
    return Finding(topic, "ok", f"{where} names somebody for models/ and the workflows")


def _of_machine(project: Project) -> Iterator[Finding]:
    walls = find_walls()
    if walls.hold:
        yield Finding("walls", "ok", str(walls))
    else:
        yield Finding(
            "walls",
            "unsafe",
            f"a model of a pull request is not kept in its process on this machine: {walls}",
            "Install bubblewrap, or use a Linux kernel with Landlock",
        )
    try:
        project.check_lasting()
    except InputError as error:
        yield Finding("state", "unsafe", error.message, error.next_step)


def _of_stores(project: Project) -> Iterator[Finding]:
    topic = "drops"
    try:
        remote = project.drops.remote()
    except MergelineError as error:
        yield Finding(topic, "unsafe", error.message, error.next_step)
    else:
        if remote is None:
            yield Finding(
                topic,
                "better",
                "DVC has no remote, so a job must make the drops by itself",
                "Add one: dvc remote add --default NAME ADDRESS",
            )
        else:
            yield Finding(topic, "ok", f"{remote} can be opened")
    places: dict[str, tuple[str, _Find]] = {"store": (project.store.name, project.store.find)}
    if project.mlflow is not None:
        places["MLflow"] = (project.mlflow.uri, project.mlflow.find)
    for topic, (name, find) in places.items():
        yield _of_candidates(project, topic, name, find)
    yield _of_writing(project)


def _of_candidates(project: Project, topic: str, name: str, find: _Find) -> Finding:
    """Whether a place answers when it is asked for the working tree's candidates."""
    try:
        tree = project.working_tree()
        for model, declared in tree.choose_models(None).items():
            find(model, tree.ingredients(declared).fingerprint)
    except MergelineError as error:
        return Finding(topic, "unsafe", error.message, error.next_step)
    return Finding(topic, "ok", f"{name} answers")


def _of_writing(project: Project) -> Finding:
    """Whether what is judged can be taken into the store, as `track` and `release` do."""
    topic = "package permissions"
    try:
        project.store.check_writable()
    except StoreError as error:
        return Finding(
            topic,
            "better",
            f"whoever runs this may not write there: {error.message}",
            "It must be so in a pull request's job. For the jobs `track` and `release`: "
            f"{error.next_step}",
        )
    return Finding(topic, "ok", f"{project.store.name} can be written from here")


def _unseen(topic: str) -> Finding:
    return Finding(
        topic,
        "unknown",
        "the token may not see it",
        "Run doctor with a token of an administrator, or look in the settings",
    )
