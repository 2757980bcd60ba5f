"""The workflows keep the laws: read-only where foreign code runs, one verb a step, all pinned."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parent.parent / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
UNTRUSTED = [
    ("pull-request.yml", "evaluate"),
    ("release.yml", "build"),
    ("release.yml", "judge"),
    ("release.yml", "tables"),
    ("ci.yml", "run"),
]
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def read(path: Path) -> dict[str, Any]:
    # BaseLoader: `on` is a word here, not a truth value.
    loaded: dict[str, Any] = yaml.load(path.read_text(), Loader=yaml.BaseLoader)
    return loaded


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


def commands(workflow: dict[str, Any]) -> Iterator[list[str]]:
    """The words of each `mergeline …` line."""
    for step in steps(workflow):
        for found in re.findall(r"\bmergeline ([^|&;\n]*)", step.get("run", "")):
            yield shlex.split(found)


@each_workflow
def test_every_action_is_pinned_by_its_commit_and_names_its_version(path: Path) -> None:
    uses = re.findall(r"\buses: (.*)", path.read_text())
    assert uses
    for line in uses:
        assert re.fullmatch(r"[\w-]+(/[\w-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_one_version_of_an_action_is_used_everywhere() -> None:
    uses = {line for path in WORKFLOWS for line in re.findall(r"\buses: (.*)", path.read_text())}
    assert len({line.split("@")[0] for line in uses}) == len(uses)


@each_workflow
def test_a_workflow_may_nothing_but_what_a_job_asks_for(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert "permissions" in job


@each_workflow
def test_no_checkout_leaves_its_token_behind(path: Path) -> None:
    checkouts = [s for s in steps(read(path)) if s.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    for checkout in checkouts:
        assert checkout["with"]["persist-credentials"] == "false"
        assert checkout["with"]["fetch-depth"] == "0"


@pytest.mark.parametrize(("name", "job"), UNTRUSTED)
def test_a_job_that_runs_unreviewed_or_training_code_has_no_secret_and_may_only_read(
    name: str, job: str
) -> None:
    found = read(FOLDER / name)["jobs"][job]
    assert found["permissions"] == {"contents": "read"}
    assert "environment" not in found
    assert "secrets." not in str(found)


def test_a_label_starts_an_evaluation_and_ends_none() -> None:
    workflow = read(FOLDER / "pull-request.yml")
    started = {"opened", "synchronize", "reopened", "labeled"}
    assert set(workflow["on"]["pull_request"]["types"]) == started
    ends = workflow["concurrency"]["cancel-in-progress"]
    assert ends == "${{ github.event.action != 'labeled' }}"


def test_a_plan_that_fails_keeps_no_report_from_the_pull_request() -> None:
    job = read(FOLDER / "pull-request.yml")["jobs"]["evaluate"]["steps"]
    names = [step["name"] for step in job]
    assert names[names.index("Plan") :] == [
        "Plan", "Evaluate", "Say that the summary is a preview", "Summarise", "Leave the bundle",
    ]  # fmt: skip
    for step in job[names.index("Evaluate") :]:
        assert "!cancelled()" in step["if"], step["name"]


def test_the_tables_that_main_keeps_are_those_that_a_pull_request_starts_from() -> None:
    kept: list[tuple[str, Any]] = []
    restored: list[tuple[str, Any]] = []
    for name in ("pull-request.yml", "release.yml"):
        for step in steps(read(FOLDER / name)):
            if step.get("uses", "").startswith("actions/cache/"):
                (kept if "/save@" in step["uses"] else restored).append((name, step["with"]))
    place = {"path": ".mergeline/tables", "key": "tables-${{ github.sha }}"}
    assert kept == [("release.yml", place)]
    assert [name for name, _ in restored] == ["pull-request.yml", *["release.yml"] * 3]
    assert all(said == {**place, "restore-keys": "tables-"} for _, said in restored)


def test_the_summary_of_the_job_shows_every_report_of_the_bundle(tmp_path: Path) -> None:
    job = read(FOLDER / "pull-request.yml")["jobs"]["evaluate"]["steps"]
    [script] = [step["run"] for step in job if step["name"] == "Summarise"]
    called = tmp_path / "uv"
    called.write_text('#!/bin/sh\necho "$4 ${5##*/} $7"\n')
    called.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }

    def summarised() -> list[str]:
        (tmp_path / "summary").write_text("")
        subprocess.run(["bash", "-e", "-c", script], check=True, env=environment)
        return (tmp_path / "summary").read_text().splitlines()

    assert summarised() == []
    for model in ("early", "late"):
        (tmp_path / "bundle" / model / "evaluation").mkdir(parents=True)
    assert summarised() == ["report early markdown", "report late markdown"]
    shutil.rmtree(tmp_path / "bundle")
    (tmp_path / "bundle" / "evaluation").mkdir(parents=True)
    assert summarised() == ["report bundle markdown"]


def test_the_reporting_workflow_checks_out_nothing_of_the_pull_request() -> None:
    workflow = read(FOLDER / "report.yml")
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["ref"] == "${{ github.event.repository.default_branch }}"
    verbs = [words[0] for words in commands(workflow)]
    assert verbs == ["judge", "track", "comment"]


def test_the_judging_job_has_no_secret_and_what_it_says_is_all_that_is_believed() -> None:
    jobs = read(FOLDER / "report.yml")["jobs"]
    assert set(jobs["judge"]["permissions"].values()) == {"read"}
    assert "secrets." not in json.dumps(jobs["judge"])
    assert "environment" not in jobs["judge"]
    [judging] = [step for step in jobs["judge"]["steps"] if step["name"] == "Judge"]
    assert judging["env"]["MERGELINE_WALLS"] == "required"
    assert "TOKEN" not in json.dumps(judging)
    for name in ("track", "comment"):
        [fetched] = [
            step["with"]
            for step in jobs[name]["steps"]
            if "download-artifact" in step.get("uses", "")
        ]
        assert fetched == {"name": "judged", "path": "${{ runner.temp }}/judged"}


def test_a_release_takes_in_what_was_judged_without_secrets_and_nothing_else() -> None:
    jobs = read(FOLDER / "release.yml")["jobs"]
    assert list(jobs) == ["plan", "build", "judge", "tables", "release"]
    for name in jobs.keys() - {"release"}:
        assert set(jobs[name]["permissions"].values()) == {"read"}
        assert "secrets." not in json.dumps(jobs[name])
        assert "environment" not in jobs[name]
    [judging] = [step for step in jobs["judge"]["steps"] if step["name"] == "Judge"]
    assert judging["env"]["MERGELINE_WALLS"] == "required"
    for name in ("build", "judge"):  # both by what the plan says of main, as the release will
        assert "needs.plan.outputs.base" in json.dumps(jobs[name])
    release = jobs["release"]
    assert release["environment"] == "production"
    assert [words[0] for words in commands({"jobs": {"release": release}})] == [
        "track", "release", "status",
    ]  # fmt: skip
    [fetched] = [
        step["with"] for step in release["steps"] if "download-artifact" in step.get("uses", "")
    ]
    assert fetched == {"name": "judged", "path": "${{ runner.temp }}/judged"}


@each_workflow
def test_no_workflow_reads_what_is_meant_for_people(path: Path) -> None:
    for step in steps(read(path)):
        assert "grep" not in step.get("run", "")


def test_no_workflow_uses_pull_request_target() -> None:
    assert all("pull_request_target" not in read(path)["on"] for path in WORKFLOWS)


def test_no_pending_release_is_cancelled() -> None:
    groups = {path.name: read(path).get("concurrency", {}) for path in WORKFLOWS}
    release = groups.pop("release.yml")
    assert release == {"group": "release", "cancel-in-progress": "false", "queue": "max"}
    assert all(not group["group"].startswith("release") for group in groups.values())


@each_workflow
def test_no_script_has_an_expression_pasted_into_it(path: Path) -> None:
    for step in steps(read(path)):
        assert "${{" not in step.get("run", "")


@each_workflow
def test_every_verb_and_option_exists(path: Path) -> None:
    import click

    from mergeline.cli.commands import commands as cli

    for verb, *words in commands(read(path)):
        command = cli.get_command(click.Context(cli), verb)
        assert command is not None, verb
        known = {option for param in command.params for option in param.opts}
        assert {word for word in words if word.startswith("--")} <= known
