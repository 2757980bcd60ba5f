"""The reference of a case: the release that small steps down are summed from, with its files."""

from __future__ import annotations

from dataclasses import dataclass

from mergeline.adapters.row_files import HoldoutFile
from mergeline.core.release.lineage import Reference, find_reference
from mergeline.errors import MergelineError
from mergeline.lifecycle.steps.candidates import find
from mergeline.lifecycle.steps.case import Case
from mergeline.lifecycle.steps.champion import InProduction
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.trained import Trained, rows_trained_on

_MOST_SEEN = 0.5  # share of the holdout that the reference may have been fitted on


@dataclass(frozen=True)
class ReferenceModel:
    """The reference with its files, or why it cannot be asked."""

    reference: Reference
    trained: Trained | None
    problem: str = ""


def reference_of(
    project: Project, case: Case, champion: InProduction | None, holdout: HoldoutFile
) -> ReferenceModel | None:
    """What a change is held against beside production.

    None where that would be asked twice: the champion is the reference; nothing changes; or an
    earlier release goes back, which need not beat anything.
    """
    if champion is None or case.restored is not None:
        return None
    in_production = champion.version.fingerprint
    reference = find_reference(project.ledger(case.model.name))
    if reference is None or case.ingredients.fingerprint == in_production:
        return None
    page = reference.entry
    if page.fingerprint == in_production:
        return None
    try:
        trained = find(project, page.model, page.fingerprint)
        problem = "its files are gone" if trained is None else _seen(trained, case, holdout)
    except MergelineError as error:
        problem = str(error)
    if problem:
        return ReferenceModel(reference, None, problem)
    return ReferenceModel(reference, trained)


def _seen(trained: Trained, case: Case, holdout: HoldoutFile) -> str:
    """Why it may not be asked: its training rows would leave too few for all models."""
    import numpy as np

    fitted_on = rows_trained_on(trained, case.judge)
    rows = holdout.rows.row_id
    seen = 0 if fitted_on is None else int(np.count_nonzero(np.isin(rows, fitted_on)))
    if seen <= _MOST_SEEN * len(rows):
        return ""
    return f"it is fitted on {seen:,} of the {len(rows):,} rows"
