"""How often the rows of a holdout have been asked."""

from __future__ import annotations

from mergeline.lifecycle.steps.case import Case
from mergeline.lifecycle.steps.project import Project


def number_of_look(project: Project, case: Case, rows: str) -> int:
    """Which look at rows of this digest the candidate is, from 1 on.

    Each different candidate that was judged on them is one look, however often it was judged; they
    are in the order in which they were judged first.
    """
    first = project.store.judged_on(case.model.name, rows)
    own = case.ingredients.fingerprint
    here = (first[own], own) if own in first else None
    others = ((at, one) for one, at in first.items() if one != own)
    return 1 + sum(here is None or other < here for other in others)
