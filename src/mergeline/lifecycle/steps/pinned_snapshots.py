"""The snapshots that must stay readable: of releases, the champion, and open candidates."""

from __future__ import annotations

from collections.abc import Iterator

from mergeline.core.data.garbage import Pin
from mergeline.core.data.snapshot import Snapshot
from mergeline.errors import DeclarationError, DropError
from mergeline.lifecycle.steps.pinned_candidates import pinned_candidates
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.snapshots import gather_snapshots


def pinned_snapshots(project: Project) -> dict[str, frozenset[Pin]]:
    """What must stay readable, by table; a table that nothing pins has an empty set.

    That is what every released model was trained on, and every candidate that was evaluated for a
    pull request that is open; and what the working tree and the tip of each branch, here and
    at origin, ask for: a candidate found by its fingerprint says nothing of the branch that found
    it, and one that is merged and not yet released is of the main branch.

    Raises:
        RepositoryError: there is no main branch.
        MergelineError: the store, the forge or origin does not answer, or the store is not that of
            the releases: nothing is garbage then.
    """
    pins: dict[str, set[Pin]] = {}
    # The forge is asked before origin: what is merged in between is found on the main branch.
    for stored in pinned_candidates(project):
        for use in project.store.read_candidate(stored).snapshots:
            # The number of a version in another table, such as a runner's own, says nothing here.
            here = use.uri == f"{project.tables}/{use.table}"
            pin = Pin(use.digest, use.version if here else None)
            pins.setdefault(use.table, set()).add(pin)
    for snapshot, expected in _asked_for(project):
        pins.setdefault(snapshot.table, set()).add(Pin(snapshot.digest, expected=expected))
    return {table: frozenset(of_table) for table, of_table in pins.items()}


def _asked_for(project: Project) -> Iterator[tuple[Snapshot, bool]]:
    """The snapshots of trees, and whether a table should hold them."""
    repository = project.repository
    main = repository.main_branch()
    branches = repository.branches()
    at_origin = branches.get(f"refs/remotes/origin/{main.removeprefix('origin/')}")
    of_main = {project.tree(sha) for sha in (repository.commit(main).sha, at_origin) if sha}
    needed = {project.working_tree(), *of_main}
    for tree in needed:
        yield from ((snapshot, True) for snapshot in gather_snapshots(tree, project.drops))
    others = {project.tree(sha): name for name, sha in branches.items()}
    for tree, name in others.items():
        if tree in needed:
            continue
        try:
            yield from ((snapshot, False) for snapshot in gather_snapshots(tree, project.drops))
        except DeclarationError:
            pass  # as it stands, nothing was ever built of it
        except DropError as error:
            raise DropError(
                f"what {name} needs cannot be told: {error.message}",
                where=error.where,
                next_step="Push its drops with `dvc push`, or delete the branch",
            ) from error
