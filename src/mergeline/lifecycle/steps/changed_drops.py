"""Drops that lie in the working tree and are not what their pointers say.

What is built and trained is what the pointers say: who sees other files would read a verdict on
something else.
"""

from __future__ import annotations

from collections.abc import Iterable

from mergeline.adapters.dvc.drops import DropStore
from mergeline.adapters.git.tree import Tree
from mergeline.core.declare.pointer import Pointer, describe_differing, parse_pointer
from mergeline.core.fingerprint.ingredients import Ingredients
from mergeline.errors import DropError
from mergeline.lifecycle.steps.project import Project, declared_tables, pointers_of


def differing_drops(project: Project, tree: Tree, ingredients: Ingredients) -> tuple[str, ...]:
    """The differing files that a model is made of."""
    store = DropStore(project.repository.root)
    return tuple(store.differing(_pointers_behind(tree, ingredients)))


def refuse_differing(
    project: Project, tree: Tree, models: Iterable[Ingredients] | None = None
) -> None:
    """Refuse to go on with a working tree in which drops differ from their pointers.

    Args:
        project: the working copy.
        tree: its files as Git has them, the pointers among them.
        models: whose drops count; None: those of all tables.

    Raises:
        DropError: some differ.
    """
    if models is None:
        tables = declared_tables(tree).values()
        pointers = [one for contract in tables for one in pointers_of(tree, contract)]
    else:
        pointers = [one for model in models for one in _pointers_behind(tree, model)]
    found = DropStore(project.repository.root).differing(dict.fromkeys(pointers))
    if found:
        said, next_step = describe_differing(found)
        raise DropError(said, next_step=next_step)


def _pointers_behind(tree: Tree, ingredients: Ingredients) -> list[Pointer]:
    paths = [path for one in ingredients.snapshots.values() for path in one.pointers]
    paths += [f"{path}.dvc" for stage in ingredients.stages for path in stage.data]
    return [parse_pointer(path, tree.read(path) or b"") for path in dict.fromkeys(paths)]
