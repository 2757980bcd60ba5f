"""`plan`: what a change will cause and why, before anything runs."""

from __future__ import annotations

from functools import cache

from mergeline.core.declare.model import Model
from mergeline.core.declare.pointer import Pointer
from mergeline.core.fingerprint.change_plan import ChangePlan, plan_change
from mergeline.core.fingerprint.ingredients import Ingredients
from mergeline.core.release.bundle import MANIFEST
from mergeline.lifecycle.steps.moved_bar import moved_bar, moved_metrics
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.project_tree import Declared, ProjectTree


def plan(
    project: Project, *, model: str | None = None, base: str | None = None
) -> list[ChangePlan]:
    """What the working tree means for each model (or the one named), against its base.

    Raises:
        MergelineError: the tree's declarations cannot be read; see the classes below it.
    """
    tree, _ = project.target_tree()
    commit = project.base(base)
    before = project.tree(commit.sha) if commit else None
    drops = _Drops(project, tree)
    return [
        _plan_one(project, tree, before, declared, drops)
        for declared in tree.choose_models(model).values()
    ]


def _plan_one(
    project: Project, tree: ProjectTree, before: ProjectTree | None, model: Model, drops: _Drops
) -> ChangePlan:
    ingredients = tree.ingredients(model)
    at_base = before.declared(model.name) if before else None
    moved = (*moved_bar(at_base, model, ingredients), *moved_metrics(before, tree, model))
    return plan_change(
        model.name,
        at_base.ingredients if at_base else None,
        ingredients,
        moved=[*_moved_gate(at_base, model), *(f"{part.where}: {part.text}" for part in moved)],
        known=_known(project, model.name, ingredients.fingerprint),
        unpointed=drops.unpointed(ingredients),
        differing=drops.differing(ingredients),
    )


def _known(project: Project, model: str, fingerprint: str) -> str | None:
    """Where the candidate of a fingerprint is, in words; None if it is to be trained."""
    run = project.tracking.find(model, fingerprint)
    if run is not None:
        return f"run {run.run_id}"
    here = (project.candidate_folder(model, fingerprint) / MANIFEST).is_file()
    return "on this machine, not tracked yet" if here else None


def _moved_gate(at_base: Declared | None, model: Model) -> list[str]:
    if at_base is None or at_base.model.gate == model.gate:
        return []
    return [f"models/{model.name}.yaml: the gate changed; the base's still judges"]


class _Drops:
    """The drops in the working copy beside their pointers; looked at once for all models."""

    def __init__(self, project: Project, tree: ProjectTree) -> None:
        self._project = project
        self._tree = tree
        self._differing = cache(self._find_differing)
        self._unpointed = cache(self._find_unpointed)

    def differing(self, ingredients: Ingredients) -> tuple[str, ...]:
        """Files that a model is made of and that are not what their pointers say."""
        return self._differing(tuple(self._tree.pointers_behind(ingredients)))

    def unpointed(self, ingredients: Ingredients) -> dict[str, tuple[str, ...]]:
        """By table, files that lie among a model's drops and that no pointer names."""
        files = {table: self._unpointed(table) for table in ingredients.snapshots}
        return {table: paths for table, paths in files.items() if paths}

    def _find_differing(self, pointers: tuple[Pointer, ...]) -> tuple[str, ...]:
        return tuple(self._project.drops.differing(pointers))

    def _find_unpointed(self, table: str) -> tuple[str, ...]:
        files, root = self._tree.files, self._project.repository.root
        source = self._tree.contracts[table].source
        if source.endswith(".dvc") or files.blob(f"{source}.dvc") is not None:
            return ()  # one pointer for the folder: dvc status tells
        here = [path for path in (root / source).rglob("*") if path.is_file()]
        names = [path.relative_to(root).as_posix() for path in here if path.name[0] != "."]
        drops = [name for name in names if not name.endswith(".dvc")]
        return tuple(sorted(name for name in drops if not files.blob(f"{name}.dvc")))
