"""`doctor`: what is unsafe is said with what to click or run."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mergeline.adapters.forge.base import Settings
from mergeline.adapters.forge.folder import FolderForge
from mergeline.adapters.git.repository import Repository
from mergeline.adapters.store.store import Store
from mergeline.errors import InputError, StoreError, WallsError
from mergeline.lifecycle.steps import project
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.verbs import doctor
from mergeline.lifecycle.verbs.doctor import Finding, examine
from mergeline.lifecycle.verbs.release import release
from mergeline.lifecycle.verbs.track import track
from mergeline.system.confinement import Walls

SAFE = Settings(
    public=False,
    required=("mergeline",),
    up_to_date=True,
    owners_review=True,
    protected_tags=("release/**",),
    environments={"production": True},
    jobs_may_write=False,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository on a forge, with code owners and a harmless workflow."""
    forge = FolderForge.create(tmp_path / "forge")
    root = tmp_path / "clone"
    (root / ".github" / "workflows").mkdir(parents=True)
    (root / ".github" / "CODEOWNERS").write_text("* @ana\n")
    (root / ".github" / "workflows" / "ci.yml").write_text("on: {pull_request: {}}\n")
    for arguments in (
        ["init", "-q", "-b", "main"],
        ["remote", "add", "origin", str(forge.repository)],
        ["add", "-A"],
        ["-c", "user.name=ana", "-c", "user.email=a@b.c", "commit", "-qm", "first"],
        ["push", "-q", "origin", "main"],
    ):
        subprocess.run(["git", *arguments], cwd=root, check=True)
    return root


def found(
    root: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings = SAFE, **environment: str
) -> list[Finding]:
    monkeypatch.setattr(FolderForge, "settings", lambda *_: settings)
    monkeypatch.setattr(doctor, "find_walls", lambda: Walls("bubblewrap", ()))
    monkeypatch.setattr(doctor, "_of_stores", lambda _: [])
    named = {"MERGELINE_FORGE": str(root.parent / "forge"), **environment}
    return examine(Project(Repository(root), named))


def unsafe(findings: list[Finding]) -> set[str]:
    return {finding.topic for finding in findings if finding.state == "unsafe"}


