"""The shipped workflows on a real forge: what a pull request is told."""

from __future__ import annotations

import pytest

from tests.support.hosted import Hosted

pytestmark = [pytest.mark.forge, pytest.mark.timeout(1800)]
BOT = "gitea-actions"


def test_a_pull_request_has_one_comment_and_a_status_from_start_to_end(hosted: Hosted) -> None:
    hosted.branch("faster")
    hosted.edit("params.yaml", "max_iter: 60", "max_iter: 50")
    first = hosted.commit("Fewer trees")
    number = hosted.propose("Fewer trees `$(id)` <!-- mergeline:report --> | <b>")
    assert hosted.judged(first) == ("success", "delay: pass"), hosted.tell()
    assert hosted.states(first)[0] == ("pending", "being evaluated")
    [said] = hosted.comments(number)
    assert said["user"]["login"] == BOT
    assert f"head `{first[:7]}`" in said["body"]

    hosted.edit("params.yaml", "max_iter: 50", "max_iter: 40")
    second = hosted.commit("Fewer still")
    hosted.push()
    assert hosted.judged(second) == ("success", "delay: pass"), hosted.tell()
    [again] = hosted.comments(number)
    assert again["id"] == said["id"]
    assert f"head `{second[:7]}`" in again["body"]

    hosted.edit("params.yaml", "max_iter: 40", "max_iter: 60")
    third = hosted.commit("As it was")
    hosted.push()
    assert hosted.judged(third) == ("success", "no model changes"), hosted.tell()
    [shrunk] = hosted.comments(number)
    assert shrunk["id"] == said["id"]
    assert shrunk["body"].endswith(f"At `{third[:7]}` this pull request changes no model.")


def test_a_pull_request_that_changes_no_model_has_a_green_status_and_no_comment(
    hosted: Hosted,
) -> None:
    hosted.branch("words")
    hosted.edit("README.md", "Merge is the release", "A merge is the release")
    head = hosted.commit("Words")
    number = hosted.propose("Words")
    assert hosted.judged(head) == ("success", "no model changes"), hosted.tell()
    assert hosted.states(head)[0] == ("pending", "being evaluated")
    assert hosted.comments(number) == []


def test_a_job_that_cannot_be_installed_ends_in_an_error(hosted: Hosted) -> None:
    hosted.branch("broken")
    hosted.edit("uv.lock", "version = 1", "version = 999")
    head = hosted.commit("Break the lock")
    hosted.propose("Break the lock")
    assert hosted.judged(head)[0] == "error", hosted.tell()
    assert hosted.states(head)[0] == ("pending", "being evaluated")
