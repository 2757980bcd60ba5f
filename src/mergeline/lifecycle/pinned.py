"""The snapshots that must stay readable: of releases, the champion, and open candidates."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mergeline.adapters.dvc import DropStore
from mergeline.adapters.git import Repository, Tree
from mergeline.adapters.mlflow import Run
from mergeline.core.bundle import MANIFEST, Manifest, SnapshotUse
from mergeline.core.declaration import read_json
from mergeline.core.garbage import Pin
from mergeline.errors import NotFoundError, RepositoryError
from mergeline.lifecycle.champion import refuse_another_registry
from mergeline.lifecycle.data import gather_snapshots
from mergeline.lifecycle.project import Project


def pinned_snapshots(project: Project) -> dict[str, frozenset[Pin]]:
    """What must stay readable, by table; a table that nothing pins has an empty set.

    That is what every registered version was trained on, and every candidate whose pull request is
    open (or, without one, whose commit is the tip of a branch), and what the working tree and the
    main branch ask for: a candidate that is merged and not yet released is of the latter.

    Raises:
        MergelineError: the tracking store or the forge does not answer, or the store is not that of
            the releases: nothing is garbage then.
    """
    refuse_another_registry(project)
    pins: dict[str, set[Pin]] = {}
    for tree in _trees(project.repository):
        for snapshot in gather_snapshots(tree, DropStore(project.repository.root)):
            pins.setdefault(snapshot.table, set()).add(Pin(snapshot.digest))
    for run in _runs_that_count(project):
        for use in _snapshots_of(project, run):
            # The number of a version in another table, such as a runner's own, says nothing here.
            here = use.uri == f"{project.tables}/{use.table}"
            pin = Pin(use.digest, use.version if here else None)
            pins.setdefault(use.table, set()).add(pin)
    return {table: frozenset(found) for table, found in pins.items()}


def _trees(repository: Repository) -> Iterator[Tree]:
    yield repository.working_tree()
    with contextlib.suppress(RepositoryError):  # no branch by any of the usual names
        yield repository.tree(repository.main_branch())


def _runs_that_count(project: Project) -> Iterator[Run]:
    tips = set(
        project.repository.git(
            "for-each-ref", "--format=%(objectname)", "refs/heads", "refs/remotes"
        ).split()
    )
    for model in project.tracking.tracked():
        released = {version.run_id for version in project.tracking.versions(model)}
        for run in project.tracking.candidates(model):
            if run.run_id in released or _is_open(project, run, tips):
                yield run


def _is_open(project: Project, run: Run, tips: set[str]) -> bool:
    if run.pull_request is None:
        return run.commit in tips
    if project.forge is None:
        return True
    try:
        return project.forge.pull_request(run.pull_request).open
    except NotFoundError:
        return False


def _snapshots_of(project: Project, run: Run) -> tuple[SnapshotUse, ...]:
    with tempfile.TemporaryDirectory(prefix="mergeline-") as folder:
        path = project.tracking.fetch(run, MANIFEST, Path(folder))
        manifest = read_json(Manifest, path.read_bytes(), where=f"run {run.run_id}/{MANIFEST}")
    return manifest.candidate.snapshots
