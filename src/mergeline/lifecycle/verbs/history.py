"""`history`: the ledger of releases."""

from __future__ import annotations

from mergeline.core.release.ledger import Ledger
from mergeline.errors import ExternalError
from mergeline.lifecycle.steps.project import Project


def read(project: Project, model: str | None) -> Ledger:
    """The releases, of one model where it is named, and what under `release/` is not believed.

    Where the store that could speak for the pages is out of reach they are shown as they stand,
    and that is said.

    Raises:
        NotFoundError: nothing is declared, nor was ever released, by that name.
    """
    pages = project.pages if model is None else project.pages_of(model)
    names = sorted({page.model for page in pages})
    if model is not None and not names:
        tree, _ = project.target_tree()
        tree.choose_models(model)
    entries, doubts = [], []
    for name in names:
        try:
            ledger = project.ledger_of(name)
        except ExternalError as error:
            entries += [page.entry for page in project.pages_of(name) if page.entry]
            doubts.append(f"{name}'s releases are shown as they are written: {error}")
        else:
            entries += ledger.moves
            doubts += ledger.doubts
    return Ledger(tuple(entries), tuple(doubts))
