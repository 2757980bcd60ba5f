"""A candidate held against the others on the same rows, and judged.

What judges is production's: gate, contracts, measuring code, and its own rows where a change moves
its holdout (law 5). That is the base's tree, or where the base was never released, the champion's.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from mergeline.adapters.row_files import HoldoutFile, read_holdout
from mergeline.core.compare.comparison import compare
from mergeline.core.compare.holdout_changes import MovedRows, moved_rows
from mergeline.core.compare.label_leaks import find_leaks
from mergeline.core.compare.result import Comparison, Problem, Scored
from mergeline.core.declare.model import Role
from mergeline.core.declare.strict import CORRECT
from mergeline.core.gate.judge import (
    judge_both,
    judge_moved,
    judge_on_base_rows,
    judge_renamed,
    judge_without_base_rows,
)
from mergeline.core.gate.verdict import Approval, Context, Judgement, Situation
from mergeline.core.release.bundle import HOLDOUT, SmokeTest
from mergeline.core.release.lineage import Reference
from mergeline.core.report.content import AttributionShares, Moved
from mergeline.errors import BundleError, DeclarationError, RepositoryError, StageError
from mergeline.lifecycle.steps.attribution import split
from mergeline.lifecycle.steps.candidates import find, find_or_train, importable
from mergeline.lifecycle.steps.case import Case, Standard
from mergeline.lifecycle.steps.champion import InProduction, find_champion
from mergeline.lifecycle.steps.holdouts import holdout_rows
from mergeline.lifecycle.steps.looks import number_of_look
from mergeline.lifecycle.steps.moved_bar import (
    edited_bar,
    may_move_rows,
    moved_bar,
    moved_by_more_than_drops,
    only_drops,
)
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.reference import ReferenceModel, reference_of
from mergeline.lifecycle.steps.scoring import score_models
from mergeline.lifecycle.steps.smoke_test import ask_its_server, smoke_test
from mergeline.lifecycle.steps.trained import Trained, rows_trained_on

_ENOUGH = 0.5  # share of the base's rows that must be left to compare on


def judge_case(project: Project, case: Case, say: Say, *, track: bool) -> Match:
    """Find or train the candidate, and hold it against production and base on the same rows.

    With `track` the candidate is taken into the store.

    Raises:
        MergelineError: see its classes.
    """
    since = time.monotonic()
    champion = find_champion(project, case.model.name)  # asked while the new candidate is
    beside = [champion.trained] if champion else []
    trained = find_or_train(project, case, say, track=track, beside=beside)
    return replace(judge_trained(project, case, trained, say), seconds=time.monotonic() - since)


def judge_trained(project: Project, case: Case, trained: Trained, say: Say) -> Match:
    """Hold a candidate against production and base on the same rows.

    Raises:
        MergelineError: see its classes.
    """
    since = time.monotonic()
    if not project.walls.hold:
        say(f"weak walls around models that are asked: {project.walls}")
    champion = find_champion(project, case.model.name)
    models = _models(project, case, trained, champion)
    say("scoring the same rows with each model")
    with _judging_code(project, case):
        holdout = read_holdout(holdout_rows(project, trained), case.judge)
        _check_private(case, holdout)
        reference = reference_of(project, case, champion, holdout)
        contest = _Contest(project, case, models, reference)
        scored, comparison, tested = _score_and_serve(contest, trained, holdout)
        before = _read_before(project, case, models.get("champion", models.get("base")), holdout)
        context = _context(case, holdout, scored, before)
        if champion is None or champion.version.fingerprint != case.ingredients.fingerprint:
            look = number_of_look(project, case, holdout.rows.digest)
            context = replace(context, look=look)
        judgement = judge_both(case.gate, case.model.gate, comparison, context)
        approval = case.approval or _approved(case, project, trained)
        if (how := edited_bar(case)) and not _as_released(project, case):
            judgement = judge_moved(judgement, "bar_moved", how, approval)
        moved: tuple[Moved, ...] = ()
        if context.kind is Situation.CHANGE:
            if how := moved_by_more_than_drops(case, before.moved):
                judgement = judge_moved(judgement, "holdout_moved", how, approval)
            judgement = _judge_on_base_rows(contest, before, judgement, say)
            if before.moved is not None and not before.moved.kept:
                where = f"{case.model.outputs}/{HOLDOUT}"
                moved = (Moved("holdout", where, str(before.moved)),)
        if case.renamed:
            judgement = judge_renamed(judgement, case.renamed)
        attribution = split(project, case, trained, models.get("base"), holdout, say=say)
    return Match(
        case=case,
        trained=trained,
        champion=champion,
        reference=reference.reference if reference else None,
        look=context.look,
        holdout=holdout,
        scored=scored,
        comparison=comparison,
        judgement=judgement,
        moved=moved,
        rows_before=before.moved.of if before.moved else None,
        attribution=attribution,
        smoke_test=tested,
        seconds=time.monotonic() - since,
    )


def _score_and_serve(
    contest: _Contest, trained: Trained, holdout: HoldoutFile
) -> tuple[Mapping[Role, Scored], Comparison, SmokeTest | None]:
    """Ask the models, and beside that the candidate's own server.

    A candidate that needs packages which are not installed here is not served: a release of it has
    them, and is smoke-tested there.
    """
    if trained.packages is not None:
        return (*contest.score(holdout), None)
    project, case = contest.project, contest.case
    with ThreadPoolExecutor(1) as pool:
        served = pool.submit(
            ask_its_server, project, trained, holdout.frame, quoted=not case.private
        )
        scored, comparison = contest.score(holdout)
    tested = smoke_test(trained, served.result(), scored["candidate"].predictions)
    if tested.problem:
        scored = {**scored, "candidate": _failing(scored["candidate"], tested)}
        comparison = compare(holdout.rows, scored, case.judge)
    return scored, comparison, tested


def _failing(candidate: Scored, tested: SmokeTest) -> Scored:
    """What the server does otherwise than the model is a finding about the model."""
    if candidate.predictions is None:
        return candidate
    problem = Problem("fails_when_served", "candidate", tested.problem)
    return replace(candidate, misbehaviour=(*candidate.misbehaviour, problem))


def _check_private(case: Case, holdout: HoldoutFile) -> None:
    """A private column that is misspelt would be shown."""
    known = {
        *holdout.frame,
        *(name for one in case.tree.contracts.values() for name in one.columns),
    }
    unknown = [name for name in case.model.private if name not in known]
    if unknown:
        raise DeclarationError(
            f"private: neither the holdout nor a contract has a column {unknown[0]!r}",
            where=f"models/{case.model.name}.yaml",
            next_step=CORRECT,
        )


def _models(
    project: Project, case: Case, trained: Trained, champion: InProduction | None
) -> Mapping[Role, Trained]:
    """Those that score the rows; nothing trains for a comparison."""
    models: dict[Role, Trained] = {"candidate": trained}
    if champion is not None:
        models["champion"] = champion.trained
    if case.at_base is not None:
        fingerprint = case.at_base.ingredients.fingerprint
        base = find(project, case.at_base.model.name, fingerprint)
        # The first model tells nothing by being held against itself.
        if base and (champion or fingerprint != trained.candidate.fingerprint):
            models["base"] = base
    return models


@dataclass(frozen=True)
class _Contest:
    """The models that score the same rows; a reference that cannot be asked is told."""

    project: Project
    case: Case
    models: Mapping[Role, Trained]
    reference: ReferenceModel | None

    def score(self, holdout: HoldoutFile) -> tuple[Mapping[Role, Scored], Comparison]:
        """What they say of the rows, and the comparison of that."""
        models, told = dict(self.models), self.reference
        if told is not None and told.trained is not None:
            models["reference"] = told.trained
        scored = score_models(self.project, models, holdout, self.case.judge)
        if told is not None and told.trained is None:
            scored["reference"] = Scored(holdout.rows.digest, None, problem=told.problem)
        return scored, compare(holdout.rows, scored, self.case.judge)


def _approved(case: Case, project: Project, trained: Trained) -> Approval | None:
    """A person's yes to the same tree when it was evaluated before.

    Another tree of the same candidate may move the bar otherwise.
    """
    evaluations = project.store.evaluations(trained.stored) if trained.stored else []
    told = (one.approval for one in evaluations if one.origin.tree == case.origin.tree)
    return next((approval for approval in told if approval), None)


def _as_released(project: Project, case: Case) -> bool:
    """Whether the tree goes back to an earlier release with the bar that it had then."""
    if case.restored is None:
        return False
    try:
        tree = project.tree(case.restored.commit)
        then = Standard(case.restored.commit, tree, tree.declared(case.model.name))
    except (RepositoryError, DeclarationError):
        return False
    return then.declared is not None and not edited_bar(replace(case, production=then))


@contextlib.contextmanager
def _judging_code(project: Project, case: Case) -> Iterator[None]:
    """The project's own metrics as the standard has them (law 5); new ones as the tree does."""
    metrics = [metric for metric in case.judge.metrics if metric.own]
    if not metrics:
        yield
        return
    tree = case.tree.files
    if (standard := case.standard) is not None:
        by = standard.declared
        known = {metric.name for metric in by.model.metrics} if by else set()
        # A new file may take the name of a library, so none comes along without need.
        new = [path for path in tree.list() if standard.tree.files.blob(path) is None]
        new = [] if known.issuperset(metric.name for metric in metrics) else new
        tree = project.repository.compose(standard.commit, tree, new)
    with tempfile.TemporaryDirectory(prefix="mergeline-") as folder:
        project.repository.export(tree, Path(folder))
        with importable(Path(folder), metrics):
            yield


