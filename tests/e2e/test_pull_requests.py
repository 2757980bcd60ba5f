"""The shipped workflows on a real forge: what a pull request is told."""

from __future__ import annotations

import pytest

from tests.support.hosted import Hosted

pytestmark = [pytest.mark.forge, pytest.mark.timeout(1800)]
BOT = "gitea-actions"
# What a pull request may write into its own workflow: it calls a refused model a passed one.
FORGE_THE_VERDICT = """\
      - name: Forge the verdict
        if: ${{ !cancelled() }}
        run: |
          cd "$RUNNER_TEMP/bundle"
          sed -i 's/"fail"/"pass"/g' evaluation/*.json
      - name: Leave the bundle
"""
# A fork's job writes with the token that it has.
WRITE_WITH_THE_TOKEN = """\
      - name: Write with the token
        env:
          TOKEN: ${{ github.token }}
          HEAD_SHA: ${{ github.event.pull_request.head.sha }}
        run: |
          curl --silent --header "Authorization: token $TOKEN" \\
            --header "Content-Type: application/json" \\
            --data '{"context": "mergeline", "state": "success", "description": "forged"}' \\
            "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/statuses/$HEAD_SHA"
      - name: Leave the bundle
"""


def test_a_pull_request_has_one_comment_and_a_status_from_start_to_end(hosted: Hosted) -> None:
    hosted.branch("faster-$(touch${IFS}pwned)-`id`;'\"&|")
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


def test_a_refused_model_stays_refused_whatever_its_own_job_says(hosted: Hosted) -> None:
    hosted.branch("forged")
    hosted.edit("params.yaml", "max_iter: 60", "max_iter: 1")
    workflow = ".github/workflows/pull-request.yml"
    hosted.edit(workflow, "      - name: Leave the bundle\n", FORGE_THE_VERDICT)
    head = hosted.commit("One tree")
    number = hosted.propose("One tree")
    assert hosted.judged(head) == ("failure", "delay: fail"), hosted.tell()
    [said] = hosted.comments(number)
    assert "❌" in said["body"]


def test_a_fork_is_judged_once_approved_and_its_token_writes_nothing(hosted: Hosted) -> None:
    hosted.branch("from-afar")
    hosted.edit("params.yaml", "max_iter: 60", "max_iter: 1")
    workflow = ".github/workflows/pull-request.yml"
    hosted.edit(workflow, "      - name: Leave the bundle\n", WRITE_WITH_THE_TOKEN)
    head = hosted.commit("From afar", author="mallory")
    number = hosted.propose_from_fork("From afar", "mallory")
    hosted.approve_runs(head)
    assert hosted.judged(head) == ("failure", "delay: fail"), hosted.tell()
    assert "forged" not in str(hosted.states(head))
    [said] = hosted.comments(number)
    assert said["user"]["login"] == BOT


def test_a_writer_has_a_broken_evaluation_started_again_by_a_comment(hosted: Hosted) -> None:
    hosted.branch("again")
    hosted.edit("README.md", "Merge is the release", "Merging is the release")
    head = hosted.commit("Other words")
    number = hosted.propose("Other words")
    assert hosted.judged(head) == ("success", "no model changes"), hosted.tell()
    before = len(hosted.states(head))
    hosted.say(number, "mallory", "/mergeline evaluate")
    hosted.say(number, "ben", "/mergeline evaluate")
    answered = hosted.answered(number, beyond=2)
    assert answered["user"]["login"] == BOT
    assert f"`{head[:7]}` is evaluated again" in answered["body"]
    assert hosted.judged(head, beyond=before) == ("success", "no model changes"), hosted.tell()
