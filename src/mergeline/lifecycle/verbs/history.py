"""`history`: the ledger of releases."""

from __future__ import annotations

from mergeline.core.release.plan import Entry
from mergeline.lifecycle.steps.project import Project, chosen_models


def read(project: Project, model: str | None) -> tuple[Entry, ...]:
    """The ledger, of one model where it is named.

    Raises:
        NotFoundError: nothing is declared, nor was ever released, by that name.
    """
    entries = project.ledger(model)
    if model is not None and not entries:
        tree, _ = project.target_tree()
        chosen_models(tree, model)
    return entries
