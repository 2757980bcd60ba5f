"""`release`: the reviewed model goes into production, whatever happens on the way."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mergeline.adapters.forge.folder import Method
from mergeline.adapters.git.repository import Repository
from mergeline.adapters.git.signatures import Signing
from mergeline.adapters.mlflow.tracking import Tracking
from mergeline.cli.show import release_lines
from mergeline.core.gate.verdict import Situation
from mergeline.core.release.ledger import Entry, page_name, page_text
from mergeline.core.release.version import RegistryStage, Version
from mergeline.errors import (
    DeployError,
    GitError,
    InputError,
    RepositoryError,
    StoreError,
    TrackingError,
)
from mergeline.lifecycle.steps import live
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.smoke_test import serving_versions
from mergeline.lifecycle.verbs.evaluate import evaluate
from mergeline.lifecycle.verbs.history import read
from mergeline.lifecycle.verbs.judge import judge
from mergeline.lifecycle.verbs.release import _Job, release
from mergeline.lifecycle.verbs.status import status
from mergeline.lifecycle.verbs.track import track
from tests.support.line import Line, content_of, entry_of
from tests.support.parcels import MODEL, OTHER, WORSE
from tests.support.stand_ins import smoke_test_by, stages_in_process

GATE = ("models/late.yaml", "at_least: 0.6, margin: 0.05", "at_least: 0.1, margin: 1")


def champion(line: Line) -> Version:
    """What the registry has in production."""
    version = line.project().tracking.champion(MODEL)
    assert version is not None
    return version


def ledger(line: Line) -> tuple[Entry, ...]:
    return line.project().ledger(MODEL)


def pages(line: Line) -> list[str]:
    return line.git("tag", "--list", "release/*", at="forge/repository.git").split()


def stop_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is released from now on is released at one second."""
    now = dt.datetime.now(dt.UTC)
    stopped = SimpleNamespace(now=lambda _: now)
    clock = SimpleNamespace(datetime=stopped, UTC=dt.UTC)
    monkeypatch.setattr("mergeline.lifecycle.verbs.release.dt", clock)


def another_machine(line: Line, at: str = "runner") -> Project:
    """As it sees the project: with a state folder of its own, the same store and MLflow server."""
    project = line.project(
        at,
        MERGELINE_STATE=str(line.root / "other-state"),
        MERGELINE_STORE=str(line.state / "store"),
    )
    project.__dict__["tracking"] = line.project().tracking
    return project


# --- law 2: what was reviewed is what is released -------------------------------------------------


def test_the_first_release_records_registers_and_promotes(line: Line) -> None:
    assert [step.kind for step in line.first.plan.steps] == [
        "record", "register", "promote", "describe",
    ]  # fmt: skip
    [page] = ledger(line)
    assert (page.kind, page.version, page.verdict, page.replaced) == ("first", 1, "pass", None)
    assert page.fingerprint == champion(line).fingerprint
    assert page.subject == "Parcels of three months"


@pytest.mark.slow
def test_the_registry_s_pages_say_what_a_version_is_and_when_it_was_in_production(
    line: Line,
) -> None:
    line.merge(1)
    page = entry_of(line.release())
    client = line.project().tracking.client
    first, second = (client.get_model_version(MODEL, n).description for n in ("1", "2"))
    assert "`late` may replace v1" in second
    assert "| ROC AUC |" in second
    assert page.model_digest in second
    assert "- Pull request: #1 better\n" in second
    assert "until now, in place of v1 (`release/late/0002`)" in second
    assert "until now" not in first
    assert "$MERGELINE_SERVER/models/late/" in client.get_registered_model(MODEL).description


@pytest.mark.parametrize("method", ["squash", "rebase", "merge"])
def test_the_reviewed_model_is_released_however_it_is_merged(line: Line, method: Method) -> None:
    reviewed = line.project().tracking.candidates(MODEL)
    line.merge(1, method)
    done = line.release()
    assert release_lines(done) == ["late v2 is in production"]
    assert line.quick.runs == []
    now = champion(line)
    assert now.run_id in {run.run_id for run in reviewed}
    assert now.fingerprint == entry_of(done).fingerprint
    assert entry_of(done).pull_request == 1
    assert len(line.project().tracking.candidates(MODEL)) == len(reviewed)


@pytest.mark.slow
def test_after_another_merge_the_merged_tree_is_trained_and_judged_before_its_release(
    line: Line,
) -> None:
    line.branch("april")
    line.add_drops(4)
    line.commit("April")
    number = line.push("april")
    assert line.review(number).passed
    line.merge(1)
    line.release()
    trained = list(line.quick.runs)
    line.merge(number)
    done = line.release()
    assert len(line.quick.runs) == len(trained) + 1
    assert "this tree was never evaluated" in line.said
    assert entry_of(done).version == 3
    assert entry_of(done).verdict == "pass"
    april = line.project().tracking.run(champion(line).run_id)
    assert april.fingerprint == line.quick.runs[-1].removeprefix("late-") + april.fingerprint[20:]


