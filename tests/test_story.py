"""The whole story, as `mergeline demo` plays it, and what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mergeline.core.release.ledger import Entry
from mergeline.demo.people import Workplace
from mergeline.lifecycle.steps.project import Project

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("story")]  # which is played once
ROOT = Path(__file__).parents[1]
DEMO = [sys.executable, "-m", "mergeline", "demo"]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The workspace of a story that was played, and what it printed."""
    workspace = tmp_path_factory.mktemp("story") / "workspace"
    done = subprocess.run(
        [*DEMO, "--workspace", str(workspace)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=840,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return workspace, done.stdout


@pytest.fixture
def project(story: tuple[Path, str]) -> Project:
    """The project as the CI machine sees it when the story is over."""
    workspace, _ = story
    return Workplace(workspace, say=print).project()


@pytest.fixture
def ledger(project: Project) -> tuple[Entry, ...]:
    """The releases of the story."""
    return project.ledger("delay")


def test_each_release_is_recorded_and_one_goes_back(ledger: tuple[Entry, ...]) -> None:
    assert [(entry.kind, entry.version, entry.replaced) for entry in ledger] == [
        ("first", 1, None), ("change", 2, 1), ("change", 3, 2), ("restore", 2, 3),
        ("change", 4, 2), ("change", 5, 4),
    ]  # fmt: skip


def test_what_landed_second_was_judged_as_merged_before_its_release(
    story: tuple[Path, str], project: Project, ledger: tuple[Entry, ...]
) -> None:
    workspace, _ = story
    evaluation = project.tracking.evaluation(project.tracking.run(ledger[5].run_id))
    assert evaluation is not None
    assert evaluation.origin.commit == ledger[5].commit
    assert evaluation.champion == ledger[4].fingerprint
    comments = (workspace / "forge" / "pulls" / "6" / "comments").glob("*.md")
    assert any("this tree had not been judged against" in text.read_text() for text in comments)


def test_the_revert_serves_the_earlier_version_byte_for_byte(ledger: tuple[Entry, ...]) -> None:
    assert ledger[3].fingerprint == ledger[1].fingerprint
    assert ledger[3].model_digest == ledger[1].model_digest
    assert ledger[3].run_id == ledger[1].run_id


def test_each_release_is_the_run_that_its_pull_request_showed(
    project: Project, ledger: tuple[Entry, ...]
) -> None:
    for entry in ledger[1:3]:
        run = project.tracking.run(entry.run_id)
        assert run.pull_request == entry.pull_request
        assert run.model_digest == entry.model_digest


def test_no_fingerprint_was_trained_twice(project: Project) -> None:
    runs = project.tracking.candidates("delay")
    assert len(runs) == 7
    assert len({run.fingerprint for run in runs}) == 7


def test_only_july_was_converted_for_the_pull_request_that_adds_it(story: tuple[Path, str]) -> None:
    workspace, _ = story
    from deltalake import DeltaTable

    table = DeltaTable(str(workspace / "state" / "tables" / "flights"))
    assert table.version() == 1
    files = list((workspace / "state" / "tables" / "flights").glob("**/*.parquet"))
    assert len([path for path in files if "_delta_log" not in path.parts]) == 7


def test_the_worse_model_is_refused_with_reasons(story: tuple[Path, str]) -> None:
    workspace, printed = story
    comment = next((workspace / "forge" / "pulls" / "3" / "comments").glob("*.md")).read_text()
    assert "may not replace v3" in comment
    assert "ROC AUC is worse by more than" in comment
    assert "evaluate ends with exit code 1" in printed
    assert "the forge refuses to merge: mergeline says failure (delay: fail)" in printed


def test_it_ends_with_what_the_server_serves_and_where_to_look(story: tuple[Path, str]) -> None:
    workspace, printed = story
    assert "serving now, by the server's word: delay v5 (" in printed
    assert f"mlflow ui --backend-store-uri sqlite:///{workspace}/state/mlflow.db" in printed
    assert (workspace / "state" / "mlflow.db").is_file()
    assert f"{workspace}/bundles/*/evaluation/report.html" in printed
    assert len(list(workspace.glob("bundles/*/evaluation/report.html"))) == 6


def test_each_pull_request_has_exactly_one_report(story: tuple[Path, str]) -> None:
    workspace, _ = story
    for number in range(1, 6):
        comments = (workspace / "forge" / "pulls" / str(number) / "comments").glob("*.md")
        reports = [text for text in comments if "<!-- mergeline:report " in text.read_text()]
        assert len(reports) == 1, number


def test_the_answers_over_http_follow_the_releases(story: tuple[Path, str]) -> None:
    _, printed = story
    asked = [line.split()[3] for line in printed.splitlines() if "asked over HTTP" in line]
    assert asked == ["v1", "v2", "v3", "v2", "v4", "v5"]


def test_a_run_is_reproduced_elsewhere(story: tuple[Path, str], ledger: tuple[Entry, ...]) -> None:
    workspace, _ = story
    done = subprocess.run(
        [sys.executable, "-m", "mergeline", "reproduce", ledger[1].run_id],
        cwd=workspace / "runner",
        env={**os.environ, "MERGELINE_STATE": str(workspace / "state")},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same bytes" in done.stdout
    assert done.stdout.endswith("reproduced\n")


@pytest.mark.parametrize(
    ("number", "seconds"), [(signal.SIGINT, 12), (signal.SIGTERM, 20), (signal.SIGKILL, 22)]
)
def test_interrupted_it_leaves_no_process_behind(
    number: signal.Signals, seconds: float, tmp_path: Path
) -> None:
    workspace = tmp_path / "interrupted-story"
    process = subprocess.Popen(
        [*DEMO, "--workspace", str(workspace)],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    time.sleep(seconds)
    process.send_signal(number)
    process.wait(15)
    until = time.monotonic() + 10
    while _alive(workspace) and time.monotonic() < until:
        time.sleep(0.2)
    assert _alive(workspace) == []


def _alive(workspace: Path) -> list[str]:
    """Commands of processes that work in the workspace or were told of it."""
    found = subprocess.run(
        ["ps", "axeww", "-o", "pid=,command="], capture_output=True, text=True, check=True
    )
    return [line for line in found.stdout.splitlines() if str(workspace) in line]
