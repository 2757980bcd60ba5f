"""`reconcile`: write into MLflow again what the store and the ledger have."""

from __future__ import annotations

from mergeline.core.release.reconcile import ShowPlan
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.showing import show_all


def reconcile(project: Project, *, plan_only: bool = False, say: Say) -> list[ShowPlan]:
    """Have MLflow show the candidates and releases of each model; with `plan_only` only say what.

    Applied twice, the second time writes nothing.

    Raises:
        MergelineError: see `show_all`.
    """
    return show_all(project, plan_only=plan_only, say=say)
