"""Split a change's difference to its base: what the data do, and what params and code do on top."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from mergeline.adapters.forge.event import labels_of_event
from mergeline.adapters.row_files import HoldoutFile
from mergeline.core.compare.attribution import MetricSplit, attribute
from mergeline.core.fingerprint.ingredients import changes
from mergeline.core.report.content import AttributionShare, AttributionShares
from mergeline.errors import DeclarationError, ForgeError, MergelineError, NotFoundError
from mergeline.lifecycle.steps.asked import asked_for
from mergeline.lifecycle.steps.candidates import find, train
from mergeline.lifecycle.steps.case import Case
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.scoring import CANDIDATE, score_models
from mergeline.lifecycle.steps.trained import Trained

ATTRIBUTION = "attribution"
"""The label of a pull request, and the command in a comment, that ask for the split."""
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
    """The split; None if the change is of one kind, or it would train and nobody asked.

    One that fails costs no verdict: `say` is told.
    """
    if base is None or case.at_base is None:
        return None
    kinds = {change.kind for change in changes(case.at_base.ingredients, case.ingredients)}
    if not kinds & _DATA or not kinds - _DATA:
        return None
    try:
        data = _trained_on_data_only(project, case, say)
        if data is None:
            return None
        return _shares(project, case, {"base": base, "data": data, CANDIDATE: trained}, holdout)
    except MergelineError as error:
        say(f"the difference is not split: {error}")
        return None


def _trained_on_data_only(project: Project, case: Case, say: Say) -> Trained | None:
    """The model of the base's code and params on the change's data, if known or asked for."""
    middle = _data_only(project, case)
    if middle is None:
        return None
    trained = find(project, middle.model.name, middle.ingredients.fingerprint)
    if trained is None and not case.untrusted and _asked(project, case, say):
        say("training the base on the change's data, to tell the data's part from the rest")
        return train(project, middle, say)
    return trained


def _shares(
    project: Project, case: Case, models: Mapping[str, Trained], holdout: HoldoutFile
) -> AttributionShares | None:
    judge = case.judge
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


def _data_only(project: Project, case: Case) -> Case | None:
    """The base with the change's pointers and contracts; None if they do not fit together."""
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
    """By the declaration, a label or a comment; GitHub's event names labels without a token."""
    if case.model.attribution:
        return True
    try:
        if asked_for(project) == ATTRIBUTION:
            return True
        labels = labels_of_event(project.environment)
        if not labels and project.forge and project.pull_request:
            labels = project.forge.pull_request(project.pull_request).labels
    except (ForgeError, NotFoundError) as error:
        say(f"whether `{ATTRIBUTION}` is asked for cannot be told: {error}")
        return False
    return ATTRIBUTION in labels


def _share(split: MetricSplit) -> AttributionShare | None:
    if split.by_data is None or split.by_rest is None or split.total is None:
        return None
    parts = [split.by_data, split.by_rest, split.total]
    if split.negated:
        parts = [part.turned() for part in parts]
    return AttributionShare(split.name, split.label, *parts)
