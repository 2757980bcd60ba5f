"""`release`: the reviewed model goes into production, whatever happens on the way."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mergeline.adapters.forge.folder import Method
from mergeline.adapters.git.repository import Repository
from mergeline.adapters.mlflow.tracking import Tracking
from mergeline.cli.show import release_lines
from mergeline.core.release.ledger import Entry
from mergeline.core.release.version import Version
from mergeline.errors import DeployError, GitError, RepositoryError, TrackingError
from mergeline.lifecycle.verbs.evaluate import evaluate
from mergeline.lifecycle.verbs.release import _Job, release
from tests.support.line import Line, content_of, entry_of
from tests.support.parcels import MODEL, WORSE
from tests.support.stand_ins import smoke_test_by

GATE = ("models/late.yaml", "at_least: 0.6, margin: 0.05", "at_least: 0.1, margin: 1")


def champion(line: Line) -> Version:
    version = line.project().tracking.champion(MODEL)
    assert version is not None
    return version


def ledger(line: Line) -> tuple[Entry, ...]:
    return line.project().ledger(MODEL)


def pages(line: Line) -> list[str]:
    return line.git("tag", "--list", "release/*", at="forge/repository.git").split()


# --- law 2: what was reviewed is what is released -------------------------------------------------


def test_the_first_release_trains_gates_tests_promotes_and_records(line: Line) -> None:
    assert [step.kind for step in line.first.plan.steps] == [
        "register", "smoke test", "promote", "record",
    ]  # fmt: skip
    [page] = ledger(line)
    assert (page.kind, page.version, page.verdict, page.replaced) == ("first", 1, "pass", None)
    assert page.fingerprint == champion(line).fingerprint
    assert page.subject == "Parcels of three months"


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


def test_a_release_after_another_merge_trains_and_gates_the_merged_tree(line: Line) -> None:
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
    assert "evaluate: this tree was never evaluated: train it and hold it against production" in (
        line.said
    )
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


def test_applied_twice_leaves_an_empty_plan(line: Line) -> None:
    line.merge(1)
    line.release()
    before = content_of(line.state)
    again = line.release()
    assert again.plan.steps == ()
    assert release_lines(again) == ["late: live is target; nothing to do"]
    assert content_of(line.state) == before
    assert len(pages(line)) == 2


def test_plan_names_the_steps_and_changes_nothing(line: Line) -> None:
    line.merge(1)
    line.release(plan_only=True)  # the ledger's pages are fetched once
    before = content_of(line.root)
    done = line.release(plan_only=True)
    assert [text.split(":")[1].strip() for text in release_lines(done)] == [
        "register", "smoke test", "promote", "record",
    ]  # fmt: skip
    assert content_of(line.root) == before
    assert champion(line).number == 1


class Killed(BaseException):
    """As `kill -9`: nothing catches it."""


@pytest.mark.parametrize("step", ["_register", "_smoke_test", "_promote", "_record"])
def test_killed_after_any_step_and_run_again_it_converges(
    line: Line, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    line.merge(1)
    kill_after(line, monkeypatch, _Job, step)
    line.release()
    assert_converged(line)


def test_killed_after_training_the_merged_tree_it_is_not_trained_again(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.merge(3)
    kill_after(line, monkeypatch, _Job, "_evaluate")
    line.release()
    assert_converged(line)
    assert len(line.quick.runs) == 1


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
    assert page == replace(entry_of(line.first), released_at=page.released_at)


# --- law 8: never backwards by accident -----------------------------------------------------------


def test_a_commit_that_main_has_moved_past_does_nothing(line: Line) -> None:
    first = line.git("rev-parse", "HEAD", at="runner")
    line.merge(1)
    line.release()
    line.check_out(first)
    before = content_of(line.state)
    done = line.release()
    assert "main has moved on" in release_lines(done)[0]
    assert champion(line).number == 2
    assert len(ledger(line)) == 2
    assert content_of(line.state) == before


def test_a_commit_that_main_moves_past_while_it_is_released_is_not_promoted(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release of the later commit may be done by then, and its model in production."""
    line.merge(1)
    rex = line.forge.as_user("rex")
    smoke_test_by(
        monkeypatch,
        lambda *_: rex.merge(line.propose("words", ("README.md", "late?", "late?!"))),
    )
    done = line.release()
    assert "main has moved on" in release_lines(done)[0]
    assert champion(line).number == 1
    assert len(ledger(line)) == 1


