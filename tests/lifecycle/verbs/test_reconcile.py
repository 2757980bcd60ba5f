"""MLflow shows what store and ledger have, whatever happens to it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mergeline.adapters.bundles import read_candidate
from mergeline.adapters.mlflow.tracking import Tracking
from mergeline.cli.show import showing_lines
from mergeline.errors import InputError, StoreError, TrackingError
from mergeline.lifecycle.steps.champion import find_champion
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.verbs.reconcile import reconcile
from mergeline.lifecycle.verbs.release import release
from mergeline.lifecycle.verbs.status import status
from tests.support.line import Line, content_of, entry_of
from tests.support.parcels import MODEL


@pytest.fixture
def two(line: Line) -> Line:
    """v1 and v2 were released, and v2 is in production."""
    line.merge(1)
    assert entry_of(line.release()).version == 2
    return line


def planned(project: Project, line: Line) -> list[str]:
    [plan] = reconcile(project, plan_only=True, say=line.say)
    return [f"{step.kind} v{step.number}" if step.number else step.kind for step in plan.steps]


def shown(tracking: Tracking) -> list[tuple[int, str]]:
    return [(version.number, version.stage) for version in tracking.versions(MODEL)]


def assert_healed(project: Project, line: Line) -> None:
    """Two versions are shown, v2's files are the champion's, and nothing is left to do."""
    reconcile(project, say=line.say)
    assert planned(project, line) == []
    tracking = project.tracking
    assert shown(tracking) == [(1, "Archived"), (2, "Production")]
    champion = find_champion(project, MODEL)
    assert champion is not None
    files = tracking.model_files(MODEL, 2, line.root / "fetched")
    pickle = (champion.trained.model / "model.pkl").read_bytes()
    assert (files / "model.pkl").read_bytes() == pickle
    [seen] = status(project)
    assert seen.drift == ()


@pytest.mark.slow
def test_descriptions_that_somebody_changed_are_written_again(two: Line) -> None:
    project = two.project()
    client = project.tracking.client
    written = client.get_model_version(MODEL, "1").description
    client.update_model_version(MODEL, "1", "mine")
    client.update_registered_model(MODEL, "mine too")
    assert planned(project, two) == ["describe v1", "describe"]
    assert_healed(project, two)
    assert client.get_model_version(MODEL, "1").description == written


def test_a_line_that_nobody_touched_needs_nothing(line: Line) -> None:
    assert planned(line.project(), line) == []
    before = line.kept()
    [plan] = reconcile(line.project(), say=line.say)
    assert line.kept() == before
    assert showing_lines(plan) == ["late: MLflow shows what store and ledger have; nothing to do"]


@pytest.mark.slow
def test_a_lost_server_is_written_again(two: Line) -> None:
    project = two.project(MLFLOW_TRACKING_URI=f"sqlite:///{two.root / 'new.db'}")
    assert planned(project, two)[-6:] == [
        "register v1", "move v1", "describe v1", "register v2", "promote v2", "describe v2",
    ]  # fmt: skip
    assert not (two.root / "new.db").exists()
    assert_healed(project, two)
    runs = project.tracking.candidates(MODEL)
    assert {run.pull_request for run in runs} == {None, 1, 2}
    assert all(project.tracking.evaluation(run) for run in runs)


def delete_version(client: object) -> None:
    client.delete_model_version(MODEL, "2")  # type: ignore[attr-defined]


def delete_model(client: object) -> None:
    client.delete_registered_model(MODEL)  # type: ignore[attr-defined]


def move_alias(client: object) -> None:
    client.set_registered_model_alias(MODEL, "production", "1")  # type: ignore[attr-defined]


def delete_alias(client: object) -> None:
    client.delete_registered_model_alias(MODEL, "production")  # type: ignore[attr-defined]


def rename_model(client: object) -> None:
    client.rename_registered_model(MODEL, "early")  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize(
    "by_hand", [delete_version, delete_model, move_alias, delete_alias, rename_model]
)
def test_what_somebody_did_to_the_registry_is_healed(
    two: Line, by_hand: Callable[[object], None]
) -> None:
    by_hand(two.project().tracking.client)
    [seen] = status(two.project())
    assert seen.champion == 2
    assert seen.drift
    assert_healed(two.project(), two)
    [served] = [v for v in two.project().tracking.standing() if v.model == MODEL]
    assert served.number == 2


@pytest.mark.slow
def test_a_release_heals_its_own_version_too(two: Line) -> None:
    delete_version(two.project().tracking.client)
    two.release()
    assert shown(two.project().tracking) == [(1, "Archived"), (2, "Production")]
    assert two.release().plan.steps == ()


@pytest.mark.slow
def test_a_deleted_run_and_a_deleted_experiment_come_back(two: Line) -> None:
    tracking = two.project().tracking
    before = {run.run_id for run in tracking.candidates(MODEL)}
    tracking.client.delete_run(min(before))
    assert "log" in planned(two.project(), two)
    assert_healed(two.project(), two)
    assert {run.run_id for run in tracking.candidates(MODEL)} == before
    experiment = tracking.client.get_experiment_by_name(MODEL)
    tracking.client.delete_experiment(experiment.experiment_id)
    assert_healed(two.project(), two)
    assert {run.run_id for run in tracking.candidates(MODEL)} == before


@pytest.mark.slow
def test_another_project_s_model_of_the_same_name_is_told_and_left_alone(
    two: Line, tmp_path: Path
) -> None:
    tracking = two.project().tracking
    theirs = tracking.versions(MODEL)[0]
    for key in ("mergeline.fingerprint", "mergeline.model_digest"):
        tracking.client.set_model_version_tag(MODEL, str(theirs.number), key, "0" * 64)
    move_alias(tracking.client)
    before = content_of(two.state / "artifacts")
    for verb in (reconcile, release):
        with pytest.raises(
            TrackingError, match=r"no release of this repository made it so.* another name"
        ):
            verb(two.project(), say=two.say)
    assert shown(tracking)[0] == (1, "Production")
    assert content_of(two.state / "artifacts") == before
    champion = find_champion(two.project(), MODEL)
    assert champion is not None
    assert champion.version.number == 2


@pytest.mark.slow
def test_what_only_mlflow_has_is_taken_over(two: Line) -> None:
    """As a project that was tracked before there was a store."""
    project = two.project()
    for run in project.tracking.candidates(MODEL):
        folder = project.candidate_folder(MODEL, run.fingerprint)
        files = str(folder / "candidate")
        project.tracking.client.log_artifacts(run.run_id, files, "candidate")
    shutil.rmtree(two.state / "store")
    shutil.rmtree(two.state / "candidates")
    with pytest.raises(StoreError, match="mergeline reconcile"):
        two.project().ledger(MODEL)
    assert planned(two.project(), two) == ["take over", "take over"]
    assert_healed(two.project(), two)
    assert len(two.project().store.known()) == 2
    assert len(two.project().ledger(MODEL)) == 2
    assert [v.number for v in two.project().tracking.versions(MODEL)] == [1, 2]


def test_a_workflow_without_a_server_has_nothing_to_reconcile(line: Line) -> None:
    with pytest.raises(InputError, match="Set MLFLOW_TRACKING_URI"):
        reconcile(line.project(GITHUB_ACTIONS="true"), say=line.say)


def test_nothing_is_lost_where_a_run_cannot_be_logged(line: Line) -> None:
    """MLflow is for people to look at; a server that is down is said, and written later."""
    said: list[str] = []
    line.check_out_pull(3)
    gone = line.project(MLFLOW_TRACKING_URI="http://127.0.0.1:9", MERGELINE_PULL_REQUEST="3")
    from mergeline.lifecycle.verbs.track import track

    [tracked] = track(gone, line.bundle, say=said.append)
    assert tracked.run_id is None
    assert any("`mergeline reconcile` will" in text for text in said)
    fingerprint = read_candidate(line.bundle).fingerprint
    assert (MODEL, fingerprint) in line.project().store.known()
    assert planned(line.project(), line) == ["log", "log evaluation"]
