"""A quick run on part of the data: what it says is told, and nothing of it can be released."""

from __future__ import annotations

from dataclasses import replace

from mergeline.adapters.row_files import read_holdout
from mergeline.core.compare.comparison import compare
from mergeline.core.compare.result import Comparison
from mergeline.core.declare.model import Role
from mergeline.core.numbers import number
from mergeline.errors import DeclarationError
from mergeline.lifecycle.steps.candidates import find_or_train
from mergeline.lifecycle.steps.case import Case
from mergeline.lifecycle.steps.champion import find_champion
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.scoring import score_models
from mergeline.lifecycle.steps.trained import Trained

SAMPLE = "sample"
"""The command in a comment that asks for such a run."""
_PART = 4  # one drop in so many is taken


def try_sample(project: Project, case: Case, say: Say) -> str:
    """Train on each table's newest drops, a quarter of them, and tell how the model does.

    Its fingerprint is that of the fewer drops, so nobody takes it for the tree's own candidate.

    Raises:
        DeclarationError: there is no part to take, since each table has one pointer.
        MergelineError: as an evaluation.
    """
    part, taken, of = _part(project, case)
    trained = find_or_train(project, part, say, track=False)
    models: dict[Role, Trained] = {"candidate": trained}
    champion = find_champion(project, case.model.name)
    if champion is not None:
        models["champion"] = champion.trained
    holdout = read_holdout(trained.holdout, case.judge)
    scored = score_models(project, models, holdout, case.judge)
    said = _numbers(compare(holdout.rows, scored, case.judge))
    return f"a sample of {taken} of {of} drops was evaluated, which cannot be released: {said}"


def _part(project: Project, case: Case) -> tuple[Case, int, int]:
    """The case with fewer drops; how many it has, and of how many."""
    left_out, of = [], 0
    for contract in case.tree.contracts.values():
        paths = sorted(pointer.path for pointer in case.tree.pointers_of(contract))
        left_out += paths[: -max(1, len(paths) // _PART)]
        of += len(paths)
    if not left_out:
        raise DeclarationError(
            "there is no sample to take: each table has a single pointer",
            where="data/",
            next_step="Give each drop a pointer of its own: dvc add data/raw/<table>/<file>",
        )
    files = project.repository.compose(case.tree.files.sha, None, left_out)
    tree = project.read_tree(files)
    ingredients = tree.ingredients(case.model)
    return replace(case, tree=tree, ingredients=ingredients), of - len(left_out), of


def _numbers(comparison: Comparison) -> str:
    """Each metric of the candidate, with production's on the same rows."""
    said = []
    for metric in comparison.metrics:
        ours, theirs = metric.values.get("candidate"), metric.values.get("champion")
        beside = f" (production {number(theirs.value)})" if theirs else ""
        said.append(f"{metric.name} {number(ours.value if ours else None)}{beside}")
    return ", ".join(said)
