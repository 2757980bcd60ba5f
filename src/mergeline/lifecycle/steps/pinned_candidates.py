"""The candidates that must stay in the store: of releases, and of open pull requests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from functools import cache, partial
from itertools import product

from mergeline.adapters.store.store import Stored
from mergeline.core.release.ledger import page_name
from mergeline.errors import InputError, NotFoundError, StoreError
from mergeline.lifecycle.steps.project import Project


def pinned_candidates(project: Project) -> Iterator[Stored]:
    """The candidates of releases, of open pull requests, and of branches and the working tree.

    Raises:
        MergelineError: the store, the forge or origin does not answer, or the store is not that of
            the releases: nothing is garbage then.
    """
    # What is not believed today may be tomorrow, so every page pins.
    entries = [page.entry for page in project.pages if page.entry]
    released = {(entry.model, entry.fingerprint) for entry in entries}
    last = {entry.model: entry for entry in entries}
    is_open = cache(partial(_is_open, project))
    known = project.store.known()
    for entry in last.values():
        if (entry.model, entry.fingerprint) not in known:
            raise StoreError(
                f"the ledger's {entry.model} v{entry.version} ({entry.fingerprint[:8]}) is not in "
                "the store",
                where=project.store.name,
                next_step="Point MERGELINE_STORE at the store of the releases; or, if that page is "
                f"nobody's, git push origin :refs/tags/{page_name(entry.model, entry.sequence)}",
            )
    pinned = {*released, *_asked_for(project, {model for model, _ in known})}
    for model, fingerprint in known:
        stored = project.store.find(model, fingerprint)
        if stored is None:
            continue  # deleted just now
        if (model, fingerprint) in pinned or any(map(is_open, pull_requests(project, stored))):
            yield stored


def _asked_for(project: Project, models: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Model and fingerprint of what branches and the working tree make."""
    tips = map(project.tree, project.repository.branches().values())
    for tree, model in product({project.working_tree(), *tips}, models):
        with contextlib.suppress(InputError):  # as it stands, it makes none
            if declared := tree.declared(model):
                yield model, declared.ingredients.fingerprint


def pull_requests(project: Project, stored: Stored) -> list[int]:
    """The pull requests that a candidate was trained or evaluated for."""
    origins = [evaluation.origin for evaluation in project.store.evaluations(stored)]
    origins.append(project.store.read_candidate(stored).origin)
    return sorted({origin.pull_request for origin in origins if origin.pull_request is not None})


def _is_open(project: Project, number: int) -> bool:
    if project.forge is None:
        return True
    try:
        return project.forge.pull_request(number).open
    except NotFoundError:
        return False
