"""`history`: the ledger of releases."""

from __future__ import annotations

from mergeline.core.release.ledger import Entry
from mergeline.lifecycle.steps.project import Project


def read(project: Project, model: str | None) -> tuple[Entry, ...]:
    """The ledger, of one model where it is named.

    Raises:
        NotFoundError: nothing is declared, nor was ever released, by that name.
    """
    entries = project.ledger(model)
    if model is not None and not entries:
        tree, _ = project.target_tree()
        tree.choose_models(model)
    return entries
