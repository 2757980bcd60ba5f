"""The cases of an evaluation: one model of one tree, and what it would be merged onto."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace

from mergeline.adapters.git.repository import Commit
from mergeline.core.compare.comparison import with_metrics_of
from mergeline.core.compare.metrics.catalogue import check_metrics
from mergeline.core.declare.model import Gate, Model
from mergeline.core.fingerprint.ingredients import Ingredients
from mergeline.core.gate.verdict import Approval
from mergeline.core.release.bundle import Origin
from mergeline.core.release.ledger import Entry
from mergeline.core.report.content import Moved
from mergeline.errors import DeclarationError, RepositoryError
from mergeline.lifecycle.steps.changed_drops import refuse_differing
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.project_tree import Declared, ProjectTree


@dataclass(frozen=True)
class Standard:
    """The tree that a change is judged by: its gate, contracts, measuring code; whose holdout."""

    commit: str
    tree: ProjectTree
    declared: Declared | None


@dataclass(frozen=True)
class Case:
    """One model of one tree, and what it is held against.

    Attributes:
        base: the commit it would be merged onto; None before the first one.
        at_base: the model as that commit declares it, under the name that it had there; None if
            the commit declares none.
        before: the tree of that commit.
        production: the tree in production, where the base's is another that was never released:
            then that judges.
        behind: commits that the branch has beyond the base.
        overtaken: whether those make another model of it, so that the merge is to be trained.
        reverted_to: fingerprint of the tree that a revert of the merge leaves; None if it has no
            such model.
        noted: what else the report says of the bar.
        untrusted: whether the candidate and its holdout are an untrusted job's word; then nothing
            of the tree is run, and what came of its stages is not taken for granted.
        renamed: the model's name at the base, where the change gives it another.
        restored: the latest release with this fingerprint, where the tree goes back to one.
        approval: a person's yes to a bar or a holdout that moves.
    """

    tree: ProjectTree
    origin: Origin
    model: Model
    ingredients: Ingredients
    base: Commit | None = None
    at_base: Declared | None = None
    before: ProjectTree | None = None
    production: Standard | None = None
    branch: str | None = None
    behind: int = 0
    overtaken: bool = False
    reverted_to: str | None = None
    renamed: str | None = None
    restored: Entry | None = None
    noted: tuple[Moved, ...] = ()
    untrusted: bool = False
    approval: Approval | None = None
    started_at: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))

    @property
    def standard(self) -> Standard | None:
        """What the change is judged by (law 5); None before the first commit."""
        if self.production is not None or self.base is None or self.before is None:
            return self.production
        return Standard(self.base.sha, self.before, self.at_base)

    @property
    def judged_by(self) -> Declared | None:
        """The model as the standard declares it; None if it does not."""
        return self.standard.declared if self.standard else None

    @property
    def judge(self) -> Model:
        """The standard's declaration, which judges; the tree's own where it has none."""
        by = self.judged_by
        judge = with_metrics_of(by.model, self.model) if by else self.model
        if self.production is None or self.at_base is None:
            return judge
        # What main hides stays hidden, though its tree was never released.
        private = dict.fromkeys([*judge.private, *self.at_base.model.private])
        return replace(judge, private=tuple(private))

    @property
    def private(self) -> tuple[str, ...]:
        """Columns whose values no report may show: of production, the base and the tree."""
        return self.judge.private

    @property
    def gate(self) -> Gate:
        """The standard's gate (law 5); the tree's own where it has none."""
        by = self.judged_by
        return by.model.gate if by else self.model.gate


def read_cases(
    project: Project,
    name: str | None,
    onto: str | None,
    *,
    as_committed: bool = False,
) -> list[Case]:
    """The cases of the models that the working tree changes; of all, if it changes none.

    With `name` only that model is taken. The tree would be merged onto `onto`, main without it.
    Where it is merged already, `onto` is what main was before, by default the commit's first
    parent; then models that were merged earlier and are not in production count as changed too.
    With `as_committed` the commit counts, not the files around it.

    Raises:
        DropError: drops in the working tree are not what their pointers say.
    """
    started_at = dt.datetime.now(dt.UTC)
    tree, origin = project.target_tree()
    base = project.base(onto)
    before = project.tree(base.sha) if base else None
    merged = base is not None and _is_merged(project, origin)
    branch = (project.repository.main_branch() if merged or not onto else onto) if base else None
    behind = project.repository.count_between("HEAD", branch) if branch else 0
    tip = project.tree(branch) if branch and behind else before
    cases = []
    for model in tree.choose_models(name).values():
        ingredients = tree.ingredients(model)
        renamed = _name_before(model, tree, before) if before else None
        at_base = before.declared(renamed or model.name) if before else None
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
                production=find_production(project, model.name, before),
                branch=branch,
                behind=behind,
                overtaken=_fingerprint(at_tip) != _fingerprint(at_base),
                reverted_to=_fingerprint(at_tip),
                renamed=renamed,
                noted=_noted(model, renamed) if renamed else (),
                restored=_earlier_release(project, model.name, ingredients.fingerprint),
                started_at=started_at,
            )
        )
    cases = [
        case for case in cases if touched(case) or (merged and _unreleased(project, case))
    ] or cases
    for case in cases:
        check_metrics(case.model)  # before anything trains
    if not as_committed:
        refuse_differing(project, tree, [case.ingredients for case in cases])
    return cases


def find_production(project: Project, model: str, base: ProjectTree | None) -> Standard | None:
    """The tree that is in production, where the base makes another model than that.

    None where both make the same one, before the first release, and where what is in production is
    not to be had as a tree: then the base judges.
    """
    ledger = project.ledger(model)
    at_base = base.declared(model) if base else None
    if not ledger or base is None or _fingerprint(at_base) == ledger[-1].fingerprint:
        return None
    try:
        tree = project.tree(ledger[-1].commit)
        released = tree.declared(model)
    except (RepositoryError, DeclarationError):
        return None
    # A release that another mergeline recorded may have another fingerprint for the same tree.
    if released is None or _fingerprint(released) == _fingerprint(at_base):
        return None
    return Standard(ledger[-1].commit, tree, released)


def _is_merged(project: Project, origin: Origin) -> bool:
    """Whether a tree is that of a commit of main."""
    main = project.repository.main_branch()
    return origin.commit is not None and project.repository.is_ancestor(origin.commit, main)


def _unreleased(project: Project, case: Case) -> bool:
    champion = project.ledger_of(case.model.name).champion
    return champion is None or champion.fingerprint != case.ingredients.fingerprint


def _name_before(model: Model, tree: ProjectTree, before: ProjectTree) -> str | None:
    """The name of a model that is gone and whose place this one takes.

    Any model that is gone is taken for it, rather than that a new name escapes the old one's gate.
    """
    gone = [one for name, one in before.models.items() if name not in tree.models]
    if model.name in before.models or not gone:
        return None
    same = [one for one in gone if model.outputs == one.outputs or model.stage == one.stage]
    return (same or gone)[0].name


def _noted(model: Model, renamed: str) -> tuple[Moved, ...]:
    where = f"models/{model.name}.yaml"
    return (Moved("other", where, f"{renamed} is gone and {model.name} is new"),)


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
    if not project.ledger_of(model).has_released(fingerprint):
        return None  # never, or it was taken back at once
    return next((entry for entry in reversed(ledger) if entry.fingerprint == fingerprint), None)
