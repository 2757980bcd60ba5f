"""`plan`: what a change will cause and why, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial

from mergeline.core.data.snapshot import Snapshot, snapshot_notes
from mergeline.core.data.wording import shared_keys_line
from mergeline.core.fingerprint.change_plan import ChangePlan, plan_change
from mergeline.core.fingerprint.ingredients import Ingredients
from mergeline.core.fingerprint.pins import unpinned
from mergeline.core.release.bundle import MANIFEST
from mergeline.errors import GitError, NotFoundError, StoreError, TableError
from mergeline.lifecycle.steps.case import Case, find_production, touched
from mergeline.lifecycle.steps.moved_bar import edited_bar, moved_bar, moved_by_more_than_drops
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.project_tree import ProjectTree
from mergeline.lifecycle.steps.snapshots import drops_of

_NEEDS_YES = "a person with write access must approve that the bar moves: /mergeline approve REASON"


def plan(
    project: Project, *, model: str | None = None, base: str | None = None
) -> list[ChangePlan]:
    """What the working tree means for each model (or the one named), against its base.

    Where the base was never released, it is against the tree that is in production, as the
    verdict will be.

    Raises:
        MergelineError: the tree's declarations cannot be read; see the classes below it.
    """
    tree, origin = project.target_tree()
    commit = project.base(base)
    before = project.tree(commit.sha) if commit else None
    # Models share their drops: each list of them is looked at once.
    differing = cache(project.drops.differing)
    unpointed = cache(partial(_unpointed, project, tree))
    notes = cache(partial(_notes, project, tree, before))
    plans = []
    for declared in tree.choose_models(model).values():
        name, ingredients = declared.name, tree.ingredients(declared)
        at_base = before.declared(name) if before else None
        onto_base = Case(tree, origin, declared, ingredients, commit, at_base, before)
        case, unreleased = _against_production(project, onto_base)
        judge = case.judged_by
        if at_base is None or at_base.model.metrics != declared.metrics:
            from mergeline.core.compare.metrics.catalogue import check_metrics  # takes a while

            check_metrics(declared)
        needs_yes = edited_bar(case) or moved_by_more_than_drops(case, None)
        files = {table: unpointed(table) for table in ingredients.snapshots}
        plans.append(
            plan_change(
                name,
                judge.ingredients if judge else None,
                ingredients,
                touched=touched(onto_base) or bool(_moved(onto_base)),
                unreleased=unreleased,
                moved=_moved(case),
                known=_known(project, name, ingredients.fingerprint),
                unpointed={table: paths for table, paths in files.items() if paths},
                differing=differing(tuple(tree.pointers_behind(ingredients))),
                notes=[
                    *([_NEEDS_YES] if needs_yes else []),
                    *tree.check_columns(declared),
                    *_open_versions(tree, ingredients),
                    *(note for table in ingredients.snapshots for note in notes(table)),
                ],
            )
        )
    return plans


def _against_production(project: Project, case: Case) -> tuple[Case, str]:
    """The case held against production's tree where the base was never released, and that said."""
    if case.base is None:
        return case, ""
    try:
        production = find_production(project, case.model.name, case.before)
    except (StoreError, GitError) as error:
        return case, f"what is in production is not known here, so the base is: {error}"
    if production is None:
        return case, ""
    said = (
        f"{case.base.sha[:7]} is not what is in production, so this is what differs from "
        f"{production.commit[:7]}, the last release"
    )
    return replace(case, production=production), said


def _moved(case: Case) -> list[str]:
    """What the change edits of how it is judged, each with its file."""
    moved = [f"{part.where}: {part.text}" for part in moved_bar(case)]
    if case.judged_by is not None and case.gate != case.model.gate:
        whose = "production's" if case.production else "the base's"
        moved.insert(0, f"models/{case.model.name}.yaml: the gate changed; {whose} still judges")
    return moved


def _known(project: Project, model: str, fingerprint: str) -> str | None:
    """Where the candidate of a fingerprint is, in words; None if it is to be trained."""
    if project.store.find(model, fingerprint) is not None:
        return "in the store"
    here = (project.candidate_folder(model, fingerprint) / MANIFEST).is_file()
    return "on this machine, not in the store yet" if here else None


def _notes(
    project: Project, tree: ProjectTree, before: ProjectTree | None, table: str
) -> tuple[str, ...]:
    """What a person might not expect of a table's drops; nothing is fetched to say it."""
    contract = tree.contracts[table]
    here = [
        pointer
        for pointer in tree.pointers_of(contract)
        if not pointer.is_folder or project.drops.has(pointer.md5)
    ]
    wanted = Snapshot(table, contract, *drops_of(here, project.drops))
    notes = [*snapshot_notes(wanted), *_shared_keys(project, wanted, before)]
    return tuple(f"{table}: {note}" for note in notes)


def _open_versions(tree: ProjectTree, ingredients: Ingredients) -> Iterator[str]:
    """That what stands for a lock leaves a version open."""
    if found := unpinned(ingredients.lock, tree.files.read):
        name, path = found
        yield (
            f"{path} names {name} without a version, so no fingerprint sees which one trains it: "
            f"write {name}==…, or commit a lock, such as uv.lock"
        )


def _shared_keys(project: Project, wanted: Snapshot, before: ProjectTree | None) -> Iterator[str]:
    """That new drops share keys with others, if the table holds their rows already."""
    table, contract = wanted.table, wanted.contract
    if before is None:
        return
    old = None
    if table in before.contracts:
        pointers = before.pointers_of(before.contracts[table])
        if all(not pointer.is_folder or project.drops.has(pointer.md5) for pointer in pointers):
            old = Snapshot(table, before.contracts[table], *drops_of(pointers, project.drops))
    if not contract.key or (old is not None and old.digest == wanted.digest):
        return
    from mergeline.adapters.delta.tables import Tables  # takes a while

    tables = Tables(project.tables)
    try:
        version = tables.find(wanted)
        if version is None:
            return
        known = tables.find(old) if old is not None else None
        shared = tables.shared_keys(table, known, version, contract.key)
    except (TableError, NotFoundError) as error:
        yield f"keys that drops share are not known here: {error}"
        return
    if shared is not None and shared.count:
        yield shared_keys_line(replace(shared, examples=()))


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