@dataclass(frozen=True)
class _Before:
    """Production's own holdout and how the candidate's differs, or why it cannot be read."""

    rows: HoldoutFile | None = None
    moved: MovedRows | None = None
    problem: str = ""


def _read_before(project: Project, case: Case, before: Trained | None, now: HoldoutFile) -> _Before:
    if before is None:
        return _Before()
    try:
        rows = read_holdout(holdout_rows(project, before), case.judge)
    except (StageError, BundleError) as error:
        return _Before(problem=str(error))
    return _Before(rows, moved_rows(rows.content(case.judge), now.content(case.judge)))


def _judge_on_base_rows(
    contest: _Contest, before: _Before, judgement: Judgement, say: Say
) -> Judgement:
    """Judge on production's rows too where the change moves its holdout.

    Rows that are only added move it where they do not come from drops alone: as many as it takes
    would outvote those that are there.
    """
    case, models, moved = contest.case, contest.models, before.moved
    if before.rows is None or moved is None:
        return _without_base_rows(case, judgement, before.problem)
    edited = any(part.what in {"holdout", "contract"} for part in moved_bar(case))
    # That a change brings drops only tells what the holdout can hold where it was made here.
    grown = moved.added > 0 and (case.untrusted or not only_drops(case))
    if moved.kept and not edited and not grown:
        return judgement
    say("scoring the rows of production's own holdout too, since the change moves it")
    fitted_on = rows_trained_on(models["candidate"], case.judge)
    left = before.rows if fitted_on is None else before.rows.without(fitted_on)
    if len(left.frame) < _ENOUGH * moved.of:
        fitted = moved.of - len(left.frame)
        problem = f"the candidate is fitted on {fitted:,} of its {moved.of:,} rows"
        return _without_base_rows(case, judgement, problem)
    standing = {**models, "base": models.get("base", models["champion"])}
    scored, comparison = replace(contest, models=standing).score(left)
    candidate = scored["candidate"]
    if candidate.predictions is None:  # it takes a column that is new
        return _without_base_rows(case, judgement, f"the candidate {candidate.problem}")
    context = _context(case, left, scored, before)
    return judge_on_base_rows(judgement, case.gate, comparison, context)


