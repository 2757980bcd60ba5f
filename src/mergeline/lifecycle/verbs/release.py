"""`release`: put the reviewed model of HEAD into production.

Each step leaves a state from which the plan goes on, so a release that was killed is finished by
running it again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from mergeline.adapters.forge.base import Forge
from mergeline.adapters.git.repository import Commit
from mergeline.core.declare.model import Model
from mergeline.core.gate.verdict import Situation
from mergeline.core.release.bundle import gate_digest
from mergeline.core.release.ledger import FORMAT, Entry, next_sequence, page_name, page_text
from mergeline.core.release.plan import ReleasePlan, Step, StepKind, plan_release
from mergeline.core.release.version import Version
from mergeline.core.report.content import Report
from mergeline.core.report.one_comment import ROOM
from mergeline.core.report.render.markdown import to_markdown
from mergeline.errors import ForgeError, InputError, NotFoundError, RepositoryError, TrackingError
from mergeline.lifecycle.steps.candidates import fetch
from mergeline.lifecycle.steps.case import read_cases
from mergeline.lifecycle.steps.evaluation import log_evaluation
from mergeline.lifecycle.steps.failures import leaving_failure_of
from mergeline.lifecycle.steps.judging import judge_case
from mergeline.lifecycle.steps.live import ask_server, await_served, read_live, read_target
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.reporting import describe
from mergeline.lifecycle.steps.smoke_test import smoke_test
from mergeline.system.locks import file_lock

_PAGE_TRIES = 5
_JUDGING_TRIES = 3


@dataclass(frozen=True)
class Released:
    """What a release of one model planned, and did.

    Attributes:
        moved_past: the commit of main that made the release of this one pointless.
        entry: the ledger's page, where one was written.
        applied: whether the steps were taken (not with `--plan`).
    """

    model: str
    plan: ReleasePlan
    entry: Entry | None = None
    moved_past: str | None = None
    applied: bool = True

    @property
    def sentence(self) -> str:
        """What happened; the pull request is told it too."""
        if self.moved_past:
            tip = self.moved_past[:8]
            return f"{self.model}: main has moved on to {tip}, HEAD is behind it: nothing to do"
        if self.plan.refusal:
            return f"{self.model}: refused: {self.plan.refusal[0]}"
        if not self.plan.steps:
            return f"{self.model}: live is target; nothing to do"
        if self.entry is None:
            return f"{self.model}: deployed again"
        back = "back " if self.entry.kind is Situation.RESTORE else ""
        return f"{self.model} v{self.entry.version} is {back}in production"


def release(
    project: Project,
    *,
    model: str | None = None,
    plan_only: bool = False,
    override: str | None = None,
    say: Say,
) -> list[Released]:
    """Release each model of HEAD's tree (or the one named).

    A person's reason to release in spite of the verdict is the `override`. With `plan_only` nothing
    is done.

    Raises:
        InputError: an override without a reason.
        RepositoryError: the working tree is not HEAD's, or HEAD is not on main.
        MergelineError: a step failed; run again to go on.
    """
    if override is not None and not override.strip():
        raise InputError("an override needs a reason", next_step="Say why: --override REASON")
    if not project.repository.is_clean():
        raise RepositoryError(
            "the working tree differs from HEAD, and a commit is released",
            where=str(project.repository.root),
            next_step="Commit or stash the changes",
        )
    head = project.repository.commit()
    models = project.tree(head.sha).choose_models(model).values()
    jobs = [_Job(project, head, declared, override, say) for declared in models]
    if plan_only:
        return [job.planned() for job in jobs]
    project.state.mkdir(parents=True, exist_ok=True)
    # MLflow's aliases have no compare-and-swap: promotion is serialised here.
    with file_lock(project.state / "release.lock"):
        return [job.apply() for job in jobs]


def _moved_past(project: Project, head: Commit) -> str | None:
    """The tip of the main branch, if `head` is behind it (law 8)."""
    repository = project.repository
    branch = repository.main_branch().removeprefix("origin/")
    if repository.remote_url() is None:
        tip: str | None = repository.commit(branch).sha
    elif tip := repository.remote_tip(branch):
        repository.fetch_branch(branch)
    if tip == head.sha:
        return None
    if tip is not None and repository.is_ancestor(head.sha, tip):
        return tip
    raise RepositoryError(
        f"HEAD {head.sha[:8]} is not on {branch}, and only merged commits are released",
        where=str(repository.root),
        next_step=f"Check out {branch}, or open a pull request",
    )


@dataclass
class _Job:
    """The release of one model of one commit.

    Attributes:
        version: what is released, once it is registered.
        entry: the page that was written into the ledger.
    """

    project: Project
    head: Commit
    model: Model
    override: str | None
    say: Say
    version: Version = field(init=False)
    entry: Entry | None = None

    def apply(self) -> Released:
        """Gather, let the core decide, take the steps; none that main has moved past (law 8)."""
        if overtaken := self._overtaken():
            return overtaken
        plan, report = self._judged_plan()
        if any(step.kind == "record" for step in plan.steps):  # else it would be promoted for ever
            self.project.repository.rehearse_page(page_name(self.model.name, 0), self.head.sha)
        for step in plan.steps:
            if step.kind == "promote" and (overtaken := self._overtaken()):
                return overtaken  # main moved on while it was evaluated or tested
            self._take(step, plan.kind)
        released = Released(self.model.name, plan, self.entry)
        if report is not None:
            self._tell(released, report)
        return released

    def planned(self) -> Released:
        """What would be done."""
        return self._overtaken() or Released(self.model.name, self._plan(), applied=False)

    def _overtaken(self) -> Released | None:
        tip = _moved_past(self.project, self.head)
        nothing = ReleasePlan(Situation.CHANGE, ())
        return Released(self.model.name, nothing, moved_past=tip, applied=False) if tip else None

    def _plan(self) -> ReleasePlan:
        target = read_target(self.project, self.head, self.model)
        self.project.forget_ledger()  # another release may have written a page since
        live = read_live(self.project, target, ask_server(self.project, self.model.name))
        if live.registered is not None:
            self.version = live.registered
        plan = plan_release(target, live, override=self.override)
        promotes = plan.refusal or any(step.kind == "promote" for step in plan.steps)
        if plan.kind is Situation.RESTORE or not promotes:
            return plan  # which gate judges counts for neither, and only the forge can tell
        return plan_release(replace(target, gate=self._gate()), live, override=self.override)

    def _judged_plan(self) -> tuple[ReleasePlan, Report | None]:
        """The plan once the candidate is judged against what is in production, and the report."""
        report = None
        for _ in range(_JUDGING_TRIES):
            plan = self._plan()
            if not plan.steps or plan.steps[0].kind != "evaluate":
                return plan, report
            report = self._evaluate(plan.steps[0])
        raise TrackingError(
            "production changes as often as it is evaluated against",
            where=self.model.name,
            next_step="Run the release again when no other one runs",
        )

    def _evaluate(self, step: Step) -> Report:
        self.say(f"{step.kind}: {step.text}")
        project = self.project
        [case] = read_cases(project, self.model.name, None, self.merged_onto)
        with leaving_failure_of(project, case, None):
            match = judge_case(project, case, self.say, track=True)
            evaluated = log_evaluation(project, match, describe(project, match))
        self.say(f"the page: {evaluated.page}")
        return evaluated.report

    @cached_property
    def merged_onto(self) -> Commit | None:
        """What main was before the merge; one that rebases puts several commits on it (law 5)."""
        repository, forge = self.project.repository, self.project.forge
        commit = repository.parent(self.head)
        number = _number(forge, self.head)
        while number and commit and _number(forge, commit) == number:
            commit = repository.parent(commit)
        return commit

    def _gate(self) -> str:
        """Digest of the gate that judges the commit."""
        commit = self.merged_onto
        at_base = self.project.tree(commit.sha).declared(self.model.name) if commit else None
        return gate_digest((at_base.model if at_base else self.model).gate)

    def _tell(self, released: Released, report: Report) -> None:
        """Say on the pull request that something else was judged than it showed."""
        number = self._pull_request()
        if number is None or self.project.forge is None:
            return
        head = (
            f"Merged as {self.head.sha[:8]}, this tree had not been judged against what is in "
            f"production, so it was before the release: {released.sentence}.\n\n"
        )
        text = head + to_markdown(report, limit=ROOM - len(head))
        try:
            self.project.forge.comment(number, text)
        except ForgeError as error:
            self.say(f"pull request {number} could not be told: {error}")

    def _take(self, step: Step, kind: Situation) -> None:
        self.say(f"{step.kind}: {step.text}")
        actions: Mapping[StepKind, Callable[[], None]] = {
            "register": self._register,
            "smoke test": self._smoke_test,
            "promote": self._promote,
            "deploy": lambda: await_served(self.project, self.version),
            "record": lambda: self._record(kind),
        }
        actions[step.kind]()

    def _register(self) -> None:
        tracking = self.project.tracking
        target = read_target(self.project, self.head, self.model)
        run = tracking.find(target.model, target.fingerprint)
        if run is None:
            raise TrackingError(
                f"the run of fingerprint {target.fingerprint[:8]} is gone", where=tracking.uri
            )
        if run.commit is None:  # evaluated before it was committed, and never since
            run = replace(run, commit=self.head.sha, pull_request=self._pull_request())
        self.version = tracking.register(run)

    def _smoke_test(self) -> None:
        run = self.project.tracking.run(self.version.run_id)
        smoke_test(self.project, fetch(self.project, run), run, self.version)

    def _promote(self) -> None:
        tracking = self.project.tracking
        if self.override:
            self.version = tracking.remember_override(self.version, self.override)
        tracking.move(self.model.name, self.version.number, "Production")

    def _record(self, kind: Situation) -> None:
        repository, tracking = self.project.repository, self.project.tracking
        evaluation = tracking.evaluation(tracking.run(self.version.run_id))
        restored = kind is Situation.RESTORE
        for _ in range(_PAGE_TRIES):
            now = dt.datetime.now(dt.UTC)
            ledger, version = self.project.ledger(self.model.name), self.version
            entry = Entry(
                format=FORMAT,
                model=version.model,
                sequence=next_sequence(ledger),
                kind=kind,
                version=version.number,
                fingerprint=version.fingerprint,
                model_digest=version.model_digest,
                run_id=version.run_id,
                replaced=ledger[-1].version if ledger else None,
                commit=self.head.sha,
                subject=self.head.subject,
                author=self.head.author,
                pull_request=self._pull_request(),
                verdict=None if restored or evaluation is None else evaluation.verdict,
                override=self.override or (None if restored else version.override),
                released_at=now.isoformat(timespec="seconds"),
                better=not restored and evaluation is not None and evaluation.better,
            )
            name, time = page_name(entry.model, entry.sequence), f"{int(now.timestamp())} +0000"
            added = repository.add_page(name, page_text(entry), self.head.sha, time=time)
            self.project.forget_ledger()
            if added:
                self.entry = entry
                return
        raise TrackingError(
            "the ledger's next page was taken again and again",
            where=self.model.name,
            next_step="Run the release again",
        )

    def _pull_request(self) -> int | None:
        try:
            return _number(self.project.forge, self.head)
        except ForgeError as error:
            self.say(f"the pull request of {self.head.sha[:8]} is not known: {error}")
            return None


def _number(forge: Forge | None, commit: Commit) -> int | None:
    """Of the pull request that brought a commit."""
    try:
        pull = forge.pull_request_of(commit.sha) if forge else None
    except NotFoundError:
        return None
    return pull.number if pull else None
