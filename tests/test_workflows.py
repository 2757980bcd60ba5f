"""The workflows keep the laws: read-only where foreign code runs, one verb a step, all pinned."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mergeline.adapters.forge.workflow_files import CALLED as CALLERS

FOLDER = Path(__file__).parent.parent / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
REUSABLE = sorted(FOLDER.glob("on-*.yml"))
UNTRUSTED = [
    ("on-pull-request.yml", "evaluate"),
    ("on-merge.yml", "build"),
    ("on-merge.yml", "judge"),
    ("on-merge.yml", "tables"),
    ("ci.yml", "run"),
    ("ci.yml", "resolutions"),
    ("publish.yml", "build"),
]
# Keys that may only read; a fork's jobs get none.
READ_KEYS = re.compile(r"\bsecrets\.READ_\w+")
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def read(path: Path) -> dict[str, Any]:
    # BaseLoader: `on` is a word here, not a truth value.
    loaded: dict[str, Any] = yaml.load(path.read_text(), Loader=yaml.BaseLoader)
    return loaded


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job.get("steps", [])


def commands(workflow: dict[str, Any]) -> Iterator[list[str]]:
    """The words of each `mergeline …` line."""
    for step in steps(workflow):
        for found in re.findall(r"(?<! /)\bmergeline\"? ([^|&;\n]*)", step.get("run", "")):
            yield shlex.split(found)


@each_workflow
def test_every_action_is_pinned_by_its_commit_and_names_its_version(path: Path) -> None:
    uses = re.findall(r"\buses: (.*)", path.read_text())
    assert uses
    for line in uses:
        if line.startswith("./.github/workflows/on-"):
            continue
        assert re.fullmatch(r"[\w-]+(/[\w-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_one_version_of_an_action_is_used_everywhere() -> None:
    uses = {line for path in WORKFLOWS for line in re.findall(r"\buses: (\w.*)", path.read_text())}
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
    assert checkouts or path.name in CALLERS
    for checkout in checkouts:
        assert checkout["with"]["persist-credentials"] == "false"
        assert checkout["with"]["fetch-depth"] == "0"


@pytest.mark.parametrize(("name", "job"), UNTRUSTED)
def test_a_job_that_runs_unreviewed_or_training_code_has_no_secret_and_may_only_read(
    name: str, job: str
) -> None:
    found = read(FOLDER / name)["jobs"][job]
    assert set(found["permissions"].values()) == {"read"}
    assert set(found["permissions"]) <= {"contents", "packages", "statuses"}
    assert "environment" not in found
    assert "secrets." not in READ_KEYS.sub("", str(found))


@pytest.mark.parametrize("path", REUSABLE, ids=lambda path: path.name)
def test_what_all_jobs_of_a_workflow_have_can_only_read(path: Path) -> None:
    shared = read(path).get("env", {})
    assert "secrets." not in READ_KEYS.sub("", str(shared))
    assert "token" not in str(shared)


def test_each_job_that_writes_to_the_store_has_keys_of_its_own_for_each_kind_of_store() -> None:
    keys = {"ORAS_USER", "ORAS_PASS", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
            "AZURE_STORAGE_SAS_TOKEN", "GOOGLE_SERVICE_ACCOUNT_KEY"}  # fmt: skip
    writes = re.compile(r"mergeline (track|release|status|reconcile)\b(?! --plan)")
    writers = [
        step
        for path in REUSABLE
        for step in steps(read(path))
        if writes.search(step.get("run", ""))
    ]
    assert len(writers) == 5
    for step in writers:
        for key in keys:
            assert re.search(r"\bsecrets\.(?!READ_)", step["env"][key]), (step["name"], key)


def test_a_push_starts_an_evaluation_and_no_label_does() -> None:
    workflow = read(FOLDER / "pull-request.yml")
    assert workflow["on"]["pull_request"]["types"] == ["opened", "synchronize", "reopened"]
    for path in WORKFLOWS:
        assert "labeled" not in json.dumps(read(path)["on"])


def test_a_plan_that_fails_keeps_no_report_from_the_pull_request() -> None:
    job = read(FOLDER / "on-pull-request.yml")["jobs"]["evaluate"]["steps"]
    names = [step["name"] for step in job]
    assert names[names.index("Plan") + 1 :] == [
        "Restore the tables", "Bring the drops", "Evaluate", "Summarise", "Leave the bundle",
    ]  # fmt: skip
    assert "continue-on-error" not in job[names.index("Plan")]
    for step in job[names.index("Evaluate") :]:
        assert "!cancelled()" in step["if"], step["name"]


def test_the_tables_that_main_keeps_are_those_that_a_pull_request_starts_from() -> None:
    kept: list[tuple[str, Any]] = []
    restored: list[tuple[str, Any]] = []
    for name in ("on-pull-request.yml", "on-merge.yml"):
        for step in steps(read(FOLDER / name)):
            if step.get("uses", "").startswith("actions/cache/"):
                (kept if "/save@" in step["uses"] else restored).append((name, step))
    [(where, keeping)] = kept
    commits = "hashFiles('.mergeline/tables/*/_delta_log/*.json')"
    assert where == "on-merge.yml"
    assert keeping["with"] == {"path": ".mergeline/tables", "key": f"tables-${{{{ {commits} }}}}"}
    assert keeping["if"] == (
        f"{commits} != '' && format('tables-{{0}}', {commits}) != "
        "steps.tables.outputs.cache-matched-key"
    ), "tables that did not change are not kept again"
    assert restored[-1][1]["id"] == "tables"
    place = {"path": ".mergeline/tables", "key": "tables-${{ github.sha }}"}
    assert [name for name, _ in restored] == ["on-pull-request.yml", *["on-merge.yml"] * 3]
    assert all(step["with"] == {**place, "restore-keys": "tables-"} for _, step in restored)


def test_what_changes_no_model_is_neither_trained_nor_judged_nor_commented_on() -> None:
    for name, job in (("on-pull-request.yml", "evaluate"), ("on-evaluated.yml", "judge")):
        found = read(FOLDER / name)["jobs"][job]["steps"]
        plan = [step["name"] for step in found].index("Plan")
        for step in found[plan + 1 :]:
            assert "steps.plan.outputs.changes != 'false'" in step["if"], step["name"]
    comment = read(FOLDER / "on-evaluated.yml")["jobs"]["comment"]["steps"]
    asked = {step["name"]: step["if"] for step in comment if "if" in step}
    assert asked == {
        "Fetch what was judged": "needs.judge.outputs.changes != 'false'",
        "Comment": "needs.judge.outputs.changes != 'false'",
        "Say that no model changes": "needs.judge.outputs.changes == 'false'",
    }


def test_a_commit_has_a_status_from_the_start_of_its_evaluation_to_whatever_end() -> None:
    started = read(FOLDER / "report.yml")["on"]["workflow_run"]["types"]
    assert started == ["requested", "completed"]
    jobs = read(FOLDER / "on-evaluated.yml")["jobs"]
    assert jobs["begin"]["if"] == "github.event.action == 'requested'"
    end = jobs["unjudged"]
    assert end["needs"] == "comment"
    assert "always()" in end["if"]
    assert "needs.comment.result != 'success'" in end["if"]
    for name in ("begin", "unjudged"):
        assert jobs[name]["permissions"] == {"statuses": "write"}
        [step] = jobs[name]["steps"]  # nothing that could fail before it
        assert "/statuses/$HEAD_SHA" in step["run"]


def test_the_reporting_workflow_checks_out_nothing_of_the_pull_request() -> None:
    workflow = read(FOLDER / "on-evaluated.yml")
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["ref"] == "${{ github.event.repository.default_branch }}"
    verbs = [words[0] for words in commands(workflow)]
    assert verbs == ["plan", "approval", "judge", "track", "comment", "comment"]


def test_the_judging_job_has_no_secret_and_what_it_says_is_all_that_is_believed() -> None:
    jobs = read(FOLDER / "on-evaluated.yml")["jobs"]
    assert set(jobs["judge"]["permissions"].values()) == {"read"}
    assert "secrets." not in READ_KEYS.sub("", json.dumps(jobs["judge"]))
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
    jobs = read(FOLDER / "on-merge.yml")["jobs"]
    assert list(jobs) == ["plan", "build", "judge", "tables", "release"]
    for name in jobs.keys() - {"release"}:
        assert set(jobs[name]["permissions"].values()) == {"read"}
        assert "secrets." not in READ_KEYS.sub("", json.dumps(jobs[name]))
        assert "environment" not in jobs[name]
    [judging] = [step for step in jobs["judge"]["steps"] if step["name"] == "Judge"]
    assert judging["env"]["MERGELINE_WALLS"] == "required"
    for name in ("build", "judge"):  # both by what the plan says of main, as the release will
        assert "needs.plan.outputs.base" in json.dumps(jobs[name])
    release = jobs["release"]
    assert release["environment"]["name"] == "production"
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


@pytest.mark.parametrize("caller", CALLERS)
def test_a_caller_grants_what_the_called_jobs_ask_for_and_no_more(caller: str) -> None:
    [job] = read(FOLDER / caller)["jobs"].values()
    assert job["uses"] == f"./.github/workflows/{CALLERS[caller]}"
    called = read(FOLDER / CALLERS[caller])
    asked: dict[str, str] = {}
    for inner in called["jobs"].values():
        for right, level in inner["permissions"].items():
            asked[right] = "write" if "write" in {level, asked.get(right)} else level
    assert job["permissions"] == asked
    # What is declared beside these are secrets of an environment, which no caller can hand over.
    declared = called["on"]["workflow_call"].get("secrets", {})
    handed = {name: f"${{{{ secrets.{name} }}}}" for name in declared if name.startswith("READ_")}
    assert job.get("secrets", {}) == handed
    assert set(job["with"]) <= set(called["on"]["workflow_call"]["inputs"])


@pytest.mark.parametrize("path", REUSABLE, ids=lambda path: path.name)
def test_a_workflow_for_other_repositories_knows_nothing_of_this_one(path: Path) -> None:
    assert re.findall("flights|weather|drops\\.py|group reference", path.read_text()) == []
    inputs = read(path)["on"]["workflow_call"]["inputs"]
    for about in inputs.values():
        assert set(about) == {"description", "type", "default"}
    for job in read(path)["jobs"].values():
        assert job["timeout-minutes"]
        assert job["runs-on"] == "${{ fromJSON(inputs.runner) }}"


def test_what_mlflow_shows_is_put_right_on_a_schedule_and_by_hand() -> None:
    assert set(read(FOLDER / "reconcile.yml")["on"]) == {"schedule", "workflow_dispatch"}
    [job] = read(FOLDER / "on-reconcile.yml")["jobs"].values()
    assert job["if"] == "${{ vars.MLFLOW_TRACKING_URI != '' }}"
    assert job["environment"] == "tracking"
    assert list(commands({"jobs": {"reconcile": job}})) == [["reconcile"]]


def test_no_workflow_uses_pull_request_target() -> None:
    assert all("pull_request_target" not in read(path)["on"] for path in WORKFLOWS)


def test_no_report_is_cancelled_by_another_one() -> None:
    """Gitea cancels what waits in a group, whatever `queue` says."""
    assert read(FOLDER / "report.yml")["concurrency"]["group"] == (
        "report-${{ github.event.workflow_run.id }}"
    )


def test_no_pending_release_is_cancelled() -> None:
    asked = {path.name: read(path).get("concurrency") for path in WORKFLOWS}
    groups = {name: group for name, group in asked.items() if group}
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
