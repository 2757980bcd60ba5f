"""The workflow files that a repository on each forge gets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from mergeline.adapters.forge.workflow_files import CALLED, ForgeKind, Value, render
from mergeline.errors import InputError

SHIPPED = Path(__file__).parent.parent.parent.parent / ".github" / "workflows"
INPUTS: dict[str, Value] = {
    "install": "make 'it' \"so\"",
    "drops": "fetch $HOME: # all",
    "timeout": 7,
}


def read(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(text, Loader=yaml.BaseLoader)
    return loaded


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


def shipped(name: str) -> dict[str, Any]:
    return read((SHIPPED / name).read_text())


def env_of(called: str) -> dict[str, Any]:
    """What all its jobs have in their environment."""
    return {name: about for name, about in shipped(called).items() if name == "env"}


def test_github_calls_the_jobs_at_a_pinned_place_with_the_inputs_that_each_takes() -> None:
    files = render("github", INPUTS, ref="0123abc")
    assert sorted(files) == sorted(f".github/workflows/{name}" for name in CALLED)
    for name, called in CALLED.items():
        found, ours = read(files[f".github/workflows/{name}"]), shipped(name)
        [job], [own] = found["jobs"].values(), ours["jobs"].values()
        assert job["uses"] == f"mergeline/mergeline/.github/workflows/{called}@0123abc"
        assert job["permissions"] == own["permissions"]
        assert job.get("secrets") == own.get("secrets")
        assert {**found, "jobs": ...} == {**ours, "jobs": ...}
        taken = shipped(called)["on"]["workflow_call"]["inputs"]
        assert job["with"] == {key: str(INPUTS[key]) for key in INPUTS if key in taken}


def test_without_inputs_the_defaults_of_the_called_workflows_hold() -> None:
    for text in render("github", {}).values():
        [job] = read(text)["jobs"].values()
        assert set(job) - {"secrets"} == {"name", "uses", "permissions"}
        assert re.search(r"@v\d+\.\d+\.\d+", job["uses"])


def test_an_enterprise_server_has_the_called_jobs_in_the_repository_itself() -> None:
    files = render("enterprise", INPUTS)
    for name, called in CALLED.items():
        [job] = read(files[f".github/workflows/{name}"])["jobs"].values()
        assert job["uses"] == f"./.github/workflows/{called}"
        assert files[f".github/workflows/{called}"] == (SHIPPED / called).read_text()


@pytest.mark.parametrize("forge", get_args(ForgeKind))
def test_no_job_takes_the_forge_for_github_com(forge: ForgeKind) -> None:
    for path, text in render(forge, INPUTS).items():
        assert not re.findall(r"[^\s\"']*github\.com[^\s\"']*", text), path
        assert "://" not in text, path
        if "credential." in text:
            assert "credential.${{ github.server_url }}.helper" in text


@pytest.mark.parametrize(("name", "called"), CALLED.items())
def test_on_gitea_each_room_is_a_job_of_its_own_with_rights_of_its_own(
    name: str, called: str
) -> None:
    text = render("gitea", INPUTS)[f".gitea/workflows/{name}"]
    found, caller, jobs = read(text), shipped(name), shipped(called)["jobs"]
    assert {**found, "jobs": ...} == {**caller, **env_of(called), "jobs": ...}
    assert list(found["jobs"]) == list(jobs)
    for job, own in zip(found["jobs"].values(), jobs.values(), strict=True):
        wanted = dict(own["permissions"])
        if wanted.get("statuses") == "write":
            del wanted["statuses"]
            wanted["contents"] = "write"
        assert job["permissions"] == wanted
        assert [step["name"] for step in job["steps"]] == [step["name"] for step in own["steps"]]
    assert "inputs." not in text
    for step in steps(found):
        used = step.get("uses", "")
        assert not used.startswith(("actions/upload-artifact", "actions/download-artifact"))
        assert not used or re.search("@[0-9a-f]{40}$", used)


def test_an_input_reaches_the_jobs_on_gitea_as_it_was_given() -> None:
    found = read(render("gitea", INPUTS)[".gitea/workflows/pull-request.yml"])
    [job] = found["jobs"].values()
    said = {key: text for step in job["steps"] for key, text in step.get("env", {}).items()}
    assert (said["INSTALL"], said["DROPS"]) == (INPUTS["install"], INPUTS["drops"])
    assert (job["timeout-minutes"], job["runs-on"]) == ("7", "ubuntu-24.04")


def test_a_main_branch_of_another_name_is_the_one_that_counts() -> None:
    files = render("gitea", {}, branch="trunk: it")
    for name in ("pull-request.yml", "release.yml"):
        on = read(files[f".gitea/workflows/{name}"])["on"]
        assert {tuple(about["branches"]) for about in on.values()} == {("trunk: it",)}


@pytest.mark.parametrize("wrong", [{"instal": "x"}, {"timeout": "7"}, {"install": 7}])
def test_an_input_that_no_workflow_takes_is_refused(wrong: dict[str, Value]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))) as caught:
        render("github", wrong)
    assert "install (string)" in caught.value.next_step
