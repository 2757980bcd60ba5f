"""`evaluate`: the candidate of a tree, held against production and base on the same rows."""

from __future__ import annotations

from pathlib import Path

from mergeline.lifecycle.steps.evaluation import Evaluated, evaluate_models
from mergeline.lifecycle.steps.project import Project, Say


def evaluate(
    project: Project,
    *,
    model: str | None = None,
    base: str | None = None,
    bundle: Path | None = None,
    say: Say,
) -> list[Evaluated]:
    """Evaluate the models that the working tree changes (or the one named).

    Args:
        project: the working copy.
        model: a declared model; None: each one that the tree changes, or all if it changes none.
        base: branch that the tree would be merged onto; None: the main branch.
        bundle: leave the bundle (of several models: a folder each) there and write to no store.
        say: is told what goes on.

    Raises:
        MergelineError: see its classes; a failed run leaves a report of the failure in `bundle`.
    """
    return evaluate_models(project, model=model, base=base, bundle=bundle, say=say)
