"""`plan`: what a change will cause and why, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from mergeline.adapters.git import Tree
from mergeline.core.bundle import MANIFEST
from mergeline.core.fingerprint import Change, Ingredients, Stage, changes
from mergeline.core.model import Model
from mergeline.core.plan import ChangePlan, plan_change
from mergeline.core.report.content import Moved
from mergeline.lifecycle.differing import differing_drops
from mergeline.lifecycle.project import (
    Project,
    chosen_models,
    declared_models,
    declared_tables,
    read_model_ingredients,
)

_JUDGING: dict[str, Literal["metrics", "slices", "labels", "decision", "other"]] = {
    "metrics": "metrics",
    "slices": "slices",
    "slice_minimum": "slices",
    "label": "labels",
    "classes": "labels",
    "decision": "decision",
    "cluster": "other",
    "key": "other",
}


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


def base_ingredients(before: Tree | None, name: str) -> tuple[Model, Ingredients] | None:
    """A model and its ingredients as the base has them; None where it has no such model."""
    if before is None:
        return None
    declared = declared_models(before).get(name)
    return (declared, read_model_ingredients(before, declared)) if declared else None


def moved_bar(
    at_base: tuple[Model, Ingredients] | None, model: Model, ingredients: Ingredients
) -> tuple[Moved, ...]:
    """What the change edits of how it is judged, beside the lines of the gate."""
    if at_base is None:
        return ()
    declared, before = at_base
    where = f"models/{model.name}.yaml"
    moved = [
        Moved(what, where, f"{name} changed")
        for name, what in _JUDGING.items()
        if getattr(declared, name) != getattr(model, name)
    ]
    for change in changes(before, ingredients):
        if change.kind == "contract":
            moved.append(Moved("contract", change.where, change.said))
        elif _edits_holdout(change, model, before, ingredients):
            moved.append(Moved("holdout", change.where, f"{change.said}: it makes the holdout"))
    return tuple(moved)


def moved_metrics(before: Tree | None, tree: Tree, model: Model) -> tuple[Moved, ...]:
    """The project's own metrics whose code the change edits; the base's code still measures."""
    if before is None:
        return ()
    moved = []
    for metric in model.metrics:
        module = "/".join(metric.name.split(".")[:-1])
        for path in (f"{module}.py", f"{module}/__init__.py"):
            then, now = before.blob(path), tree.blob(path)
            if module and then is not None and then != now:
                moved.append(Moved("metrics", path, f"the code of {metric.name} changed"))
    return tuple(moved)


def may_move_rows(
    at_base: tuple[Model, Ingredients] | None, model: Model, ingredients: Ingredients
) -> bool:
    """Whether the change edits something that the stage of the holdout reads, beside the drops."""
    if at_base is None:
        return False
    trees = (at_base[1], ingredients)
    return any(
        change.kind == "contract"
        or _edits_holdout(change, model, *trees)
        or any(change.where in stage.code for stage in _holdout_stages(model, *trees))
        for change in changes(*trees)
    )


def only_drops(at_base: tuple[Model, Ingredients] | None, ingredients: Ingredients) -> bool:
    """Whether the change brings and takes data, and nothing else."""
    found = changes(at_base[1], ingredients) if at_base else ()
    return all(change.kind in {"drop", "data"} for change in found)


def _holdout_stages(model: Model, *trees: Ingredients) -> Iterator[Stage]:
    """The stage that writes the holdout, in each tree."""
    for ingredients in trees:
        yield from (stage for stage in ingredients.stages if stage.name == model.stage)


def _edits_holdout(change: Change, model: Model, *trees: Ingredients) -> bool:
    """Whether the stage that writes the holdout reads a param, or it alone runs again."""
    if change.kind == "params":
        key = f"{change.where}: {change.what}"
        return any(key in stage.params for stage in _holdout_stages(model, *trees))
    return change.kind in {"code", "command", "stage"} and change.stages == (model.stage,)