def _without_base_rows(case: Case, judgement: Judgement, problem: str) -> Judgement:
    """Where only drops came and went, as in a window of days that moves on, it is said only."""
    if case.untrusted or may_move_rows(case):
        return judge_without_base_rows(judgement, case.gate, problem)
    return replace(judgement, base_problem=problem)


def _context(
    case: Case, holdout: HoldoutFile, scored: Mapping[Role, Scored], before: _Before
) -> Context:
    kind = Situation.FIRST
    if "champion" in scored:
        kind = Situation.RESTORE if case.restored else Situation.CHANGE
    inputs = {role: [column.name for column in model.inputs] for role, model in scored.items()}
    leaks = _leaks(case, holdout, inputs["candidate"])
    # A column that production takes too is excused only where it was as telling before the change:
    # its name is known, what a change puts into it is not.
    known = [name for name in leaks if name in inputs.get("champion", [])]
    excused = _leaks(case, before.rows, known) if before.rows and known else {}
    return Context(
        kind=kind,
        evaluated_on=case.started_at.date(),
        newest_row=holdout.newest,
        leaks=tuple(text for name, text in leaks.items() if name not in excused),
    )


def _leaks(case: Case, holdout: HoldoutFile, names: list[str]) -> dict[str, str]:
    """Those of the columns that give the label away, each with a sentence."""
    frame, judge = holdout.frame, case.judge
    columns = {name: frame[name].to_numpy() for name in names if name in frame}
    return find_leaks(columns, frame[judge.label].to_numpy(), judge.task)


@dataclass(frozen=True)
class Match:
    """A candidate held against the others on the same rows, and judged.

    Attributes:
        look: number of this candidate among those judged on these rows; None if it is no new one.
        rows_before: number of rows of production's own holdout, where it is known.
        seconds: that it took, training included where there was any.
    """

    case: Case
    trained: Trained
    champion: InProduction | None
    reference: Reference | None
    look: int | None
    holdout: HoldoutFile
    scored: Mapping[Role, Scored]
    comparison: Comparison
    judgement: Judgement
    moved: tuple[Moved, ...]
    rows_before: int | None
    attribution: AttributionShares | None
    smoke_test: SmokeTest | None
    seconds: float