def test_a_merged_tree_that_the_gate_refuses_is_not_promoted(line: Line) -> None:
    """Each alone passes; together they do not."""
    good = line.propose("good", ("params.yaml", "C: 1.0", "C: 3.0"))
    assert line.review(good).passed
    line.merge(good)
    line.release()
    before = champion(line)
    line.merge(2)
    done = line.release()
    assert done.plan.refusal[0] == "the gate said fail"
    assert done.plan.steps == ()
    assert champion(line) == before
    assert len(ledger(line)) == 2


# --- law 7: plan, then apply ----------------------------------------------------------------------


@pytest.mark.slow
def test_applied_twice_leaves_an_empty_plan(line: Line) -> None:
    line.merge(1)
    line.release()
    before = line.kept()
    again = line.release()
    assert again.plan.steps == ()
    assert release_lines(again) == ["late: live is target; nothing to do"]
    assert line.kept() == before
    assert len(pages(line)) == 2


def test_plan_names_the_steps_and_changes_nothing(line: Line) -> None:
    line.merge(1)
    line.release(plan_only=True)  # the ledger's pages are fetched once
    before = content_of(line.root)
    done = line.release(plan_only=True)
    assert [text.split(":")[1].strip() for text in release_lines(done)] == [
        "record", "register", "promote", "describe",
    ]  # fmt: skip
    assert content_of(line.root) == before
    assert champion(line).number == 1


class Killed(BaseException):
    """As `kill -9`: nothing catches it."""


