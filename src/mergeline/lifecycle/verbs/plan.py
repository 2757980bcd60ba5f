"""`plan`: what a change will cause and why, before anything runs."""

from __future__ import annotations

from mergeline.adapters.git.tree import Tree
from mergeline.core.declare.model import Model
from mergeline.core.fingerprint.change_plan import ChangePlan, plan_change
from mergeline.core.fingerprint.ingredients import Ingredients
from mergeline.core.release.bundle import MANIFEST
from mergeline.lifecycle.steps.changed_drops import differing_drops
from mergeline.lifecycle.steps.moved_bar import base_ingredients, moved_bar, moved_metrics
from mergeline.lifecycle.steps.project import (
    Project,
    chosen_models,
    declared_tables,
    read_model_ingredients,
)


def plan(
    project: Project, *, model: str | None = None, base: str | None = None
) -> list[ChangePlan]:
    """What the working tree means for each model (or the one named), against its base.

    Raises:
        MergelineError: the tree's declarations cannot be read; see the classes below it.
    """
    tree, _ = project.target_tree()
    commit = project.base(base)
    before = project.repository.tree(commit.sha) if commit else None
    return [
        _plan_one(project, tree, before, declared)
        for declared in chosen_models(tree, model).values()
    ]


def _plan_one(project: Project, tree: Tree, before: Tree | None, model: Model) -> ChangePlan:
    ingredients = read_model_ingredients(tree, model)
    at_base = base_ingredients(before, model.name)
    moved = (*moved_bar(at_base, model, ingredients), *moved_metrics(before, tree, model))
    return plan_change(
        model.name,
        at_base[1] if at_base else None,
        ingredients,
        moved=[*_moved_gate(at_base, model), *(f"{one.where}: {one.text}" for one in moved)],
        known=_known(project, model.name, ingredients.fingerprint),
        unpointed=_unpointed(project, tree, ingredients),
        differing=differing_drops(project, tree, ingredients),
    )


def _known(project: Project, model: str, fingerprint: str) -> str | None:
    """Where the candidate of a fingerprint is, in words; None where it is to be trained."""
    run = project.tracking.find(model, fingerprint)
    if run is not None:
        return f"run {run.run_id}"
    here = (project.candidate_folder(model, fingerprint) / MANIFEST).is_file()
    return "on this machine, not tracked yet" if here else None


def _unpointed(
    project: Project, tree: Tree, ingredients: Ingredients
) -> dict[str, tuple[str, ...]]:
    """Files that lie among a table's drops in the working copy and that no pointer names."""
    found, root = {}, project.repository.root
    for table in ingredients.snapshots:
        source = declared_tables(tree)[table].source
        if source.endswith(".dvc") or tree.blob(f"{source}.dvc") is not None:
            continue  # one pointer for the folder: dvc status tells
        files = [path for path in (root / source).rglob("*") if path.is_file()]
        names = [path.relative_to(root).as_posix() for path in files if path.name[0] != "."]
        lost = [
            name for name in names if not name.endswith(".dvc") and not tree.blob(f"{name}.dvc")
        ]
        if lost:
            found[table] = tuple(sorted(lost))
    return found


def _moved_gate(at_base: tuple[Model, Ingredients] | None, model: Model) -> list[str]:
    if at_base is None or at_base[0].gate == model.gate:
        return []
    return [f"models/{model.name}.yaml: the gate changed; the base's still judges"]
