"""`release`: put the reviewed model of HEAD into production.

It trains, judges and loads nothing. Where the tree was never judged as it is now, or never
smoke-tested, it changes nothing and says what must run first (law 9).

Each step leaves a state from which the plan goes on, so a release that was killed is finished by
running it again. The ledger's next page comes first: two machines cannot both write it, and whoever
did has the release.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from mergeline.adapters.forge.base import Forge, PullRequest
from mergeline.adapters.git.repository import Commit
from mergeline.adapters.git.signatures import Signing
from mergeline.adapters.mlflow.runs import Run
from mergeline.adapters.models.folder import model_digest
from mergeline.core.declare.model import Model
from mergeline.core.gate.verdict import Situation
from mergeline.core.release.bundle import Evaluation, evaluation_digest, gate_digest
from mergeline.core.release.ledger import FORMAT, Entry, page_name
from mergeline.core.release.plan import ReleasePlan, StepKind, Target, plan_release
from mergeline.core.release.version import Version
from mergeline.core.report.one_comment import ROOM, Stamp
from mergeline.core.report.render.markdown import to_markdown
from mergeline.errors import (
    ForgeError,
    InputError,
    MergelineError,
    NotFoundError,
    RepositoryError,
    StoreError,
    TrackingError,
)
from mergeline.lifecycle.steps.candidates import fetch, logged_run
from mergeline.lifecycle.steps.case import find_production
from mergeline.lifecycle.steps.champion import read_champion
from mergeline.lifecycle.steps.describing import describe_model, describe_version
from mergeline.lifecycle.steps.evaluation import stored_report
from mergeline.lifecycle.steps.ledger_pages import releasing, write_page
from mergeline.lifecycle.steps.live import ask_server, await_served, read_live, read_target
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.trained import Trained

_PAGE_TRIES = 5
_MOST_NAMED = 5  # files that differ


@dataclass(frozen=True)
class Released:
    """What a release of one model planned, and did.

    Attributes:
        moved_past: the commit of main that made the release of this one pointless.
        entry: the ledger's page, where one was written.
        applied: whether the steps were taken (not with `--plan`).
        base: what main was before the commit was merged; what judges it must take this as its base.
    """

    model: str
    plan: ReleasePlan
    entry: Entry | None = None
    moved_past: str | None = None
    applied: bool = True
    base: str | None = None

    @property
    def sentence(self) -> str:
        """What happened; the pull request is told it too."""
        if self.moved_past:
            tip = self.moved_past[:8]
            return f"{self.model}: main has moved on to {tip}, HEAD is behind it: nothing to do"
        if self.plan.missing:
            base = f" --base {self.base[:12]}" if self.base else ""
            run = f"mergeline evaluate {self.model}{base}"
            return f"{self.model}: {self.plan.missing}; nothing was changed. Run first: {run}"
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
        InputError: an override without a reason; or the store would go away with the runner.
        RepositoryError: the working tree is not HEAD's, or HEAD is not on main.
        MergelineError: a step failed; run again to go on.
    """
    if override is not None and not override.strip():
        raise InputError("an override needs a reason", next_step="Say why: --override REASON")
    project.check_lasting()
    if changed := project.repository.changed_files():
        listed = ", ".join([*changed[:_MOST_NAMED], *(["…"] if len(changed) > _MOST_NAMED else [])])
        raise RepositoryError(
            f"the working tree differs from HEAD, and a commit is released: {listed}",
            where=str(project.repository.root),
            next_step="Commit or stash the changes",
        )
    head = project.repository.commit()
    models = project.tree(head.sha).choose_models(model).values()
    jobs = [_Job(project, head, declared, override, say) for declared in models]
    if plan_only:
        return [job.planned() for job in jobs]
    with releasing(project):
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
        trained: the candidate as the store has it, once its files are held against its manifest.
        registered: its version, if people see one already.
        signing: how the page is signed, if it must be.
        entry: the page that was written into the ledger.
    """

    project: Project
    head: Commit
    model: Model
    override: str | None
    say: Say
    trained: Trained = field(init=False)
    registered: Version | None = None
    signing: Signing | None = None
    entry: Entry | None = None

    def apply(self) -> Released:
        """Gather, let the core decide, take the steps; none that main has moved past (law 8)."""
        for _ in range(_PAGE_TRIES):
            if overtaken := self._overtaken():
                return overtaken
            plan = self._plan()
            if self._applied(plan):
                released = self._released(plan)
                self._tell(released)
                return released
            if overtaken := self._overtaken():
                return overtaken  # by the release that has taken the page
        raise TrackingError(
            "the ledger's next page was taken again and again",
            where=self.model.name,
            next_step="Run the release again",
        )

    def planned(self) -> Released:
        """What would be done."""
        return self._overtaken() or replace(self._released(self._plan()), applied=False)

    def _released(self, plan: ReleasePlan) -> Released:
        base = self.merged_onto.sha if plan.missing and self.merged_onto else None
        return Released(self.model.name, plan, self.entry, base=base)

    def _overtaken(self) -> Released | None:
        tip = _moved_past(self.project, self.head)
        nothing = ReleasePlan(Situation.CHANGE, ())
        return Released(self.model.name, nothing, moved_past=tip, applied=False) if tip else None

    def _plan(self) -> ReleasePlan:
        target = self.target
        self.project.forget_ledger()  # another release may have written a page since
        live = read_live(self.project, target, ask_server(self.project, self.model.name))
        self.registered = live.registered
        plan = plan_release(target, live, override=self.override)
        writes = plan.refusal or any(step.kind == "record" for step in plan.steps)
        if plan.kind is Situation.RESTORE or not writes:
            return plan  # which gate judges counts for neither, and only the forge can tell
        return plan_release(replace(target, gate=self._gate()), live, override=self.override)

    def _applied(self, plan: ReleasePlan) -> bool:
        """Take the steps; False where another release was first, and the plan is another now."""
        kinds = {step.kind for step in plan.steps}
        if kinds & {"register", "record", "promote"}:
            self._hold_together()
        if "record" in kinds:  # else a version would be registered that nobody can release
            self.signing = self.project.signing()
            self.project.repository.rehearse_page(page_name(self.model.name, 0), self.head.sha)
        actions: Mapping[StepKind, Callable[[], bool | None]] = {
            "register": self._register,
            "record": lambda: self._record(plan.kind),
            "promote": self._promote,
            "describe": self._describe,
            "deploy": lambda: await_served(self.project, self._champion()),
        }
        for step in plan.steps:
            self.say(f"{step.kind}: {step.text}")
            if actions[step.kind]() is False:
                return False
        return True

    @cached_property
    def target(self) -> Target:
        """What the commit says should serve."""
        return read_target(self.project, self.head, self.model)

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
        commit, name = self.merged_onto, self.model.name
        before = self.project.tree(commit.sha) if commit else None
        production = find_production(self.project, name, before)
        judge = production.tree if production else before
        declared = judge.declared(name) if judge else None
        return gate_digest((declared.model if declared else self.model).gate)

    def _hold_together(self) -> None:
        """Bring the candidate's files, which are held against its manifest and its digests.

        Raises:
            StoreError: they are of another candidate, or gone.
        """
        store, fingerprint = self.project.store, self.target.fingerprint
        stored = store.find(self.model.name, fingerprint)
        if stored is None:
            raise StoreError(
                f"the candidate of fingerprint {fingerprint[:8]} is gone",
                where=store.name,
                next_step="Evaluate the tree again",
            )
        self.trained = fetch(self.project, stored)
        if self.registered is not None:
            self._check_registered(self.registered)

    def _record(self, kind: Situation) -> bool:
        """Write the ledger's next page, unless another release has, or main has moved on."""
        if _moved_past(self.project, self.head):
            return False
        store, stored, candidate = self.project.store, self.trained.stored, self.trained.candidate
        if stored is None:
            raise StoreError("the candidate is not in the store", where=store.name)
        evaluations = [] if kind is Situation.RESTORE else store.evaluations(stored)
        judged = evaluations[-1] if evaluations else None
        if self.override and self.override != store.backing(stored)[1]:
            store.put_override(stored, self.override)  # before the page, which is believed for it
        ledger, now = self.project.ledger_of(self.model.name), dt.datetime.now(dt.UTC)
        run = self._run() if self.project.mlflow else None
        pull = self._pull
        entry = Entry(
            format=FORMAT,
            model=candidate.model,
            sequence=ledger.next,
            kind=kind,
            version=ledger.number_of(candidate.fingerprint),
            fingerprint=candidate.fingerprint,
            model_digest=candidate.model_digest,
            run_id=run.run_id if run else "",
            replaced=ledger.champion.version if ledger.champion else None,
            commit=self.head.sha,
            subject=self.head.subject,
            author=self.head.author,
            pull_request=pull.number if pull else None,
            verdict=judged.verdict if judged else None,
            override=self.override,
            released_at=now.isoformat(timespec="seconds"),
            better=judged is not None and judged.better,
            holdout_moved=judged is not None and judged.holdout_moved,
            approval=judged.approval if judged else None,
            pull_request_url=pull.url if pull else None,
            approved_by=self._approvers(pull),
            evaluation=evaluation_digest(judged) if judged else "",
        )
        self.entry = write_page(self.project, entry, self.signing)
        return self.entry is not None

    def _run(self) -> Run:
        """The candidate's run in MLflow, logged if it is not there."""
        run = logged_run(self.project, self.trained)
        if run.commit is None:  # evaluated before it was committed, and never since
            run = replace(run, commit=self.head.sha, pull_request=self._pull_request())
        return run

    def _champion(self) -> Version:
        """What the ledger has in production by now; another release may have been first."""
        version = read_champion(self.project, self.model.name)
        if version is None:
            raise StoreError(
                "the page that was written is not believed",
                where=self.model.name,
                next_step="Look at it: mergeline history",
            )
        return version

    def _register(self) -> None:
        version = self.project.tracking.register(self._run(), self._champion().number)
        if self.override:
            self.project.tracking.remember_override(version, self.override)

    def _promote(self) -> None:
        """Have the registry follow the ledger's last page, also if that is another's by now."""
        version = self._champion()
        self._check_registered(version)
        while True:
            self.project.tracking.move(version.model, version.number, "Production")
            self.project.forget_ledger()
            now = self._champion()
            if now.number == version.number:
                return
            version = now
            self.say(f"v{version.number} was released meanwhile, and stays in production")

    def _describe(self) -> None:
        """Have the registry's pages say what the version is, and that the last one was replaced."""
        champion = self.project.ledger_of(self.model.name).champion
        for number in {champion.version, champion.replaced} if champion else set():
            if number is not None:
                describe_version(self.project, self.model.name, number)
        describe_model(self.project, self.model)

    def _check_registered(self, version: Version) -> None:
        """Refuse a registered version whose files are not the judged model's.

        Raises:
            TrackingError: they are not.
        """
        tracking = self.project.tracking
        with TemporaryDirectory(prefix="mergeline-") as scratch:
            found = model_digest(tracking.model_files(version.model, version.number, Path(scratch)))
        if found != version.model_digest:
            raise TrackingError(
                f"{version.model} v{version.number} holds model {found[:8]}, and "
                f"{version.model_digest[:8]} was judged",
                where=tracking.uri,
                next_step="Delete that version, and release again",
            )

    def _tell(self, released: Released) -> None:
        """Say on the pull request what became of it, and on another that its model is gone."""
        if self.project.forge is None or not (self.entry or released.plan.refusal):
            return
        try:
            number = self._pull_request()
            if number is not None:
                self._tell_one(number, self._outcome(released))
            if self.entry is not None and self.entry.kind is Situation.RESTORE:
                self._tell_replaced(self.entry, number)
        except MergelineError as error:  # the release is done
            self.say(f"not everybody could be told of it: {error}")

    def _tell_replaced(self, entry: Entry, number: int | None) -> None:
        """Tell the pull request whose model left production."""
        left = [
            page
            for page in self.project.ledger(self.model.name)
            if page.version == entry.replaced and page.pull_request not in {None, number}
        ]
        if left and left[-1].pull_request:
            taken = f"{self.model.name} v{left[-1].version} was taken out of production"
            back = f"{self.head.sha[:8]} brought v{entry.version} back"
            self._tell_one(left[-1].pull_request, f"{taken}: {back}.")

    def _tell_one(self, number: int, text: str) -> None:
        """Keep the one comment on what became of a pull request's model."""
        # Of no head: a later word counts, whatever the pull request proposed.
        stamp = Stamp(f"outcome/{self.model.name.lower()}", "0" * 40, dt.datetime.now(dt.UTC))
        if self.project.forge is not None:
            self.project.forge.upsert_report(number, text, stamp)

    def _outcome(self, released: Released) -> str:
        """What happened, and the report where something else was judged than was shown."""
        said = f"Merged as {self.head.sha[:8]}: {released.sentence.rstrip('.')}."
        stored = self.project.store.find(self.model.name, self.target.fingerprint)
        evaluations = self.project.store.evaluations(stored) if stored else []
        if stored is None or not evaluations or not self._judged_as_merged(evaluations[-1]):
            return said
        said += (
            " Another change landed first, or this one was never evaluated: this tree had not been "
            "judged against what is in production, so it was before the release:\n\n"
        )
        return said + to_markdown(stored_report(self.project, stored), limit=ROOM - len(said))

    def _judged_as_merged(self, evaluation: Evaluation) -> bool:
        origin = evaluation.origin
        return origin.commit == self.head.sha and origin.pull_request is None

    def _pull_request(self) -> int | None:
        return self._pull.number if self._pull else None

    @cached_property
    def _pull(self) -> PullRequest | None:
        """The pull request that brought the commit, if the forge can tell."""
        try:
            return _pull_request_of(self.project.forge, self.head)
        except ForgeError as error:
            self.say(f"the pull request of {self.head.sha[:8]} is not known: {error}")
            return None

    def _approvers(self, pull: PullRequest | None) -> tuple[str, ...]:
        forge = self.project.forge
        if forge is None or pull is None:
            return ()
        try:
            return forge.approvers(pull.number)
        except MergelineError as error:  # a token that may not see reviews stops no release
            self.say(f"who approved pull request {pull.number} is not known: {error}")
            return ()


def _number(forge: Forge | None, commit: Commit) -> int | None:
    pull = _pull_request_of(forge, commit)
    return pull.number if pull else None


def _pull_request_of(forge: Forge | None, commit: Commit) -> PullRequest | None:
    """The pull request that brought a commit."""
    try:
        return forge.pull_request_of(commit.sha) if forge else None
    except NotFoundError:
        return None