@pytest.mark.slow
@pytest.mark.parametrize("step", ["_register", "_record", "_promote", "_describe"])
def test_killed_after_any_step_and_run_again_it_converges(
    line: Line, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    line.merge(1)
    kill_after(line, monkeypatch, _Job, step)
    line.release()
    assert_converged(line)


def test_a_tree_that_was_never_judged_is_not_released_and_not_trained(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither are its stages run nor is a model loaded where the secrets are."""
    merged = line.merge(3)
    before = line.kept()
    monkeypatch.setattr("mergeline.adapters.models.folder.load", None)
    [done] = release(line.project(), say=line.say)
    assert (done.plan.steps, done.plan.missing) == ((), "this tree was never evaluated")
    base = line.git("rev-parse", f"{merged}^", at="runner")
    assert done.base == base
    run = f"mergeline evaluate late --base {base[:12]}"
    assert release_lines(done) == [
        f"late: this tree was never evaluated; nothing was changed. Run first: {run}"
    ]
    assert line.quick.runs == []
    changed = {path for path, digest in line.kept().items() if before.get(path) != digest}
    assert changed <= {"release.lock"}
    assert len(pages(line)) == 1


def test_the_jobs_before_a_release_leave_what_it_needs(line: Line, tmp_path: Path) -> None:
    """As release.yml does: one job trains, one judges, and the one with secrets takes that in."""
    number = line.propose("loose", GATE, WORSE, OTHER)  # a tree that nobody has judged yet
    line.merge(number, "rebase")
    [planned] = release(line.project(), plan_only=True, say=line.say)
    assert planned.base == line.git("rev-parse", "HEAD~3", at="runner")
    left, judged = tmp_path / "bundle", tmp_path / "judged"
    evaluate(line.project(), base=planned.base, bundle=left, say=line.say)
    judge(line.project(), left, into=judged, base=planned.base, say=line.say)
    track(line.project(), judged, say=line.say)
    [done] = release(line.project(), say=line.say)
    assert done.plan.refusal[0] == "the gate said fail"
    assert len(pages(line)) == 1


def test_a_verdict_by_the_gate_that_the_merge_itself_brings_is_not_taken(
    line: Line, tmp_path: Path
) -> None:
    """The jobs' views differ: one took the commit's parent for the base, which has the new gate."""
    number = line.propose("loose", GATE, WORSE)
    line.merge(number, "rebase")
    [found] = evaluate(line.project(), say=line.say)
    assert found.passed
    [done] = release(line.project(), say=line.say)
    assert done.plan.missing == "the gate has changed since this tree was evaluated"
    assert len(pages(line)) == 1


@pytest.mark.parametrize("call", ["set_registered_model_alias", "set_model_version_tag"])
def test_killed_inside_the_promotion_it_converges(
    line: Line, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    from mlflow import MlflowClient

    line.merge(1)
    kill_after(line, monkeypatch, MlflowClient, call)
    line.release()
    assert_converged(line)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param("log_inputs", marks=pytest.mark.slow),
        "log_model_artifacts",
        pytest.param("set_terminated", marks=pytest.mark.slow),
    ],
)
def test_killed_while_a_run_is_logged_only_a_whole_one_is_found(
    line: Line, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    from mlflow import MlflowClient

    line.merge(3)
    kill_after(line, monkeypatch, MlflowClient, call)
    line.release()
    assert_converged(line)
    assert len(line.quick.runs) == 1
    assert len(line.project().tracking.candidates(MODEL)) == 4


def kill_after(line: Line, monkeypatch: pytest.MonkeyPatch, owner: type, step: str) -> None:
    """Release, and end after a step as `kill -9` does."""
    real = getattr(owner, step)

    def killed(*arguments: Any, **named: Any) -> None:
        real(*arguments, **named)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, killed)
        with pytest.raises(Killed):
            line.release()


def assert_converged(line: Line) -> None:
    assert line.release().plan.steps == ()
    assert champion(line).number == 2
    assert [(page.version, page.kind, page.verdict) for page in ledger(line)] == [
        (1, "first", "pass"), (2, "change", "pass"),
    ]  # fmt: skip
    tracking = line.project().tracking
    assert stages(line) == ["Archived", "Production"]
    assert tags_of_stages(tracking) == stages(line)


def stages(line: Line) -> list[str]:
    return [version.stage for version in line.project().tracking.versions(MODEL)]


def tags_of_stages(tracking: Tracking) -> list[str]:
    """The stages as somebody sees them in MLflow's own pages."""
    found = tracking.client.search_model_versions(f"name='{MODEL}'")
    return [one.tags["mergeline.stage"] for one in sorted(found, key=lambda one: int(one.version))]


def test_a_first_release_killed_after_promotion_is_recorded_as_the_first(line: Line) -> None:
    line.git("push", "--quiet", "origin", ":refs/tags/release/late/0001", at="runner")
    line.git("tag", "--delete", "release/late/0001", at="runner")
    line.release()
    [page] = ledger(line)
    first = entry_of(line.first)
    assert page == replace(first, released_at=page.released_at, attempt=page.attempt)
    assert page.attempt != first.attempt


# --- law 8: never backwards by accident -----------------------------------------------------------


@pytest.mark.slow
def test_a_commit_that_main_has_moved_past_does_nothing(line: Line) -> None:
    first = line.git("rev-parse", "HEAD", at="runner")
    line.merge(1)
    line.release()
    line.check_out(first)
    before = line.kept()
    done = line.release()
    assert "main has moved on" in release_lines(done)[0]
    assert champion(line).number == 2
    assert len(ledger(line)) == 2
    assert line.kept() == before


@pytest.mark.slow
def test_a_commit_that_main_moves_past_while_it_is_released_is_not_promoted(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release of the later commit may be done by then, and its model in production."""
    line.merge(1)
    rex = line.forge.as_user("rex")
    hold_together = _Job._hold_together

    def held_slowly(job: _Job) -> None:
        hold_together(job)
        rex.merge(line.propose("words", ("README.md", "late?", "late?!")))

    monkeypatch.setattr(_Job, "_hold_together", held_slowly)
    done = line.release()
    assert "main has moved on" in release_lines(done)[0]
    assert champion(line).number == 1
    assert len(ledger(line)) == 1


@pytest.mark.slow
def test_an_alias_that_is_written_late_gives_way_to_the_release_that_came_after(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.merge(1)
    real = Tracking.move
    others: list[int] = []

    def slow(self: Tracking, model: str, number: int, stage: RegistryStage) -> None:
        if not others:  # between the page and the alias a whole other release is made
            others.append(number)
            line.merge(line.propose("another", ("params.yaml", "C: 0.5", "C: 2.0")))
            assert evaluate(line.project(), say=line.say)[0].passed
            release(another_machine(line), say=line.say)
        real(self, model, number, stage)

    monkeypatch.setattr(Tracking, "move", slow)
    line.release()
    assert [page.version for page in ledger(line)] == [1, 2, 3]
    assert champion(line).number == 3


def test_a_commit_that_main_moved_past_is_seen_in_a_stale_clone(line: Line) -> None:
    line.forge.as_user("rex").merge(1)
    done = line.release()  # the runner's origin/main is the old one
    assert "main has moved on" in release_lines(done)[0]


def test_a_commit_that_is_not_on_main_is_refused(line: Line) -> None:
    line.check_out_pull(1)
    with pytest.raises(RepositoryError, match="is not on main"):
        line.release()
    assert champion(line).number == 1


def test_without_a_remote_a_commit_that_is_not_on_main_is_refused_too(line: Line) -> None:
    line.git("checkout", "--quiet", "-B", "main", "--no-track", "origin/main", at="runner")
    line.git("fetch", "--quiet", "origin", "refs/tags/*:refs/tags/*", at="runner")
    line.git("remote", "remove", "origin", at="runner")
    line.git("checkout", "--quiet", "-b", "mine", at="runner")
    line.edit("README.md", "late", "early", at="runner")
    line.commit("mine", at="runner")
    with pytest.raises(RepositoryError, match="is not on main"):
        line.release()
    line.git("checkout", "--quiet", "main", at="runner")
    assert line.release().plan.steps == ()


def test_a_revert_brings_the_earlier_version_back_byte_for_byte(line: Line, tmp_path: Path) -> None:
    tracking = line.project().tracking
    first = content_of(tracking.model_files(MODEL, 1, tmp_path / "one"))
    merged = line.merge(1)
    line.release()
    line.branch("back")
    line.git("revert", "--no-edit", merged)
    number = line.push("back")
    assert line.review(number).report.kind == "restore"
    line.merge(number)
    done = line.release()
    assert release_lines(done) == ["late v1 is back in production"]
    assert line.quick.runs == []
    page = ledger(line)[-1]
    assert (page.kind, page.version, page.replaced, page.verdict) == ("restore", 1, 2, None)
    assert champion(line).number == 1
    assert content_of(tracking.model_files(MODEL, 1, tmp_path / "again")) == first
    assert [version.stage for version in tracking.versions(MODEL)] == ["Production", "Archived"]


@pytest.mark.slow
def test_a_revert_is_exempt_from_the_gate_but_not_from_the_smoke_test(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged = line.merge(1)
    line.release()
    line.branch("back")
    line.git("revert", "--no-edit", merged)
    line.merge(line.push("back"))

    monkeypatch.setattr(
        live, "serving_versions", lambda: {**serving_versions(), "scikit-learn": "0.1"}
    )
    [done] = release(line.project(), say=line.say)
    assert "its model was smoke-tested with scikit-learn" in done.plan.missing
    assert "and here is 0.1" in done.plan.missing
    monkeypatch.undo()
    smoke_test_by(monkeypatch, lambda *_, **__: "it does not start")
    with stages_in_process():
        [found] = evaluate(line.project(), say=line.say)
    assert not found.passed
    [done] = release(line.project(), say=line.say)
    assert done.plan.refusal[0] == "the smoke test failed"
    assert champion(line).number == 2


# --- law 5: the bar is not set by the one who jumps -----------------------------------------------


@pytest.mark.slow
def test_a_loosened_gate_does_not_let_its_own_merge_through(line: Line) -> None:
    number = line.propose("loose", WORSE, GATE)
    found = line.review(number)
    assert not found.passed
    line.merge(number)
    assert line.release().plan.refusal[0] == "the gate said fail"


@pytest.mark.slow
def test_a_loosened_gate_counts_from_the_next_merge_on(line: Line) -> None:
    number = line.propose("loose", GATE)
    line.merge(number)
    assert line.release().plan.steps == ()  # nothing that determines the model changed
    line.branch("worse-later")
    line.edit(*WORSE)
    line.commit("worse")
    later = line.push("worse-later")
    assert line.review(later).passed
    line.merge(later)
    assert release_lines(line.release()) == ["late v2 is in production"]


@pytest.mark.slow
def test_a_gate_tightened_since_the_review_judges_the_merge(line: Line) -> None:
    """Pull request 1 was judged by the gate that main had when it left."""
    tight = ("models/late.yaml", "at_least: 0.6, margin: 0.05", "at_least: 0.999")
    line.merge(line.propose("tight", tight))
    line.release()
    line.merge(1)
    done = line.release()
    assert "the gate has changed since this tree was evaluated" in line.said
    assert done.plan.refusal[0] == "the gate said fail"
    assert line.quick.runs == []
    assert champion(line).number == 1


@pytest.mark.slow
def test_a_rebase_merge_of_two_commits_is_judged_by_what_main_was_before(line: Line) -> None:
    number = line.propose("loose", GATE, WORSE)
    line.merge(1)
    line.release()  # another one landed first: the release itself must evaluate
    line.merge(number, "rebase")
    assert line.release().plan.refusal[0] == "the gate said fail"
    assert champion(line).number == 2


# --- law 6: absent is not fine --------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False], ids=["evaluated", "not evaluated"])
def test_an_empty_store_under_a_ledger_with_releases_is_refused(
    line: Line, tmp_path: Path, known: bool
) -> None:
    line.merge(1 if known else 3)
    with pytest.raises(StoreError, match="the store knows none"):
        release(line.project(MERGELINE_STORE=str(tmp_path / "other")), say=line.say)
    assert len(ledger(line)) == 1


@pytest.mark.slow
def test_an_empty_registry_gets_the_version_under_the_ledger_s_number(
    line: Line, tmp_path: Path
) -> None:
    line.merge(1)
    project = line.project(MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path}/other.db")
    [done] = release(project, say=line.say)
    assert release_lines(done) == ["late v2 is in production"]
    versions = project.tracking.versions(MODEL)
    assert [(version.number, version.stage) for version in versions] == [(2, "Production")]


def test_a_registry_whose_alias_is_gone_gets_it_back_for_what_the_ledger_names(line: Line) -> None:
    client = line.project().tracking.client
    client.delete_registered_model_alias(MODEL, "production")
    done = line.release()
    assert [step.kind for step in done.plan.steps] == ["promote", "describe"]
    assert champion(line).number == 1


@pytest.mark.slow
def test_the_ledger_says_who_is_champion_also_where_the_alias_is_gone(line: Line) -> None:
    line.project().tracking.client.delete_registered_model_alias(MODEL, "production")
    line.merge(1)
    page = entry_of(line.release())
    assert (page.kind, page.replaced, page.version) == ("change", 1, 2)
    assert champion(line).number == 2


def test_a_dirty_tree_is_not_released(line: Line) -> None:
    line.write("README.md", "changed", at="runner")
    line.write("new.txt", "new", at="runner")
    with pytest.raises(RepositoryError, match=r"differs from HEAD.*: README\.md, new\.txt"):
        line.release()


@pytest.mark.parametrize("committed", [True, False])
def test_a_hand_made_dvc_lock_does_not_make_the_tree_dirty(line: Line, committed: bool) -> None:
    if committed:
        line.branch("lock")
        line.write("dvc.lock", "schema: '2.0'\n")
        line.commit("dvc.lock")
        line.merge(line.push("lock"))
    line.write("dvc.lock", "schema: '2.0'\nstages: {}\n", at="runner")
    assert line.release().plan.steps == ()


# --- the gate's refusal and a person's override ---------------------------------------------------


def test_a_refused_model_stays_out_with_its_reasons(line: Line) -> None:
    line.merge(2)
    done = line.release()
    assert release_lines(done)[0] == "late: refused: the gate said fail"
    assert any("at least 0.6 is required" in text for text in release_lines(done)[1:])
    assert champion(line).number == 1
    assert len(line.project().tracking.versions(MODEL)) == 1
    assert len(ledger(line)) == 1


@pytest.mark.slow
def test_an_override_stands_in_the_ledger_with_its_reason_for_ever(line: Line) -> None:
    line.merge(2)
    done = line.release(override="the old one is on fire")
    assert release_lines(done) == ["late v2 is in production"]
    page = ledger(line)[-1]
    assert (page.verdict, page.override) == ("fail", "the old one is on fire")
    number = line.propose("back", (WORSE[0], WORSE[2], WORSE[1]))
    line.merge(number)
    line.release()
    assert ledger(line)[1] == page
    assert ledger(line)[2].kind == "restore"


@pytest.mark.slow
def test_an_override_killed_before_the_promotion_needs_not_be_given_again(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.merge(2)
    with monkeypatch.context() as patch:
        patch.setattr(_Job, "_promote", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            line.release(override="the old one is on fire")
    line.release()
    assert ledger(line)[-1].override == "the old one is on fire"
    assert champion(line).number == 2


# --- the ledger -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_of_two_machines_that_release_one_commit_one_does(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another runner does it all between this one's reading of the ledger and its writing.

    Their pages say the same, down to the second.
    """
    line.merge(1)
    stop_the_clock(monkeypatch)
    line.git("clone", "--quiet", "forge/repository.git", "other", at=".")
    for name in ("user.name", "user.email"):
        line.git("config", name, line.git("config", name, at="runner"), at="other")
    real = Repository.add_page
    raced: list[str] = []

    def racing(self: Repository, tag: str, message: str, commit: str, **named: Any) -> bool:
        if not raced:
            raced.append(tag)
            [done] = release(another_machine(line, "other"), say=line.say)
            assert release_lines(done) == ["late v2 is in production"]
        return real(self, tag, message, commit, **named)

    monkeypatch.setattr(Repository, "add_page", racing)
    assert release_lines(line.release()) == ["late: live is target; nothing to do"]
    assert raced == ["release/late/0002"]
    assert pages(line) == ["release/late/0001", "release/late/0002"]
    assert [version.number for version in line.project().tracking.versions(MODEL)] == [1, 2]
    assert_converged(line)


@pytest.mark.slow
def test_machines_that_release_one_commit_at_once_end_with_one_version_and_one_page(
    line: Line,
) -> None:
    line.merge(1)
    machines = []
    for number in range(4):
        line.git("clone", "--quiet", "forge/repository.git", f"machine-{number}", at=".")
        environment = {
            **line.environment,
            "MERGELINE_STATE": str(line.root / f"state-{number}"),
            "MERGELINE_STORE": str(line.state / "store"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{line.state}/mlflow.db",
        }
        machines.append(
            subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "mergeline", "release"],
                cwd=line.root / f"machine-{number}", env=environment, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
        )  # fmt: skip
    printed = [machine.communicate(timeout=240)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0] * 4, printed
    assert sum("late v2 is in production" in text for text in printed) == 1, printed
    assert pages(line) == ["release/late/0001", "release/late/0002"]
    assert [version.number for version in line.project().tracking.versions(MODEL)] == [1, 2]
    assert champion(line).number == 2


def test_of_two_machines_that_register_one_candidate_both_take_the_first_version(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking = line.project().tracking
    run = next(run for run in tracking.candidates(MODEL) if run.pull_request == 1)
    real = Tracking.versions
    raced: list[str] = []

    def racing(self: Tracking, model: str) -> list[Version]:
        found = real(self, model)
        if not raced:
            raced.append(model)
            tracking.register(run, 2)  # the other one, after this one has looked
        return found

    monkeypatch.setattr(Tracking, "versions", racing)
    assert tracking.register(run, 2).number == 2
    assert [version.number for version in tracking.versions(MODEL)] == [1, 2]


# --- what is under `release/` and not believed ----------------------------------------------------


def forge_page(line: Line, entry: Entry) -> None:
    """Whoever may push tags pushes one more."""
    author = Repository(line.root / "author")
    name = page_name(entry.model, entry.sequence)
    assert author.add_page(name, page_text(entry), entry.commit, time="1 +0000")


def forged(line: Line, number: int, **said: Any) -> Entry:
    """A page like the last, but of the candidate of a pull request."""
    run = next(r for r in line.project().tracking.candidates(MODEL) if r.pull_request == number)
    entry = replace(
        entry_of(line.first), sequence=2, kind=Situation.CHANGE, replaced=1, version=2,
        run_id=run.run_id, fingerprint=run.fingerprint, model_digest=run.model_digest,
    )  # fmt: skip
    return replace(entry, **said)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({}, id="refused"),
        pytest.param({"override": "because"}, id="with an override that nobody gave"),
        pytest.param({"fingerprint": "0" * 64}, id="unknown"),
    ],
)
def test_a_forged_page_releases_nothing_and_is_nobody_s_champion(
    line: Line, said: dict[str, Any]
) -> None:
    forge_page(line, forged(line, 2, **said))
    assert ledger(line) == (entry_of(line.first),)
    [seen] = status(line.project())
    assert (seen.champion, seen.drift) == (1, ())
    assert "release/late/0002" in seen.doubts[0]
    line.merge(2)  # what the page calls a release earlier than this one
    done = line.release()
    assert done.plan.refusal[0] == "the gate said fail"
    assert champion(line).number == 1


def test_a_page_of_one_candidate_with_the_fingerprint_of_another_is_not_believed(
    line: Line,
) -> None:
    good = forged(line, 1)
    forge_page(line, replace(forged(line, 2), model_digest=good.model_digest))
    assert ledger(line) == (entry_of(line.first),)


@pytest.mark.slow
def test_tags_that_are_no_pages_stand_in_nobody_s_way(line: Line) -> None:
    for name in ("release/late/0002", "release/late/0099", "release/other/0001"):
        line.git("tag", "--annotate", "--message", "A fine day {", name)
        line.git("push", "--quiet", "origin", name)
    assert len(read(line.project(), None).entries) == 1
    assert len(read(line.project(), None).doubts) == 4  # a gap before 0099
    line.merge(1)
    assert entry_of(line.release()).sequence == 3
    assert line.release().plan.steps == ()


def test_a_page_that_was_moved_at_origin_stops_nothing(line: Line) -> None:
    ledger(line)
    line.git("fetch", "--quiet", "origin", "refs/tags/*:refs/tags/*")
    line.git("tag", "--force", "--annotate", "--message", "Gone", "release/late/0001", "HEAD~0")
    line.git("push", "--quiet", "--force", "origin", "release/late/0001")
    found = read(line.project(), MODEL)
    assert found.entries == ()
    assert any("is no page" in doubt for doubt in found.doubts)
    assert any("this clone knows another" in doubt for doubt in found.doubts)


def test_swapped_fingerprints_in_mlflow_release_nothing(line: Line) -> None:
    tracking = line.project().tracking
    good, bad = (
        next(run for run in tracking.candidates(MODEL) if run.pull_request == number)
        for number in (1, 2)
    )
    line.merge(1)
    shutil.rmtree(line.state / "candidates")
    for run, other in ((good, bad), (bad, good)):
        tracking.client.set_tag(run.run_id, "mergeline.fingerprint", other.fingerprint)
        tracking.client.set_tag(run.run_id, "mergeline.passed", "true")
    with pytest.raises(TrackingError, match="is of another model with fingerprint"):
        release(line.project(), override="whatever it is", say=line.say)
    assert champion(line).number == 1
    assert len(pages(line)) == 1


def test_a_version_with_another_model_s_files_is_not_released(line: Line) -> None:
    tracking = line.project().tracking
    good, bad = (
        next(run for run in tracking.candidates(MODEL) if run.pull_request == number)
        for number in (1, 2)
    )
    tracking.register(replace(good, model_uri=bad.model_uri), 2)
    line.merge(1)
    with pytest.raises(TrackingError, match="was judged"):
        line.release()
    assert champion(line).number == 1
    assert len(pages(line)) == 1


@pytest.mark.slow
def test_a_version_that_somebody_deleted_goes_back_into_production(line: Line) -> None:
    line.merge(1)
    line.release()
    tracking = line.project().tracking
    tracking.client.delete_registered_model_alias(MODEL, "production")
    tracking.client.delete_model_version(MODEL, "2")
    assert line.review(line.propose("on", ("params.yaml", "C: 0.5", "C: 0.4"))).passed
    line.check_out("origin/main")
    [seen] = status(line.project())
    assert [text.split(":")[0] for text in seen.drift] == ["register", "promote", "describe"]
    assert line.release().entry is None
    assert champion(line).number == 2
    assert line.release().plan.steps == ()


def test_another_project_s_production_of_the_same_name_is_not_taken_over(line: Line) -> None:
    """Two repositories, one tracking server, and the same name for a model."""
    tracking = line.project().tracking
    run = next(run for run in tracking.candidates(MODEL) if run.pull_request == 2)
    tracking.move(MODEL, tracking.register(run, 2).number, "Production")
    line.git("push", "--quiet", "origin", ":refs/tags/release/late/0001", at="runner")
    with pytest.raises(TrackingError, match="no release of this repository made it so"):
        release(line.project(), say=line.say)
    assert champion(line).number == 2
    assert pages(line) == []


@pytest.mark.slow
def test_the_ledger_outlives_the_clone_that_wrote_it(line: Line) -> None:
    line.merge(1)
    line.release()
    fresh = line.root / "fresh"
    subprocess.run(
        ["git", "clone", "--quiet", str(line.root / "forge" / "repository.git"), str(fresh)],
        check=True,
    )
    assert line.project("fresh").ledger(MODEL) == ledger(line)


def test_a_tag_that_is_no_page_is_not_read_as_one(line: Line) -> None:
    line.git("tag", "release/1.0")
    line.git("push", "--quiet", "origin", "release/1.0")
    assert len(ledger(line)) == 1


@pytest.mark.slow
def test_a_push_that_the_forge_declines_is_said_as_such(line: Line) -> None:
    line.merge(1)
    hook = line.root / "forge" / "repository.git" / "hooks" / "pre-receive"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\necho 'tags are protected' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(GitError, match="tags are protected"):
        line.release()
    assert pages(line) == ["release/late/0001"]
    assert line.git("tag", "--list", "release/*", at="runner").split() == ["release/late/0001"]
    hook.unlink()
    line.release()
    assert len(ledger(line)) == 2


@pytest.mark.slow
def test_nothing_is_promoted_that_nobody_could_record(line: Line) -> None:
    """As in a clone of somebody else's repository: it can be read, and not be pushed to."""
    line.merge(1)
    line.git("config", "remote.origin.pushurl", "../nowhere.git", at="runner")
    with pytest.raises(GitError, match=r"nowhere\.git.*git remote remove origin"):
        line.release()
    assert [one.stage for one in line.project().tracking.versions(MODEL)] == ["Production"]
    line.git("config", "--unset", "remote.origin.pushurl", at="runner")
    assert release_lines(line.release()) == ["late v2 is in production"]


@pytest.mark.slow
def test_a_clone_whose_origin_was_removed_releases_for_itself(line: Line) -> None:
    line.git("clone", "--quiet", "forge/repository.git", "own", at=".")
    line.git("remote", "remove", "origin", at="own")
    line.git("tag", "--delete", "release/late/0001", at="own")
    alone = line.project("own", MERGELINE_FORGE="", MERGELINE_STATE=str(line.root / "own-state"))
    [evaluated] = evaluate(alone, say=line.say)
    assert evaluated.passed
    [done] = release(alone, say=line.say)
    assert release_lines(done) == ["late v1 is in production"]
    assert pages(line) == ["release/late/0001"]


# --- signed pages ---------------------------------------------------------------------------------


@pytest.fixture
def keys(tmp_path: Path) -> Callable[[str], Path]:
    """Makes SSH keys by name."""

    def made(name: str) -> Path:
        key = tmp_path / name
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)]
        subprocess.run(command, check=True)
        return key

    return made