def test_production_that_changes_with_each_evaluation_is_said(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.merge(1)
    other = line.project().tracking.register(
        next(run for run in line.project().tracking.candidates(MODEL) if run.pull_request == 2)
    )
    line.project().tracking.move(MODEL, other.number, "Production")

    evaluate_alone = _Job._evaluate

    def evaluate_while_another_releases(job: _Job, step: Any) -> Any:
        report = evaluate_alone(job, step)
        now = job.project.tracking.champion(MODEL)
        assert now
        job.project.tracking.move(MODEL, 3 - now.number, "Production")
        return report

    monkeypatch.setattr(_Job, "_evaluate", evaluate_while_another_releases)
    with pytest.raises(TrackingError, match="production changes as often"):
        line.release()


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


def test_a_revert_is_exempt_from_the_gate_but_not_from_the_smoke_test(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged = line.merge(1)
    line.release()
    line.branch("back")
    line.git("revert", "--no-edit", merged)
    line.merge(line.push("back"))

    def fails(*_: Any) -> None:
        raise DeployError("served, the model answers otherwise")

    smoke_test_by(monkeypatch, fails)
    with pytest.raises(DeployError):
        line.release()
    assert champion(line).number == 2
    monkeypatch.undo()


# --- law 5: the bar is not set by the one who jumps -----------------------------------------------


def test_a_loosened_gate_does_not_let_its_own_merge_through(line: Line) -> None:
    number = line.propose("loose", WORSE, GATE)
    found = line.review(number)
    assert not found.passed
    line.merge(number)
    assert line.release().plan.refusal[0] == "the gate said fail"


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


def test_a_gate_tightened_since_the_review_judges_the_merge(line: Line) -> None:
    """Pull request 1 was judged by the gate that main had when it left."""
    tight = ("models/late.yaml", "at_least: 0.6, margin: 0.05", "at_least: 0.999")
    line.merge(line.propose("tight", tight))
    line.release()
    line.merge(1)
    done = line.release()
    assert "evaluate: the gate has changed since the candidate was judged: judge again" in line.said
    assert done.plan.refusal[0] == "the gate said fail"
    assert line.quick.runs == []
    assert champion(line).number == 1


def test_a_rebase_merge_of_two_commits_is_judged_by_what_main_was_before(line: Line) -> None:
    number = line.propose("loose", GATE, WORSE)
    line.merge(1)
    line.release()  # another one landed first: the release itself must evaluate
    line.merge(number, "rebase")
    assert line.release().plan.refusal[0] == "the gate said fail"
    assert champion(line).number == 2


# --- law 6: absent is not fine --------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False], ids=["evaluated", "not evaluated"])
def test_an_empty_registry_under_a_ledger_with_releases_is_refused(
    line: Line, tmp_path: Path, known: bool
) -> None:
    line.merge(1 if known else 3)
    project = line.project(MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path}/other.db")
    with pytest.raises(TrackingError, match="the registry has no champion"):
        release(project, say=line.say)
    assert len(ledger(line)) == 1


def test_a_registry_whose_alias_is_gone_gets_it_back_for_what_the_ledger_names(line: Line) -> None:
    client = line.project().tracking.client
    client.delete_registered_model_alias(MODEL, "production")
    done = line.release()
    assert [step.kind for step in done.plan.steps] == ["smoke test", "promote"]
    assert champion(line).number == 1


def test_a_candidate_is_not_the_first_because_the_alias_is_gone(line: Line) -> None:
    line.merge(1)
    line.project().tracking.client.delete_registered_model_alias(MODEL, "production")
    with pytest.raises(TrackingError, match="the registry has no champion"):
        line.release()


def test_a_dirty_tree_is_not_released(line: Line) -> None:
    line.write("README.md", "changed", at="runner")
    with pytest.raises(RepositoryError, match="differs from HEAD"):
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


def test_an_override_killed_before_it_was_recorded_is_still_recorded(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.merge(2)
    with monkeypatch.context() as patch:
        patch.setattr(_Job, "_record", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            line.release(override="the old one is on fire")
    line.release()
    assert ledger(line)[-1].override == "the old one is on fire"


# --- the ledger -----------------------------------------------------------------------------------


def test_two_writers_of_one_page_both_get_one(
    line: Line, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another runner's page arrives between reading the ledger and writing to it."""
    line.merge(1)
    other = line.git("rev-parse", "HEAD", at="runner")
    real = Repository.add_page
    text = line.git("tag", "--list", "--format=%(contents)", "release/late/0001", at="runner")
    raced: list[str] = []

    def racing(self: Repository, tag: str, message: str, commit: str, *, time: str) -> bool:
        if not raced:
            raced.append(tag)
            theirs = Repository(line.root / "author")
            assert real(theirs, tag, text.replace('"sequence": 1', '"sequence": 2'), other,
                        time="1 +0000")  # fmt: skip
        return real(self, tag, message, commit, time=time)

    line.git("fetch", "--quiet", "origin")
    monkeypatch.setattr(Repository, "add_page", racing)
    done = line.release()
    assert raced == ["release/late/0002"]
    assert [page.sequence for page in ledger(line)] == [1, 2, 3]
    assert ledger(line)[2] == entry_of(done)
    assert pages(line) == ["release/late/0001", "release/late/0002", "release/late/0003"]


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


def test_nothing_is_promoted_that_nobody_could_record(line: Line) -> None:
    """As in a clone of somebody else's repository: it can be read, and not be pushed to."""
    line.merge(1)
    line.git("config", "remote.origin.pushurl", "../nowhere.git", at="runner")
    with pytest.raises(GitError, match=r"nowhere\.git.*git remote remove origin"):
        line.release()
    assert [one.stage for one in line.project().tracking.versions(MODEL)] == ["Production"]
    line.git("config", "--unset", "remote.origin.pushurl", at="runner")
    assert release_lines(line.release()) == ["late v2 is in production"]


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


# --- the server and the pull request -------------------------------------------------------------


def test_a_release_whose_server_does_not_answer_promotes_nothing(line: Line) -> None:
    line.merge(1)
    with pytest.raises(DeployError, match="does not answer"):
        release(line.project(MERGELINE_SERVER="http://127.0.0.1:9"), say=line.say)
    assert champion(line).number == 1


def test_the_pull_request_is_told_that_what_was_merged_was_trained_again(line: Line) -> None:
    number = line.propose("shorter", ("params.yaml", "holdout_every: 4", "holdout_every: 5"))
    line.merge(1)
    line.release()
    line.merge(number)
    line.release()
    [told] = line.forge.comments(number)
    assert "had not been judged against what is in production" in told.body
    assert "`late`" in told.body
    assert line.forge.comments(1) == ()
