"""`answer`: what a comment may cause, and whose."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import pytest

from mergeline.adapters.forge.folder import FolderForge
from mergeline.adapters.git.repository import Repository
from mergeline.core.gate.verdict import Approval
from mergeline.core.report.one_comment import Stamp
from mergeline.errors import NotFoundError
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.verbs.answer import answer
from mergeline.lifecycle.verbs.approval import approval
from tests.support.forge_worlds import FolderWorld


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The workflows that were started again, and for which commit. Only ana may write."""
    runs: list[tuple[str, str]] = []

    def run_again(_: FolderForge, workflow: str, sha: str) -> str:
        runs.append((workflow, sha))
        return "https://forge.example.org/runs/5"

    monkeypatch.setattr(FolderForge, "run_again", run_again)
    monkeypatch.setattr(FolderForge, "may_write", lambda _, user: user == "ana")
    return runs


def say(world: FolderWorld, number: int, text: str, author: str = "ana") -> str:
    event = world.path.parent / "event.json"
    about = {"number": number, "pull_request": {}}
    comment = {"body": text, "user": {"login": author}}
    event.write_text(json.dumps({"action": "created", "issue": about, "comment": comment}))
    named = {"MERGELINE_FORGE": str(world.path), "GITHUB_EVENT_PATH": str(event)}
    return answer(Project(Repository(world.path), named))


@pytest.mark.parametrize("command", ["evaluate", "retry please\n\nIt was the network."])
def test_a_writer_has_the_head_evaluated_again(
    folder: FolderWorld, started: list[tuple[str, str]], command: str
) -> None:
    number = folder.open("More trees")
    head = folder.forge().pull_request(number).head_sha
    say(folder, number, f"/mergeline {command}")
    assert started == [("pull-request.yml", head)]
    [said] = folder.forge().comments(number)
    assert said.body == f"`{head[:7]}` is evaluated again: https://forge.example.org/runs/5"


@pytest.mark.parametrize(
    ("commands", "noted"),
    [
        (["attribution"], "attribution"),
        (["sample"], "sample"),
        (["sample", "retry"], "sample"),
        (["sample", "evaluate"], "evaluate"),
        (["sample", "approve it is fine"], "approve"),
    ],
)
def test_what_is_asked_for_is_noted_beside_the_head(
    folder: FolderWorld, started: list[tuple[str, str]], commands: list[str], noted: str
) -> None:
    number = folder.open("More trees")
    head = folder.forge().pull_request(number).head_sha
    for command in commands:
        say(folder, number, f"/mergeline {command}")
    assert started == [("pull-request.yml", head)] * len(commands)
    assert folder.forge().noted(head, "asked") == f"ana: {noted}"


@pytest.mark.parametrize(
    ("text", "author"),
    [
        ("/mergeline evaluate", "mallory"),
        ("Try `/mergeline evaluate`", "ana"),
        ("> /mergeline evaluate", "ana"),
        ("/mergelineevaluate", "ana"),
        ("", "ana"),
    ],
)
def test_what_is_no_command_or_a_strangers_does_and_says_nothing(
    folder: FolderWorld, started: list[tuple[str, str]], text: str, author: str
) -> None:
    number = folder.open("More trees")
    say(folder, number, text, author)
    assert (started, folder.forge().comments(number)) == ([], ())


@pytest.mark.parametrize("text", ["/mergeline", "/mergeline release now", "/mergeline @all"])
def test_an_unknown_command_is_answered_with_those_that_are_known(
    folder: FolderWorld, started: list[tuple[str, str]], text: str
) -> None:
    number = folder.open("More trees")
    say(folder, number, text)
    [said] = folder.forge().comments(number)
    assert said.body == (
        "There is no such command. These are: `/mergeline evaluate`, `/mergeline retry`, "
        "`/mergeline approve REASON`, `/mergeline attribution`, `/mergeline sample`."
    )
    assert started == []


def test_an_approval_is_recorded_for_the_head_and_starts_the_evaluation_again(
    folder: FolderWorld, started: list[tuple[str, str]]
) -> None:
    number = folder.open("Another holdout")
    head = folder.forge().pull_request(number).head_sha
    project = Project(Repository(folder.path), {"MERGELINE_FORGE": str(folder.path)})
    seen = replace(project, environment={**project.environment, "MERGELINE_HEAD": head})
    assert approval(seen) is None
    say(folder, number, "/mergeline approve the `old` days were @all <b>wrong</b>\nReally.")
    assert approval(seen) == Approval("ana", "the 'old' days were @all <b>wrong</b>")
    record, answered = folder.forge().comments(number)
    assert "`ana` approves at" in record.body
    assert "evaluated again" in answered.body
    assert started == [("pull-request.yml", head)]
    say(folder, number, "/mergeline approve on second thought")
    assert approval(seen) == Approval("ana", "on second thought")


def test_an_approval_holds_for_what_was_proposed_then(
    folder: FolderWorld, started: list[tuple[str, str]]
) -> None:
    number = folder.open("Another holdout")
    say(folder, number, "/mergeline approve it is fine")
    head = folder.push(number)
    named = {"MERGELINE_FORGE": str(folder.path), "MERGELINE_HEAD": head}
    assert approval(Project(Repository(folder.path), named)) is None


def test_an_approval_holds_for_what_the_merge_made_of_it(
    folder: FolderWorld, started: list[tuple[str, str]]
) -> None:
    number = folder.open("Another holdout")
    say(folder, number, "/mergeline approve it is fine")
    merged = folder.forge().as_user("rex").merge(number)
    assert merged != folder.forge().pull_request(number).head_sha
    named = {"MERGELINE_FORGE": str(folder.path), "MERGELINE_HEAD": merged}
    assert approval(Project(Repository(folder.path), named)) == Approval("ana", "it is fine")


def test_a_stranger_can_neither_approve_nor_write_a_record(
    folder: FolderWorld, started: list[tuple[str, str]]
) -> None:
    number = folder.open("Another holdout")
    head = folder.forge().pull_request(number).head_sha
    say(folder, number, "/mergeline approve it is fine", author="mallory")
    stamp = Stamp("approval", head, dt.datetime(2026, 3, 1, tzinfo=dt.UTC))
    forged = f"{stamp.line()}\n`ana` approves at `{head[:7]}` that the bar moves: `fine`"
    folder.forge().comment(number, forged)  # as a fork's job may on Gitea, in our name
    named = {"MERGELINE_FORGE": str(folder.path), "MERGELINE_HEAD": head}
    assert approval(Project(Repository(folder.path), named)) is None
    assert started == []


def test_an_approval_without_a_reason_is_none(
    folder: FolderWorld, started: list[tuple[str, str]]
) -> None:
    number = folder.open("Another holdout")
    assert "needs a reason" in say(folder, number, "/mergeline approve  ")
    assert started == []


def test_an_evaluation_that_cannot_be_started_is_said(folder: FolderWorld) -> None:
    number = folder.open("More trees")
    assert "is not evaluated again" in say(folder, number, "/mergeline retry")
    assert len(folder.forge().comments(number)) == 1


def test_without_a_comment_the_workflow_is_named(folder: FolderWorld) -> None:
    with pytest.raises(NotFoundError, match="no comment started this job"):
        answer(Project(Repository(folder.path), {"MERGELINE_FORGE": str(folder.path)}))


@pytest.fixture
def folder(tmp_path: Path) -> FolderWorld:
    return FolderWorld(tmp_path / "forge")
