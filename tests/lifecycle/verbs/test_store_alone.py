"""The whole line on a machine that has a store and no MLflow, as a workflow without a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from mergeline.cli.show import release_lines
from mergeline.errors import StoreError
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.verbs.comment import comment
from mergeline.lifecycle.verbs.evaluate import evaluate
from mergeline.lifecycle.verbs.history import read
from mergeline.lifecycle.verbs.judge import judge
from mergeline.lifecycle.verbs.plan import plan
from mergeline.lifecycle.verbs.release import Released, release
from mergeline.lifecycle.verbs.report import find_reports
from mergeline.lifecycle.verbs.status import status
from mergeline.lifecycle.verbs.store import collect
from mergeline.lifecycle.verbs.track import track
from tests.support.line import Line, entry_of
from tests.support.parcels import MODEL, OTHER
from tests.support.registries import registry


def job(line: Line, name: str, store: str, **environment: str) -> Project:
    """A job on a runner of its own: nothing but the clone and the store is there."""
    state = line.root / "jobs" / name
    return line.project(
        GITHUB_ACTIONS="true", MERGELINE_STATE=str(state), MERGELINE_STORE=store, **environment
    )


def released(line: Line, store: str, name: str) -> Released:
    """The jobs of a release: what was never judged as it is now is judged first."""
    for attempt in range(2):
        [done] = release(job(line, f"{name}-{attempt}", store), say=line.say)
        if not done.plan.missing:
            return done
        built, judged = (line.root / "jobs" / f"{name}-{part}" for part in ("built", "judged"))
        evaluate(job(line, f"{name}-build", store), base=done.base, bundle=built, say=line.say)
        judge(job(line, f"{name}-judge", store), built, into=judged, base=done.base, say=line.say)
        track(job(line, f"{name}-track", store), judged, say=line.say)
    raise AssertionError(done.plan.missing)


def play(line: Line, store: str) -> None:
    """First release, a pull request, its release, and a revert; each job on a new machine."""
    first = entry_of(released(line, store, "first"))
    assert (first.version, first.run_id) == (1, "")
    number = line.propose("again", OTHER)
    line.check_out_pull(number)
    at = {"MERGELINE_PULL_REQUEST": str(number)}
    built, judged = line.root / "jobs/built", line.root / "jobs/judged"
    evaluate(job(line, "pull-build", store, **at), bundle=built, say=line.say)
    judge(job(line, "pull-judge", store, **at), built, into=judged, say=line.say)
    line.check_out("origin/main")
    [tracked] = track(job(line, "pull-track", store, **at), judged, say=line.say)
    assert tracked.run_id is None
    assert comment(job(line, "pull-comment", store, **at), judged, say=line.say).url
    merged = line.merge(number)
    runs = list(line.quick.runs)
    second = entry_of(released(line, store, "second"))
    assert (second.version, second.replaced, second.fingerprint) == (2, 1, tracked.fingerprint)
    assert line.quick.runs == runs
    [seen] = status(job(line, "status", store))
    assert (seen.champion, seen.drift, seen.doubts) == (2, (), ())
    [planned] = plan(job(line, "plan", store))
    assert planned.known == "in the store"
    [report] = find_reports(job(line, "report", store), tracked.fingerprint[:8])
    assert report.fingerprint == tracked.fingerprint
    line.git("fetch", "--quiet", "origin")
    line.git("checkout", "--quiet", "-B", "back", "origin/main")
    line.git("revert", "--no-edit", merged)
    line.merge(line.push("back"))
    back = entry_of(released(line, store, "back"))
    assert (back.version, back.kind.value, back.model_digest) == (1, "restore", first.model_digest)
    assert line.quick.runs == runs
    assert [page.version for page in read(job(line, "history", store), MODEL).entries] == [1, 2, 1]
    assert release_lines(released(line, store, "twice")) == ["late: live is target; nothing to do"]
    assert not list((line.root / "jobs").rglob("mlflow.db"))


@pytest.fixture
def unreleased(line: Line) -> Line:
    """A line of which nothing was released yet."""
    line.git("push", "--quiet", "--delete", "origin", "release/late/0001")
    return line


def test_a_folder_is_enough_for_the_whole_line(unreleased: Line) -> None:
    play(unreleased, str(unreleased.root / "store"))


@pytest.mark.slow
def test_a_registry_is_enough_for_the_whole_line(unreleased: Line, tmp_path: Path) -> None:
    with registry(tmp_path / "registry") as host:
        play(unreleased, f"oci://{host}/acme/parcels")


def test_a_workflow_on_github_has_the_repository_s_own_registry(line: Line) -> None:
    github = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "Acme/Parcels",
    }
    assert line.project(**github).store.name == "oci://ghcr.io/acme/parcels"
    named = line.project(**github, MERGELINE_STORE="oci://example.org/a/b")
    assert named.store.name == "oci://example.org/a/b"
    elsewhere = {**github, "GITHUB_SERVER_URL": "https://forge.example.org"}
    assert line.project(**elsewhere).store.name == str(line.state / "store")


def test_another_store_than_the_releases_is_told(line: Line) -> None:
    project = line.project(MERGELINE_STORE=str(line.root / "other"))
    for verb in (status, collect_all):
        with pytest.raises(StoreError, match=r"other: the ledger.* Point MERGELINE_STORE at the"):
            verb(project)


def collect_all(project: Project) -> None:
    collect(project, days=0, say=lambda _: None)


def test_the_store_keeps_what_something_pins(line: Line) -> None:
    project = line.project()
    before = set(project.store.known())
    assert len(before) == 3
    assert collect(project, days=0, say=line.say).delete == ()  # two pull requests are open
    line.merge(2)
    line.merge(line.propose("later", OTHER))
    line.git("push", "--quiet", "--delete", "origin", "worse")
    assert collect(line.project(), days=30, say=line.say).delete == ()
    plan = collect(line.project(), days=0, plan_only=True, say=line.say)
    assert set(line.project().store.known()) == before
    done = collect(line.project(), days=0, say=line.say)
    assert done.delete == plan.delete
    [(model, fingerprint, _)] = done.delete
    assert set(line.project().store.known()) == before - {(model, fingerprint)}
    assert collect(line.project(), days=0, say=line.say).delete == ()
