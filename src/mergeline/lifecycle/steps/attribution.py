"""Split a change's difference to its base: what the data do, and what params and code do on top."""

from __future__ import annotations

import dataclasses

from mergeline.adapters.forge.event import labels_of_event
from mergeline.adapters.row_files import HoldoutFile
from mergeline.core.compare.attribution import MetricSplit, attribute
from mergeline.core.fingerprint.ingredients import changes
from mergeline.core.report.content import AttributionShare, AttributionShares
from mergeline.errors import DeclarationError, ForgeError, MergelineError, NotFoundError
from mergeline.lifecycle.steps.candidates import find, train
from mergeline.lifecycle.steps.case import Case
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.scoring import CANDIDATE, score_models
from mergeline.lifecycle.steps.trained import Trained

LABEL = "attribution"
_DATA = {"drop", "contract"}


def split(
    project: Project,
    case: Case,
    trained: Trained,
    base: Trained | None,
    holdout: HoldoutFile,
    *,
    say: Say,
) -> AttributionShares | None:
    """The split; None where the change is of one kind, or it would train and nobody asked.

    One that fails costs no verdict: it is said.

    Args:
        project: the working copy.
        case: the evaluated one.
        trained: its candidate.
        base: the model of its base.
        holdout: the candidate's rows.
        say: is told what goes on.
    """
    if base is None or case.at_base is None or not _mixed(case):
        return None
    try:
        return _split(project, case, trained, base, holdout, say=say)
    except MergelineError as error:
        say(f"the difference is not split: {error}")
        return None


def _split(
    project: Project, case: Case, trained: Trained, base: Trained, holdout: HoldoutFile, *, say: Say
) -> AttributionShares | None:
    middle = _data_only(project, case)
    if middle is None:
        return None
    name, fingerprint = middle.model.name, middle.ingredients.fingerprint
    data = find(project, name, fingerprint)
    if data is None and case.may_train and _asked(project, case, say):
        say("training the base on the change's data, to tell the data's part from the rest")
        data = train(project, middle, say)
    if data is None:
        return None
    judge = case.judge
    models = {"base": base, "data": data, CANDIDATE: trained}
    scored = score_models(project, models, holdout, judge)
    result = attribute(
        holdout.rows,
        base=scored["base"],
        data=scored["data"],
        candidate=scored[CANDIDATE],
        model=judge,
    )
    shares = tuple(share for metric in result.metrics if (share := _share(metric)) is not None)
    return AttributionShares(shares, note="; ".join(result.problems)) if shares else None


def _mixed(case: Case) -> bool:
    """Whether the change is of data and of something else."""
    if case.at_base is None:
        return False
    kinds = {change.kind for change in changes(case.at_base.ingredients, case.ingredients)}
    return bool(kinds & _DATA) and bool(kinds - _DATA)


def _data_only(project: Project, case: Case) -> Case | None:
    """The base with the change's pointers and contracts; None where that cannot stand."""
    if case.base is None:
        return None
    paths = [
        path
        for contract in case.tree.contracts.values()
        for path in (contract.path, contract.source, f"{contract.source}.dvc")
    ]
    files = project.repository.compose(case.base.sha, case.tree.files, paths)
    tree = project.read_tree(files)
    try:
        model = tree.models[case.model.name]
        ingredients = tree.ingredients(model)
    except DeclarationError:
        return None
    return dataclasses.replace(case, tree=tree, model=model, ingredients=ingredients)


def _asked(project: Project, case: Case, say: Say) -> bool:
    if case.model.attribution:
        return True
    try:
        return LABEL in _labels(project)
    except (ForgeError, NotFoundError) as error:
        say(f"whether the label `{LABEL}` is set cannot be told: {error}")
        return False


def _labels(project: Project) -> tuple[str, ...]:
    """Of the pull request: by GitHub's event, which needs no token, else by the forge."""
    if labels := labels_of_event(project.environment):
        return labels
    if project.forge is None or project.pull_request is None:
        return ()
    return project.forge.pull_request(project.pull_request).labels


def _share(split: MetricSplit) -> AttributionShare | None:
    if split.by_data is None or split.by_rest is None or split.total is None:
        return None
    parts = [split.by_data, split.by_rest, split.total]
    if split.negated:
        parts = [part.turned() for part in parts]
    return AttributionShare(split.name, split.label, *parts)
