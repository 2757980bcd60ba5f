"""Drops that lie in the working tree and are not what their pointers say.

What is built and trained is what the pointers say: who sees other files would read a verdict on
something else.
"""

from __future__ import annotations

from collections.abc import Iterable

from mergeline.core.declare.pointer import describe_differing
from mergeline.core.fingerprint.ingredients import Ingredients
from mergeline.errors import DropError
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.project_tree import ProjectTree


def refuse_differing(
    project: Project, tree: ProjectTree, models: Iterable[Ingredients] | None = None
) -> None:
    """Refuse to go on with a working tree in which drops differ from their pointers.

    Only the drops of `models` count, if they are given; else those of all tables.

    Raises:
        DropError: some differ.
    """
    if models is None:
        lists = [tree.pointers_of(contract) for contract in tree.contracts.values()]
    else:
        lists = [tree.pointers_behind(model) for model in models]
    pointers = dict.fromkeys(pointer for pointers in lists for pointer in pointers)
    if differing := project.drops.differing(pointers):
        problem, next_step = describe_differing(differing)
        raise DropError(problem, next_step=next_step)
