"""`reproduce`: train a stored candidate's fingerprint again and hold the result against it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mergeline.adapters.row_files import read_holdout
from mergeline.core.compare.result import CLOSE
from mergeline.core.declare.model import Model
from mergeline.errors import BundleError, NotFoundError, RepositoryError
from mergeline.lifecycle.steps.candidates import fetch, find_by, train
from mergeline.lifecycle.steps.case import Case
from mergeline.lifecycle.steps.holdouts import holdout_rows
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.project_tree import ProjectTree
from mergeline.lifecycle.steps.scoring import score_models
from mergeline.lifecycle.steps.trained import Trained


@dataclass(frozen=True)
class Reproduced:
    """A candidate and the same fingerprint trained again.

    Attributes:
        same_bytes: whether the estimators are the same bytes.
        same_predictions: whether both say the same on each holdout row, within 1e-9.
        metrics: then and again, by name.
    """

    model: str
    fingerprint: str
    same_bytes: bool
    same_predictions: bool
    metrics: Mapping[str, tuple[float, float | None]]

    @property
    def agrees(self) -> bool:
        """Whether the metrics and the model agree."""
        return self.same_predictions and all(
            again is not None and math.isclose(tracked, again, rel_tol=CLOSE)
            for tracked, again in self.metrics.values()
        )


def reproduce(project: Project, name: str, *, say: Say) -> Reproduced:
    """Train a candidate, named by its fingerprint or run, from its Git tree, with empty caches.

    Raises:
        NotFoundError: no such candidate, or its tree is not in this repository.
        StoreError: what the store holds is not what was put there.
        MergelineError: a stage failed.
    """
    tracked = fetch(project, find_by(project, name))
    case = _case(project, tracked)
    with TemporaryDirectory(prefix="mergeline-reproduce-") as folder:
        elsewhere = project.elsewhere(Path(folder))
        say(f"training {case.ingredients.fingerprint[:8]} again")
        again = train(elsewhere, case, say)
        return _compare(project, tracked, again, case.model)


def _case(project: Project, tracked: Trained) -> Case:
    tree = _tree(project, tracked)
    model = tree.choose_models(tracked.candidate.model)[tracked.candidate.model]
    ingredients = tree.ingredients(model)
    if ingredients.fingerprint != tracked.candidate.fingerprint:
        raise BundleError(
            f"the tree {tree.files.sha[:8]} that the candidate names has fingerprint "
            f"{ingredients.fingerprint[:8]}, not {tracked.candidate.fingerprint[:8]}",
            where=project.store.name,
            next_step="Evaluate the tree again",
        )
    return Case(tree, tracked.candidate.origin, model, ingredients)


def _tree(project: Project, tracked: Trained) -> ProjectTree:
    """The tree that a candidate was trained from, by its content's own name first.

    The commit may be a forge's trial merge, which no clone has; a release of the same fingerprint
    may have another tree, with other files that determine nothing.
    """
    candidate = tracked.candidate
    for name in (candidate.origin.tree, candidate.origin.commit):
        with contextlib.suppress(RepositoryError):
            return project.tree(name or "")
    for entry in project.ledger(candidate.model):
        if entry.fingerprint == candidate.fingerprint:
            with contextlib.suppress(RepositoryError):
                return project.tree(entry.commit)
    raise NotFoundError(
        f"the tree {candidate.origin.tree[:8]} of the candidate is not in this repository",
        where=str(project.repository.root),
        next_step="Fetch the pull request's commits",
    )


def _compare(project: Project, tracked: Trained, again: Trained, model: Model) -> Reproduced:
    import numpy as np

    holdout = read_holdout(holdout_rows(project, tracked), model)
    scored = score_models(project, {"tracked": tracked, "again": again}, holdout, model)
    before, now = scored["tracked"].predictions, scored["again"].predictions
    same = (
        before is not None
        and now is not None
        and before.shape == now.shape
        and bool(np.allclose(before, now, rtol=CLOSE, atol=0))
    )
    return Reproduced(
        model=model.name,
        fingerprint=tracked.candidate.fingerprint,
        same_bytes=tracked.candidate.model_digest == again.candidate.model_digest,
        same_predictions=same,
        metrics={
            name: (value, again.candidate.metrics.get(name))
            for name, value in tracked.candidate.metrics.items()
        },
    )
