"""`plan`: what a change will cause and why, before anything runs."""

from __future__ import annotations

from functools import cache, partial

from mergeline.core.data.snapshot import Snapshot, snapshot_notes
from mergeline.core.fingerprint.change_plan import ChangePlan, plan_change
from mergeline.core.release.bundle import MANIFEST
from mergeline.lifecycle.steps.case import Case
from mergeline.lifecycle.steps.moved_bar import moved_bar
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.project_tree import ProjectTree
from mergeline.lifecycle.steps.snapshots import drops_of


def plan(
    project: Project, *, model: str | None = None, base: str | None = None
) -> list[ChangePlan]:
    """What the working tree means for each model (or the one named), against its base.

    Raises:
        MergelineError: the tree's declarations cannot be read; see the classes below it.
    """
    tree, origin = project.target_tree()
    commit = project.base(base)
    before = project.tree(commit.sha) if commit else None
    # Models share their drops: each list of them is looked at once.
    differing = cache(project.drops.differing)
    unpointed = cache(partial(_unpointed, project, tree))
    notes = cache(partial(_notes, project, tree))
    plans = []
    for declared in tree.choose_models(model).values():
        name, ingredients = declared.name, tree.ingredients(declared)
        at_base = before.declared(name) if before else None
        case = Case(tree, origin, declared, ingredients, commit, at_base, before)
        if at_base is None or at_base.model.metrics != declared.metrics:
            from mergeline.core.compare.metrics.catalogue import check_metrics  # takes a while

            check_metrics(declared)
        moved = [f"{part.where}: {part.text}" for part in moved_bar(case)]
        if at_base is not None and at_base.model.gate != declared.gate:
            moved.insert(0, f"models/{name}.yaml: the gate changed; the base's still judges")
        files = {table: unpointed(table) for table in ingredients.snapshots}
        plans.append(
            plan_change(
                name,
                at_base.ingredients if at_base else None,
                ingredients,
                moved=moved,
                known=_known(project, name, ingredients.fingerprint),
                unpointed={table: paths for table, paths in files.items() if paths},
                differing=differing(tuple(tree.pointers_behind(ingredients))),
                notes=[note for table in ingredients.snapshots for note in notes(table)],
            )
        )
    return plans


def _known(project: Project, model: str, fingerprint: str) -> str | None:
    """Where the candidate of a fingerprint is, in words; None if it is to be trained."""
    if project.store.find(model, fingerprint) is not None:
        return "in the store"
    here = (project.candidate_folder(model, fingerprint) / MANIFEST).is_file()
    return "on this machine, not in the store yet" if here else None


def _notes(project: Project, tree: ProjectTree, table: str) -> tuple[str, ...]:
    """What a person might not expect of a table's drops; nothing is fetched to say it."""
    contract = tree.contracts[table]
    here = [
        pointer
        for pointer in tree.pointers_of(contract)
        if not pointer.is_folder or project.drops.has(pointer.md5)
    ]
    notes = snapshot_notes(Snapshot(table, contract, *drops_of(here, project.drops)))
    return tuple(f"{table}: {note}" for note in notes)


def _unpointed(project: Project, tree: ProjectTree, table: str) -> tuple[str, ...]:
    """Files that lie among a table's drops and that no pointer names."""
    files, root = tree.files, project.repository.root
    source = tree.contracts[table].source
    if source.endswith(".dvc") or files.blob(f"{source}.dvc") is not None:
        return ()  # one pointer for the folder: dvc status tells
    here = [path for path in (root / source).rglob("*") if path.is_file()]
    names = [path.relative_to(root).as_posix() for path in here if path.name[0] != "."]
    drops = [name for name in names if not name.endswith(".dvc")]
    return tuple(sorted(name for name in drops if not files.blob(f"{name}.dvc")))
