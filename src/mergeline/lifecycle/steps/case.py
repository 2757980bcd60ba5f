"""The cases of an evaluation: one model of one tree, and what it would be merged onto."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from mergeline.adapters.git.repository import Commit
from mergeline.core.compare.comparison import with_metrics_of
from mergeline.core.compare.metrics.catalogue import check_metrics
from mergeline.core.declare.model import Gate, Model
from mergeline.core.fingerprint.ingredients import Ingredients
from mergeline.core.release.bundle import Origin
from mergeline.core.release.ledger import Entry
from mergeline.core.report.content import Moved
from mergeline.lifecycle.steps.changed_drops import refuse_differing
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.project_tree import Declared, ProjectTree

NOT_SHOWN = "why is not shown here, since the message may hold values of private columns"
"""Stands for a message that tells of cells, where a declaration names private columns."""


@dataclass(frozen=True)
class Case:
    """One model of one tree, and what it is held against.

    Attributes:
        base: the commit it would be merged onto; None before the first one.
        at_base: the model as that commit declares it; None if it does not.
        before: the tree of that commit.
        behind: commits that the branch has beyond the base.
        overtaken: whether those make another model of it, so that the merge is to be trained.
        noted: what else the report says of the bar.
        untrusted: whether the candidate and its holdout are an untrusted job's word; then nothing
            of the tree is run, and what came of its stages is not taken for granted.
        restored: the latest release with this fingerprint, where the tree goes back to one.
    """

    tree: ProjectTree
    origin: Origin
    model: Model
    ingredients: Ingredients
    base: Commit | None = None
    at_base: Declared | None = None
    before: ProjectTree | None = None
    branch: str | None = None
    behind: int = 0
    overtaken: bool = False
    restored: Entry | None = None
    noted: tuple[Moved, ...] = ()
    untrusted: bool = False
    started_at: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))

    @property
    def judge(self) -> Model:
        """The base's declaration, which judges; the tree's own where the base has none."""
        return with_metrics_of(self.at_base.model, self.model) if self.at_base else self.model

    @property
    def private(self) -> tuple[str, ...]:
        """Columns whose values no report may show: those of the base and of the tree."""
        return self.judge.private

    @property
    def gate(self) -> Gate:
        """The base's gate (law 5); the tree's own where the base has none."""
        return self.at_base.model.gate if self.at_base else self.model.gate


def read_cases(
    project: Project,
    name: str | None,
    onto: str | None,
    merged_onto: Commit | None = None,
    *,
    as_committed: bool = False,
) -> list[Case]:
    """The cases of the models that the working tree changes; of all, if it changes none.

    With `name` only that model is taken. The tree would be merged onto the branch `onto`, main
    without it. Where it is merged already, `merged_onto` is what the branch was before; then the
    commit counts, not the files around it; `as_committed` says so without knowing that.

    Raises:
        DropError: drops in the working tree are not what their pointers say.
    """
    started_at = dt.datetime.now(dt.UTC)
    tree, origin = project.target_tree()
    base = merged_onto or project.base(onto)
    before = project.tree(base.sha) if base else None
    branch = (onto or project.repository.main_branch()) if base else None
    behind = project.repository.count_between("HEAD", branch) if branch else 0
    tip = project.tree(branch) if branch and behind else before
    cases = []
    for model in tree.choose_models(name).values():
        ingredients = tree.ingredients(model)
        at_base = before.declared(model.name) if before else None
        at_tip = tip.declared(model.name) if tip else None
        cases.append(
            Case(
                tree=tree,
                origin=origin,
                model=model,
                ingredients=ingredients,
                base=base,
                at_base=at_base,
                before=before,
                branch=branch,
                behind=behind,
                overtaken=_fingerprint(at_tip) != _fingerprint(at_base),
                restored=_earlier_release(project, model.name, ingredients.fingerprint),
                started_at=started_at,
            )
        )
    cases = [case for case in cases if touched(case)] or cases
    for case in cases:
        check_metrics(case.model)  # before anything trains
    if merged_onto is None and not as_committed:
        refuse_differing(project, tree, [case.ingredients for case in cases])
    return cases


def _fingerprint(declared: Declared | None) -> str | None:
    return declared.ingredients.fingerprint if declared else None


def touched(case: Case) -> bool:
    """Whether the tree changes the model, or how it is declared."""
    same_model = case.at_base is not None and case.at_base.model == case.model
    return not same_model or _fingerprint(case.at_base) != case.ingredients.fingerprint


def _earlier_release(project: Project, model: str, fingerprint: str) -> Entry | None:
    """The release that a tree would bring back; None if it is new, or in production already."""
    ledger = project.ledger(model)
    if not ledger or ledger[-1].fingerprint == fingerprint:
        return None
    return next((entry for entry in reversed(ledger) if entry.fingerprint == fingerprint), None)