def ask_for_signatures(line: Line, key: Path) -> None:
    line.branch("signers")
    line.write(".mergeline-signers", f"clerk@example.org {key.with_suffix('.pub').read_text()}")
    line.commit("Pages are signed")
    line.merge(line.push("signers"))


@pytest.mark.slow
def test_where_the_tree_names_signers_a_page_is_signed_by_one(
    line: Line, keys: Callable[[str], Path]
) -> None:
    ours, other = keys("ours"), keys("other")
    ask_for_signatures(line, ours)
    assert ledger(line) == (entry_of(line.first),)  # a page of before the file
    line.merge(1)
    with pytest.raises(InputError, match="Set MERGELINE_SIGNING_KEY"):
        line.release()
    with pytest.raises(InputError, match="is of none of the signers"):
        release(line.project(MERGELINE_SIGNING_KEY=str(other)), say=line.say)
    assert len(pages(line)) == 1
    # As a secret of the workflow: the key itself.
    [done] = release(line.project(MERGELINE_SIGNING_KEY=ours.read_text()), say=line.say)
    assert release_lines(done) == ["late v2 is in production"]
    assert ledger(line)[-1] == entry_of(done)
    assert line.release().plan.steps == ()


@pytest.mark.slow
def test_an_unsigned_page_or_one_signed_by_somebody_else_is_not_believed(
    line: Line, keys: Callable[[str], Path]
) -> None:
    ours, other = keys("ours"), keys("other")
    ask_for_signatures(line, ours)
    line.merge(1)
    release(line.project(MERGELINE_SIGNING_KEY=str(ours)), say=line.say)
    known = ledger(line)
    signers = f"other@example.org {other.with_suffix('.pub').read_text()}".encode()
    author = Repository(line.root / "author")
    line.git("fetch", "--quiet", "origin")
    # Of the commit of the first release, which is older than the file.
    forged = replace(known[0], kind=Situation.RESTORE, replaced=2)
    for sequence, signing in ((3, None), (4, Signing(str(other), signers))):
        text = page_text(replace(forged, sequence=sequence))
        name = page_name(MODEL, sequence)
        assert author.add_page(name, text, forged.commit, time="1 +0000", signing=signing)
    found = line.project().ledger_of(MODEL)
    assert found.entries == known
    assert [doubt.partition(": ")[2] for doubt in found.doubts] == [
        "it has no signature of anybody in .mergeline-signers"
    ] * 2
    assert line.release().plan.steps == ()


