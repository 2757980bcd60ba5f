"""`comment`: the trusted side of a report, on what an untrusted job left."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from pathlib import Path

import pytest

from mergeline.adapters.forge.folder import FolderForge
from mergeline.cli.show import comment_lines
from mergeline.core.declare.strict import write_json
from mergeline.core.gate.verdict import Judgement, Reason, Situation, Verdict
from mergeline.core.report.content import EvaluatedTree, Failure, Report
from mergeline.core.report.one_comment import Stamp
from mergeline.errors import BundleError, DeclarationError, NotFoundError
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.verbs.comment import comment
from tests.support.forge_worlds import FolderWorld
from tests.support.line import Line

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def world(tmp_path: Path) -> FolderWorld:
    return FolderWorld(tmp_path / "forge")


def project(world: FolderWorld, **environment: str) -> Project:
    bare = FolderForge(world.path).repository
    clone = world.path.parent / "clone"
    if not clone.exists():
        world._git("clone", "--quiet", str(bare), str(clone))
    return Project.at(clone, {"MERGELINE_FORGE": str(world.path), **environment})


def passed(subject: EvaluatedTree, when: dt.datetime = NOON, model: str = "delay") -> Report:
    verdict = Verdict("pass", (Reason("margin", "pass", "It holds."),))
    return Report(
        model,
        Situation.FIRST,
        subject,
        when.isoformat(),
        judgement=Judgement(verdict),
        fingerprint="f" * 64,
    )


def failed(subject: EvaluatedTree) -> Report:
    failure = Failure("train", "no such column", ("Traceback", "KeyError"), "Add it")
    return Report("delay", Situation.FAILED, subject, NOON.isoformat(), failure=failure)


def bundle(folder: Path, *reports: Report) -> Path:
    for report in reports:
        place = folder / report.model if len(reports) > 1 else folder
        (place / "evaluation").mkdir(parents=True, exist_ok=True)
        (place / "evaluation" / "report.json").write_text(write_json(report), encoding="utf-8")
    return folder


def of(world: FolderWorld, number: int) -> EvaluatedTree:
    head = world.forge().pull_request(number).head_sha
    return EvaluatedTree(tree="t" * 40, commit=head, pull_request=number)


def quiet(_: str) -> None:
    pass


def test_a_passed_report_is_shown_with_its_state(world: FolderWorld, tmp_path: Path) -> None:
    number = world.open("More trees")
    subject = of(world, number)
    comment(project(world), bundle(tmp_path / "b", passed(subject)), say=quiet)
    (shown,) = world.forge().comments(number)
    assert "`delay`" in shown.body
    assert shown.author == "mergeline[bot]"
    assert world.forge().status(subject.commit or "") == ("success", "delay: pass")


def test_a_job_says_where_the_page_is(world: FolderWorld, tmp_path: Path) -> None:
    number = world.open("More trees")
    job = {
        "GITHUB_SERVER_URL": "https://forge.example.org",
        "GITHUB_REPOSITORY": "octo/flights",
        "GITHUB_RUN_ID": "12",
    }
    left = bundle(tmp_path / "b", passed(of(world, number)))
    comment(project(world, **job), left, say=quiet)
    (shown,) = world.forge().comments(number)
    assert "[this run](https://forge.example.org/octo/flights/actions/runs/12)" in shown.body


def test_commenting_twice_leaves_one_comment(world: FolderWorld, tmp_path: Path) -> None:
    number = world.open("More trees")
    left = bundle(tmp_path / "b", passed(of(world, number)))
    assert comment(project(world), left, say=quiet) == comment(project(world), left, say=quiet)
    assert len(world.forge().comments(number)) == 1


def test_a_late_report_of_the_same_commit_changes_neither_comment_nor_state(
    world: FolderWorld, tmp_path: Path
) -> None:
    number = world.open("More trees")
    subject = of(world, number)
    later = passed(subject, NOON + dt.timedelta(minutes=5))
    comment(project(world), bundle(tmp_path / "later", later), say=quiet)
    comment(project(world), bundle(tmp_path / "earlier", failed(subject)), say=quiet)
    (shown,) = world.forge().comments(number)
    assert "no such column" not in shown.body
    assert world.forge().status(subject.commit or "") == ("success", "delay: pass")


@pytest.mark.slow
def test_the_comment_names_head_and_run_which_the_untrusted_job_cannot_know(line: Line) -> None:
    """On GitHub that job evaluates a trial merge, and writes to no store."""
    line.check_out_pull(1)
    head = line.forge.pull_request(1).head_sha
    line.evaluate(bundle=line.root / "found")
    known = {"MERGELINE_HEAD": head, "MERGELINE_PULL_REQUEST": "1"}
    comment(line.project(**known), line.root / "found", say=quiet)
    [shown] = line.forge.comments(1)
    run = line.project().tracking.candidates("late")[1]
    assert f"head `{head[:7]}`" in shown.body
    assert f"run `{run.run_id[:8]}`" in shown.body
    assert "nothing trains again" in shown.body


def test_a_candidate_that_is_not_tracked_trains_again(line: Line) -> None:
    """As that of a fork, whose bundle is commented on and not taken in."""
    comment(line.project(MERGELINE_PULL_REQUEST="3"), line.bundle, say=quiet)
    [shown] = line.forge.comments(3)
    assert "it trains again" in shown.body


def test_a_run_that_failed_is_shown_too(world: FolderWorld, tmp_path: Path) -> None:
    number = world.open("More trees")
    subject = of(world, number)
    comment(project(world), bundle(tmp_path / "b", failed(subject)), say=quiet)
    (shown,) = world.forge().comments(number)
    assert "no such column" in shown.body
    assert "Add it" in shown.body
    found = world.forge().status(subject.commit or "")
    assert found == ("error", "delay: could not be evaluated")


def test_several_models_share_one_comment_and_the_worst_state(
    world: FolderWorld, tmp_path: Path
) -> None:
    number = world.open("More trees")
    subject = of(world, number)
    left = bundle(tmp_path / "b", failed(subject), passed(subject, model="weather"))
    comment(project(world), left, say=quiet)
    (shown,) = world.forge().comments(number)
    assert "`delay`" in shown.body
    assert "`weather`" in shown.body
    found = world.forge().status(subject.commit or "")
    assert found == ("error", "delay: could not be evaluated, weather: pass")


def test_a_bundle_cannot_speak_for_another_pull_request(world: FolderWorld, tmp_path: Path) -> None:
    attacked, own = world.open("Theirs"), world.open("Mine")
    head = world.forge().pull_request(own).head_sha
    claim = EvaluatedTree(tree="t" * 40, commit=of(world, attacked).commit, pull_request=attacked)
    left = bundle(tmp_path / "b", passed(claim))
    commented = comment(project(world, MERGELINE_HEAD=head), left, say=quiet)
    assert "nothing is posted" in comment_lines(commented)[0]
    assert world.forge().comments(attacked) == world.forge().comments(own) == ()


def test_a_trial_merge_is_reported_on_the_head_that_the_forge_names(
    world: FolderWorld, tmp_path: Path
) -> None:
    number = world.open("More trees")
    head = world.forge().pull_request(number).head_sha
    merge = EvaluatedTree(tree="t" * 40, commit="a" * 40, pull_request=number)
    comment(project(world, MERGELINE_HEAD=head), bundle(tmp_path / "b", passed(merge)), say=quiet)
    assert f"head={head}" in world.forge().comments(number)[0].body


def test_a_report_of_an_earlier_push_is_not_posted(world: FolderWorld, tmp_path: Path) -> None:
    number = world.open("More trees")
    left = bundle(tmp_path / "b", passed(of(world, number)))
    world.push(number)
    assert "nothing is posted" in comment_lines(comment(project(world), left, say=quiet))[0]
    assert world.forge().comments(number) == ()


def test_the_state_of_an_earlier_push_ends_too(world: FolderWorld, tmp_path: Path) -> None:
    number = world.open("More trees")
    subject = of(world, number)
    world.push(number)
    comment(project(world), bundle(tmp_path / "b", passed(subject)), say=quiet)
    assert world.forge().status(subject.commit or "") == ("success", "delay: pass")


def test_a_commit_that_no_pull_request_proposes_has_a_state_and_no_comment(
    world: FolderWorld, tmp_path: Path
) -> None:
    """As that of a merge queue."""
    queued = world.direct_commit()
    subject = EvaluatedTree(tree="t" * 40, commit=queued)
    told = comment(project(world), bundle(tmp_path / "b", passed(subject)), say=quiet)
    assert comment_lines(told) == [f"{queued[:8]}: delay: pass (success)"]
    assert world.forge().status(queued) == ("success", "delay: pass")


def test_a_pull_request_that_changes_no_model_is_left_in_peace(world: FolderWorld) -> None:
    number = world.open("Words")
    head = of(world, number).commit or ""
    comment(project(world, MERGELINE_HEAD=head), None, say=quiet)
    assert world.forge().comments(number) == ()
    assert world.forge().status(head) == ("success", "no model changes")


def test_a_report_shrinks_to_a_line_once_no_model_changes(
    world: FolderWorld, tmp_path: Path
) -> None:
    number = world.open("More trees")
    comment(project(world), bundle(tmp_path / "b", passed(of(world, number))), say=quiet)
    head = world.push(number)
    for _ in range(2):
        comment(project(world, MERGELINE_HEAD=head), None, say=quiet)
        (shown,) = world.forge().comments(number)
        line = f"At `{head[:7]}` this pull request changes no model."
        assert shown.body.splitlines()[1:] == [line]


def test_without_a_bundle_the_commit_must_be_named(world: FolderWorld) -> None:
    with pytest.raises(NotFoundError, match="which commit") as caught:
        comment(project(world), None, say=quiet)
    assert "MERGELINE_HEAD" in caught.value.next_step


def test_the_pull_request_is_found_by_the_commit(world: FolderWorld, tmp_path: Path) -> None:
    number = world.open("More trees")
    subject = dataclasses.replace(of(world, number), pull_request=None)
    comment(project(world), bundle(tmp_path / "b", passed(subject)), say=quiet)
    assert len(world.forge().comments(number)) == 1


def test_a_bundle_from_the_future_does_not_bar_the_next_report(
    world: FolderWorld, tmp_path: Path
) -> None:
    number = world.open("More trees")
    subject = of(world, number)
    future = passed(subject, NOON.replace(year=9999))
    comment(project(world), bundle(tmp_path / "b", future), say=quiet)
    now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)
    forge = FolderForge(world.path)
    forge.upsert_report(number, "Newer.", Stamp("report", subject.commit or "", now))
    (shown,) = forge.comments(number)
    assert shown.body.endswith("Newer.")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", DeclarationError),
        ("[]", DeclarationError),
        ('{"model": "delay"}', DeclarationError),
        ('{"format": 99}', BundleError),
    ],
)
def test_what_is_no_report_is_refused(
    world: FolderWorld, tmp_path: Path, text: str, error: type[Exception]
) -> None:
    number = world.open("More trees")
    left = bundle(tmp_path / "b", passed(of(world, number)))
    (left / "evaluation" / "report.json").write_text(text, encoding="utf-8")
    with pytest.raises(error):
        comment(project(world), left, say=quiet)
    assert world.forge().comments(number) == ()


def test_an_unknown_key_in_a_report_is_refused(world: FolderWorld, tmp_path: Path) -> None:
    number = world.open("More trees")
    left = bundle(tmp_path / "b", passed(of(world, number)))
    file = left / "evaluation" / "report.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "html": "<script>"}))
    with pytest.raises(DeclarationError, match="html"):
        comment(project(world), left, say=quiet)


def test_a_link_in_the_place_of_the_report_is_refused(world: FolderWorld, tmp_path: Path) -> None:
    number = world.open("More trees")
    left = bundle(tmp_path / "b", passed(of(world, number)))
    file = left / "evaluation" / "report.json"
    file.rename(tmp_path / "elsewhere.json")
    file.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(BundleError, match="cannot be a report"):
        comment(project(world), left, say=quiet)


def test_an_empty_folder_is_refused(world: FolderWorld, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no report"):
        comment(project(world), tmp_path, say=quiet)


def test_a_report_of_files_that_are_not_committed_is_refused(
    world: FolderWorld, tmp_path: Path
) -> None:
    world.open("More trees")
    with pytest.raises(NotFoundError, match="not committed"):
        comment(project(world), bundle(tmp_path / "b", passed(EvaluatedTree("t" * 40))), say=quiet)


def test_without_a_forge_the_next_step_is_said(world: FolderWorld, tmp_path: Path) -> None:
    left = bundle(tmp_path / "b", passed(of(world, world.open("More trees"))))
    with pytest.raises(NotFoundError) as caught:
        comment(project(world, MERGELINE_FORGE=""), left, say=quiet)
    assert "GITHUB_TOKEN" in caught.value.next_step