def test_a_repository_that_is_set_up_well_has_nothing_to_do(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {finding.state for finding in found(root, monkeypatch)} == {"ok"}


@pytest.mark.parametrize(
    ("settings", "topic", "words"),
    [
        (replace(SAFE, required=("ci",)), "required status", "require the status mergeline"),
        (replace(SAFE, protected_tags=("v*",)), "ledger", "release/**"),
        (replace(SAFE, environments={"production": False}), "environments", "to the branch main"),
    ],
)
def test_a_rule_that_is_missing_is_unsafe(
    root: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings, topic: str, words: str
) -> None:
    findings = found(root, monkeypatch, settings)
    assert unsafe(findings) == {topic}
    assert words in findings[0].next_step


def test_what_a_forge_cannot_do_is_an_advice(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = found(root, monkeypatch, replace(SAFE, has_environments=False))
    assert unsafe(findings) == set()
    assert (findings[0].topic, findings[0].state) == ("environments", "better")
    assert "whom you trust" in findings[0].next_step


@pytest.mark.parametrize("pattern", ["release/**", "release/*", "**", "/^release\\/.+/"])
def test_a_pattern_of_either_forge_covers_the_ledger(
    root: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    assert unsafe(found(root, monkeypatch, replace(SAFE, protected_tags=(pattern,)))) == set()


def test_what_the_token_may_not_see_is_unknown_and_not_fine(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    findings = found(root, monkeypatch, Settings())
    unknown = {finding.topic for finding in findings if finding.state == "unknown"}
    assert unknown == {"required status", "up to date", "ledger", "environments"}


def test_without_a_forge_the_variables_are_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    findings = found(root, monkeypatch, MERGELINE_FORGE="")
    assert findings[0].topic == "forge"
    assert "GITHUB_TOKEN" in findings[0].next_step


@pytest.mark.parametrize(
    "workflow",
    [
        "on:\n  pull_request_target:\n",
        "on: {pull_request: {}}\njobs: {a: {env: {A: '${{ secrets.KEY }}'}}}\n",
    ],
)
def test_a_workflow_that_hands_secrets_to_a_pull_request_is_unsafe(
    root: Path, monkeypatch: pytest.MonkeyPatch, workflow: str
) -> None:
    (root / ".github" / "workflows" / "leak.yml").write_text(workflow)
    findings = found(root, monkeypatch)
    assert unsafe(findings) == {"workflows"}
    assert ".github/workflows/leak.yml" in findings[0].text


def test_a_key_that_may_only_read_is_no_secret_that_a_pull_request_must_not_have(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "on: {pull_request: {}}\njobs: {a: {env: {A: '${{ secrets.READ_KEY }}'}}}\n"
    (root / ".github" / "workflows" / "read.yml").write_text(text)
    assert unsafe(found(root, monkeypatch)) == set()


@pytest.mark.parametrize(
    ("owners", "left_out"),
    [
        ("/models/ @ana\n", ".github/workflows/ci.yml"),
        ("* @ana\n/.github/workflows/ci.yml\n", ".github/workflows/ci.yml"),
        ("* @ana\n/models/late.yaml # nobody\n", "models/late.yaml"),
        ("/.github/ @ana\n/models/late.yaml @ana\n", "models/new.yml"),
        ("/.github/* @ana\n/models/* @ana\n", ".github/workflows/ci.yml"),
    ],
)
def test_a_file_that_nobody_owns_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch, owners: str, left_out: str
) -> None:
    (root / "models").mkdir()
    (root / "models" / "late.yaml").write_text("")
    (root / ".github" / "CODEOWNERS").write_text(owners)
    [told] = [one for one in found(root, monkeypatch) if one.state == "better"]
    assert told.topic == "code owners"
    assert left_out in told.text


def test_on_gitea_code_owners_are_regular_expressions(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / ".gitea" / "workflows").mkdir(parents=True)
    (root / ".gitea" / "workflows" / "report.yml").write_text("")
    (root / ".gitea" / "CODEOWNERS").write_text(r"(models|\.g[a-z]+/workflows)/.* @ana")
    assert {one.state for one in found(root, monkeypatch)} == {"ok"}
    (root / ".gitea" / "CODEOWNERS").write_text("models/ @ana\n!models/.* @ben\n")
    [told] = [one for one in found(root, monkeypatch) if one.state == "better"]
    assert "models/new.yml" in told.text


def test_a_store_that_may_not_be_written_is_said(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Store) -> None:
        raise StoreError("not allowed to write", next_step="Log in")

    project = Project(Repository(root), {})
    assert doctor._of_writing(project).state == "ok"
    assert not (project.state / "store").exists()
    monkeypatch.setattr(Store, "check_writable", refuse)
    told = doctor._of_writing(project)
    assert told.state == "better"
    assert "not allowed to write" in told.text


def test_state_that_goes_away_with_the_runner_is_unsafe(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert unsafe(found(root, monkeypatch, GITHUB_ACTIONS="true")) == {"state"}


def test_what_would_go_away_with_the_runner_is_not_written(root: Path) -> None:
    project = Project(Repository(root), {"GITHUB_ACTIONS": "true"})
    with pytest.raises(InputError, match="goes away with the runner") as caught:
        release(project, say=lambda _: None)
    assert "MERGELINE_STORE" in caught.value.next_step
    with pytest.raises(InputError, match="goes away with the runner"):
        track(project, root, say=lambda _: None)
    assert [path.name for path in project.state.iterdir()] == [".gitignore"]


def test_state_that_is_kept_between_jobs_is_fine(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept = str(tmp_path / "kept")
    assert not unsafe(found(root, monkeypatch, GITHUB_ACTIONS="true", MERGELINE_STATE=kept))


def test_a_machine_without_walls_is_unsafe(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found(root, monkeypatch)
    monkeypatch.setattr(doctor, "find_walls", lambda: Walls("none", ("the network is there",)))
    findings = examine(Project(Repository(root), {"MERGELINE_FORGE": str(root.parent / "forge")}))
    assert unsafe(findings) == {"walls"}


def test_weak_walls_refuse_in_a_workflow_and_are_said_elsewhere(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weak = Walls("none", ("the network is there",))
    monkeypatch.setattr(project, "find_walls", lambda: weak)
    required = Project(Repository(root), {"MERGELINE_WALLS": "required"})
    with pytest.raises(WallsError, match="the network is there"):
        _ = required.walls
    assert Project(Repository(root), {}).walls == weak