# --- the server and the pull request -------------------------------------------------------------


def test_a_release_whose_server_does_not_answer_promotes_nothing(line: Line) -> None:
    line.merge(1)
    with pytest.raises(DeployError, match="does not answer"):
        release(line.project(MERGELINE_SERVER="http://127.0.0.1:9"), say=line.say)
    assert champion(line).number == 1


@pytest.mark.slow
def test_the_pull_request_is_told_that_what_was_merged_was_trained_again(line: Line) -> None:
    number = line.propose("shorter", ("params.yaml", "holdout_every: 4", "holdout_every: 5"))
    line.merge(1)
    line.release()
    line.merge(number)
    line.release()
    [told] = line.forge.comments(number)
    assert "had not been judged against what is in production" in told.body
    assert "`late`" in told.body
    [other] = line.forge.comments(1)
    assert "had not been judged" not in other.body


@pytest.mark.slow
def test_a_pull_request_is_told_what_became_of_it_from_release_to_revert(line: Line) -> None:
    merged = line.merge(1)
    line.release()
    [told] = line.forge.comments(1)
    assert told.body.splitlines()[1:] == [f"Merged as {merged[:8]}: late v2 is in production."]
    line.release()
    assert line.forge.comments(1) == (told,)

    line.branch("back")
    line.git("revert", "--no-edit", merged)
    number = line.push("back")
    reverted = line.merge(number)
    line.release()
    [told] = line.forge.comments(1)
    said = f"late v2 was taken out of production: {reverted[:8]} brought v1 back."
    assert told.body.splitlines()[1:] == [said]
    [back] = line.forge.comments(number)
    assert "late v1 is back in production" in back.body
