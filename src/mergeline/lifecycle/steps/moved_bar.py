"""What a change edits of how it is judged: gate, metrics, contracts, holdout."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from mergeline.adapters.git.tree import Tree
from mergeline.core.declare.model import Model
from mergeline.core.fingerprint.ingredients import Change, Ingredients, Stage, changes
from mergeline.core.report.content import Moved
from mergeline.lifecycle.steps.project import (
    declared_models,
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
